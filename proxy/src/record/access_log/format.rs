//! Envoy's format strings, read once when configuration comes.

use mesh_http::{Fields, Known, RequestHead};
use mesh_types::header_format::{self, Parts};

/// A format string: text, and values that are put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// The text before the first value.
    pub(super) begin: String,
    pub(super) places: Vec<Place>,
}

/// Where a value is put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) value: Value,
    /// It is cut to so many characters.
    pub(super) most: usize,
    /// The text that follows it.
    pub(super) then: String,
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
    /// The first of these that the request has.
    Request(Box<[Part]>),
    /// The same of the response.
    Response(Box<[Part]>),
    /// An operator that is not served: `-`.
    Unknown,
}

/// A part of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Method,
    Scheme,
    Authority,
    Path,
    Known(Known),
    Field(Box<str>),
}

impl Part {
    fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match (name.as_str(), Known::of(name.as_bytes())) {
            (":method", _) => Self::Method,
            (":scheme", _) => Self::Scheme,
            (":authority" | "host", _) => Self::Authority,
            (":path", _) => Self::Path,
            (_, Known::Other) => Self::Field(name.into()),
            (_, known) => Self::Known(known),
        }
    }

    /// Its value in a request; of a field, the first.
    pub(super) fn of_request<'a>(&self, head: &'a RequestHead) -> Option<&'a [u8]> {
        match self {
            Self::Method => Some(head.method()),
            Self::Scheme => Some(head.scheme()),
            Self::Authority => Some(head.authority()),
            Self::Path => Some(head.path()),
            _ => self.of_fields(&head.fields),
        }
    }

    /// Its value among fields, if it is one.
    pub(super) fn of_fields<'a>(&self, fields: &'a Fields) -> Option<&'a [u8]> {
        match self {
            Self::Known(known) => fields.get(*known),
            Self::Field(name) => fields.get(name.as_bytes()),
            _ => None,
        }
    }
}

impl Format {
    /// Reads a format string.
    pub fn parse(text: &str) -> Self {
        let mut format = Self::default();
        for part in Parts(text) {
            match part {
                header_format::Part::Text(text) => format.end().push_str(text),
                header_format::Part::Unclosed => format.end().push('%'),
                header_format::Part::Operator(name, argument) => {
                    let (argument, most) = argument.map_or(("", usize::MAX), argument_and_length);
                    format.places.push(Place { value: value(name, argument), most, then: String::new() });
                }
            }
        }
        format
    }

    /// The text at its end.
    fn end(&mut self) -> &mut String {
        self.places.last_mut().map_or(&mut self.begin, |last| &mut last.then)
    }

    /// The value, where the format is nothing else: JSON keeps its type.
    pub(super) fn only_value(&self) -> Option<&Value> {
        match &*self.places {
            [Place { value, most: usize::MAX, then }] if self.begin.is_empty() && then.is_empty() => Some(value),
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
    let parts = || argument.split('?').map(Part::named).collect();
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
        "REQ" => Value::Request(parts()),
        "RESP" => Value::Response(parts()),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_arguments_and_lengths() {
        let format = Format::parse("a %REQ(A?User-Agent?:PATH):12% %DURATION%%%");
        let parts = [Part::Field("a".into()), Part::Known(Known::UserAgent), Part::Path].into();
        let want = [
            Place { value: Value::Request(parts), most: 12, then: " ".into() },
            Place { value: Value::Duration, most: usize::MAX, then: "%".into() },
        ];
        assert_eq!(format, Format { begin: "a ".into(), places: want.into() });
        assert_eq!(format.only_value(), None);
        assert_eq!(Format::parse("%NEW%").only_value(), Some(&Value::Unknown));
    }
}
