//! What WebSocket asks for on HTTP/1 and leaves out on HTTP/2 (RFC 8441, section 5): added where one becomes the other.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_http::{Known, RequestHead, ResponseHead};

const KEY: &[u8] = b"sec-websocket-key";
const ACCEPT: &[u8] = b"sec-websocket-accept";
/// RFC 6455, section 1.3.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Gives a request to switch to WebSocket the key that HTTP/1 servers want.
pub(super) fn complete_request(head: &mut RequestHead) {
    if is_websocket(head) && head.fields.get(KEY).is_none() {
        head.fields.append(KEY, STANDARD.encode(fastrand::u128(..).to_be_bytes()).as_bytes());
    }
}

/// Gives the answer the proof that HTTP/1 clients want.
pub(super) fn complete_response(request: &RequestHead, response: &mut ResponseHead) {
    if response.status == 101
        && is_websocket(request)
        && response.fields.get(ACCEPT).is_none()
        && let Some(key) = request.fields.get(KEY)
    {
        let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC].concat());
        response.fields.append(ACCEPT, STANDARD.encode(proof).as_bytes());
    }
}

fn is_websocket(head: &RequestHead) -> bool {
    head.upgrade && head.fields.get(Known::Upgrade).is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfcs_example() {
        let mut request = RequestHead::default();
        request.upgrade = true;
        request.fields.append(b"upgrade", b"websocket");
        request.fields.append(KEY, b"dGhlIHNhbXBsZSBub25jZQ==");
        let mut response = ResponseHead { status: 101, ..Default::default() };
        complete_response(&request, &mut response);
        assert_eq!(response.fields.get(ACCEPT), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
        request.fields.remove(KEY);
        complete_request(&mut request);
        assert_eq!(request.fields.get(KEY).map(<[u8]>::len), Some(24));
    }
}
