//! How connections to a cluster are secured.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{DiscoveryType, TransportSocketMatch};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use galley::api::{self, ClientTlsMode, ProxyProtocolVersion};
use mesh_types::ClusterName;

use super::Outbound;
use crate::generate::secret::{file, sds};
use crate::generate::wire::{any, exact, structure, text, wildcard};
use crate::world::{Instance, Service, or_default};

const UPSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const UPSTREAM_PROXY_PROTOCOL: &str =
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
const RAW: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

impl<'a> Outbound<'a> {
    /// Puts a header of the PROXY protocol ahead of whatever goes over the cluster's connections.
    pub(super) fn announce_callers(&self, cluster: &mut cds::Cluster) {
        let Some(protocol) = &self.policy.proxy_protocol else { return };
        let plain = cluster.transport_socket.take().unwrap_or_else(raw);
        cluster.transport_socket = Some(announcing(plain, protocol.version));
        for one in &mut cluster.transport_socket_matches {
            let inner = one.transport_socket.take().unwrap_or_else(raw);
            one.transport_socket = Some(announcing(inner, protocol.version));
        }
    }

    /// Automatic mutual TLS to those who take it, unless the rule says otherwise.
    pub(super) fn secure(&self, cluster: &mut cds::Cluster, name: &ClusterName) {
        let Some(settings) = &self.policy.tls else { return self.secure_automatically(cluster, name) };
        match settings.mode {
            ClientTlsMode::Disable => {}
            ClientTlsMode::IstioMutual => {
                let sni = if settings.sni.is_empty() { name.sni() } else { settings.sni.clone() };
                cluster.transport_socket = Some(self.istio(&sni, &settings.subject_alt_names));
            }
            ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                let alpn: &[&str] = if self.port.protocol.is_http2() { &["h2"] } else { &[] };
                cluster.transport_socket = Some(originate(settings, self.service, alpn));
            }
        }
    }

    /// By what each endpoint says. Of an endpoint that the caller chose itself nothing is known, so that all of them must
    /// take it (Istio's rule for headless services).
    fn secure_automatically(&self, cluster: &mut cds::Cluster, name: &ClusterName) {
        if self.service.external || !self.world.mesh.enable_auto_mtls.unwrap_or(true) {
            return;
        }
        if self.discovery() == DiscoveryType::OriginalDst {
            let mut all = self.instances().peekable();
            if all.peek().is_some() && all.all(|instance| instance.takes_mtls) {
                cluster.transport_socket = Some(self.istio(&name.sni(), &[]));
            }
            return;
        }
        cluster.transport_socket_matches = vec![TransportSocketMatch {
            name: "tlsMode-istio".to_owned(),
            r#match: Some(structure([("tlsMode", text("istio"))])),
            transport_socket: Some(self.istio(&name.sni(), &[])),
        }];
    }

    /// What ALPN says of what is to come, in Istio's words for a listener's filter chains and in the IANA's for Envoy,
    /// which agrees on no other. (Our proxy chooses by what it sends; in Istio a filter of its own does. Without one, a
    /// port whose protocol was not declared is announced as bytes.) Never `istio-peer-exchange`: nobody here sends what
    /// that promises.
    fn announced(&self) -> &'static [&'static str] {
        match self.port.protocol {
            declared if declared.is_http2() => &["istio-h2", "istio", "h2"],
            declared if declared.is_http() => &["istio-http/1.1", "istio", "http/1.1"],
            _ => &["istio"],
        }
    }

    /// Istio's mutual TLS: the endpoint must be one of the service's own accounts, in whichever of the mesh's trust
    /// domains: while the domain changes, there are certificates of both.
    fn istio(&self, sni: &str, names: &[String]) -> core::TransportSocket {
        let uris = |instance: &'a Instance| {
            let (namespace, account) = (&instance.namespace, &instance.service_account);
            let domains = self.world.trust_domains();
            domains.map(move |domain| format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
        };
        let known = self.instances().filter(|instance| !instance.service_account.is_empty());
        let mut own: BTreeSet<String> = known.flat_map(uris).collect();
        own.extend(self.service.subject_alt_names.iter().cloned());
        let sans = if names.is_empty() {
            own.iter().map(|name| san(name)).collect()
        } else {
            names.iter().map(|name| san(name)).collect()
        };
        let combined = tls::common_tls_context::CombinedCertificateValidationContext {
            default_validation_context: Some(tls::CertificateValidationContext {
                match_typed_subject_alt_names: sans,
                ..Default::default()
            }),
            validation_context_sds_secret_config: Some(sds("ROOTCA")),
            ..Default::default()
        };
        let alpn = self.announced().iter().map(|word| (*word).to_owned()).collect();
        let common = tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![sds("default")],
            alpn_protocols: alpn,
            validation_context_type: Some(tls::common_tls_context::ValidationContextType::CombinedValidationContext(
                combined,
            )),
            ..Default::default()
        };
        socket(&tls::UpstreamTlsContext { common_tls_context: Some(common), sni: sni.to_owned(), ..Default::default() })
    }
}

/// A name that a certificate may have. `*.suffix` stands for every name with that suffix.
fn san(name: &str) -> tls::SubjectAltNameMatcher {
    use tls::subject_alt_name_matcher::SanType;
    let kind = if name.contains("://") { SanType::Uri } else { SanType::Dns };
    let matcher = if name.starts_with('*') { wildcard(name) } else { exact(name) };
    tls::SubjectAltNameMatcher { san_type: kind as i32, matcher: Some(matcher), ..Default::default() }
}

/// TLS that the proxy begins on the application's behalf. Where the rule does not say whom to ask for and whom to accept,
/// it is the host.
fn originate(settings: &api::ClientTls, service: &Service, alpn: &[&str]) -> core::TransportSocket {
    let root = match settings.ca_certificates.as_str() {
        "" | "system" => "file-root:system".to_owned(),
        file => format!("file-root:{file}"),
    };
    let asked = if settings.sni.is_empty() { service.host.to_string() } else { settings.sni.clone() };
    let said = or_default(&settings.subject_alt_names, &service.subject_alt_names);
    let sans = or_default(said, std::slice::from_ref(&asked)).iter().map(|name| san(name)).collect();
    // A server name has no wildcards.
    let sni = if asked.starts_with('*') { String::new() } else { asked.clone() };
    let combined = tls::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            match_typed_subject_alt_names: sans,
            crl: file(&settings.ca_crl),
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(sds(&root)),
        ..Default::default()
    };
    let verified = !settings.insecure_skip_verify.unwrap_or(false);
    let own = format!("file-cert:{}~{}", settings.client_certificate, settings.private_key);
    let certificates = if settings.mode == ClientTlsMode::Mutual { vec![sds(&own)] } else { Vec::new() };
    let common = tls::CommonTlsContext {
        tls_certificate_sds_secret_configs: certificates,
        alpn_protocols: alpn.iter().map(|word| (*word).to_owned()).collect(),
        validation_context_type: verified
            .then_some(tls::common_tls_context::ValidationContextType::CombinedValidationContext(combined)),
        ..Default::default()
    };
    socket(&tls::UpstreamTlsContext { common_tls_context: Some(common), sni, ..Default::default() })
}

/// The same socket, with a header ahead of it.
fn announcing(inner: core::TransportSocket, version: ProxyProtocolVersion) -> core::TransportSocket {
    use core::proxy_protocol_config::Version;
    let version = match version {
        ProxyProtocolVersion::V1 => Version::V1,
        ProxyProtocolVersion::V2 => Version::V2,
    };
    let message = ProxyProtocolUpstreamTransport {
        config: Some(core::ProxyProtocolConfig { version: version as i32, ..Default::default() }),
        transport_socket: Some(inner),
        ..Default::default()
    };
    core::TransportSocket {
        name: "envoy.transport_sockets.upstream_proxy_protocol".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(UPSTREAM_PROXY_PROTOCOL, &message))),
    }
}

fn raw() -> core::TransportSocket {
    core::TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(RAW, &RawBuffer::default()))),
    }
}

fn socket(context: &tls::UpstreamTlsContext) -> core::TransportSocket {
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(UPSTREAM_TLS, context))),
    }
}
