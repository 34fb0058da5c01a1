//! A response's head.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::{
    Facts, GRAMMAR, Limits, Lines, MOST_FIELDS, Refused, TOO_LARGE, empty_lines, lines_are_strict, refusal,
    remove_nominated,
};
use crate::{BodyLength, Known, RequestHead, ResponseHead, Version};

/// What a response answers, as far as its framing depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseTo {
    /// The request was a `HEAD`: lengths are said, and no body follows.
    pub head: bool,
    /// The request was a `CONNECT`: after a 2xx the connection is a tunnel.
    pub connect: bool,
    /// The version that the requester speaks.
    pub version: Version,
}

impl ResponseTo {
    /// What has to be remembered of a request to frame its response.
    pub fn of(request: &RequestHead) -> Self {
        let method = request.method();
        Self { head: method == b"HEAD", connect: method == b"CONNECT", version: request.version }
    }

    /// True if a response of this status has no body, whatever its fields say (RFC 9112, section 6.3).
    pub(super) fn has_no_body(self, status: u16) -> bool {
        self.head || matches!(status, 100..=199 | 204 | 304) || self.connect && (200..300).contains(&status)
    }
}

/// Reads one response head from the start of `input` into `head`, which it clears first.
///
/// Returns how many bytes the head took, or `None` if it is not complete. Interim responses (1xx) are returned like
/// others: the caller comes again for the final one. After 101, and after a 2xx to `CONNECT`, what follows is not HTTP.
///
/// # Errors
/// Whatever is malformed, ambiguous or larger than `limits`, always with status 502. The connection cannot be used any
/// more.
pub fn parse_response(
    input: &[u8],
    limits: &Limits,
    to: ResponseTo,
    head: &mut ResponseHead,
) -> Result<Option<usize>, Refused> {
    parse(input, limits, to, head).map_err(|refused| Refused { status: 502, ..refused })
}

fn parse(input: &[u8], limits: &Limits, to: ResponseTo, head: &mut ResponseHead) -> Result<Option<usize>, Refused> {
    head.clear();
    let Some(skipped) = empty_lines(input)? else { return Ok(None) };
    let text = &input[skipped..];
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let slots = &mut slots[..limits.max_fields.min(MOST_FIELDS)];
    let config = httparse::ParserConfig::default();
    let taken = match config.parse_response_with_uninit_headers(&mut parsed, text, slots) {
        Ok(Status::Complete(taken)) if taken <= limits.max_head => taken,
        Ok(Status::Partial) if text.len() < limits.max_head => return Ok(None),
        Ok(_) => return Err(TOO_LARGE),
        Err(error) => return Err(refusal(error)),
    };
    let (Some(status @ 100..=999), Some(version)) = (parsed.code, parsed.version) else { return Err(GRAMMAR) };
    if !lines_are_strict(&text[..taken]) {
        return Err(GRAMMAR);
    }
    head.status = status;
    head.version = if version == 1 { Version::Http11 } else { Version::Http10 };
    fill(&text[..taken], parsed.headers, version, to, head)?;
    Ok(Some(skipped + taken))
}

/// Stores the fields, and what they say of body and connection.
fn fill(
    text: &[u8],
    headers: &[Header<'_>],
    version: u8,
    to: ResponseTo,
    head: &mut ResponseHead,
) -> Result<(), Refused> {
    let mut facts = Facts::default();
    let lines = Lines::begin(text, headers, &mut head.fields);
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Known::of(name);
        match known {
            Known::ContentLength if !facts.content_length(value)? => continue,
            Known::TransferEncoding => facts.transfer_encoding(value)?,
            Known::Connection => facts.connection(value)?,
            _ => {}
        }
        lines.append(known, header, &mut head.fields);
    }
    facts.check_framing(version)?;
    if facts.nominates {
        remove_nominated(headers, &mut head.fields);
    }
    head.body = match (facts.chunked, facts.length) {
        _ if to.has_no_body(head.status) => BodyLength::Empty,
        (true, _) => BodyLength::Stream,
        (false, Some(length)) => BodyLength::Exact(length),
        (false, None) => BodyLength::UntilClose,
    };
    head.keep_alive = facts.keeps_alive(version) && head.body != BodyLength::UntilClose;
    Ok(())
}
