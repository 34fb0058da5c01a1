//! What proxies of the mesh tell each other about requests that no application has taken: an answer of the proxy beside
//! the application says so, and the caller's proxy sends the request once more, whatever its method (P05, P08).
//!
//! Only the mesh's own TLS carries the mark, and nobody else can set it: applications' answers lose it on both sides.

use mesh_http::ResponseHead;

use super::grpc;
use crate::conn::ConnInfo;
use crate::fault::{Fault, Sent, Source};
use crate::model::ListenerKind;

const MARK: &[u8] = b"x-weft-unprocessed";
/// gRPC's `UNAVAILABLE`, as which its callers are told of what other callers know as 503.
const UNAVAILABLE: u32 = 14;

/// Marks the answer to a failure, if it was the application beside us that could not be reached and a proxy of the mesh
/// that asked.
pub(super) fn mark(answer: &mut ResponseHead, fault: &Fault, conn: &ConnInfo) {
    let applications = conn.kind == ListenerKind::Inbound && fault.cause.source() == Source::Upstream;
    if applications && fault.sent != Sent::Perhaps && conn.peer_identity().is_some() {
        answer.fields.set(MARK, b"true");
    }
}

/// Removes the mark from an answer. True if it was there.
pub(super) fn take(answer: &mut ResponseHead) -> bool {
    // No other answer of ours has it, and to look through every answer's fields has its price.
    let failed = answer.status == 503 || grpc::status(&answer.fields) == Some(UNAVAILABLE);
    failed && answer.fields.remove(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::PeerTls;
    use crate::fault::{Cause, Step};

    fn conn(kind: ListenerKind, peer: Option<&str>) -> ConnInfo {
        let address = ([127, 0, 0, 1], 80).into();
        let tls = Some(peer.map_or_else(PeerTls::default, PeerTls::with_peer));
        ConnInfo { tls, ..ConnInfo::new(kind, "l".into(), address, address) }
    }

    #[test]
    fn only_the_mesh_is_told_and_only_of_what_reached_nobody() {
        let refused = Fault::new(Cause::ConnectFailure, Step::Connect);
        let peer = Some("spiffe://cluster.local/ns/a/sa/b");
        let cases = [
            (ListenerKind::Inbound, peer, refused.clone(), true),
            (ListenerKind::Inbound, None, refused.clone(), false),
            (ListenerKind::Gateway, peer, refused.clone(), false),
            (ListenerKind::Inbound, peer, Fault::after_sending(Cause::UpstreamClosed, Step::Forward), false),
            (ListenerKind::Inbound, peer, Fault::new(Cause::Denied, Step::Authorise), false),
            (ListenerKind::Inbound, peer, Fault::new(Cause::Overflow, Step::Balance), false),
        ];
        for (kind, peer, fault, want) in cases {
            let mut answer = ResponseHead { status: fault.status(), ..ResponseHead::default() };
            mark(&mut answer, &fault, &conn(kind, peer));
            assert_eq!(take(&mut answer), want, "{kind:?} {peer:?} {fault}");
            assert!(!take(&mut answer), "the mark is taken once");
        }
    }
}
