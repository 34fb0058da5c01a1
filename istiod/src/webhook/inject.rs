//! Injection under the newest settings that are usable.

use std::sync::Arc;

use axum::http::StatusCode;
use galley::{Objects, Scope, State};
use injector::{Facts, KubernetesVersion, NativeSidecars, Outcome, Settings};
use tokio::sync::watch;

/// Adds the proxy to pods. Settings are read again whenever they change; unusable ones are told of and not taken.
pub(crate) struct Injector {
    settings: watch::Receiver<Option<Arc<Settings>>>,
    /// Where the settings are, for messages.
    place: String,
}

/// What settings are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sources {
    values: Option<String>,
    mesh: String,
    oldest_kubelet: Option<KubernetesVersion>,
}

impl Injector {
    /// With the settings of a scope's ConfigMaps.
    pub(crate) fn follow(mut config: watch::Receiver<State>, scope: Scope, native_sidecars: NativeSidecars) -> Self {
        let place = format!("{}/{}", scope.namespace, scope.injection());
        let mut sources = Sources::of(&config.borrow_and_update().objects, &scope);
        let (sender, settings) = watch::channel(sources.read(native_sidecars, &place));
        tokio::spawn({
            let place = place.clone();
            async move {
                while config.changed().await.is_ok() {
                    let now = Sources::of(&config.borrow_and_update().objects, &scope);
                    if now == sources {
                        continue;
                    }
                    sources = now;
                    if let Some(settings) = sources.read(native_sidecars, &place) {
                        sender.send_replace(Some(settings));
                    }
                }
            }
        });
        Self { settings, place }
    }

    /// Answers an `AdmissionReview`.
    pub(super) fn review(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, (StatusCode, String)> {
        let settings = self.settings.borrow().clone().ok_or_else(|| {
            let why = format!("the injector has no usable settings: look at the ConfigMap {}", self.place);
            (StatusCode::SERVICE_UNAVAILABLE, why)
        })?;
        let review = injector::review(&settings, path, body);
        let review = review.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        match &review.outcome {
            Outcome::Refused(_) => tracing::warn!("pod {}: {}", review.pod, review.outcome),
            outcome => tracing::info!("pod {}: {outcome}", review.pod),
        }
        Ok(review.response)
    }
}

impl Sources {
    fn of(objects: &Objects, scope: &Scope) -> Self {
        let entry = |name: Arc<str>, entry: &str| {
            let key = galley::Key { namespace: scope.namespace.clone(), name };
            objects.config_maps.get(&key).and_then(|map| map.spec.data.get(entry)).cloned()
        };
        let versions = objects.nodes.values().map(|node| &node.spec.status.node_info.kubelet_version);
        Self {
            values: entry(scope.injection(), "values"),
            mesh: entry(scope.settings(), "mesh").unwrap_or_default(),
            oldest_kubelet: versions.filter_map(|version| version.parse().ok()).min(),
        }
    }

    fn read(&self, native_sidecars: NativeSidecars, place: &str) -> Option<Arc<Settings>> {
        let Some(values) = &self.values else {
            tracing::info!("there is no ConfigMap {place} with `values`: nothing is injected until there is");
            return None;
        };
        let facts = Facts { oldest_kubelet: self.oldest_kubelet, native_sidecars };
        Settings::read(values, &self.mesh, facts)
            .map(Arc::new)
            .map_err(|error| tracing::error!("{place}: {error}"))
            .ok()
    }
}
