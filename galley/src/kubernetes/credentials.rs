//! Which secrets are looked at: those that a gateway is told to use, where that gateway runs. No others.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api;
use crate::kind::Kind;
use crate::objects::Objects;

use super::watches::Watched;

/// Roots of a credential may be in a secret of their own, with this suffix.
const ROOTS: &str = "-cacert";

/// The secrets that the gateways of a mesh need.
pub(super) fn needed(objects: &Objects) -> BTreeSet<Watched> {
    let mut needed = BTreeSet::new();
    let of_ingresses = objects.gateways_of_ingresses();
    for gateway in objects.gateways.values().chain(&of_ingresses) {
        let settings = gateway.spec.servers.iter().filter_map(|server| server.tls.as_ref());
        let names = settings.flat_map(|tls| tls.credential_names.iter().chain([&tls.credential_name]));
        let names: BTreeSet<&str> = names.map(String::as_str).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            continue;
        }
        for namespace in namespaces(objects, &gateway.spec) {
            for name in &names {
                let of = |name: Arc<str>| Watched { kind: Kind::Secret, place: Some((namespace.clone(), name)) };
                needed.insert(of(Arc::from(*name)));
                needed.insert(of(format!("{name}{ROOTS}").into()));
            }
        }
    }
    needed
}

/// Where the pods of a gateway run.
fn namespaces(objects: &Objects, gateway: &api::Gateway) -> BTreeSet<Arc<str>> {
    let selected = objects
        .pods
        .values()
        .filter(|pod| gateway.selector.iter().all(|(key, value)| pod.meta.labels.get(key) == Some(value)));
    selected.map(|pod| pod.meta.namespace.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_and_only_where_it_is_used() {
        let text = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  selector: {istio: ingress}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: ['*']
      tls: {mode: MUTUAL, credentialName: shop-tls}
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: ['*']
---
apiVersion: v1
kind: Pod
metadata: {name: gateway-0, namespace: istio-ingress, labels: {istio: ingress}}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway-0, namespace: istio-system, labels: {istio: ingressgateway}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, annotations: {kubernetes.io/ingress.class: istio}}
spec: {tls: [{secretName: web-tls}], rules: [{host: a.example.com}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: shop, labels: {app: other}}
";
        let loaded = crate::load(&"test.yaml".into(), text);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let needed: Vec<_> = needed(&Objects::new(loaded.objects)).into_iter().filter_map(|one| one.place).collect();
        let places: Vec<_> = needed.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        assert_eq!(
            places,
            [
                "istio-ingress/shop-tls",
                "istio-ingress/shop-tls-cacert",
                "istio-system/web-tls",
                "istio-system/web-tls-cacert"
            ]
        );
    }
}
