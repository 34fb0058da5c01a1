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
    /// Paths of fields, separated by commas: what is not on one is left out of each section, or of each element of the
    /// list that is asked for.
    mask: Option<String>,
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
        let mut told = match &self.resource {
            Some(resource) => list(&mut sections, resource)?,
            None => sections,
        };
        if let Some(mask) = &self.mask {
            let paths: Vec<&str> = mask.split(',').collect();
            told.iter_mut().for_each(|one| trim(one, &paths));
        }
        Ok(told)
    }
}

fn lists(sections: &mut [Value]) -> impl Iterator<Item = &mut Vec<Value>> {
    let members = sections.iter_mut().filter_map(Value::as_object_mut).flat_map(|section| section.values_mut());
    members.filter_map(Value::as_array_mut)
}

/// Leaves of a message what the paths lead to, and its type.
fn trim(message: &mut Value, paths: &[&str]) {
    let Value::Object(members) = message else { return };
    members.retain(|name, member| {
        let below = paths.iter().filter_map(|path| path.strip_prefix(name.as_str()));
        let below: Vec<&str> = below.filter(|rest| rest.is_empty() || rest.starts_with('.')).collect();
        if !below.is_empty() && !below.contains(&"") {
            trim(member, &below.iter().map(|rest| &rest[1..]).collect::<Vec<_>>());
        }
        name == "@type" || !below.is_empty()
    });
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
    use axum::extract::Query;
    use serde_json::json;

    fn sections() -> Vec<Value> {
        vec![
            json!({"@type": "c", "dynamic_active_clusters": [{"cluster": {"name": "cart", "type": "EDS"}}, {"cluster": {"name": "users"}}]}),
            json!({"@type": "e", "dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "cart"}}]}),
            json!({"@type": "l", "dynamic_listeners": [{"name": "80", "active_state": {}}]}),
        ]
    }

    fn asked(query: &str) -> Result<Value, Refusal> {
        let uri = format!("/config_dump?{query}").parse().unwrap();
        let Query(asked) = Query::<Asked>::try_from_uri(&uri).unwrap();
        asked.of(sections()).map(Value::from)
    }

    #[test]
    fn a_list_is_told_alone_with_types() {
        let listener = "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener";
        let expected = json!([{"@type": listener, "name": "80", "active_state": {}}]);
        assert_eq!(asked("resource=dynamic_listeners"), Ok(expected));
        assert_eq!(asked("resource=dynamic_route_configs"), Ok(json!([])));
        let (status, why) = asked("resource=static_listeners").unwrap_err();
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(why.contains("static_listeners is not told; dynamic_active_clusters, "), "{why}");
    }

    #[test]
    fn names_are_matched_whole() {
        let told = asked("include_eds&name_regex=cart|8").unwrap();
        assert_eq!(told[0]["dynamic_active_clusters"], json!([{"cluster": {"name": "cart", "type": "EDS"}}]));
        assert_eq!(told[1]["dynamic_endpoint_configs"].as_array().map(Vec::len), Some(1));
        assert_eq!(told[2]["dynamic_listeners"], json!([]));
        assert_eq!(asked("name_regex=(").unwrap_err().0, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_mask_leaves_what_it_names_with_its_type() {
        let whole = sections();
        // As istioctl asks.
        let told = asked("mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters").unwrap();
        assert_eq!(told, json!([whole[0], {"@type": "e"}, {"@type": "l"}]));
        let names = asked("resource=dynamic_active_clusters&mask=cluster.name").unwrap();
        let element = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster";
        let expected = ["cart", "users"].map(|name| json!({"@type": element, "cluster": {"name": name}}));
        assert_eq!(names, json!(expected));
        assert_eq!(asked("mask=dynamic_listener").unwrap()[2], json!({"@type": "l"}));
    }
}
