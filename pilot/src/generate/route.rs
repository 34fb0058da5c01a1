//! Routes: from VirtualServices, or straight to the service where there is none.

mod action;
mod cors;
mod delegate;
mod hash;
mod headers;
mod injection;
mod matches;
mod retry;

use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::google::protobuf::Any;
use galley::{Object, api};
use mesh_types::{ClusterName, Labels};

use headers::Edits;
pub(super) use matches::prefix;

use super::wire::{config_of, metadata, structure, text};
use crate::proxy::{Proxy, selects};
use crate::world::{Service, World};

/// For whom routes are made.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) world: &'a World,
    pub(super) proxy: &'a Proxy,
    /// `mesh`, or the gateway as `namespace/name`.
    pub(super) gateway: &'a str,
    /// The port that the caller called.
    pub(super) port: u16,
}

/// Fields of answers in which our proxies tell each other what no application should hear (`proxy/src/http/unprocessed.rs`).
/// Our own proxy takes them off; a stock Envoy has to be told to.
pub(super) fn told_to_proxies(proxy: &Proxy) -> Vec<String> {
    if proxy.on_demand { Vec::new() } else { vec!["x-weft-unprocessed".to_owned()] }
}

/// What a condition says of where it holds, which is known before there is a connection.
pub(super) struct Place<'a> {
    pub(super) port: Option<u16>,
    pub(super) source_labels: &'a Labels,
    pub(super) source_namespace: &'a str,
    pub(super) gateways: &'a [String],
    /// The namespace of the object that says so.
    pub(super) own: &'a str,
}

impl<'a> Asker<'a> {
    /// The VirtualServices that this gateway (or the mesh) uses, the oldest first.
    pub(super) fn virtual_services(&self) -> Vec<&'a Object<api::VirtualService>> {
        self.world.virtual_services().iter().filter(|object| self.uses(object)).collect()
    }

    /// The VirtualServices that name a service: those that name it most closely first, and of these the oldest.
    pub(super) fn about(&self, service: &Service) -> Vec<&'a Object<api::VirtualService>> {
        self.world.virtual_services_about(&service.host).into_iter().filter(|object| self.uses(object)).collect()
    }

    fn uses(&self, object: &Object<api::VirtualService>) -> bool {
        let own = &object.meta.namespace;
        let default = &self.world.mesh.default_virtual_service_export_to;
        let export_to = crate::world::or_default(&object.spec.export_to, default);
        crate::world::is_exported(export_to, own, self.proxy.namespace())
            && uses(&object.spec.gateways, own, self.gateway)
    }

    /// The routes of a service: its VirtualService's that concern this proxy, or straight to it.
    pub(super) fn to_service(self, service: &Service) -> Vec<rds::Route> {
        let named = self.about(service).into_iter().find(|object| !object.spec.http.is_empty());
        let routes = named.map(|object| self.routes(object)).unwrap_or_default();
        if routes.is_empty() { vec![self.plain(service)] } else { routes }
    }

    /// All routes of a VirtualService, for a host that it is about.
    pub(super) fn routes(&self, object: &Object<api::VirtualService>) -> Vec<rds::Route> {
        object.spec.http.iter().flat_map(|rule| self.rule(object, rule)).collect()
    }

    /// The one route to a service about which nothing was said.
    fn plain(&self, service: &Service) -> rds::Route {
        rds::Route {
            name: "default".to_owned(),
            r#match: Some(prefix("/")),
            action: Some(Action::Route(action::plain(self, service, self.port))),
            ..Default::default()
        }
    }

    fn rule(&self, object: &Object<api::VirtualService>, rule: &api::HttpRoute) -> Vec<rds::Route> {
        let Some(to) = &rule.delegate else { return self.conditions(object, rule) };
        let Some(delegated) = delegate::of(self.world, object, rule, to) else { return Vec::new() };
        delegated.rules.iter().flat_map(|rule| self.conditions(delegated.object, rule)).collect()
    }

    /// A route for each of a rule's conditions that this proxy can meet.
    fn conditions(&self, object: &Object<api::VirtualService>, rule: &api::HttpRoute) -> Vec<rds::Route> {
        let own: &str = &object.meta.namespace;
        if rule.matches.is_empty() {
            return self.route(object, rule, None).into_iter().collect();
        }
        let met = rule.matches.iter().filter(|one| self.concerns(one, own));
        met.filter_map(|one| self.route(object, rule, Some(one))).collect()
    }

    /// False for conditions that this proxy can never meet.
    pub(super) fn is_at(&self, place: &Place<'_>) -> bool {
        place.port.is_none_or(|port| port == self.port)
            && selects(place.source_labels, &self.proxy.labels)
            && (place.source_namespace.is_empty() || place.source_namespace == self.proxy.namespace())
            && (place.gateways.is_empty() || uses(place.gateways, place.own, self.gateway))
    }

    fn concerns(&self, one: &api::HttpMatch, own: &str) -> bool {
        self.is_at(&Place {
            port: one.port,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            gateways: &one.gateways,
            own,
        })
    }

    fn route(
        &self,
        object: &Object<api::VirtualService>,
        rule: &api::HttpRoute,
        one: Option<&api::HttpMatch>,
    ) -> Option<rds::Route> {
        let own = &object.meta.namespace;
        let name = match (rule.name.as_str(), one.map(|one| one.name.as_str()).unwrap_or_default()) {
            (rule, "") => rule.to_owned(),
            ("", one) => one.to_owned(),
            (rule, one) => format!("{rule}.{one}"),
        };
        let action = if let Some(redirect) = &rule.redirect {
            Action::Redirect(action::redirect(redirect, self.port))
        } else if let Some(direct) = &rule.direct_response {
            Action::DirectResponse(action::direct_response(direct))
        } else {
            Action::Route(action::forward(self, rule, one, own)?)
        };
        let mut filters = std::collections::HashMap::<String, Any>::new();
        if let Some(injection) = rule.fault.as_ref().and_then(injection::injection) {
            filters.insert("envoy.filters.http.fault".to_owned(), injection);
        }
        if let Some(policy) = &rule.cors_policy {
            filters.insert("envoy.filters.http.cors".to_owned(), cors::cors(policy));
        }
        let edits = rule.headers.as_ref().map(Edits::of).unwrap_or_default();
        Some(rds::Route {
            name,
            r#match: Some(one.map_or_else(|| prefix("/"), matches::http_match)),
            action: Some(action),
            metadata: Some(metadata(
                "istio",
                structure([("config", text(&config_of("virtual-service", &object.meta)))]),
            )),
            typed_per_filter_config: filters,
            request_headers_to_add: edits.request_add,
            request_headers_to_remove: edits.request_remove,
            response_headers_to_add: edits.response_add,
            response_headers_to_remove: edits.response_remove,
            ..Default::default()
        })
    }

    /// The cluster of a destination; its port is the called one, or the service's only one.
    pub(super) fn cluster(&self, to: &api::Destination, own: &str) -> String {
        let host = self.world.full_host(&to.host, own);
        let port = match self.world.service(self.proxy, &host) {
            Some(service) => self.port_of(to, service),
            None => to.port.as_ref().map_or(self.port, |port| port.number),
        };
        ClusterName::outbound(&host, port, &to.subset).to_string()
    }

    fn port_of(&self, to: &api::Destination, service: &Service) -> u16 {
        let said = to.port.as_ref().map(|port| port.number);
        let only = || match service.ports.as_slice() {
            [one] => Some(one.number),
            _ => None,
        };
        said.or_else(only).unwrap_or(self.port)
    }
}

/// True if a list of gateways names this one; an empty list names the mesh.
pub(super) fn uses(gateways: &[String], own: &str, gateway: &str) -> bool {
    if gateways.is_empty() {
        return gateway == "mesh";
    }
    gateways.iter().any(|one| match one.split_once('/') {
        Some((".", name)) => format!("{own}/{name}") == gateway,
        Some(_) => one == gateway,
        None => one == gateway || format!("{own}/{one}") == gateway,
    })
}
