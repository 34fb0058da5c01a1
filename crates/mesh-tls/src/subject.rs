//! A certificate's subject in text.

use std::fmt::Write;

use x509_parser::prelude::{AttributeTypeAndValue, X509Name};
use x509_parser::x509::RelativeDistinguishedName;

/// As RFC 4514 writes it: the last part first, and what could be mistaken escaped. Whatever is not visible ASCII is
/// escaped too, byte by byte, as OpenSSL does, from which Envoy has the text.
pub(crate) fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name.iter_rdn().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn part(part: &RelativeDistinguishedName<'_>) -> String {
    part.iter().map(attribute).collect::<Vec<_>>().join("+")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let identifier = attribute.attr_type().to_id_string();
    let name = NAMES.iter().find(|(known, _)| *known == identifier).map_or(&*identifier, |(_, name)| *name);
    format!("{name}={}", escaped(attribute.as_slice()))
}

/// Short names of attributes (RFC 4514 §3, and OpenSSL's for the address).
const NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().wrapping_sub(1);
    for (position, byte) in value.iter().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'#' if position == 0 => text.push_str("\\#"),
            b' ' if position == 0 || position == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to memory cannot fail.
            _ => _ = write!(text, "\\{byte:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_mistaken_is_escaped() {
        for (value, expected) in [
            (&b"plain name"[..], "plain name"),
            (b"a,b+c\"d\\e<f>;", "a\\,b\\+c\\\"d\\\\e\\<f\\>\\;"),
            (b"#a#", "\\#a#"),
            (b" a ", "\\ a\\ "),
            (b" ", "\\ "),
            ("é\r\n".as_bytes(), "\\C3\\A9\\0D\\0A"),
            (b"", ""),
        ] {
            assert_eq!(escaped(value), expected);
        }
    }

    #[test]
    fn the_last_part_comes_first() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CountryName, "CH");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(rcgen::DnType::CommonName, "shop");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let read = crate::peer_certificate(std::slice::from_ref(certificate.der())).unwrap();
        assert_eq!(read.subject, "CN=shop,O=Example\\, Inc.,C=CH");
    }
}
