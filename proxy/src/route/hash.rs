//! What a consistent-hash balancer hashes.

use mesh_http::RequestHead;
use xxhash_rust::xxh64::xxh64;

use super::find;
use crate::conn::ConnInfo;
use crate::model::HashPolicy;

/// The hash of a request by its route's policies; `None` if none yields one. A cookie that is to be made is added to
/// `response_fields`.
pub(super) fn of(
    policies: &[HashPolicy],
    head: &RequestHead,
    conn: &ConnInfo,
    response_fields: &mut Vec<(&'static str, String)>,
) -> Option<u64> {
    let mut hash: Option<u64> = None;
    for policy in policies {
        let (value, terminal) = match policy {
            HashPolicy::Header(name, terminal) => (find::field(head, name).map(|value| xxh64(&value, 0)), *terminal),
            HashPolicy::SourceIp(terminal) => (Some(of_source(conn)), *terminal),
            HashPolicy::Query(name, terminal) => {
                let query = find::split_query(head.path()).1;
                (find::query_value(query, name.as_bytes()).map(|value| xxh64(value, 0)), *terminal)
            }
            HashPolicy::Cookie { name, path, ttl, terminal } => {
                let held = cookie(head, name).map(|value| xxh64(value, 0));
                let made = || ttl.map(|ttl| make_cookie(name, path, ttl, response_fields));
                (held.or_else(made), *terminal)
            }
        };
        if let Some(value) = value {
            hash = Some(hash.map_or(value, |held| held.rotate_left(1) ^ value));
            if terminal {
                break;
            }
        }
    }
    hash
}

/// The hash of where a connection comes from.
pub fn of_source(conn: &ConnInfo) -> u64 {
    xxh64(conn.peer.ip().to_canonical().to_string().as_bytes(), 0)
}

fn cookie<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    head.fields.get_all(b"cookie").flat_map(|field| field.split(|b| *b == b';')).find_map(|pair| {
        let (key, value) = pair.trim_ascii().split_at_checked(name.len())?;
        if key == name.as_bytes() { value.strip_prefix(b"=") } else { None }
    })
}

fn make_cookie(
    name: &str,
    path: &str,
    ttl: std::time::Duration,
    response_fields: &mut Vec<(&'static str, String)>,
) -> u64 {
    let value = format!("{:016x}", fastrand::u64(..));
    let mut cookie = format!("{name}=\"{value}\"");
    if !ttl.is_zero() {
        cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !path.is_empty() {
        cookie.push_str(&format!("; Path={path}"));
    }
    cookie.push_str("; HttpOnly");
    response_fields.push(("set-cookie", cookie));
    xxh64(format!("\"{value}\"").as_bytes(), 0)
}
