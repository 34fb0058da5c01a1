//! Istio's `discoverySelectors`: which namespaces a mesh is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{Objects, Table};

impl Objects {
    /// The namespaces that the mesh is about: all, or those that `discoverySelectors` select.
    pub fn discovered_namespaces(&self) -> BTreeSet<Arc<str>> {
        let selectors = &self.mesh().discovery_selectors;
        let selected = self.namespaces.values().filter(|namespace| {
            selectors.is_empty() || selectors.iter().any(|one| one.matches(&namespace.meta.labels))
        });
        selected.map(|namespace| namespace.meta.name.clone()).collect()
    }

    /// Only what is in those namespaces, or in the root namespace, or in none. `None` if that is everything that there
    /// is, since nothing was said.
    pub fn discovered(&self) -> Option<Self> {
        let mesh = self.mesh();
        if mesh.discovery_selectors.is_empty() {
            return None;
        }
        let mut namespaces = self.discovered_namespaces();
        namespaces.insert(mesh.root().into());
        namespaces.extend(self.mesh_configs.keys().map(|key| key.namespace.clone()));
        Some(self.within(&namespaces))
    }
}

/// The objects of a table that are in one of the namespaces; the very same table if all of them are.
pub(crate) fn within<T: Clone>(table: &Table<T>, namespaces: &BTreeSet<Arc<str>>) -> Table<T> {
    let is_in = |namespace: &Arc<str>| namespace.is_empty() || namespaces.contains(namespace);
    if table.keys().all(|key| is_in(&key.namespace)) {
        return table.clone();
    }
    let kept = table.iter().filter(|(key, _)| is_in(&key.namespace));
    kept.map(|(key, object)| (key.clone(), object.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESH: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    discoverySelectors: [{matchLabels: {mesh: 'yes'}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {mesh: 'yes'}}
---
apiVersion: v1
kind: Namespace
metadata: {name: batch}
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: batch}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: istiod, namespace: istio-system}
spec: {ports: [{port: 15012}]}
";

    fn objects(text: &str) -> Objects {
        let loaded = crate::load(&"test.yaml".into(), text);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        Objects::new(loaded.objects)
    }

    #[test]
    fn only_what_is_selected_is_seen() {
        let all = objects(MESH);
        let seen = all.discovered().unwrap();
        let names: Vec<_> = seen.services.keys().map(|key| &*key.name).collect();
        assert_eq!(names, ["istiod", "a"]);
        assert_eq!(seen.namespaces.len(), 2);
        assert!(all.config_maps.ptr_eq(&seen.config_maps));
        let nothing_said = objects(&MESH.replace("discoverySelectors: [{matchLabels: {mesh: 'yes'}}]", ""));
        assert!(nothing_said.discovered().is_none());
        assert_eq!(nothing_said.discovered_namespaces().len(), 2);
    }
}
