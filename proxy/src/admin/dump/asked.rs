//! What of the dump is asked for, in Envoy's words.

use axum::http::StatusCode;
use regex::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Lists of the dump, and the types of what is in them.
const LISTS: [(&str, &str); 5] = [
    ("dynamic_active_clusters", "ClustersConfigDump.DynamicCluster"),
    ("dynamic_endpoint_configs", "EndpointsConfigDump.DynamicEndpointConfig"),
    ("dynamic_listeners", "ListenersConfigDump.DynamicListener"),
    ("dynamic_route_configs", "RoutesConfigDump.DynamicRouteConfig"),
    ("dynamic_active_secrets", "SecretsConfigDump.DynamicSecret"),
];

/// The parameters of `/config_dump`. Another is refused by its name.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Asked {
    /// One list, such as `dynamic_listeners`, instead of all sections.
    resource: Option<String>,
    /// A regular expression that matches the whole names of resources.
    name_regex: Option<String>,
    /// Endpoints are told in any case.
    #[serde(rename = "include_eds")]
    _include_eds: Option<IgnoredAny>,
}

/// Why that cannot be told.
type Refusal = (StatusCode, String);

impl Asked {
    /// What is asked for of these sections.
    pub(in crate::admin) fn of(&self, mut sections: Vec<Value>) -> Result<Vec<Value>, Refusal> {
        if let Some(pattern) = &self.name_regex {
            let names = Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|error| (StatusCode::BAD_REQUEST, format!("name_regex: {error}\n")))?;
            lists(&mut sections).for_each(|list| list.retain(|one| name(one).is_some_and(|name| names.is_match(name))));
        }
        match &self.resource {
            Some(resource) => list(&mut sections, resource),
            None => Ok(sections),
        }
    }
}

fn lists(sections: &mut [Value]) -> impl Iterator<Item = &mut Vec<Value>> {
    let members = sections.iter_mut().filter_map(Value::as_object_mut).flat_map(|section| section.values_mut());
    members.filter_map(Value::as_array_mut)
}

/// The name of a resource, or of the cluster whose endpoints it has.
fn name(one: &Value) -> Option<&str> {
    let inner = ["cluster", "route_config", "endpoint_config"].iter().find_map(|body| one.get(body));
    let one = inner.unwrap_or(one);
    one.get("name").or_else(|| one.get("cluster_name"))?.as_str()
}

/// One list, whose elements say of which type they are.
fn list(sections: &mut [Value], resource: &str) -> Result<Vec<Value>, Refusal> {
    let Some((list, element)) = LISTS.iter().find(|(list, _)| *list == resource) else {
        let known = LISTS.map(|(list, _)| list).join(", ");
        return Err((StatusCode::NOT_FOUND, format!("resource: {resource} is not told; {known} are\n")));
    };
    let mut all = sections.iter_mut().find_map(|section| section.get_mut(*list)).map(Value::take).unwrap_or_default();
    let all = all.as_array_mut().map(std::mem::take).unwrap_or_default();
    let typed = all.into_iter().map(|mut one| {
        one["@type"] = format!("type.googleapis.com/envoy.admin.v3.{element}").into();
        one
    });
    Ok(typed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sections() -> Vec<Value> {
        vec![
            json!({"@type": "c", "dynamic_active_clusters": [{"cluster": {"name": "cart"}}, {"cluster": {"name": "users"}}]}),
            json!({"@type": "e", "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "cart"}}]}),
            json!({"@type": "l", "dynamic_listeners": [{"name": "80", "active_state": {}}]}),
        ]
    }

    fn asked(resource: Option<&str>, name_regex: Option<&str>) -> Result<Value, Refusal> {
        let text = |text: &str| Some(text.to_owned());
        let asked =
            Asked { resource: resource.and_then(text), name_regex: name_regex.and_then(text), ..Asked::default() };
        asked.of(sections()).map(Value::from)
    }

    #[test]
    fn a_list_is_told_alone_with_types() {
        let listener = "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener";
        let expected = json!([{"@type": listener, "name": "80", "active_state": {}}]);
        assert_eq!(asked(Some("dynamic_listeners"), None), Ok(expected));
        assert_eq!(asked(Some("dynamic_route_configs"), None), Ok(json!([])));
        let (status, why) = asked(Some("static_listeners"), None).unwrap_err();
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(why.contains("static_listeners is not told; dynamic_active_clusters, "), "{why}");
    }

    #[test]
    fn names_are_matched_whole() {
        let told = asked(None, Some("cart|8")).unwrap();
        assert_eq!(told[0]["dynamic_active_clusters"], json!([{"cluster": {"name": "cart"}}]));
        assert_eq!(told[1]["dynamic_endpoint_configs"].as_array().map(Vec::len), Some(1));
        assert_eq!(told[2]["dynamic_listeners"], json!([]));
        assert_eq!(asked(None, Some("(")).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
