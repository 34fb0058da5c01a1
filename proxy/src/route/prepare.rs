//! What every request goes through before it is looked at: a plain path, and the fields by which proxies tell each other
//! about the caller, taken from those who may set them (Envoy's connection manager).

use mesh_http::{Known, RequestHead};

use super::client_certificate;
use super::find::split_query;
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Step};
use crate::model::HttpConnection;
use crate::record::peer;

/// What the names of Envoy's own fields begin with.
const ENVOYS: &[u8] = b"x-envoy-";
/// Fields by which a proxy could be commanded: nobody may set them who is not a proxy of the mesh, and none of these
/// tells another by a request (Envoy's rule for every request that is not internal).
const COMMANDS: &[&[u8]] = &[
    b"expected-rq-timeout-ms",
    b"force-trace",
    b"hedge-on-per-try-timeout",
    b"internal",
    b"ip-tags",
    b"max-retries",
    b"original-url",
    b"retriable-header-names",
    b"retriable-status-codes",
    b"retry-grpc-on",
    b"retry-on",
    b"upstream-alt-stat-name",
    b"upstream-rq-per-try-timeout-ms",
    b"upstream-rq-timeout-alt-response",
    b"upstream-rq-timeout-ms",
];
/// Fields that tell what proxies of the mesh did: a caller from outside has no say in them.
const TOLD: &[&[u8]] = &[
    b"attempt-count",
    b"decorator-operation",
    b"downstream-service-cluster",
    b"downstream-service-node",
    b"external-address",
    b"fault-abort-request",
    b"fault-delay-request",
    b"original-host",
    b"original-path",
];

/// Makes a request fit to be looked at. `identity` is our own, by which callers knew us.
///
/// # Errors
/// [`Cause::BadRequest`] if its path cannot be normalised.
pub(super) fn prepare(
    head: &mut RequestHead,
    conn: &ConnInfo,
    http: &HttpConnection,
    identity: Option<&str>,
) -> Result<(), Fault> {
    if http.normalize_path || http.merge_slashes || http.unescape_slashes {
        normalise(head, http)?;
    }
    let secure = conn.tls.is_some();
    let scheme: &[u8] = if secure { b"https" } else { b"http" };
    forget_commands(head, http.use_remote_address);
    if http.use_remote_address {
        let peer = conn.memo.peer_ip.get_or_init(|| conn.peer.ip().to_canonical().to_string().into());
        match http.xff_trusted_hops {
            0 => head.fields.set(b"x-envoy-external-address", peer.as_bytes()),
            trusted => {
                let external = external(head, peer, trusted);
                head.fields.set(b"x-envoy-external-address", external.as_bytes());
            }
        }
        append_to_list(head, Known::XForwardedFor, peer.as_bytes());
        head.fields.set(Known::XForwardedProto, scheme);
    } else if head.fields.get(Known::XForwardedProto).is_none() {
        head.fields.append(Known::XForwardedProto, scheme);
    }
    if head.scheme().is_empty() {
        let told = match head.fields.get(Known::XForwardedProto) {
            Some(b"https") => &b"https"[..],
            _ => b"http",
        };
        head.set_scheme(told);
    }
    // Outbound it is the application that speaks, which knows nothing of this.
    peer::take(head, conn);
    client_certificate::tell(head, conn, http.forward_client_cert, identity);
    if http.generate_request_id && head.fields.get(Known::XRequestId).is_none() {
        head.fields.append(Known::XRequestId, &uuid());
    }
    Ok(())
}

/// Removes what a caller may not say; `outside`: it is not of the mesh.
fn forget_commands(head: &mut RequestHead, outside: bool) {
    head.fields.retain(|known, name, _| {
        if !matches!(known, Known::Other | Known::XEnvoyAttemptCount | Known::XEnvoyDecoratorOperation) {
            return true;
        }
        let word = match name.split_at_checked(ENVOYS.len()) {
            Some((start, word)) if start.eq_ignore_ascii_case(ENVOYS) => word,
            _ => return true,
        };
        let is_one_of = |words: &[&[u8]]| words.iter().any(|one| word.eq_ignore_ascii_case(one));
        !(is_one_of(COMMANDS) || outside && is_one_of(TOLD))
    });
}

/// The address that we trust to be the caller's behind trusted proxies: the one that they saw.
fn external(head: &RequestHead, peer: &str, trusted: u32) -> String {
    let told = super::find::field(head, "x-forwarded-for").unwrap_or_default();
    let told = String::from_utf8_lossy(&told).into_owned();
    told.split(',').rev().map(str::trim).nth(trusted as usize - 1).map_or(peer, |address| address).to_owned()
}

pub(super) fn append_to_list(head: &mut RequestHead, name: Known, value: &[u8]) {
    if head.fields.get_all(name).all(<[u8]>::is_empty) {
        return head.fields.set(name, value);
    }
    let held = head.fields.get_all(name).filter(|held| !held.is_empty());
    let list = held.chain([value]).collect::<Vec<_>>().join(&b","[..]);
    head.fields.set(name, &list);
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> [u8; 36] {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62);
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Between the hyphens.
    const AT: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (at, byte) in AT.into_iter().zip(bits.to_be_bytes()) {
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// RFC 3986, section 6.2.2: dot segments go, needless percent encoding goes; then what the configuration asks for.
fn normalise(head: &mut RequestHead, http: &HttpConnection) -> Result<(), Fault> {
    let (path, query) = split_query(head.path());
    let (path, query) = match memchr::memchr(b'#', path) {
        Some(at) => (&path[..at], &b""[..]),
        None => (path, query),
    };
    if !path.starts_with(b"/") || is_plain(path) {
        return Ok(());
    }
    let bad = |reason| Fault::new(Cause::BadRequest, Step::Read).because(reason);
    let decoded = decode(path, http.unescape_slashes).ok_or_else(|| bad("a percent sign without two digits"))?;
    let mut new = if http.normalize_path {
        remove_dots(&decoded).ok_or_else(|| bad("the path leads above the root"))?
    } else {
        decoded
    };
    if http.merge_slashes {
        new.dedup_by(|next, held| *next == b'/' && *held == b'/');
    }
    if head.path().len() > path.len() && !query.is_empty() {
        new.push(b'?');
        new.extend_from_slice(query);
    }
    head.set_path(&new);
    Ok(())
}

/// Most paths are: nothing is done to them.
fn is_plain(path: &[u8]) -> bool {
    !path.windows(2).any(|pair| pair == b"//" || pair == b"/.") && memchr::memchr2(b'%', b'\\', path).is_none()
}

/// Decodes unreserved characters, and slashes if asked to; backslashes are slashes. `None` if malformed.
fn decode(path: &[u8], slashes: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => out.push(b'/'),
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                let value = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
                match value {
                    b'/' | b'\\' if slashes => out.push(b'/'),
                    b'-' | b'.' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(value),
                    _ => out.extend([
                        b'%',
                        digits.as_bytes()[0].to_ascii_uppercase(),
                        digits.as_bytes()[1].to_ascii_uppercase(),
                    ]),
                }
                rest = &after[2..];
            }
            _ => out.push(*byte),
        }
    }
    Some(out)
}

/// RFC 3986, section 5.2.4. `None` if it leads above the root.
fn remove_dots(path: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path[1..].split(|b| *b == b'/').collect();
    for (position, segment) in segments.iter().enumerate() {
        let last = position + 1 == segments.len();
        match *segment {
            b"." | b".." => {
                if *segment == b".." {
                    kept.pop()?;
                }
                if last {
                    kept.push(b"");
                }
            }
            segment => kept.push(segment),
        }
    }
    Some([b"/", kept.join(&b'/').as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(path: &str) -> Option<String> {
        let decoded = decode(path.as_bytes(), false)?;
        String::from_utf8(remove_dots(&decoded)?).ok()
    }

    #[test]
    fn paths_are_normalised() {
        let cases = [
            ("/a/./b", Some("/a/b")),
            ("/a/../b", Some("/b")),
            ("/a/%2e%2E/b", Some("/b")),
            ("/a/..", Some("/")),
            ("/a\\b", Some("/a/b")),
            ("/%61%2f%zz", None),
            ("/%61%2f", Some("/a%2F")),
            ("/..", None),
            ("/a//b", Some("/a//b")),
        ];
        for (path, want) in cases {
            assert_eq!(normal(path).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn nobody_commands_the_proxy_and_outsiders_tell_nothing() {
        let sent = || {
            let mut head = RequestHead::default();
            for name in ["X-Envoy-Max-Retries", "x-envoy-internal", "x-envoy-attempt-count", "x-envoy-peer-metadata"] {
                head.fields.append(name.as_bytes(), b"1");
            }
            head
        };
        let left = |outside| {
            let mut head = sent();
            forget_commands(&mut head, outside);
            let names = head.fields.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left(false), "x-envoy-attempt-count x-envoy-peer-metadata");
        assert_eq!(left(true), "x-envoy-peer-metadata");
    }

    #[test]
    fn ids_are_uuids() {
        let id = uuid();
        assert_eq!(id[14], b'4');
        assert!(matches!(id[19], b'8' | b'9' | b'a' | b'b'));
        let parts = std::str::from_utf8(&id).unwrap().split('-').map(str::len);
        assert_eq!(parts.collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_ne!(id, uuid());
    }

    proptest! {
        #[test]
        fn normal_paths_stay(path in "/[ -~]{0,40}") {
            if let Some(once) = normal(&path) {
                prop_assert!(once.starts_with('/'));
                if !once.contains("//") {
                    prop_assert_eq!(normal(&once), Some(once));
                }
            }
        }
    }
}
