//! What a proxy has, in the form of Envoy's `config_dump`: what it acknowledged is active, and what it was sent since warms
//! up, where Envoy's form has a place for that. Keys are never in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::envoy::admin::v3::clusters_config_dump::DynamicCluster;
use envoy_types::pb::envoy::admin::v3::endpoints_config_dump::DynamicEndpointConfig;
use envoy_types::pb::envoy::admin::v3::listeners_config_dump::{DynamicListener, DynamicListenerState};
use envoy_types::pb::envoy::admin::v3::routes_config_dump::DynamicRouteConfig;
use envoy_types::pb::envoy::admin::v3::secrets_config_dump::DynamicSecret;
use envoy_types::pb::envoy::admin::v3::{
    ClustersConfigDump, EndpointsConfigDump, ListenersConfigDump, RoutesConfigDump, SecretsConfigDump,
};
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret};
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use crate::kind::Kind;
use crate::resource::Resource;
use crate::subscription::{Held, Subscription};

type Subscriptions = BTreeMap<Kind, Subscription>;

/// The sections of a dump.
pub(super) fn sections(all: &Subscriptions) -> Vec<Any> {
    vec![
        section(&clusters(all)),
        section(&endpoints(all)),
        section(&listeners(all)),
        section(&routes(all)),
        section(&secrets(all)),
    ]
}

fn section<T: Message + Name>(message: &T) -> Any {
    super::any(&T::type_url(), message)
}

fn clusters(all: &Subscriptions) -> ClustersConfigDump {
    let show = |(_, one): (&str, &Arc<Resource>)| DynamicCluster {
        version_info: one.version_text(),
        cluster: Some(one.body.clone()),
        ..DynamicCluster::default()
    };
    ClustersConfigDump {
        dynamic_active_clusters: taken(all, Kind::Cluster).map(show).collect(),
        dynamic_warming_clusters: under_way(all, Kind::Cluster).map(show).collect(),
        ..ClustersConfigDump::default()
    }
}

fn endpoints(all: &Subscriptions) -> EndpointsConfigDump {
    let show = |(_, one): (&str, &Arc<Resource>)| DynamicEndpointConfig {
        version_info: one.version_text(),
        endpoint_config: Some(one.body.clone()),
        ..DynamicEndpointConfig::default()
    };
    let dynamic_endpoint_configs = taken(all, Kind::Endpoints).map(show).collect();
    EndpointsConfigDump { dynamic_endpoint_configs, ..EndpointsConfigDump::default() }
}

fn listeners(all: &Subscriptions) -> ListenersConfigDump {
    let state = |one: &Arc<Resource>| DynamicListenerState {
        version_info: one.version_text(),
        listener: Some(one.body.clone()),
        ..DynamicListenerState::default()
    };
    let told = held(all, Kind::Listener).filter(|one| one.taken.is_some() || one.under_way.is_some());
    let show = |one: Held<'_>| DynamicListener {
        name: one.name.to_owned(),
        active_state: one.taken.map(state),
        warming_state: one.under_way.map(state),
        ..DynamicListener::default()
    };
    ListenersConfigDump { dynamic_listeners: told.map(show).collect(), ..ListenersConfigDump::default() }
}

/// Route configurations, and in them the virtual hosts that the proxy asked for.
fn routes(all: &Subscriptions) -> RoutesConfigDump {
    let show = |(name, one): (&str, &Arc<Resource>)| DynamicRouteConfig {
        version_info: one.version_text(),
        route_config: Some(with_asked_for(&one.body, virtual_hosts(all, name))),
        ..DynamicRouteConfig::default()
    };
    let dynamic_route_configs = taken(all, Kind::Route).map(show).collect();
    RoutesConfigDump { dynamic_route_configs, ..RoutesConfigDump::default() }
}

/// Virtual hosts that the proxy asked for by `<route configuration>/<authority>`.
fn virtual_hosts(all: &Subscriptions, route: &str) -> Vec<VirtualHost> {
    let of_route = |name: &str| name.split_once('/').is_some_and(|(of, _)| of == route);
    let hosts = taken(all, Kind::VirtualHost).filter(|(name, _)| of_route(name));
    hosts.filter_map(|(_, one)| VirtualHost::decode(&*one.body.value).ok()).collect()
}

fn with_asked_for(route: &Any, hosts: Vec<VirtualHost>) -> Any {
    match RouteConfiguration::decode(&*route.value) {
        Ok(mut route) if !hosts.is_empty() => {
            hosts.into_iter().for_each(|host| add(host, &mut route.virtual_hosts));
            Resource::new(Kind::Route, &route).body
        }
        _ => route.clone(),
    }
}

/// Several authorities may have led to one virtual host.
fn add(host: VirtualHost, hosts: &mut Vec<VirtualHost>) {
    if !hosts.contains(&host) {
        hosts.push(host);
    }
}

fn secrets(all: &Subscriptions) -> SecretsConfigDump {
    let show = |(name, one): (&str, &Arc<Resource>)| DynamicSecret {
        name: name.to_owned(),
        version_info: one.version_text(),
        secret: without_key(&one.body),
        ..DynamicSecret::default()
    };
    SecretsConfigDump {
        dynamic_active_secrets: taken(all, Kind::Secret).map(show).collect(),
        dynamic_warming_secrets: under_way(all, Kind::Secret).map(show).collect(),
        ..SecretsConfigDump::default()
    }
}

/// A secret's certificates, in which Istio's word stands for the key; of anything else in secrets only the name is told.
fn without_key(body: &Any) -> Option<Any> {
    let mut secret = Secret::decode(&*body.value).ok()?;
    secret.r#type = match secret.r#type.take() {
        Some(secret::Type::TlsCertificate(TlsCertificate { certificate_chain, .. })) => {
            let private_key = Some(redacted());
            Some(secret::Type::TlsCertificate(TlsCertificate { certificate_chain, private_key, ..Default::default() }))
        }
        Some(roots @ secret::Type::ValidationContext(_)) => Some(roots),
        _ => None,
    };
    Some(Any { type_url: body.type_url.clone(), value: secret.encode_to_vec() })
}

fn redacted() -> DataSource {
    let specifier = data_source::Specifier::InlineBytes(b"[redacted]".to_vec());
    DataSource { specifier: Some(specifier), ..DataSource::default() }
}

fn held(all: &Subscriptions, kind: Kind) -> impl Iterator<Item = Held<'_>> {
    all.get(&kind).into_iter().flat_map(Subscription::held)
}

fn taken(all: &Subscriptions, kind: Kind) -> impl Iterator<Item = (&str, &Arc<Resource>)> {
    held(all, kind).filter_map(|one| Some((one.name, one.taken?)))
}

fn under_way(all: &Subscriptions, kind: Kind) -> impl Iterator<Item = (&str, &Arc<Resource>)> {
    held(all, kind).filter_map(|one| Some((one.name, one.under_way?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Concerned;
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    /// A proxy was sent these, and has taken all, or nothing yet.
    fn sent<T: Message>(kind: Kind, messages: &[(&str, T)], taken: bool) -> Subscriptions {
        let resources: BTreeMap<&str, _> =
            messages.iter().map(|(name, message)| (*name, Arc::new(Resource::new(kind, message)))).collect();
        let mut subscription = Subscription::new(kind);
        resources.keys().for_each(|name| subscription.ask(name, true));
        subscription.lacking(1, Concerned::Anything, [].iter(), |name| resources.get(name).cloned());
        if taken {
            subscription.taken(1);
        }
        Subscriptions::from([(kind, subscription)])
    }

    #[test]
    fn what_is_not_acknowledged_warms_up() {
        let cluster = Cluster { name: "cart".to_owned(), ..Cluster::default() };
        let counts = |taken| {
            let dump = clusters(&sent(Kind::Cluster, &[("cart", cluster.clone())], taken));
            [dump.dynamic_active_clusters.len(), dump.dynamic_warming_clusters.len()]
        };
        assert_eq!([false, true].map(counts), [[0, 1], [1, 0]]);
    }

    #[test]
    fn listeners_have_their_names_and_states() {
        let listener = envoy_types::pb::envoy::config::listener::v3::Listener::default();
        let dump = listeners(&sent(Kind::Listener, &[("0.0.0.0_80", listener)], true));
        let [one] = &dump.dynamic_listeners[..] else { panic!("{dump:?}") };
        assert_eq!((&*one.name, one.active_state.is_some(), one.warming_state.is_some()), ("0.0.0.0_80", true, false));
    }

    #[test]
    fn routes_have_the_virtual_hosts_that_were_asked_for_once() {
        let host = |name: &str| VirtualHost { name: name.to_owned(), ..VirtualHost::default() };
        let route = RouteConfiguration { name: "80".to_owned(), ..RouteConfiguration::default() };
        let hosts = [
            ("80/cart", host("cart:80")),
            ("80/cart.shop", host("cart:80")),
            ("80/users", host("users:80")),
            ("8080/other", host("other:8080")),
        ];
        let mut all = sent(Kind::Route, &[("80", route)], true);
        all.extend(sent(Kind::VirtualHost, &hosts, true));
        let dump = routes(&all);
        let body = dump.dynamic_route_configs[0].route_config.as_ref().unwrap();
        let shown = RouteConfiguration::decode(&*body.value).unwrap();
        let names: Vec<&str> = shown.virtual_hosts.iter().map(|host| &*host.name).collect();
        assert_eq!(names, ["cart:80", "users:80"]);
    }

    #[test]
    fn keys_are_in_no_dump() {
        let inline = |text: &str| DataSource {
            specifier: Some(data_source::Specifier::InlineString(text.to_owned())),
            ..DataSource::default()
        };
        let keys = TlsCertificate {
            certificate_chain: Some(inline("CHAIN")),
            private_key: Some(inline("KEY")),
            password: Some(inline("PASSWORD")),
            ..TlsCertificate::default()
        };
        let secret = Secret { r#type: Some(secret::Type::TlsCertificate(keys)), ..Secret::default() };
        for taken in [false, true] {
            let dump = sections(&sent(Kind::Secret, &[("kubernetes://shop", secret.clone())], taken));
            let says =
                |text: &str| dump.iter().any(|one| one.value.windows(text.len()).any(|at| at == text.as_bytes()));
            assert_eq!(["CHAIN", "KEY", "PASSWORD"].map(says), [true, false, false]);
        }
    }
}
