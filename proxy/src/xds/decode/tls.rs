//! Transport sockets.

use std::mem::take;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use mesh_types::Identity;

use super::matcher::string_match;
use super::{At, Invalid, Result, each, nothing_else, required, type_name, unpack};
use crate::model::{DownstreamTls, SecretName, StringMatch, UpstreamTls};

const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const RAW: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// What both directions share.
struct Common {
    certificates: Vec<SecretName>,
    roots: Option<SecretName>,
    sans: Vec<StringMatch>,
    alpn: Vec<Box<str>>,
    tls13_only: bool,
    tls12_only: bool,
}

/// TLS to endpoints; `None` for plain text.
pub(super) fn upstream(socket: core::TransportSocket) -> Result<Option<Arc<UpstreamTls>>> {
    let Some(any) = typed(socket)? else { return Ok(None) };
    if type_name(&any) == RAW {
        return Ok(None);
    }
    let mut message: tls::UpstreamTlsContext = unpack(&any, UPSTREAM)?;
    let common = common(take(&mut message.common_tls_context)).at("common_tls_context")?;
    let sni = take(&mut message.sni);
    nothing_else(&message)?;
    let istio = common.alpn.iter().any(|word| word.starts_with("istio"));
    let exact = |test: &StringMatch| match test {
        StringMatch::Exact { text, .. } => std::str::from_utf8(text).ok()?.parse::<Identity>().ok(),
        _ => None,
    };
    let identities: Option<Vec<Identity>> = common.sans.iter().map(exact).collect();
    let identities = identities.unwrap_or_default();
    Ok(Some(Arc::new(UpstreamTls {
        certificate: common.certificates.into_iter().next(),
        roots: common.roots,
        sans: if identities.is_empty() { common.sans } else { Vec::new() },
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
        client_sans: common.sans,
        alpn: common.alpn,
        tls13_only: common.tls13_only,
        tls12_only: common.tls12_only,
    })))
}

fn typed(socket: core::TransportSocket) -> Result<Option<envoy_types::pb::google::protobuf::Any>> {
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
    let (mut roots, mut sans) = (None, Vec::new());
    match take(&mut message.validation_context_type) {
        None => {}
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => {
            roots = Some(secret(config).at("validation_context_sds_secret_config")?);
        }
        Some(ValidationContextType::CombinedValidationContext(mut combined)) => {
            roots = take(&mut combined.validation_context_sds_secret_config).map(secret).transpose()?;
            let context = take(&mut combined.default_validation_context).unwrap_or_default();
            sans = validation(context).at("combined_validation_context.default_validation_context")?;
            nothing_else(&combined).at("combined_validation_context")?;
        }
        Some(ValidationContextType::ValidationContext(mut context)) => {
            roots = take(&mut context.trusted_ca).map(file).transpose().at("validation_context.trusted_ca")?;
            sans = validation(context).at("validation_context")?;
        }
        Some(_) => return Err(Invalid::new("this validation context is not supported")),
    }
    let (tls13_only, tls12_only) = versions(take(&mut message.tls_params)).at("tls_params")?;
    nothing_else(&message)?;
    Ok(Common { certificates, roots, sans, alpn, tls13_only, tls12_only })
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

fn validation(mut context: tls::CertificateValidationContext) -> Result<Vec<StringMatch>> {
    let sans = each(take(&mut context.match_typed_subject_alt_names), "match_typed_subject_alt_names", |mut san| {
        let kind = SanType::try_from(take(&mut san.san_type));
        if !matches!(kind, Ok(SanType::Uri | SanType::Dns)) {
            return Err(Invalid::new("only URI and DNS names are tested")).at("san_type");
        }
        string_match(required(take(&mut san.matcher), "matcher")?)
    })?;
    nothing_else(&context)?;
    Ok(sans)
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

fn file(source: core::DataSource) -> Result<SecretName> {
    match source.specifier {
        Some(core::data_source::Specifier::Filename(file)) => Ok(SecretName::RootsFile(file.into())),
        _ => Err(Invalid::new("only files are supported")),
    }
}

/// A secret of SDS.
pub(in crate::xds) fn secret_resource(message: tls::Secret) -> Result<crate::model::TlsSecrets> {
    use tls::secret::Type;
    let inline = |source: Option<core::DataSource>, field: &str| -> Result<Vec<u8>> {
        match source.and_then(|source| source.specifier) {
            Some(core::data_source::Specifier::InlineBytes(bytes)) => Ok(bytes),
            Some(core::data_source::Specifier::InlineString(text)) => Ok(text.into_bytes()),
            _ => Err(Invalid::new("only inline secrets are supported")).at(field),
        }
    };
    let empty = crate::model::TlsSecrets { keys: None, roots_pem: None };
    match required(message.r#type, "type")? {
        Type::TlsCertificate(certificate) => {
            let chain_pem = inline(certificate.certificate_chain, "certificate_chain")?;
            let key_pem = inline(certificate.private_key, "private_key")?;
            Ok(crate::model::TlsSecrets { keys: Some(crate::model::ServerKeys { chain_pem, key_pem }), ..empty })
        }
        Type::ValidationContext(mut context) => {
            let roots = inline(take(&mut context.trusted_ca), "trusted_ca")?;
            // A list of revoked certificates, say, is not to be passed over.
            nothing_else(&context).at("validation_context")?;
            Ok(crate::model::TlsSecrets { roots_pem: Some(roots), ..empty })
        }
        _ => Err(Invalid::new("only certificates and validation contexts are supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoked_certificates_are_not_passed_over() {
        let bytes = |text: &str| core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineBytes(text.into())),
            ..Default::default()
        };
        let secret = |crl: Option<core::DataSource>| tls::Secret {
            name: "kubernetes://a-cacert".to_owned(),
            r#type: Some(tls::secret::Type::ValidationContext(tls::CertificateValidationContext {
                trusted_ca: Some(bytes("roots")),
                crl,
                ..Default::default()
            })),
        };
        assert!(secret_resource(secret(None)).is_ok());
        let refusal = secret_resource(secret(Some(bytes("crl")))).unwrap_err().to_string();
        assert!(refusal.contains("validation_context") && refusal.contains("crl"), "{refusal}");
    }
}
