//! Header fields of one message, in arrival order, in one reusable buffer.

use crate::hpack::Line;

macro_rules! known {
    ($($known:ident $name:literal)*) => {
        /// Fields that the data path itself reads or writes. Recognised once, when the field is stored, so that looking
        /// one up is a comparison of bytes and not of names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each is named after its field")]
        pub enum Known {
            Other,
            $($known,)*
        }

        impl Known {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$known),*];

            /// The field's name in lower case; empty for [`Known::Other`].
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Other => "",
                    $(Self::$known => $name,)*
                }
            }
        }
    };
}

known! {
    Te "te"
    Date "date"
    Host "host"
    Origin "origin"
    Cookie "cookie"
    Expect "expect"
    Server "server"
    Trailer "trailer"
    Upgrade "upgrade"
    Location "location"
    Connection "connection"
    GrpcStatus "grpc-status"
    KeepAlive "keep-alive"
    UserAgent "user-agent"
    ContentType "content-type"
    GrpcTimeout "grpc-timeout"
    XRequestId "x-request-id"
    ContentLength "content-length"
    Http2Settings "http2-settings"
    Authorization "authorization"
    XForwardedFor "x-forwarded-for"
    ProxyConnection "proxy-connection"
    TransferEncoding "transfer-encoding"
    XForwardedProto "x-forwarded-proto"
    XForwardedHost "x-forwarded-host"
    XEnvoyPeerMetadata "x-envoy-peer-metadata"
    XEnvoyPeerMetadataId "x-envoy-peer-metadata-id"
    XForwardedClientCert "x-forwarded-client-cert"
    XEnvoyAttemptCount "x-envoy-attempt-count"
    XEnvoyDecoratorOperation "x-envoy-decorator-operation"
    XEnvoyUpstreamServiceTime "x-envoy-upstream-service-time"
    AccessControlRequestMethod "access-control-request-method"
}

impl Known {
    /// Recognises a field name, in any case.
    pub fn of(name: &[u8]) -> Self {
        let known = match name.len() {
            2 => Self::Te,
            4 => match name[0] | 0x20 {
                b'd' => Self::Date,
                _ => Self::Host,
            },
            6 => match name[0] | 0x20 {
                b'o' => Self::Origin,
                b'c' => Self::Cookie,
                b'e' => Self::Expect,
                _ => Self::Server,
            },
            7 => match name[0] | 0x20 {
                b't' => Self::Trailer,
                _ => Self::Upgrade,
            },
            8 => Self::Location,
            10 => match name[0] | 0x20 {
                b'c' => Self::Connection,
                b'u' => Self::UserAgent,
                _ => Self::KeepAlive,
            },
            11 => Self::GrpcStatus,
            12 => match name[0] | 0x20 {
                b'c' => Self::ContentType,
                b'g' => Self::GrpcTimeout,
                _ => Self::XRequestId,
            },
            13 => Self::Authorization,
            14 => match name[0] | 0x20 {
                b'c' => Self::ContentLength,
                _ => Self::Http2Settings,
            },
            15 => Self::XForwardedFor,
            16 => match name[0] | 0x20 {
                b'p' => Self::ProxyConnection,
                _ => Self::XForwardedHost,
            },
            17 => match name[0] | 0x20 {
                b't' => Self::TransferEncoding,
                _ => Self::XForwardedProto,
            },
            21 => match name[8] | 0x20 {
                b'p' => Self::XEnvoyPeerMetadata,
                _ => Self::XEnvoyAttemptCount,
            },
            23 => Self::XForwardedClientCert,
            24 => Self::XEnvoyPeerMetadataId,
            27 => Self::XEnvoyDecoratorOperation,
            29 => match name[0] | 0x20 {
                b'a' => Self::AccessControlRequestMethod,
                _ => Self::XEnvoyUpstreamServiceTime,
            },
            _ => return Self::Other,
        };
        if is_same_name(name, known.name().as_bytes()) { known } else { Self::Other }
    }
}

/// True if `name` is `lower`, a name in lower case, but for its case: eight bytes at a time, since every field of every
/// head is looked at so.
fn is_same_name(name: &[u8], lower: &[u8]) -> bool {
    let (words, lower_words) = (name.as_chunks().0, lower.as_chunks().0);
    name.len() == lower.len()
        && match (name.last_chunk(), lower.last_chunk()) {
            // The last word may overlap the one before.
            (Some(last), Some(lower_last)) => {
                words.iter().zip(lower_words).all(is_same_word) && is_same_word((last, lower_last))
            }
            _ => name.eq_ignore_ascii_case(lower),
        }
}

/// The same for eight bytes: only letters, which have this bit, can differ, and only in their case.
fn is_same_word((one, lower): (&[u8; 8], &[u8; 8])) -> bool {
    let (one, lower) = (u64::from_le_bytes(*one), u64::from_le_bytes(*lower));
    (one ^ lower) & !((lower & 0x4040_4040_4040_4040) >> 1) == 0
}

/// True for a byte that ends a line for somebody.
fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0)
}

/// True if a byte of a text ends a line. Looks at every byte, without a branch for each: texts are short.
fn breaks_line(text: &[u8]) -> bool {
    let least = text.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    least <= b'\r' && text.iter().copied().any(ends_line)
}

/// What a field is asked for by: one of the [`Known`], which costs less, or any name, in any case.
pub trait FieldName: Copy {
    /// The field, if it is known.
    fn known(self) -> Known;

    /// Its name.
    fn text(&self) -> &[u8];
}

impl FieldName for Known {
    fn known(self) -> Known {
        self
    }

    fn text(&self) -> &[u8] {
        self.name().as_bytes()
    }
}

impl FieldName for &[u8] {
    fn known(self) -> Known {
        Known::of(self)
    }

    fn text(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> FieldName for &[u8; N] {
    fn known(self) -> Known {
        Known::of(self)
    }

    fn text(&self) -> &[u8] {
        *self
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
    /// Name and value stand in one line in the buffer, as HTTP/1 writes them.
    line: bool,
}

/// An ordered list of header fields. Names keep the case in which they came; comparison ignores it.
///
/// The buffer holds lines as HTTP/1 writes them, so that what passes unchanged is copied as it stands, in one piece.
/// Nothing in it but their ends could end a line: the codecs let nothing of the kind in, and edits are cleaned. Removal
/// marks, replacement appends: neither moves bytes. The owner calls [`Fields::clear`] between messages, and the buffers
/// stay.
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
    pub fn append(&mut self, name: impl FieldName, value: &[u8]) {
        let known = name.known();
        self.append_line(known, name.text(), value);
        if breaks_line(value) || known == Known::Other && breaks_line(name.text()) {
            let Some(Field { name, value, .. }) = self.fields.last().copied() else { return };
            self.clean(name);
            self.clean(value);
        }
    }

    /// Appends a field that a codec let in, whose name has been recognised already.
    pub(crate) fn append_line(&mut self, known: Known, name: &[u8], value: &[u8]) {
        self.bytes.reserve(name.len() + value.len() + 4);
        let name = Span::push(&mut self.bytes, name);
        self.bytes.extend_from_slice(b": ");
        let value = Span::push(&mut self.bytes, value);
        self.bytes.extend_from_slice(b"\r\n");
        self.fields.push(Field { name, value, known, live: true, sensitive: false, line: true });
    }

    /// Appends a field that HPACK carried, the same in one piece.
    pub(crate) fn append_whole(&mut self, known: Known, line: Line<'_>, sensitive: bool) {
        let Span { start, end } = Span::push(&mut self.bytes, line.text());
        let name = Span::between(start, start + line.name().len() as u32);
        let value_end = end - b"\r\n".len() as u32;
        let value = Span::between(value_end - line.value().len() as u32, value_end);
        self.fields.push(Field { name, value, known, live: true, sensitive, line: true });
    }

    /// Takes over the fields' part of a head that HTTP/1's grammar let through; [`Fields::append_part`] says what of it
    /// are fields. Returns where it begins.
    pub(crate) fn begin_lines(&mut self, lines: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(lines);
        start
    }

    /// Appends a field of which name and value stand at these places of the buffer.
    pub(crate) fn append_part(&mut self, known: Known, name: std::ops::Range<usize>, value: std::ops::Range<usize>) {
        let line = value.start == name.end + 2
            && &self.bytes[name.end..value.start] == b": "
            && self.bytes[value.end..].starts_with(b"\r\n");
        let span = |range: std::ops::Range<usize>| Span::between(range.start as u32, range.end as u32);
        self.fields.push(Field { name: span(name), value: span(value), known, live: true, sensitive: false, line });
    }

    /// Sets a field to one value, in the place of the first of that name, or at the end.
    pub fn set(&mut self, name: impl FieldName, value: &[u8]) {
        let known = name.known();
        let (bytes, mut matching) = (&self.bytes, self.fields.iter_mut());
        let Some(first) = matching.find(|f| f.live && Self::is(bytes, f, known, &name)) else {
            return self.append(name, value);
        };
        matching.filter(|f| f.live && Self::is(bytes, f, known, &name)).for_each(|f| f.live = false);
        first.line = false;
        let span = Span::push(&mut self.bytes, value);
        first.value = span;
        if breaks_line(value) {
            self.clean(span);
        }
    }

    /// Removes every field of that name; says whether there was one.
    pub fn remove(&mut self, name: impl FieldName) -> bool {
        let (known, bytes) = (name.known(), &self.bytes);
        let mut found = false;
        for field in self.fields.iter_mut().filter(|f| f.live && Self::is(bytes, f, known, &name)) {
            field.live = false;
            found = true;
        }
        found
    }

    /// A byte of an edit that could end a line is an error of ours, and becomes a space.
    fn clean(&mut self, text: Span) {
        let text = &mut self.bytes[text.start as usize..text.end as usize];
        text.iter_mut().filter(|byte| ends_line(**byte)).for_each(|byte| *byte = b' ');
    }

    /// Appends the fields to `out` as HTTP/1 writes them. Those that `is_own` picks are left to `write`.
    pub(crate) fn write_lines(
        &self,
        out: &mut Vec<u8>,
        is_own: impl Fn(Known) -> bool,
        mut write: impl FnMut(Known, &[u8], &[u8], &mut Vec<u8>),
    ) {
        // Lines that stand one after the other go in one piece.
        let mut run = 0..0;
        for field in self.fields.iter().filter(|f| f.live) {
            let (start, end) = (field.name.start as usize, field.value.end as usize + 2);
            if is_own(field.known) {
                out.extend_from_slice(&self.bytes[std::mem::take(&mut run)]);
                write(field.known, field.name.of(&self.bytes), field.value.of(&self.bytes), out);
            } else if !field.line {
                out.extend_from_slice(&self.bytes[std::mem::take(&mut run)]);
                for part in [field.name.of(&self.bytes), b": ", field.value.of(&self.bytes), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            } else if run.end == start {
                run.end = end;
            } else {
                out.extend_from_slice(&self.bytes[std::mem::replace(&mut run, start..end)]);
            }
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// Keeps the fields that `keep` picks, given kind, name and value, and removes the others.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        for field in self.fields.iter_mut().filter(|f| f.live) {
            field.live = keep(field.known, field.name.of(bytes), field.value.of(bytes));
        }
    }

    /// The first value of a field.
    pub fn get(&self, name: impl FieldName) -> Option<&[u8]> {
        let known = name.known();
        let mut live = self.fields.iter().filter(|f| f.live);
        live.find(|f| Self::is(&self.bytes, f, known, &name)).map(|f| f.value.of(&self.bytes))
    }

    /// Every value of a field, in order.
    pub fn get_all(&self, name: impl FieldName) -> impl Iterator<Item = &[u8]> {
        let known = name.known();
        let matching = move |f: &&Field| f.live && Self::is(&self.bytes, f, known, &name);
        self.fields.iter().filter(matching).map(|f| f.value.of(&self.bytes))
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
        if self.get_all(known).nth(1).is_some() {
            let joined = self.get_all(known).collect::<Vec<_>>().join(separator);
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

    /// At least as many bytes as the fields take when written.
    pub(crate) fn size_hint(&self) -> usize {
        self.bytes.len() + 4 * self.fields.len()
    }

    fn is(bytes: &[u8], field: &Field, known: Known, name: &impl FieldName) -> bool {
        field.known == known && (known != Known::Other || field.name.of(bytes).eq_ignore_ascii_case(name.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised() {
        for known in Known::ALL {
            assert_eq!(Known::of(known.name().as_bytes()), *known);
            assert_eq!(Known::of(known.name().to_ascii_uppercase().as_bytes()), *known);
        }
        for other in ["", "x", "hosts", "hest", "x-envoy-attempt-counx", "content-lengtj"] {
            assert_eq!(Known::of(other.as_bytes()), Known::Other, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn names_are_the_same_but_for_the_case_of_their_letters(which in 0..Known::ALL.len(), at in 0..30_usize, byte: u8) {
            let lower = Known::ALL[which].name().as_bytes();
            let mut name = lower.to_vec();
            let at = at % name.len();
            name[at] = byte;
            proptest::prop_assert_eq!(is_same_name(&name, lower), name.eq_ignore_ascii_case(lower));
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
        assert_eq!(fields.get(Known::Host), Some(&b"a"[..]));
        assert_eq!((fields.len(), fields.is_empty()), (3, false));
    }

    #[test]
    fn what_passes_is_written_as_it_came_and_edits_cannot_end_a_line() {
        let text = b"A: 1\r\nhost:  x\r\nB:2 \r\nC: 3\r\n\r\n";
        let mut fields = Fields::default();
        fields.append(b"first", b"0\r\nx: y");
        let base = fields.begin_lines(text);
        let at = |start: usize, end: usize| base + start..base + end;
        fields.append_part(Known::Other, at(0, 1), at(3, 4));
        fields.append_part(Known::Host, at(6, 10), at(13, 14));
        fields.append_part(Known::Other, at(16, 17), at(18, 19));
        fields.append_part(Known::Other, at(22, 23), at(25, 26));
        fields.append(b"d", b"4");
        fields.set(b"a", b"5\n");
        fields.append(Known::Server, b"me");
        let mut out = Vec::new();
        fields.write_lines(
            &mut out,
            |known| known == Known::Server,
            |_, name, value, out| {
                out.extend_from_slice(name);
                out.extend_from_slice(value);
            },
        );
        let want = "first: 0  x: y\r\nA: 5 \r\nhost: x\r\nB: 2\r\nC: 3\r\nd: 4\r\nserverme";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
