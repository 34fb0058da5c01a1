//! Gateways: listeners at the edge, with the routes of the VirtualServices that name them.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol as Version;
use galley::api::{self, ServerTlsMode, TlsVersion};
use mesh_types::Protocol;

use super::authorization::Policies;
use super::cluster::sds;
use super::http::{Routes, Side, connection, inspector};
use super::lead::{self, Lead};
use super::outbound::every;
use super::route::Asker;
use super::wire::{address, any, exact, flag};
use crate::kind::Kind;
use crate::proxy::{Proxy, selects};
use crate::resource::Resources;
use crate::world::World;

const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// A server of a Gateway, with the gateway's name.
struct Served<'a> {
    gateway: String,
    namespace: &'a str,
    server: &'a api::Server,
}

/// All listeners of a gateway with their routes.
pub(super) fn listeners(world: &World, proxy: &Proxy, resources: &mut Resources) {
    let policies = Policies::of(world, proxy);
    let mut by_port: BTreeMap<u16, Vec<Served<'_>>> = BTreeMap::new();
    for (key, object) in world.objects.gateways.iter() {
        if !selects(&object.spec.selector, &proxy.labels) {
            continue;
        }
        for server in &object.spec.servers {
            if let Some(port) = &server.port {
                let gateway = format!("{}/{}", key.namespace, key.name);
                by_port.entry(port.number).or_default().push(Served { gateway, namespace: &key.namespace, server });
            }
        }
    }
    for (port, servers) in by_port {
        let chains: Vec<_> = servers
            .iter()
            .enumerate()
            .filter(|(_, one)| !is_plain_http(one.server))
            .flat_map(|(index, one)| chains((world, proxy, &policies), port, index, one, resources))
            .collect();
        let plain: Vec<&Served<'_>> = servers.iter().filter(|one| is_plain_http(one.server)).collect();
        let mut filter_chains = chains;
        if !plain.is_empty() {
            let name = format!("http.{port}");
            resources.add(Kind::Route, &name, &routes(world, proxy, port, &name, &plain));
            let filter = http(world, &policies, port, name);
            filter_chains.push(lds::FilterChain { filters: vec![filter], ..Default::default() });
        }
        if filter_chains.is_empty() {
            continue;
        }
        let name = format!("0.0.0.0_{port}");
        let [first, second] = every(port);
        let listener = lds::Listener {
            name: name.clone(),
            address: Some(address(first)),
            additional_addresses: vec![lds::AdditionalAddress { address: Some(address(second)), ..Default::default() }],
            listener_filters: if plain.len() == servers.len() { Vec::new() } else { vec![inspector("tls_inspector")] },
            filter_chains,
            traffic_direction: core::TrafficDirection::Unspecified as i32,
            ..Default::default()
        };
        resources.add(Kind::Listener, &name, &listener);
    }
}

/// Reads connections of a port as HTTP, under the workload's policies, with the routes of this name.
fn http(world: &World, policies: &Policies, port: u16, routes: String) -> lds::Filter {
    let prefix = format!("outbound_0.0.0.0_{port}");
    connection(&world.mesh, Side::Gateway, &prefix, Routes::Named(routes), policies.http())
}

fn protocol(server: &api::Server) -> Protocol {
    let word = server.port.as_ref().map(|port| port.protocol.as_str()).unwrap_or_default();
    Protocol::parse(word).unwrap_or(Protocol::Tcp)
}

/// A server of HTTP in clear text, whose TLS settings can only redirect.
fn is_plain_http(server: &api::Server) -> bool {
    protocol(server).is_http() && server.tls.as_ref().is_none_or(|tls| tls.https_redirect)
}

/// The chains of a server that does not speak plain HTTP.
fn chains(
    (world, proxy, policies): (&World, &Proxy, &Policies),
    port: u16,
    index: usize,
    one: &Served<'_>,
    resources: &mut Resources,
) -> Vec<lds::FilterChain> {
    let settings = one.server.tls.as_ref();
    let names = server_names(one.server);
    let passes_tls = settings.is_some_and(|settings| settings.mode == ServerTlsMode::Passthrough);
    let socket = settings.filter(|_| !passes_tls).map(transport_socket);
    for credential in settings.into_iter().flat_map(credentials) {
        secrets(world, proxy.namespace(), credential, resources);
    }
    if protocol(one.server).is_http() || protocol(one.server) == Protocol::Https && !passes_tls {
        let name = format!("https.{port}.{index}.{}", one.gateway.replace('/', "."));
        resources.add(Kind::Route, &name, &routes(world, proxy, port, &name, &[one]));
        let condition =
            (!names.is_empty()).then(|| lds::FilterChainMatch { server_names: names, ..Default::default() });
        return vec![lds::FilterChain {
            filter_chain_match: condition,
            filters: vec![http(world, policies, port, name)],
            transport_socket: socket,
            ..Default::default()
        }];
    }
    let asker = Asker { world, proxy, gateway: &one.gateway, port };
    let leads = lead::of_gateway(&asker, &names, passes_tls);
    let chain = |lead: &Lead| {
        let chain = lead.chain(&world.mesh);
        let filters = policies.network().into_iter().chain(chain.filters).collect();
        lds::FilterChain { filters, transport_socket: socket.clone(), ..chain }
    };
    leads.iter().map(chain).collect()
}

fn server_names(server: &api::Server) -> Vec<String> {
    let hosts = server.hosts.iter().map(|host| host.rsplit('/').next().unwrap_or(host).to_owned());
    let hosts: Vec<String> = hosts.collect();
    // Only TLS tells a name.
    if server.tls.is_none() || hosts.iter().any(|host| host == "*") { Vec::new() } else { hosts }
}

/// The virtual hosts of the servers, from the VirtualServices that name their gateways.
fn routes(world: &World, proxy: &Proxy, port: u16, name: &str, servers: &[&Served<'_>]) -> rds::RouteConfiguration {
    let mut hosts: BTreeMap<String, rds::VirtualHost> = BTreeMap::new();
    for served in servers {
        let asker = Asker { world, proxy, gateway: &served.gateway, port };
        let redirects =
            served.server.tls.as_ref().is_some_and(|tls| tls.https_redirect) && is_plain_http(served.server);
        for object in asker.virtual_services() {
            for host in object.spec.hosts.iter().filter(|host| admits(served, host, &object.meta.namespace)) {
                let full = world.full_host(host, &object.meta.namespace);
                let entry = hosts.entry(full.clone()).or_insert_with(|| rds::VirtualHost {
                    name: format!("{full}:{port}"),
                    domains: vec![full.clone()],
                    include_request_attempt_count: true,
                    require_tls: 0,
                    ..Default::default()
                });
                if redirects {
                    entry.routes = vec![to_https()];
                } else {
                    entry.routes.extend(asker.routes(object));
                }
            }
        }
    }
    let virtual_hosts = if hosts.is_empty() {
        vec![rds::VirtualHost {
            name: format!("blackhole:{port}"),
            domains: vec!["*".to_owned()],
            ..Default::default()
        }]
    } else {
        hosts.into_values().collect()
    };
    rds::RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        ignore_port_in_host_matching: true,
        validate_clusters: Some(flag(false)),
        ..Default::default()
    }
}

fn to_https() -> rds::Route {
    use rds::redirect_action::SchemeRewriteSpecifier;
    let redirect = rds::RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..Default::default()
    };
    rds::Route {
        name: "https-redirect".to_owned(),
        r#match: Some(super::route::prefix("/")),
        action: Some(rds::route::Action::Redirect(redirect)),
        ..Default::default()
    }
}

/// True if a server's hosts (`namespace/host`, `host`, `*`) admit a VirtualService's host.
fn admits(served: &Served<'_>, host: &str, namespace: &str) -> bool {
    served.server.hosts.iter().any(|one| {
        let (from, pattern) = one.split_once('/').unwrap_or(("*", one));
        let here = match from {
            "*" => true,
            "." => served.namespace == namespace,
            from => from == namespace,
        };
        let covered = pattern == "*"
            || crate::world::host_matches(pattern, host)
            || host.strip_prefix('*').is_some_and(|suffix| pattern.ends_with(suffix));
        here && covered
    })
}

fn credentials(settings: &api::ServerTls) -> impl Iterator<Item = &str> {
    let several = settings.credential_names.iter().map(String::as_str);
    several.chain([settings.credential_name.as_str()]).filter(|name| !name.is_empty())
}

/// The secret of a credential and, for its roots, the one with Istio's suffix.
fn secrets(world: &World, namespace: &str, credential: &str, resources: &mut Resources) {
    let find = |name: &str| {
        world
            .objects
            .secrets
            .get(&galley::Key { namespace: namespace.into(), name: name.into() })
            .map(|object| object.spec.clone())
    };
    let bytes = |secret: &api::Secret, names: [&str; 2]| -> Option<Vec<u8>> {
        let held = names.iter().find_map(|name| secret.data.get(*name).map(|data| data.0.clone()));
        held.or_else(|| {
            names.iter().find_map(|name| secret.string_data.get(*name).map(|text| text.clone().into_bytes()))
        })
    };
    let source = |bytes: Vec<u8>| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineBytes(bytes)),
        ..Default::default()
    };
    let Some(secret) = find(credential) else { return };
    let name = format!("kubernetes://{credential}");
    if let (Some(chain), Some(key)) = (bytes(&secret, ["tls.crt", "cert"]), bytes(&secret, ["tls.key", "key"])) {
        let certificate = tls::TlsCertificate {
            certificate_chain: Some(source(chain)),
            private_key: Some(source(key)),
            ..Default::default()
        };
        let message = tls::Secret { name: name.clone(), r#type: Some(tls::secret::Type::TlsCertificate(certificate)) };
        resources.add(Kind::Secret, &name, &message);
    }
    let roots = find(&format!("{credential}-cacert")).and_then(|secret| bytes(&secret, ["ca.crt", "cacert"]));
    if let Some(roots) = roots.or_else(|| bytes(&secret, ["ca.crt", "cacert"])) {
        let name = format!("{name}-cacert");
        let context = tls::CertificateValidationContext { trusted_ca: Some(source(roots)), ..Default::default() };
        let message = tls::Secret { name: name.clone(), r#type: Some(tls::secret::Type::ValidationContext(context)) };
        resources.add(Kind::Secret, &name, &message);
    }
}

/// How a server opens TLS. With the mesh's own certificates its clients are workloads.
fn transport_socket(settings: &api::ServerTls) -> core::TransportSocket {
    use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
    let istio = settings.mode == ServerTlsMode::IstioMutual;
    let mut certificates: Vec<_> = credentials(settings).map(|name| sds(&format!("kubernetes://{name}"))).collect();
    if istio {
        certificates = vec![sds("default")];
    } else if certificates.is_empty() {
        certificates.push(sds(&format!("file-cert:{}~{}", settings.server_certificate, settings.private_key)));
    }
    let roots = match credentials(settings).next() {
        _ if istio => sds("ROOTCA"),
        Some(name) => sds(&format!("kubernetes://{name}-cacert")),
        None => sds(&format!("file-root:{}", settings.ca_certificates)),
    };
    let asks = istio || matches!(settings.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    let sans = settings.subject_alt_names.iter().map(|name| tls::SubjectAltNameMatcher {
        san_type: if name.contains("://") {
            tls::subject_alt_name_matcher::SanType::Uri as i32
        } else {
            tls::subject_alt_name_matcher::SanType::Dns as i32
        },
        matcher: Some(exact(name)),
        ..Default::default()
    });
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            match_typed_subject_alt_names: sans.collect(),
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(roots),
        ..Default::default()
    };
    let alpn: &[&str] =
        if istio { &["istio-h2", "istio-http/1.1", "istio", "h2", "http/1.1"] } else { &["h2", "http/1.1"] };
    let context = tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: certificates,
            alpn_protocols: alpn.iter().map(|word| (*word).to_owned()).collect(),
            validation_context_type: asks.then_some(ValidationContextType::CombinedValidationContext(validation)),
            tls_params: Some(tls::TlsParameters {
                tls_minimum_protocol_version: version(settings.min_protocol_version, Version::TlSv12) as i32,
                tls_maximum_protocol_version: version(settings.max_protocol_version, Version::TlSv13) as i32,
                ..Default::default()
            }),
            ..Default::default()
        }),
        require_client_certificate: Some(flag(istio || settings.mode == ServerTlsMode::Mutual)),
        ..Default::default()
    };
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(DOWNSTREAM_TLS, &context))),
    }
}

/// A version that was said, or the default at its place. Lower ones than 1.2 were refused when the object was read.
fn version(said: TlsVersion, default: Version) -> Version {
    match said {
        TlsVersion::V1_3 => Version::TlSv13,
        TlsVersion::V1_2 => Version::TlSv12,
        TlsVersion::Auto | TlsVersion::V1_0 | TlsVersion::V1_1 => default,
    }
}
