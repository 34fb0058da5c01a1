//! Injection under the newest settings that are usable.

use std::sync::Arc;

use axum::http::StatusCode;
use galley::{Objects, Scope, State};
use injector::{Facts, KubernetesVersion, NativeSidecars, Outcome, Settings, SettingsError};
use tokio::sync::watch;

/// Adds the proxy to pods. Settings are read again whenever they change; unusable ones are told of and not taken.
pub(crate) struct Injector {
    /// Usable ones, or what is wrong with those that there are.
    settings: watch::Receiver<Result<Arc<Settings>, String>>,
}

/// What settings are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sources {
    values: Map,
    mesh: Map,
    oldest_kubelet: Option<KubernetesVersion>,
}

/// One entry of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Map {
    /// Namespace and name, for messages.
    place: String,
    text: Option<String>,
    /// Whether there is an entry `config` too, where Istio keeps its templates.
    has_config: bool,
}

impl Injector {
    /// With the settings of a scope's ConfigMaps.
    pub(crate) fn follow(mut config: watch::Receiver<State>, scope: Scope, native_sidecars: NativeSidecars) -> Self {
        let mut sources = Sources::of(&config.borrow_and_update().objects, &scope);
        let (sender, settings) = watch::channel(sources.read(native_sidecars));
        tokio::spawn(async move {
            while config.changed().await.is_ok() {
                let now = Sources::of(&config.borrow_and_update().objects, &scope);
                if now == sources {
                    continue;
                }
                sources = now;
                let read = sources.read(native_sidecars);
                sender.send_if_modified(|settings| take(settings, read));
            }
        });
        Self { settings }
    }

    /// Answers an `AdmissionReview`.
    pub(super) fn review(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, (StatusCode, String)> {
        let settings = self.settings.borrow().clone().map_err(|why| (StatusCode::SERVICE_UNAVAILABLE, why))?;
        let review = injector::review(&settings, path, body);
        let review = review.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        match &review.outcome {
            Outcome::Refused(_) => tracing::warn!("pod {}: {}", review.pod, review.outcome),
            outcome => tracing::info!("pod {}: {outcome}", review.pod),
        }
        Ok(review.response)
    }
}

/// Unusable settings replace unusable ones only.
fn take<T>(settings: &mut Result<T, String>, read: Result<T, String>) -> bool {
    let taken = read.is_ok() || settings.is_err();
    if taken {
        *settings = read;
    }
    taken
}

impl Sources {
    fn of(objects: &Objects, scope: &Scope) -> Self {
        let versions = objects.nodes.values().map(|node| &node.spec.status.node_info.kubelet_version);
        Self {
            values: Map::of(objects, scope, scope.injection(), "values"),
            mesh: Map::of(objects, scope, scope.settings(), "mesh"),
            oldest_kubelet: versions.filter_map(|version| version.parse().ok()).min(),
        }
    }

    /// The settings, or why there are none; the log has it, too.
    fn read(&self, native_sidecars: NativeSidecars) -> Result<Arc<Settings>, String> {
        let Some(values) = &self.values.text else {
            let why = format!(
                "there is no ConfigMap {} with `values`: nothing is injected until there is",
                self.values.place
            );
            tracing::info!("{why}");
            return Err(why);
        };
        if let Some(warning) = self.values.unread() {
            tracing::warn!("{warning}");
        }
        let facts = Facts { oldest_kubelet: self.oldest_kubelet, native_sidecars };
        Settings::read(values, self.mesh.text.as_deref().unwrap_or_default(), facts).map(Arc::new).map_err(|error| {
            let why = self.wrong(&error);
            tracing::error!("{why}");
            why
        })
    }

    /// Every problem begins with the entry that has it.
    fn wrong(&self, error: &SettingsError) -> String {
        let place = |problem: &str| if problem.starts_with("mesh:") { &self.mesh.place } else { &self.values.place };
        let problems = error.0.iter().map(|problem| format!("ConfigMap {}: {problem}", place(problem)));
        format!("the injector has no usable settings: {}", problems.collect::<Vec<_>>().join("; "))
    }
}

impl Map {
    fn of(objects: &Objects, scope: &Scope, name: Arc<str>, entry: &str) -> Self {
        let place = format!("{}/{name}", scope.namespace);
        let map = objects.config_maps.get(&galley::Key { namespace: scope.namespace.clone(), name });
        let text = |entry: &str| map.and_then(|map| map.spec.data.get(entry)).cloned();
        Self { place, text: text(entry), has_config: text("config").is_some() }
    }

    /// A warning of what is there without effect.
    fn unread(&self) -> Option<String> {
        let warning = || {
            format!(
                "ConfigMap {}: `config` is not read: policy, selectors and annotations are those of `values`, and \
                 templates of one's own are not served; remove it",
                self.place
            )
        };
        self.has_config.then(warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &str, text: &str) -> Map {
        Map { place: format!("istio-system/{name}"), text: Some(text.to_owned()), has_config: false }
    }

    fn sources(values: &str, mesh: &str) -> Sources {
        let (values, mesh) = (map("istio-sidecar-injector", values), map("istio", mesh));
        Sources { values, mesh, oldest_kubelet: None }
    }

    fn why(sources: &Sources) -> String {
        sources.read(NativeSidecars::default()).unwrap_err()
    }

    #[test]
    fn the_config_map_that_is_wrong_is_named_with_the_reason() {
        let mesh = why(&sources("{}", "defaultConfig: { concurrency: many }"));
        assert!(mesh.contains("ConfigMap istio-system/istio: mesh: defaultConfig.concurrency: \"many\""), "{mesh}");
        let values = why(&sources("global: { proxy: { statusPort: 0 } }", ""));
        assert!(
            values.contains("ConfigMap istio-system/istio-sidecar-injector: values: global.proxy.statusPort"),
            "{values}"
        );
        let none = why(&Sources { values: Map { text: None, ..map("istio-sidecar-injector", "") }, ..sources("", "") });
        assert!(none.contains("no ConfigMap istio-system/istio-sidecar-injector with `values`"), "{none}");
    }

    #[test]
    fn settings_that_nobody_reads_are_warned_of() {
        let text = "apiVersion: v1\nkind: ConfigMap\n\
                    metadata: {name: istio-sidecar-injector, namespace: istio-system}\ndata: {values: '{}'";
        let scope = Scope { namespace: "istio-system".into(), revision: "".into() };
        let warning = |end: &str| {
            let loaded = galley::load(&"test.yaml".into(), &format!("{text}{end}"));
            Map::of(&Objects::new(loaded.objects), &scope, scope.injection(), "values").unread()
        };
        assert_eq!(warning("}"), None);
        let warning = warning(", config: 'policy: enabled'}").unwrap();
        assert!(warning.contains("istio-system/istio-sidecar-injector: `config` is not read"), "{warning}");
    }

    #[test]
    fn what_was_usable_stays_until_there_is_better() {
        let mut settings = Err("first".to_owned());
        assert!(take(&mut settings, Err("second".to_owned())) && settings == Err("second".to_owned()));
        assert!(take(&mut settings, Ok(1)) && !take(&mut settings, Err("third".to_owned())));
        assert_eq!(settings, Ok(1));
    }
}
