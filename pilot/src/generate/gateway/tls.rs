//! How a server opens TLS.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol as Version;
use galley::api::{self, ServerTlsMode, TlsVersion};

use crate::generate::inbound::SERVED_ALPN;
use crate::generate::secret::{file, sds};
use crate::generate::wire::{any, exact, flag};

const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// The credentials of a server by the names of their secrets. Istio takes them with their scheme, too.
pub(super) fn credentials(settings: &api::ServerTls) -> impl Iterator<Item = &str> {
    let several = settings.credential_names.iter().chain([&settings.credential_name]);
    several.map(|name| name.strip_prefix("kubernetes://").unwrap_or(name)).filter(|name| !name.is_empty())
}

/// How a server opens TLS. With the mesh's own certificates its clients are workloads.
pub(super) fn transport_socket(settings: &api::ServerTls) -> core::TransportSocket {
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
            crl: file(&settings.ca_crl),
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(roots),
        ..Default::default()
    };
    let alpn: &[&str] = if istio { &SERVED_ALPN } else { &["h2", "http/1.1"] };
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
