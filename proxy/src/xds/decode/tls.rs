//! Transport sockets.

use std::mem::take;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use envoy_types::pb::google::protobuf::Any;
use mesh_tls::Revocations;
use mesh_types::{Identity, Name};

use super::matcher::string_match;
use super::{At, Invalid, Result, each, nothing_else, required, type_name, unpack};
use crate::model::{DownstreamTls, SecretName, ServerKeys, StringMatch, TlsSecrets, UpstreamTls};

const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const PROXY_PROTOCOL: &str = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
const RAW: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// What both directions share.
struct Common {
    certificates: Vec<SecretName>,
    roots: Option<SecretName>,
    validation: Validation,
    alpn: Vec<Box<str>>,
    tls13_only: bool,
    tls12_only: bool,
}

/// What a validation context says beside its roots.
#[derive(Default)]
struct Validation {
    sans: Vec<StringMatch>,
    /// A file.
    crl: Option<Name>,
}

/// How connections to endpoints begin.
#[derive(Default)]
pub(super) struct Upstream {
    /// With a PROXY header of this version.
    pub(super) proxy_protocol: Option<u8>,
    /// With TLS; `None` for plain text.
    pub(super) tls: Option<Arc<UpstreamTls>>,
}

pub(super) fn upstream(socket: core::TransportSocket) -> Result<Upstream> {
    let Some(any) = typed(socket)? else { return Ok(Upstream::default()) };
    if type_name(&any) != PROXY_PROTOCOL {
        return Ok(Upstream { tls: upstream_tls(&any)?, ..Upstream::default() });
    }
    let mut message: ProxyProtocolUpstreamTransport = unpack(&any, PROXY_PROTOCOL)?;
    let mut config = take(&mut message.config).unwrap_or_default();
    let version = match take(&mut config.version) {
        0 => 1,
        1 => 2,
        _ => return Err(Invalid::new("is unknown")).at("config.version"),
    };
    nothing_else(&config).at("config")?;
    let inner = take(&mut message.transport_socket).map(typed).transpose().at("transport_socket")?.flatten();
    let tls = inner.map(|any| upstream_tls(&any)).transpose().at("transport_socket")?.flatten();
    nothing_else(&message)?;
    Ok(Upstream { proxy_protocol: Some(version), tls })
}

/// TLS to endpoints; `None` for plain text.
fn upstream_tls(any: &Any) -> Result<Option<Arc<UpstreamTls>>> {
    if type_name(any) == RAW {
        return Ok(None);
    }
    let mut message: tls::UpstreamTlsContext = unpack(any, UPSTREAM)?;
    let common = common(take(&mut message.common_tls_context)).at("common_tls_context")?;
    let sni = take(&mut message.sni);
    nothing_else(&message)?;
    let istio = common.alpn.iter().any(|word| word.starts_with("istio"));
    let exact = |test: &StringMatch| match test {
        StringMatch::Exact { text, .. } => std::str::from_utf8(text).ok()?.parse::<Identity>().ok(),
        _ => None,
    };
    let Validation { sans, crl } = common.validation;
    let identities: Option<Vec<Identity>> = sans.iter().map(exact).collect();
    let identities = identities.unwrap_or_default();
    Ok(Some(Arc::new(UpstreamTls {
        certificate: common.certificates.into_iter().next(),
        roots: common.roots,
        crl,
        sans: if identities.is_empty() { sans } else { Vec::new() },
        identities: identities.into(),
        sni: (!sni.is_empty()).then(|| sni.into()),
        alpn: common.alpn,
        istio,
    })))
}

/// TLS from callers; `None` for plain text.
pub(super) fn downstream(socket: core::TransportSocket) -> Result<Option<Arc<DownstreamTls>>> {
    let Some(any) = typed(socket)? else { return Ok(None) };
    if type_name(&any) == RAW {
        return Ok(None);
    }
    let mut message: tls::DownstreamTlsContext = unpack(&any, DOWNSTREAM)?;
    let common = common(take(&mut message.common_tls_context)).at("common_tls_context")?;
    let required_certificate = take(&mut message.require_client_certificate).is_some_and(|flag| flag.value);
    nothing_else(&message)?;
    if common.certificates.is_empty() {
        return Err(Invalid::new("a server needs a certificate")).at("common_tls_context");
    }
    Ok(Some(Arc::new(DownstreamTls {
        certificates: common.certificates,
        client_roots: common.roots,
        require_client_certificate: required_certificate,
        client_crl: common.validation.crl,
        client_sans: common.validation.sans,
        alpn: common.alpn,
        tls13_only: common.tls13_only,
        tls12_only: common.tls12_only,
    })))
}

fn typed(socket: core::TransportSocket) -> Result<Option<Any>> {
    match socket.config_type {
        Some(core::transport_socket::ConfigType::TypedConfig(any)) => Ok(Some(any)),
        None if socket.name == "envoy.transport_sockets.raw_buffer" => Ok(None),
        None => Err(Invalid::new("must be set")).at("typed_config"),
    }
}

fn common(message: Option<tls::CommonTlsContext>) -> Result<Common> {
    let mut message = required(message, "common_tls_context")?;
    let certificates =
        each(take(&mut message.tls_certificate_sds_secret_configs), "tls_certificate_sds_secret_configs", secret)?;
    let alpn = take(&mut message.alpn_protocols).into_iter().map(Into::into).collect();
    let (mut roots, mut validation) = (None, Validation::default());
    match take(&mut message.validation_context_type) {
        None => {}
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => {
            roots = Some(secret(config).at("validation_context_sds_secret_config")?);
        }
        Some(ValidationContextType::CombinedValidationContext(mut combined)) => {
            roots = take(&mut combined.validation_context_sds_secret_config).map(secret).transpose()?;
            let context = take(&mut combined.default_validation_context).unwrap_or_default();
            validation = beside_roots(context).at("combined_validation_context.default_validation_context")?;
            nothing_else(&combined).at("combined_validation_context")?;
        }
        Some(ValidationContextType::ValidationContext(mut context)) => {
            let file = take(&mut context.trusted_ca).map(file).transpose().at("validation_context.trusted_ca")?;
            roots = file.map(SecretName::RootsFile);
            validation = beside_roots(context).at("validation_context")?;
        }
        Some(_) => return Err(Invalid::new("this validation context is not supported")),
    }
    if roots.is_none() && validation.crl.is_some() {
        return Err(Invalid::new("has a crl, but no trusted_ca to issue it")).at("validation_context");
    }
    let (tls13_only, tls12_only) = versions(take(&mut message.tls_params)).at("tls_params")?;
    nothing_else(&message)?;
    Ok(Common { certificates, roots, validation, alpn, tls13_only, tls12_only })
}

fn versions(params: Option<tls::TlsParameters>) -> Result<(bool, bool)> {
    let Some(mut params) = params else { return Ok((false, false)) };
    let lowest = TlsProtocol::try_from(take(&mut params.tls_minimum_protocol_version));
    let highest = TlsProtocol::try_from(take(&mut params.tls_maximum_protocol_version));
    // rustls has no weak ciphers to choose from; a list of strong ones changes nothing that is promised.
    params.cipher_suites.clear();
    params.ecdh_curves.clear();
    nothing_else(&params)?;
    Ok((lowest == Ok(TlsProtocol::TlSv13), highest == Ok(TlsProtocol::TlSv12)))
}

fn beside_roots(mut context: tls::CertificateValidationContext) -> Result<Validation> {
    let crl = take(&mut context.crl).map(file).transpose().at("crl")?;
    let sans = each(take(&mut context.match_typed_subject_alt_names), "match_typed_subject_alt_names", |mut san| {
        let kind = SanType::try_from(take(&mut san.san_type));
        if !matches!(kind, Ok(SanType::Uri | SanType::Dns)) {
            return Err(Invalid::new("only URI and DNS names are tested")).at("san_type");
        }
        string_match(required(take(&mut san.matcher), "matcher")?)
    })?;
    nothing_else(&context)?;
    Ok(Validation { sans, crl })
}

fn secret(config: tls::SdsSecretConfig) -> Result<SecretName> {
    Ok(match config.name.as_str() {
        "" => return Err(Invalid::new("must be set")).at("name"),
        "default" => SecretName::Workload,
        "ROOTCA" => SecretName::MeshRoots,
        "file-root:system" => SecretName::SystemRoots,
        name => match (name.strip_prefix("file-cert:"), name.strip_prefix("file-root:")) {
            (Some(files), _) => {
                let (chain, key) =
                    files.split_once('~').ok_or_else(|| Invalid::new("needs a chain and a key")).at("name")?;
                SecretName::Files(chain.into(), key.into())
            }
            (_, Some(file)) => SecretName::RootsFile(file.into()),
            _ => SecretName::Named(name.into()),
        },
    })
}

fn file(source: core::DataSource) -> Result<Name> {
    match source.specifier {
        Some(core::data_source::Specifier::Filename(file)) => Ok(file.into()),
        _ => Err(Invalid::new("only files are supported")),
    }
}

/// A secret of SDS.
pub(in crate::xds) fn secret_resource(message: tls::Secret) -> Result<TlsSecrets> {
    use tls::secret::Type;
    let inline = |source: Option<core::DataSource>, field: &str| -> Result<Vec<u8>> {
        match source.and_then(|source| source.specifier) {
            Some(core::data_source::Specifier::InlineBytes(bytes)) => Ok(bytes),
            Some(core::data_source::Specifier::InlineString(text)) => Ok(text.into_bytes()),
            _ => Err(Invalid::new("only inline secrets are supported")).at(field),
        }
    };
    match required(message.r#type, "type")? {
        Type::TlsCertificate(certificate) => {
            let chain_pem = inline(certificate.certificate_chain, "certificate_chain")?;
            let key_pem = inline(certificate.private_key, "private_key")?;
            Ok(TlsSecrets { keys: Some(ServerKeys { chain_pem, key_pem }), ..TlsSecrets::default() })
        }
        Type::ValidationContext(mut context) => {
            let roots = inline(take(&mut context.trusted_ca), "trusted_ca")?;
            let crl = take(&mut context.crl).map(|crl| inline(Some(crl), "crl")).transpose()?;
            let revocations = crl.map(|pem| revocations(&pem)).transpose().at("validation_context.crl")?;
            nothing_else(&context).at("validation_context")?;
            Ok(TlsSecrets { roots_pem: Some(roots), revocations, ..TlsSecrets::default() })
        }
        _ => Err(Invalid::new("only certificates and validation contexts are supported")),
    }
}

fn revocations(pem: &[u8]) -> Result<Revocations> {
    Revocations::from_pem(pem, "the bundle").map_err(|error| Invalid::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(crl: Option<&[u8]>) -> Result<TlsSecrets> {
        let bytes = |text: &[u8]| core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineBytes(text.into())),
            ..Default::default()
        };
        secret_resource(tls::Secret {
            name: "kubernetes://a-cacert".to_owned(),
            r#type: Some(tls::secret::Type::ValidationContext(tls::CertificateValidationContext {
                trusted_ca: Some(bytes(b"roots")),
                crl: crl.map(bytes),
                ..Default::default()
            })),
        })
    }

    #[test]
    fn revocation_lists_that_do_not_parse_are_refused_by_field() {
        assert!(secret(None).unwrap().revocations.is_none());
        for bad in ["", "crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
            let refusal = secret(Some(bad.as_bytes())).unwrap_err().to_string();
            assert!(
                refusal.starts_with("validation_context.crl: the bundle: holds") || refusal.contains("list 1 of it")
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_revocation_list_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = secret(Some(&bytes));
        }
    }

    fn upstream_context(context: tls::CertificateValidationContext, roots: bool) -> Result<Option<Arc<UpstreamTls>>> {
        use prost::Message;
        use tls::common_tls_context::CombinedCertificateValidationContext;
        let sds = tls::SdsSecretConfig { name: "file-root:/ca".to_owned(), ..Default::default() };
        let combined = CombinedCertificateValidationContext {
            default_validation_context: Some(context),
            validation_context_sds_secret_config: roots.then_some(sds),
            ..Default::default()
        };
        let common = tls::CommonTlsContext {
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(combined)),
            ..Default::default()
        };
        let message = tls::UpstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
        let any = Any { type_url: format!("type.googleapis.com/{UPSTREAM}"), value: message.encode_to_vec() };
        upstream(core::TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(any)),
        })
        .map(|upstream| upstream.tls)
    }

    #[test]
    fn a_revocation_list_is_a_file_beside_roots() {
        let filename = core::data_source::Specifier::Filename("/crl".to_owned());
        let crl = Some(core::DataSource { specifier: Some(filename), ..Default::default() });
        let context = tls::CertificateValidationContext { crl, ..Default::default() };
        let read = upstream_context(context.clone(), true).unwrap().unwrap();
        assert_eq!(read.crl.as_deref(), Some("/crl"));
        let alone = upstream_context(context.clone(), false).unwrap_err().to_string();
        assert_eq!(alone, "common_tls_context.validation_context: has a crl, but no trusted_ca to issue it");
        let leaf_only = tls::CertificateValidationContext { only_verify_leaf_cert_crl: true, ..context };
        let refusal = upstream_context(leaf_only, true).unwrap_err().to_string();
        assert!(refusal.contains("only_verify_leaf_cert_crl: is not supported"), "{refusal}");
    }
}
