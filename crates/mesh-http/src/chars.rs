//! Which bytes may stand where: tokens, field values, request targets, authorities (RFC 9110, RFC 9112, RFC 3986).

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;
const REG_NAME: u8 = 8;
const LOWER: u8 = 16;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = class(i as u8);
        i += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    let mut class = 0;
    if byte == b'\t' || byte >= b' ' && byte != 0x7f {
        class |= VALUE;
    }
    // A target may hold any visible ASCII but a fragment: clients do send unescaped quotes, braces and bars.
    if byte > b' ' && byte < 0x7f && byte != b'#' {
        class |= TARGET;
    }
    if byte.is_ascii_uppercase() {
        return class | TOKEN | REG_NAME;
    }
    if byte.is_ascii_alphanumeric() {
        return class | TOKEN | LOWER | REG_NAME;
    }
    class
        | match byte {
            b'!' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'_' | b'~' => TOKEN | LOWER | REG_NAME,
            b'#' | b'^' | b'`' | b'|' => TOKEN | LOWER,
            b'(' | b')' | b',' | b';' | b'=' => REG_NAME,
            _ => 0,
        }
}

fn all(text: &[u8], class: u8) -> bool {
    text.iter().all(|&b| CLASS[b as usize] & class != 0)
}

/// A method or a field name.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all(text, TOKEN)
}

/// A field name as HTTP/2 has them: without capitals.
pub(crate) fn is_lower_token(text: &[u8]) -> bool {
    !text.is_empty() && all(text, LOWER)
}

/// A field's value, which may be empty. Bytes above ASCII are passed on, as HTTP always has.
pub(crate) fn is_value(text: &[u8]) -> bool {
    all(text, VALUE)
}

/// A request target of any form.
pub(crate) fn is_target(text: &[u8]) -> bool {
    !text.is_empty() && all(text, TARGET)
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; no user information. An empty authority is not one.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (host_ok, rest) = match text.strip_prefix(b"[") {
        Some(inside) => match memchr::memchr(b']', inside) {
            Some(end) => (is_ipv6(&inside[..end]), &inside[end + 1..]),
            None => return false,
        },
        None => {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            (end > 0 && all(&text[..end], REG_NAME), &text[end..])
        }
    };
    host_ok && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// `host:port` with a port, as `CONNECT` demands.
pub(crate) fn is_authority_with_port(text: &[u8]) -> bool {
    let port = memchr::memrchr(b':', text).map(|at| &text[at + 1..]);
    is_authority(text) && port.is_some_and(|p| !p.is_empty() && !p.contains(&b']'))
}

fn is_ipv6(text: &[u8]) -> bool {
    // A zone (`%25eth0`) is allowed by RFC 6874; the address itself is the resolver's business.
    let address = text.split(|&b| b == b'%').next().unwrap_or_default();
    !address.is_empty()
        && address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        && all(&text[address.len()..], REG_NAME)
}

fn is_port(text: &[u8]) -> bool {
    text.len() <= 5 && text.iter().all(u8::is_ascii_digit)
}

/// A decimal number without sign, spaces or list, as `Content-Length` must be.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for &digit in text {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some(number)
}

/// The members of a comma-separated list, trimmed; empty ones left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without surrounding spaces and tabs.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in ["a", "a.b:80", "a_b", "10.0.0.1:1", "[::1]", "[::1]:443", "[fe80::1%25eth0]:1", "a:", "%61"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a@b", "a/b", "a b", "a:b", "a:1:2", "[::1", "[]", "[g]", "[::1]x", "a:123456", "a#", "a?",
            "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
        for (text, good) in [("a:80", true), ("a", false), ("[::1]", false), ("[::1]:1", true), ("a:", false)] {
            assert_eq!(is_authority_with_port(text.as_bytes()), good, "{text}");
        }
    }

    #[test]
    fn numbers_and_lists() {
        let table: [(&str, Option<u64>); 8] = [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1,1", None),
            ("0x1", None),
        ];
        for (text, number) in table {
            assert_eq!(decimal(text.as_bytes()), number, "{text}");
        }
        let members: Vec<_> = list(b" a ,,b\t, c").collect();
        assert_eq!(members, [b"a", b"b", b"c"]);
    }
}
