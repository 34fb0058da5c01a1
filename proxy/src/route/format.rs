//! `%COMMAND%` operators in header values, those of Envoy's custom request headers that a proxy of a mesh can answer.

use mesh_types::header_format::{Part, Parts};

use super::find;
use super::rewrite::Context;

/// The value that a format has for a request. What is not known is `-`, as in Envoy.
pub(super) fn expand(format: &str, context: &Context<'_>) -> Vec<u8> {
    if !format.contains('%') {
        return format.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(format.len() + 32);
    for part in Parts(format) {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Operator(name, argument) => {
                out.extend(value(name, argument, context).unwrap_or_else(|| b"-".to_vec()))
            }
            Part::Unclosed => out.push(b'%'),
        }
    }
    out
}

fn value(name: &str, argument: Option<&str>, context: &Context<'_>) -> Option<Vec<u8>> {
    let conn = context.conn;
    let text = match name {
        "DOWNSTREAM_REMOTE_ADDRESS" => conn.peer.to_string(),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => conn.peer.ip().to_string(),
        "DOWNSTREAM_REMOTE_PORT" => conn.peer.port().to_string(),
        "DOWNSTREAM_LOCAL_ADDRESS" => conn.destination.to_string(),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => conn.destination.ip().to_string(),
        "DOWNSTREAM_LOCAL_PORT" => conn.destination.port().to_string(),
        "DOWNSTREAM_PEER_URI_SAN" => {
            conn.tls.as_ref().map(|tls| tls.uri_sans().join(",")).filter(|uris| !uris.is_empty())?
        }
        "DOWNSTREAM_TLS_VERSION" => conn.tls.as_ref()?.version.to_owned(),
        "REQUESTED_SERVER_NAME" => conn.sni.as_deref()?.to_owned(),
        "PROTOCOL" => context.request?.version.as_str().to_owned(),
        "REQ" => return requested(argument?, context),
        _ => return None,
    };
    Some(text.into_bytes())
}

/// `REQ(name?other):length`.
fn requested(argument: &str, context: &Context<'_>) -> Option<Vec<u8>> {
    let head = context.request?;
    let (names, length) = match argument.rsplit_once("):") {
        Some((names, length)) => (names, length.parse().ok()?),
        None => (argument.trim_end_matches(')'), usize::MAX),
    };
    let value = names.split('?').find_map(|name| find::field(head, &name.to_ascii_lowercase()))?;
    Some(value[..value.len().min(length)].to_vec())
}
