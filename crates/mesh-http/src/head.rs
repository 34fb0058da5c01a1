//! Message heads: what a request asks for and what a response answers, the same for HTTP/1 and HTTP/2.

use crate::fields::{Fields, Span};

/// Protocol version of a message as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// As the access log prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How long a message's body is, as its head declares it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    Empty,
    /// Exactly so many bytes.
    Exact(u64),
    /// Delimited by the protocol: chunks, or HTTP/2's END_STREAM.
    Stream,
    /// Until the connection closes (an HTTP/1 response only).
    UntilClose,
}

impl BodyLength {
    /// True if no byte of body can follow the head.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Exact(0))
    }
}

/// The head of a request. Reused: [`RequestHead::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    text: Vec<u8>,
    method: Span,
    scheme: Span,
    authority: Span,
    path: Span,
    host_name: Span,
    /// Header fields; HTTP/1's `Host` is in [`RequestHead::authority`] and not here.
    pub fields: Fields,
    /// As received.
    pub version: Version,
    /// As declared.
    pub body: BodyLength,
    /// HTTP/1: the client will take another response on this connection.
    pub keep_alive: bool,
    /// HTTP/1: the client waits for `100 Continue`.
    pub expect_continue: bool,
    /// HTTP/1 `Connection: upgrade` with an `Upgrade` field, or HTTP/2's extended CONNECT.
    pub upgrade: bool,
}

impl RequestHead {
    /// Forgets the request and keeps the memory.
    pub fn clear(&mut self) {
        let (mut text, mut fields) = (std::mem::take(&mut self.text), std::mem::take(&mut self.fields));
        text.clear();
        fields.clear();
        *self = Self { text, fields, ..Self::default() };
    }

    /// The method, case kept. Never empty in a request that a codec accepted.
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.text)
    }

    /// `http` or `https`; empty if not said (HTTP/1 origin form).
    pub fn scheme(&self) -> &[u8] {
        self.scheme.of(&self.text)
    }

    /// `Host` or `:authority`; empty if absent.
    pub fn authority(&self) -> &[u8] {
        self.authority.of(&self.text)
    }

    /// Path with query, `*` for `OPTIONS *`, empty for `CONNECT`.
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.text)
    }

    /// Sets the method.
    pub fn set_method(&mut self, method: &[u8]) {
        self.method = Span::push(&mut self.text, method);
    }

    /// Sets the scheme.
    pub fn set_scheme(&mut self, scheme: &[u8]) {
        self.scheme = Span::push(&mut self.text, scheme);
    }

    /// Sets the authority.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority = Span::push(&mut self.text, authority);
    }

    /// The name of the `Host` field as it came (case kept); empty if there was none.
    pub(crate) fn host_name(&self) -> &[u8] {
        self.host_name.of(&self.text)
    }

    /// Remembers the name of the `Host` field as it came.
    pub(crate) fn set_host_name(&mut self, name: &[u8]) {
        self.host_name = Span::push(&mut self.text, name);
    }

    /// Sets a path that lacks its leading slash: `?a=b` or nothing, as an absolute-form target may end.
    pub(crate) fn set_path_after_slash(&mut self, rest: &[u8]) {
        let start = self.text.len() as u32;
        self.text.push(b'/');
        self.text.extend_from_slice(rest);
        self.path = Span::between(start, self.text.len() as u32);
    }

    /// True if no byte that could end a line is in the method, authority or path.
    pub(crate) fn text_is_clean(&self) -> bool {
        memchr::memchr3(b'\r', b'\n', 0, &self.text).is_none()
    }

    /// Sets path and query.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path = Span::push(&mut self.text, path);
    }

    /// True for gRPC: the content type is `application/grpc` or begins with `application/grpc+` or `;`.
    pub fn is_grpc(&self) -> bool {
        let content_type = self.fields.get(crate::Known::ContentType);
        content_type
            .and_then(|t| t.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    }
}

/// The head of a response. Reused: [`ResponseHead::clear`] keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// Three digits.
    pub status: u16,
    /// Header fields.
    pub fields: Fields,
    /// As received.
    pub version: Version,
    /// As declared, with the request's method taken into account.
    pub body: BodyLength,
    /// HTTP/1: the server will take another request on this connection.
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Forgets the response and keeps the memory.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_reused() {
        let mut head = RequestHead::default();
        head.set_method(b"POST");
        head.set_path(b"/a?b");
        head.fields.append(b"content-type", b"application/grpc+proto");
        assert!(head.is_grpc());
        head.set_path(b"/c");
        assert_eq!((head.method(), head.path()), (&b"POST"[..], &b"/c"[..]));
        head.clear();
        assert_eq!((head.method(), head.path(), head.fields.len()), (&b""[..], &b""[..], 0));
    }
}
