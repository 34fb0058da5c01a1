//! Which version of HTTP a connection speaks.

use std::future::poll_fn;

use mesh_http::h2::PREFACE;

use super::wire::Wire;
use crate::conn::ConnInfo;
use crate::model::CodecType;

/// As soon as one can be told from the other: no method begins with `PRI `.
const TELLS: usize = 4;

/// True for HTTP/2: as configured, else as agreed by ALPN, else as the first bytes show. A connection that ends before
/// its first bytes is HTTP/1, which knows what to make of that.
pub(super) async fn is_http2(codec: CodecType, conn: &ConnInfo, wire: &mut Wire) -> bool {
    match (codec, alpn(conn)) {
        (CodecType::Http2, _) => true,
        (CodecType::Http1, _) => false,
        (CodecType::Auto, Some(agreed)) => agreed,
        (CodecType::Auto, None) => begins_with_preface(wire).await,
    }
}

/// What ALPN agreed on, in Istio's words or the IANA's.
fn alpn(conn: &ConnInfo) -> Option<bool> {
    match conn.tls.as_ref()?.alpn.as_deref()? {
        "h2" | "istio-h2" => Some(true),
        "http/1.1" | "http/1.0" | "istio-http/1.1" | "istio-http/1.0" => Some(false),
        _ => None,
    }
}

async fn begins_with_preface(wire: &mut Wire) -> bool {
    loop {
        let unread = wire.input.unread();
        let common = unread.len().min(TELLS);
        if unread[..common] != PREFACE[..common] {
            return false;
        }
        if common == TELLS {
            return true;
        }
        if !matches!(poll_fn(|cx| wire.poll_fill(cx, 1)).await, Ok(1..)) {
            return false;
        }
    }
}
