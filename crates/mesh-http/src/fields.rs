//! Header fields of one message, in arrival order, in one reusable buffer.

/// Fields that the data path itself reads or writes. Recognised once, when the field is stored, so that looking one
/// up is a comparison of bytes and not of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is named after its field")]
pub enum Known {
    Other,
    Te,
    Date,
    Host,
    Origin,
    Cookie,
    Expect,
    Server,
    Trailer,
    Upgrade,
    Location,
    Connection,
    GrpcStatus,
    KeepAlive,
    UserAgent,
    ContentType,
    GrpcTimeout,
    XRequestId,
    ContentLength,
    Http2Settings,
    Authorization,
    XForwardedFor,
    ProxyConnection,
    TransferEncoding,
    XForwardedProto,
    XForwardedHost,
    XEnvoyPeerMetadata,
    XEnvoyPeerMetadataId,
    XForwardedClientCert,
    XEnvoyAttemptCount,
    XEnvoyDecoratorOperation,
    XEnvoyUpstreamServiceTime,
    AccessControlRequestMethod,
}

impl Known {
    /// Recognises a field name, in any case.
    pub fn of(name: &[u8]) -> Self {
        let (known, text): (Self, &str) = match name.len() {
            2 => (Self::Te, "te"),
            4 => match name[0] | 0x20 {
                b'd' => (Self::Date, "date"),
                _ => (Self::Host, "host"),
            },
            6 => match name[0] | 0x20 {
                b'o' => (Self::Origin, "origin"),
                b'c' => (Self::Cookie, "cookie"),
                b'e' => (Self::Expect, "expect"),
                _ => (Self::Server, "server"),
            },
            7 => match name[0] | 0x20 {
                b't' => (Self::Trailer, "trailer"),
                _ => (Self::Upgrade, "upgrade"),
            },
            8 => (Self::Location, "location"),
            10 => match name[0] | 0x20 {
                b'c' => (Self::Connection, "connection"),
                b'u' => (Self::UserAgent, "user-agent"),
                _ => (Self::KeepAlive, "keep-alive"),
            },
            11 => (Self::GrpcStatus, "grpc-status"),
            12 => match name[0] | 0x20 {
                b'c' => (Self::ContentType, "content-type"),
                b'g' => (Self::GrpcTimeout, "grpc-timeout"),
                _ => (Self::XRequestId, "x-request-id"),
            },
            13 => (Self::Authorization, "authorization"),
            14 => match name[0] | 0x20 {
                b'c' => (Self::ContentLength, "content-length"),
                _ => (Self::Http2Settings, "http2-settings"),
            },
            15 => (Self::XForwardedFor, "x-forwarded-for"),
            16 => match name[0] | 0x20 {
                b'p' => (Self::ProxyConnection, "proxy-connection"),
                _ => (Self::XForwardedHost, "x-forwarded-host"),
            },
            17 => match name[0] | 0x20 {
                b't' => (Self::TransferEncoding, "transfer-encoding"),
                _ => (Self::XForwardedProto, "x-forwarded-proto"),
            },
            21 => match name[8] | 0x20 {
                b'p' => (Self::XEnvoyPeerMetadata, "x-envoy-peer-metadata"),
                _ => (Self::XEnvoyAttemptCount, "x-envoy-attempt-count"),
            },
            23 => (Self::XForwardedClientCert, "x-forwarded-client-cert"),
            24 => (Self::XEnvoyPeerMetadataId, "x-envoy-peer-metadata-id"),
            27 => (Self::XEnvoyDecoratorOperation, "x-envoy-decorator-operation"),
            29 => match name[0] | 0x20 {
                b'a' => (Self::AccessControlRequestMethod, "access-control-request-method"),
                _ => (Self::XEnvoyUpstreamServiceTime, "x-envoy-upstream-service-time"),
            },
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(text.as_bytes()) { known } else { Self::Other }
    }
}

/// A range of the owning buffer. `u32` because a head is bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn between(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    pub(crate) fn push(bytes: &mut Vec<u8>, text: &[u8]) -> Self {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(text);
        Self { start, end: bytes.len() as u32 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    known: Known,
    live: bool,
    /// Its sender asked that no table remembers it (RFC 7541, section 7.1.3).
    sensitive: bool,
}

/// An ordered list of header fields. Names keep the case in which they came; comparison ignores it.
///
/// Removal marks, replacement appends: neither moves bytes. The owner calls [`Fields::clear`] between messages, and
/// the buffers stay.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

impl Fields {
    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Appends a field; earlier ones of the same name stay.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.append_known(Known::of(name), name, value);
    }

    /// Appends a field whose name has been recognised already.
    pub(crate) fn append_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        self.append_as(known, name, value, false);
    }

    /// Appends a field that HPACK carried.
    pub(crate) fn append_as(&mut self, known: Known, name: &[u8], value: &[u8], sensitive: bool) {
        let name = Span::push(&mut self.bytes, name);
        let value = Span::push(&mut self.bytes, value);
        self.fields.push(Field { name, value, known, live: true, sensitive });
    }

    /// Sets a field to one value, in the place of the first of that name, or at the end.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        let value_span = Span::push(&mut self.bytes, value);
        let mut placed = false;
        let bytes = &self.bytes;
        for field in self.fields.iter_mut().filter(|f| f.live && Self::is(bytes, f, known, name)) {
            if placed {
                field.live = false;
            } else {
                field.value = value_span;
                placed = true;
            }
        }
        if !placed {
            let name = Span::push(&mut self.bytes, name);
            self.fields.push(Field { name, value: value_span, known, live: true, sensitive: false });
        }
    }

    /// Removes every field of that name; says whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let known = Known::of(name);
        let mut found = false;
        let bytes = &self.bytes;
        for field in self.fields.iter_mut().filter(|f| f.live && Self::is(bytes, f, known, name)) {
            field.live = false;
            found = true;
        }
        found
    }

    /// Keeps the fields that `keep` picks, given kind, name and value, and removes the others.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        for field in self.fields.iter_mut().filter(|f| f.live) {
            field.live = keep(field.known, field.name.of(bytes), field.value.of(bytes));
        }
    }

    /// The first value of a field; the name in any case.
    pub fn get<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Every value of a field, in order.
    pub fn get_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let known = Known::of(name);
        let matching = move |f: &&Field| f.live && Self::is(&self.bytes, f, known, name);
        self.fields.iter().filter(matching).map(|f| f.value.of(&self.bytes))
    }

    /// The first value of a well-known field. Never call it with [`Known::Other`].
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.fields.iter().find(|f| f.live && f.known == known).map(|f| f.value.of(&self.bytes))
    }

    /// Every value of a well-known field, in order.
    pub fn all_known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |f| f.live && f.known == known).map(|f| f.value.of(&self.bytes))
    }

    /// All fields in order, as kind, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.fields.iter().filter(|f| f.live).map(|f| (f.known, f.name.of(&self.bytes), f.value.of(&self.bytes)))
    }

    /// All fields in order, as kind, name, value and whether they are to be kept out of tables.
    pub(crate) fn iter_marked(&self) -> impl Iterator<Item = (Known, &[u8], &[u8], bool)> {
        let live = self.fields.iter().filter(|f| f.live);
        live.map(|f| (f.known, f.name.of(&self.bytes), f.value.of(&self.bytes), f.sensitive))
    }

    /// Joins the fields of one kind into the first, with a separator.
    pub(crate) fn join(&mut self, known: Known, name: &[u8], separator: &[u8]) {
        if self.all_known(known).nth(1).is_some() {
            let joined = self.all_known(known).collect::<Vec<_>>().join(separator);
            self.set(name, &joined);
        }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.iter().filter(|f| f.live).count()
    }

    /// True if there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.iter().all(|f| !f.live)
    }

    /// True if no name and no value, present or replaced, has a byte that could end a line. One scan for all of them.
    pub(crate) fn are_clean(&self) -> bool {
        memchr::memchr3(b'\r', b'\n', 0, &self.bytes).is_none()
    }

    /// At least as many bytes as the fields take when written.
    pub(crate) fn size_hint(&self) -> usize {
        self.bytes.len() + 4 * self.fields.len()
    }

    fn is(bytes: &[u8], field: &Field, known: Known, name: &[u8]) -> bool {
        field.known == known && (known != Known::Other || field.name.of(bytes).eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised() {
        let names = [
            ("te", Known::Te),
            ("date", Known::Date),
            ("host", Known::Host),
            ("origin", Known::Origin),
            ("cookie", Known::Cookie),
            ("expect", Known::Expect),
            ("server", Known::Server),
            ("trailer", Known::Trailer),
            ("upgrade", Known::Upgrade),
            ("location", Known::Location),
            ("connection", Known::Connection),
            ("grpc-status", Known::GrpcStatus),
            ("keep-alive", Known::KeepAlive),
            ("user-agent", Known::UserAgent),
            ("content-type", Known::ContentType),
            ("grpc-timeout", Known::GrpcTimeout),
            ("x-request-id", Known::XRequestId),
            ("content-length", Known::ContentLength),
            ("http2-settings", Known::Http2Settings),
            ("authorization", Known::Authorization),
            ("x-forwarded-for", Known::XForwardedFor),
            ("proxy-connection", Known::ProxyConnection),
            ("transfer-encoding", Known::TransferEncoding),
            ("x-forwarded-proto", Known::XForwardedProto),
            ("x-forwarded-host", Known::XForwardedHost),
            ("x-envoy-peer-metadata", Known::XEnvoyPeerMetadata),
            ("x-envoy-peer-metadata-id", Known::XEnvoyPeerMetadataId),
            ("x-forwarded-client-cert", Known::XForwardedClientCert),
            ("x-envoy-attempt-count", Known::XEnvoyAttemptCount),
            ("x-envoy-decorator-operation", Known::XEnvoyDecoratorOperation),
            ("x-envoy-upstream-service-time", Known::XEnvoyUpstreamServiceTime),
            ("access-control-request-method", Known::AccessControlRequestMethod),
        ];
        for (name, known) in names {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), known, "{name}");
        }
        for other in ["", "x", "hosts", "hest", "x-envoy-attempt-counx", "content-lengtj"] {
            assert_eq!(Known::of(other.as_bytes()), Known::Other, "{other}");
        }
    }

    #[test]
    fn edits_keep_order_and_case() {
        let mut fields = Fields::default();
        fields.append(b"Host", b"a");
        fields.append(b"X-One", b"1");
        fields.append(b"x-one", b"2");
        fields.append(b"Z", b"z");
        fields.set(b"X-ONE", b"3");
        fields.remove(b"z");
        fields.set(b"new", b"n");
        let all: Vec<_> = fields.iter().map(|(_, n, v)| (n.to_vec(), v.to_vec())).collect();
        let want: Vec<(Vec<u8>, Vec<u8>)> =
            [("Host", "a"), ("X-One", "3"), ("new", "n")].map(|(n, v)| (n.into(), v.into())).into();
        assert_eq!(all, want);
        assert_eq!(fields.get(b"hOST"), Some(&b"a"[..]));
        assert_eq!(fields.known(Known::Host), Some(&b"a"[..]));
        assert_eq!((fields.len(), fields.is_empty()), (3, false));
    }
}
