//! `x-forwarded-client-cert`: who the caller proved to be.

use std::borrow::Cow;

use mesh_http::{Known, RequestHead};
use mesh_tls::PeerCertificate;

use super::prepare::append_to_list;
use crate::conn::ConnInfo;
use crate::model::ForwardClientCert;

/// Tells the application what the caller proved to be, and takes away what it only says, as `rule` has it.
pub(super) fn tell(head: &mut RequestHead, conn: &ConnInfo, rule: ForwardClientCert, identity: Option<&str>) {
    const NAME: Known = Known::XForwardedClientCert;
    let peer = conn.tls.as_ref().and_then(|tls| tls.peer.as_deref());
    let element = peer.map(|peer| conn.memo.client_certificate.get_or_init(|| element(peer, identity)).as_bytes());
    match (rule, element) {
        (ForwardClientCert::AlwaysForwardOnly, _) | (ForwardClientCert::ForwardOnly, Some(_)) => {}
        (ForwardClientCert::AppendForward, Some(element)) => append_to_list(head, NAME, element),
        (ForwardClientCert::SanitizeSet, Some(element)) => head.fields.set(NAME, element),
        _ => {
            head.fields.remove(NAME);
        }
    }
}

fn element(peer: &PeerCertificate, identity: Option<&str>) -> Box<str> {
    let by = identity.map(|identity| format!("By={identity};")).unwrap_or_default();
    // A subject escapes quotes itself.
    let mut element = format!("{by}Hash={};Subject=\"{}\"", peer.sha256, peer.subject);
    peer.uri_sans.iter().for_each(|uri| element.extend([";URI=", &quoted(uri)]));
    element.into()
}

/// A value with the element's own separators stands in quotes, as Envoy's documentation has it: no name adds a part.
fn quoted(value: &str) -> Cow<'_, str> {
    if !value.contains([',', ';', '=', '"']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_tells_of_the_certificate_and_no_name_adds_a_part() {
        let mut peer = PeerCertificate::naming("spiffe://cluster.local/ns/a/sa/b");
        peer.sha256 = "00ff".to_owned();
        assert_eq!(
            &*element(&peer, Some("spiffe://cluster.local/ns/c/sa/d")),
            "By=spiffe://cluster.local/ns/c/sa/d;Hash=00ff;Subject=\"\";URI=spiffe://cluster.local/ns/a/sa/b"
        );
        peer.subject = "CN=a \\\"b\\\"".to_owned();
        peer.uri_sans = vec!["a:\";URI=spiffe://cluster.local/ns/a/sa/admin".to_owned()];
        assert_eq!(
            &*element(&peer, None),
            r#"Hash=00ff;Subject="CN=a \"b\"";URI="a:\";URI=spiffe://cluster.local/ns/a/sa/admin""#
        );
    }
}
