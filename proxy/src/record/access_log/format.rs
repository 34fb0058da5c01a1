//! Envoy's format strings, read once when configuration comes.

use mesh_types::header_format::{Part, Parts};

/// A format string: text, and values that are put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Box<[Piece]>);

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<str>),
    /// A value, cut to so many characters.
    Value(Value, usize),
}

/// What is put in, named as Envoy's operators are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    StartTime,
    Duration,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamPeerUriSan,
    DownstreamTlsVersion,
    RequestedServerName,
    Protocol,
    ResponseCode,
    ResponseCodeDetails,
    ResponseFlags,
    BytesReceived,
    BytesSent,
    UpstreamCluster,
    UpstreamHost,
    UpstreamLocalAddress,
    UpstreamRequestAttemptCount,
    UpstreamTransportFailureReason,
    RouteName,
    GrpcStatus,
    /// Whether a policy of action AUDIT matched: what Envoy's RBAC filter says of its action LOG.
    Audited,
    /// The first of these fields that the request has, names in lower case.
    Request(Box<[Box<str>]>),
    /// The same of the response.
    Response(Box<[Box<str>]>),
    /// An operator that is not served: `-`.
    Unknown,
}

impl Format {
    /// Reads a format string.
    pub fn parse(text: &str) -> Self {
        let pieces = Parts(text).map(|part| match part {
            Part::Text(text) => Piece::Text(text.into()),
            Part::Unclosed => Piece::Text("%".into()),
            Part::Operator(name, argument) => {
                let (argument, length) = argument.map_or(("", usize::MAX), argument_and_length);
                Piece::Value(value(name, argument), length)
            }
        });
        Self(pieces.collect())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The value, where the format is nothing else: JSON keeps its type.
    pub(super) fn only_value(&self) -> Option<&Value> {
        match &*self.0 {
            [Piece::Value(value, usize::MAX)] => Some(value),
            _ => None,
        }
    }
}

/// `name?other):length`, or without the length.
fn argument_and_length(text: &str) -> (&str, usize) {
    match text.rsplit_once(')') {
        Some((argument, length)) => {
            (argument, length.strip_prefix(':').and_then(|length| length.parse().ok()).unwrap_or(usize::MAX))
        }
        None => (text, usize::MAX),
    }
}

fn value(name: &str, argument: &str) -> Value {
    let fields = || argument.split('?').map(|name| name.to_ascii_lowercase().into()).collect();
    match name {
        "START_TIME" => Value::StartTime,
        "DURATION" => Value::Duration,
        "DOWNSTREAM_REMOTE_ADDRESS" => Value::DownstreamRemoteAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Value::DownstreamRemoteAddressWithoutPort,
        "DOWNSTREAM_LOCAL_ADDRESS" => Value::DownstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Value::DownstreamLocalAddressWithoutPort,
        "DOWNSTREAM_PEER_URI_SAN" => Value::DownstreamPeerUriSan,
        "DOWNSTREAM_TLS_VERSION" => Value::DownstreamTlsVersion,
        "REQUESTED_SERVER_NAME" => Value::RequestedServerName,
        "PROTOCOL" => Value::Protocol,
        "RESPONSE_CODE" => Value::ResponseCode,
        "RESPONSE_CODE_DETAILS" => Value::ResponseCodeDetails,
        "RESPONSE_FLAGS" => Value::ResponseFlags,
        "BYTES_RECEIVED" => Value::BytesReceived,
        "BYTES_SENT" => Value::BytesSent,
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Value::UpstreamCluster,
        "UPSTREAM_HOST" => Value::UpstreamHost,
        "UPSTREAM_LOCAL_ADDRESS" => Value::UpstreamLocalAddress,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Value::UpstreamRequestAttemptCount,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Value::UpstreamTransportFailureReason,
        "ROUTE_NAME" => Value::RouteName,
        "GRPC_STATUS" | "GRPC_STATUS_NUMBER" => Value::GrpcStatus,
        "DYNAMIC_METADATA" if argument == "envoy.common:access_log_hint" => Value::Audited,
        "REQ" => Value::Request(fields()),
        "RESP" => Value::Response(fields()),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_arguments_and_lengths() {
        let format = Format::parse("a %REQ(A?:B):12% %DURATION%%%");
        let fields = ["a", ":b"].map(Box::from).into();
        let want = [
            Piece::Text("a ".into()),
            Piece::Value(Value::Request(fields), 12),
            Piece::Text(" ".into()),
            Piece::Value(Value::Duration, usize::MAX),
            Piece::Text("%".into()),
        ];
        assert_eq!(format.pieces(), want);
        assert_eq!(format.only_value(), None);
        assert_eq!(Format::parse("%NEW%").only_value(), Some(&Value::Unknown));
    }
}
