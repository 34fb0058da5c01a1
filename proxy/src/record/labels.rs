//! Istio's standard labels.

use std::fmt::Write;

use crate::config::Node;
use crate::conn::ConnInfo;
use crate::model::{Destination, Endpoint, ListenerKind, ServiceRef};

/// One end of a call, as labels tell it.
struct End<'a> {
    workload: &'a str,
    namespace: &'a str,
    principal: String,
    app: &'a str,
    version: &'a str,
    canonical: &'a str,
    revision: &'a str,
    cluster: &'a str,
}

const UNKNOWN: End<'static> = End {
    workload: "unknown",
    namespace: "unknown",
    principal: String::new(),
    app: "unknown",
    version: "unknown",
    canonical: "unknown",
    revision: "latest",
    cluster: "unknown",
};

/// What a series is told apart by, beside the two ends.
pub(super) struct Outcome<'a> {
    pub(super) protocol: &'a str,
    pub(super) status: Option<u16>,
    pub(super) flags: &'a str,
    pub(super) grpc: Option<u32>,
}

/// The labels of a call, ready to stand between braces.
pub(super) fn render(
    node: &Node,
    conn: &ConnInfo,
    endpoint: Option<&Endpoint>,
    to: Option<&Destination>,
    outcome: &Outcome<'_>,
) -> String {
    let inbound = conn.kind == ListenerKind::Inbound;
    let (reporter, source, destination) = if inbound {
        ("destination", peer(conn), own(node))
    } else {
        ("source", own(node), endpoint.map_or(UNKNOWN, remote))
    };
    let security = match (inbound, conn.peer_identity().is_some()) {
        (true, true) => "mutual_tls",
        (true, false) => "none",
        (false, _) => "unknown",
    };
    let mut text = format!("reporter=\"{reporter}\"");
    end(&mut text, "source", &source);
    end(&mut text, "destination", &destination);
    let unknown = ServiceRef { host: "unknown".into(), name: "unknown".into(), namespace: "unknown".into() };
    let service = to.and_then(Destination::service).unwrap_or(&unknown);
    label(&mut text, "destination_service", &service.host);
    label(&mut text, "destination_service_name", &service.name);
    label(&mut text, "destination_service_namespace", &service.namespace);
    label(&mut text, "request_protocol", outcome.protocol);
    if let Some(status) = outcome.status {
        label(&mut text, "response_code", &status.to_string());
        label(&mut text, "grpc_response_status", &outcome.grpc.map(|grpc| grpc.to_string()).unwrap_or_default());
    }
    label(&mut text, "response_flags", outcome.flags);
    label(&mut text, "connection_security_policy", security);
    text
}

fn own(node: &Node) -> End<'_> {
    End {
        workload: &node.workload,
        namespace: &node.namespace,
        principal: node.identity().map(|identity| identity.to_string()).unwrap_or_default(),
        app: node.label("app"),
        version: node.label("version"),
        canonical: node.canonical_name(),
        revision: node.canonical_revision(),
        cluster: &node.cluster,
    }
}

/// What a caller proved, and told of itself: its identity names its namespace whatever it says.
fn peer(conn: &ConnInfo) -> End<'_> {
    let Some(identity) = conn.peer_identity() else { return UNKNOWN };
    let proven = End { namespace: identity.namespace(), principal: identity.to_string(), ..UNKNOWN };
    let Some(told) = conn.peer_workload.get() else { return proven };
    End {
        workload: said(&told.name, "unknown"),
        app: said(&told.app, "unknown"),
        version: said(&told.version, "unknown"),
        canonical: said(&told.canonical_name, "unknown"),
        revision: said(&told.canonical_revision, "latest"),
        cluster: said(&told.cluster, "unknown"),
        ..proven
    }
}

fn said<'a>(text: &'a str, unsaid: &'a str) -> &'a str {
    if text.is_empty() { unsaid } else { text }
}

fn remote(endpoint: &Endpoint) -> End<'_> {
    let Some(workload) = &endpoint.workload else { return UNKNOWN };
    End {
        workload: &workload.name,
        namespace: &workload.namespace,
        app: &workload.canonical_name,
        version: &workload.canonical_revision,
        canonical: &workload.canonical_name,
        revision: &workload.canonical_revision,
        cluster: &workload.cluster,
        principal: String::new(),
    }
}

fn end(text: &mut String, side: &str, end: &End<'_>) {
    let principal = if end.principal.is_empty() { "unknown" } else { &end.principal };
    let labels = [
        ("workload", end.workload),
        ("workload_namespace", end.namespace),
        ("principal", principal),
        ("app", end.app),
        ("version", end.version),
        ("canonical_service", end.canonical),
        ("canonical_revision", end.revision),
        ("cluster", end.cluster),
    ];
    labels.iter().for_each(|(name, value)| label(text, &format!("{side}_{name}"), value));
}

fn label(text: &mut String, name: &str, value: &str) {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // Writing to a String cannot fail.
    let _ = write!(text, ",{name}=\"{escaped}\"");
}
