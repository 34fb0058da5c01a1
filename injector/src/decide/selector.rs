//! Kubernetes' label selectors.

use mesh_types::Labels;
use serde::Deserialize;

/// A selector, as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct LabelSelector {
    match_labels: Labels,
    match_expressions: Vec<MatchExpression>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MatchExpression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

/// A selector, checked: all requirements hold at once.
#[derive(Clone, Debug)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl LabelSelector {
    /// True if it requires nothing; Istio takes such a selector for none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    pub(super) fn read(&self) -> Result<Selector, String> {
        let labels = self.match_labels.iter().map(|(key, value)| Ok(Requirement::In(key.clone(), vec![value.clone()])));
        labels.chain(self.match_expressions.iter().map(MatchExpression::read)).collect::<Result<_, _>>().map(Selector)
    }
}

impl MatchExpression {
    fn read(&self) -> Result<Requirement, String> {
        let key = self.key.clone();
        match (self.operator.as_str(), self.values.is_empty()) {
            ("In", false) => Ok(Requirement::In(key, self.values.clone())),
            ("NotIn", false) => Ok(Requirement::NotIn(key, self.values.clone())),
            ("Exists", true) => Ok(Requirement::Exists(key)),
            ("DoesNotExist", true) => Ok(Requirement::Absent(key)),
            ("In" | "NotIn", true) => Err(format!("{key}: {} needs values", self.operator)),
            ("Exists" | "DoesNotExist", false) => Err(format!("{key}: {} takes no values", self.operator)),
            (other, _) => Err(format!("{key}: {other:?} is none of In, NotIn, Exists, DoesNotExist")),
        }
    }
}

impl Selector {
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            // As in Kubernetes, a label that is absent is in no list.
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}
