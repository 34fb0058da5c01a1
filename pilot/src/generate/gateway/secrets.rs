//! Certificates and roots of servers, from secrets in the gateway's namespace.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use galley::api;

use crate::kind::Kind;
use crate::resource::Resources;
use crate::world::World;

/// The secret of a credential and, for its roots, the one with Istio's suffix.
pub(super) fn add(world: &World, namespace: &str, credential: &str, resources: &mut Resources) {
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
    let separate = find(&format!("{credential}-cacert"));
    let holder = separate.iter().chain([&secret]).find_map(|held| Some((held, bytes(held, ["ca.crt", "cacert"])?)));
    if let Some((held, roots)) = holder {
        let name = format!("{name}-cacert");
        let context = tls::CertificateValidationContext {
            trusted_ca: Some(source(roots)),
            crl: bytes(held, ["ca.crl", "crl"]).map(source),
            ..Default::default()
        };
        let message = tls::Secret { name: name.clone(), r#type: Some(tls::secret::Type::ValidationContext(context)) };
        resources.add(Kind::Secret, &name, &message);
    }
}
