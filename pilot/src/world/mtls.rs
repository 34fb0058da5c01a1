//! Which mutual TLS workloads ask of their callers (Istio's `PeerAuthentication`).

use std::collections::HashMap;

use galley::api::{MtlsMode, PeerAuthentication};
use galley::{Object, Objects};
use mesh_types::Labels;

use crate::proxy::selects;

/// The modes in force.
pub(crate) struct Modes<'a> {
    root: &'a str,
    /// The oldest first.
    by_namespace: HashMap<&'a str, Vec<&'a Object<PeerAuthentication>>>,
}

impl<'a> Modes<'a> {
    pub(crate) fn of(objects: &'a Objects, root: &'a str) -> Self {
        let mut by_namespace: HashMap<&str, Vec<&Object<PeerAuthentication>>> = HashMap::new();
        for object in objects.peer_authentications.values() {
            by_namespace.entry(&object.meta.namespace).or_default().push(object);
        }
        for objects in by_namespace.values_mut() {
            objects.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        }
        Self { root, by_namespace }
    }

    /// The mode of a workload's port: of the port, the workload, the namespace, the mesh; the oldest of equals counts.
    /// Istio's default is PERMISSIVE.
    pub(crate) fn mode(&self, namespace: &str, labels: &Labels, port: u16) -> MtlsMode {
        let of_workload = self.of_workload(namespace, labels);
        let of_namespace = self.first(namespace, |selector| selector.is_none());
        let of_mesh = self.first(self.root, |selector| selector.is_none());
        let of_port = of_workload.and_then(|spec| spec.port_level_mtls.get(&port));
        let whole = [of_workload, of_namespace, of_mesh].into_iter().flatten().filter_map(|spec| spec.mtls.as_ref());
        let said = of_port.into_iter().chain(whole).map(|mtls| mtls.mode).find(|mode| *mode != MtlsMode::Unset);
        said.unwrap_or(MtlsMode::Permissive)
    }

    /// The ports of a workload that have a mode of their own.
    pub(crate) fn ports(&self, namespace: &str, labels: &Labels) -> impl Iterator<Item = u16> + use<'a> {
        self.of_workload(namespace, labels).into_iter().flat_map(|spec| spec.port_level_mtls.keys().copied())
    }

    fn of_workload(&self, namespace: &str, labels: &Labels) -> Option<&'a PeerAuthentication> {
        self.first(namespace, |selector| selector.is_some_and(|selector| selects(selector, labels)))
    }

    /// The oldest of a namespace whose selector, if it has one, is asked for.
    fn first(&self, namespace: &str, asked: impl Fn(Option<&Labels>) -> bool) -> Option<&'a PeerAuthentication> {
        let selector = |spec: &'a PeerAuthentication| {
            let labels = spec.selector.as_ref().map(|selector| &selector.match_labels);
            labels.filter(|labels| !labels.is_empty())
        };
        let mut all = self.by_namespace.get(namespace).into_iter().flatten().map(|object| &*object.spec);
        all.find(|spec| asked(selector(spec)))
    }
}
