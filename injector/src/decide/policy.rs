//! What the operator says about pods that do not say themselves.

use mesh_types::Labels;

use super::selector::{LabelSelector, Selector};
use crate::settings::values::Values;

/// `global.proxy.autoInject` and the two selectors of `sidecarInjectorWebhook`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    by_default: bool,
    never: Vec<Selector>,
    always: Vec<Selector>,
}

impl Policy {
    /// Out of the chart's values.
    ///
    /// # Errors
    /// With everything that cannot be understood.
    pub(crate) fn read(values: &Values) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let by_default = match values.global.proxy.auto_inject.as_str() {
            "enabled" => true,
            "disabled" => false,
            other => {
                problems.push(format!("values: global.proxy.autoInject: {other:?} is neither enabled nor disabled"));
                false
            }
        };
        let webhook = &values.sidecar_injector_webhook;
        let mut selectors = |name: &str, given: &[LabelSelector]| -> Vec<Selector> {
            let read = given.iter().filter(|selector| !selector.is_empty()).enumerate().map(|(index, selector)| {
                let path = format!("values: sidecarInjectorWebhook.{name}[{index}]");
                selector.read().map_err(|problem| problems.push(format!("{path}: {problem}"))).ok()
            });
            read.flatten().collect()
        };
        let never = selectors("neverInjectSelector", &webhook.never_inject_selector);
        let always = selectors("alwaysInjectSelector", &webhook.always_inject_selector);
        if problems.is_empty() { Ok(Self { by_default, never, always }) } else { Err(problems) }
    }

    pub(super) fn never_inject(&self, labels: &Labels) -> bool {
        self.never.iter().any(|selector| selector.matches(labels))
    }

    pub(super) fn always_inject(&self, labels: &Labels) -> bool {
        self.always.iter().any(|selector| selector.matches(labels))
    }

    pub(super) fn injects_by_default(&self) -> bool {
        self.by_default
    }
}
