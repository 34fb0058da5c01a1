//! A request's head.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::{
    CHARACTERS, CODING_NOT_ALLOWED, Facts, GRAMMAR, HOST, LENGTH, Limits, Lines, MOST_FIELDS, Refused, TARGET,
    TOO_LARGE, empty_lines, lines_are_strict, refusal, remove_nominated,
};
use crate::{BodyLength, Known, RequestHead, Version, chars};

/// Reads one request head from the start of `input` into `head`, which it clears first.
///
/// Returns how many bytes the head took, or `None` if it is not complete; then `head` is empty and the caller comes back
/// with more. `Host` becomes the authority and is not left among the fields; an absolute-form target overrules it.
///
/// # Errors
/// Whatever is malformed, ambiguous or larger than `limits`. The connection cannot be used any more.
pub fn parse_request(input: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Option<usize>, Refused> {
    head.clear();
    let Some(skipped) = empty_lines(input)? else { return Ok(None) };
    let text = &input[skipped..];
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let slots = &mut slots[..limits.max_fields.min(MOST_FIELDS)];
    let taken = match parsed.parse_with_uninit_headers(text, slots) {
        Ok(Status::Complete(taken)) if taken <= limits.max_head => taken,
        Ok(Status::Partial) if text.len() < limits.max_head => return Ok(None),
        Ok(_) => return Err(TOO_LARGE),
        Err(error) => return Err(refusal(error)),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(GRAMMAR);
    };
    if !lines_are_strict(&text[..taken]) {
        return Err(GRAMMAR);
    }
    head.version = if version == 1 { Version::Http11 } else { Version::Http10 };
    head.set_method(method.as_bytes());
    fill(&text[..taken], parsed.headers, version, head)?;
    read_target(target.as_bytes(), head)?;
    Ok(Some(skipped + taken))
}

/// Stores the fields, and what they say of body and connection.
fn fill(text: &[u8], headers: &[Header<'_>], version: u8, head: &mut RequestHead) -> Result<(), Refused> {
    let mut facts = Facts::default();
    let (mut has_host, mut upgrade_to, mut continues) = (false, None, false);
    let lines = Lines::begin(text, headers, &mut head.fields);
    for header in headers {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Known::of(name);
        match known {
            Known::Host => {
                if std::mem::replace(&mut has_host, true) || !(value.is_empty() || chars::is_authority(value)) {
                    return Err(HOST);
                }
                head.set_host_name(name);
                head.set_authority(value);
                continue;
            }
            Known::ContentLength if !facts.content_length(value)? => continue,
            Known::TransferEncoding => facts.transfer_encoding(value)?,
            Known::Connection => facts.connection(value)?,
            Known::Upgrade => upgrade_to = Some(value),
            Known::Expect => continues |= value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        lines.append(known, header, &mut head.fields);
    }
    if version == 1 && !has_host {
        return Err(HOST);
    }
    facts.check_framing(version)?;
    if facts.nominates {
        remove_nominated(headers, &mut head.fields);
    }
    head.body = body(&facts);
    head.keep_alive = facts.keeps_alive(version);
    head.expect_continue = continues && version == 1 && !head.body.is_empty();
    // HTTP/2 over plaintext is spoken with prior knowledge only (RFC 9113, section 3.1, dropped this upgrade).
    head.upgrade = facts.upgrade && version == 1 && upgrade_to.is_some_and(|to| !to.eq_ignore_ascii_case(b"h2c"));
    Ok(())
}

fn body(facts: &Facts) -> BodyLength {
    match (facts.chunked, facts.length) {
        (true, _) => BodyLength::Stream,
        (false, Some(length)) => BodyLength::Exact(length),
        (false, None) => BodyLength::Empty,
    }
}

/// The four forms of RFC 9112, section 3.2.
fn read_target(target: &[u8], head: &mut RequestHead) -> Result<(), Refused> {
    if !chars::is_target(target) {
        return Err(CHARACTERS);
    }
    if head.method() == b"CONNECT" {
        return connect(target, head);
    }
    if target[0] == b'/' {
        head.set_path(target);
        return Ok(());
    }
    if target == b"*" {
        head.set_path(target);
        return if head.method() == b"OPTIONS" { Ok(()) } else { Err(TARGET) };
    }
    absolute(target, head)
}

/// Authority form. What follows the head is the tunnel, so a body cannot be declared.
fn connect(target: &[u8], head: &mut RequestHead) -> Result<(), Refused> {
    if !chars::is_authority_with_port(target) {
        return Err(TARGET);
    }
    match head.body {
        BodyLength::Empty | BodyLength::Exact(0) => head.body = BodyLength::Empty,
        BodyLength::Exact(_) => return Err(LENGTH),
        _ => return Err(CODING_NOT_ALLOWED),
    }
    head.set_authority(target);
    head.upgrade = false;
    Ok(())
}

fn absolute(target: &[u8], head: &mut RequestHead) -> Result<(), Refused> {
    let (scheme, rest) = match memchr::memmem::find(target, b"://") {
        Some(at) if target[..at].eq_ignore_ascii_case(b"http") => (&b"http"[..], &target[at + 3..]),
        Some(at) if target[..at].eq_ignore_ascii_case(b"https") => (&b"https"[..], &target[at + 3..]),
        _ => return Err(TARGET),
    };
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !chars::is_authority(authority) {
        return Err(TARGET);
    }
    head.set_scheme(scheme);
    head.set_authority(authority);
    if path.first() == Some(&b'/') {
        head.set_path(path);
    } else {
        head.set_path_after_slash(path);
    }
    Ok(())
}
