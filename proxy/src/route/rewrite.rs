//! Edits of requests and responses: paths, authorities, fields.

use mesh_http::{Fields, RequestHead};

use super::find::split_query;
use super::format;
use crate::conn::ConnInfo;
use crate::model::{HeaderEdit, PathMatch, PathRewrite, Redirect, RouteMatch};

/// The path after a rewrite, with the query; `None` if it stays.
pub(super) fn path(rewrite: &PathRewrite, rule: &RouteMatch, path: &[u8]) -> Option<Vec<u8>> {
    let (plain, query) = split_query(path);
    let mut new = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Full(new) => new.to_vec(),
        PathRewrite::Prefix(new) => {
            let matched = match &rule.path {
                PathMatch::Prefix(text) | PathMatch::Exact(text) | PathMatch::SeparatedPrefix(text) => text.len(),
                // The prefix `/`, which every path has.
                PathMatch::Any => 1,
                PathMatch::Regex(_) | PathMatch::Template(_) => 0,
            };
            [new, plain.get(matched..).unwrap_or_default()].concat()
        }
        PathRewrite::Regex(regex, substitution) => substitute(regex, substitution, plain),
    };
    if new.first() != Some(&b'/') {
        new.insert(0, b'/');
    }
    if plain.len() < path.len() {
        new.push(b'?');
        new.extend_from_slice(query);
    }
    Some(new)
}

/// Replaces every match; `\1` in the substitution is a group, `\\` a backslash (RE2's syntax, which Envoy uses).
fn substitute(regex: &regex::bytes::Regex, substitution: &[u8], text: &[u8]) -> Vec<u8> {
    let replaced = regex.replace_all(text, |groups: &regex::bytes::Captures<'_>| {
        let mut out = Vec::new();
        let mut bytes = substitution.iter();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.as_slice().first()) {
                (b'\\', Some(digit @ b'0'..=b'9')) => {
                    bytes.next();
                    out.extend(groups.get(usize::from(digit - b'0')).map_or(&b""[..], |group| group.as_bytes()));
                }
                (b'\\', Some(b'\\')) => {
                    bytes.next();
                    out.push(b'\\');
                }
                _ => out.push(*byte),
            }
        }
        out
    });
    replaced.into_owned()
}

/// Where a redirect leads.
pub(super) fn location(redirect: &Redirect, rule: &RouteMatch, head: &RequestHead) -> Vec<u8> {
    let old_scheme = if head.scheme().is_empty() { &b"http"[..] } else { head.scheme() };
    let scheme = redirect.scheme.as_deref().map_or(old_scheme, str::as_bytes);
    let (old_host, old_port) = super::find::split_port(head.authority());
    let host = redirect.host.as_deref().map_or(old_host, str::as_bytes);
    // A port that belongs to the old scheme or host does not follow to a new one.
    let kept = old_port.filter(|_| redirect.host.is_none() && scheme == old_scheme);
    let own: u16 = if scheme == b"https" { 443 } else { 80 };
    let port = redirect.port.or(kept).filter(|port| *port != own);
    let mut out = [scheme, b"://", host].concat();
    if let Some(port) = port {
        out.extend(format!(":{port}").into_bytes());
    }
    let new = path(&redirect.path, rule, head.path());
    let whole = new.as_deref().unwrap_or(head.path());
    out.extend_from_slice(if redirect.strip_query { split_query(whole).0 } else { whole });
    out
}

/// What formats of fields may speak of.
pub(super) struct Context<'a> {
    pub(super) conn: &'a ConnInfo,
    /// Values of request fields; empty where the request is gone.
    pub(super) request: Option<&'a RequestHead>,
}

/// Applies edits of a request's fields. `host` edits the authority (as Envoy has it).
pub(super) fn request(edits: &[HeaderEdit], head: &mut RequestHead, conn: &ConnInfo) {
    for edit in edits {
        let value = |format: &str, head: &RequestHead| format::expand(format, &Context { conn, request: Some(head) });
        match edit {
            HeaderEdit::Set(name, format)
            | HeaderEdit::Append(name, format)
            | HeaderEdit::SetIfAbsent(name, format)
                if matches!(&**name, "host" | ":authority") =>
            {
                let value = value(format, head);
                head.set_authority(&value);
            }
            HeaderEdit::Set(_, format) | HeaderEdit::Append(_, format) | HeaderEdit::SetIfAbsent(_, format) => {
                let value = value(format, head);
                apply(edit, &value, &mut head.fields);
            }
            HeaderEdit::Remove(_) => apply(edit, b"", &mut head.fields),
        }
    }
}

/// Applies edits of a response's fields.
pub(super) fn response(edits: &[HeaderEdit], fields: &mut Fields, conn: &ConnInfo) {
    for edit in edits {
        let value = match edit {
            HeaderEdit::Remove(_) => Vec::new(),
            HeaderEdit::Set(_, format) | HeaderEdit::Append(_, format) | HeaderEdit::SetIfAbsent(_, format) => {
                format::expand(format, &Context { conn, request: None })
            }
        };
        apply(edit, &value, fields);
    }
}

fn apply(edit: &HeaderEdit, value: &[u8], fields: &mut Fields) {
    match edit {
        HeaderEdit::Remove(name) => {
            fields.remove(name.as_bytes());
        }
        HeaderEdit::Set(name, _) => fields.set(name.as_bytes(), value),
        HeaderEdit::Append(name, _) => fields.append(name.as_bytes(), value),
        HeaderEdit::SetIfAbsent(name, _) if fields.get(name.as_bytes()).is_none() => {
            fields.append(name.as_bytes(), value);
        }
        HeaderEdit::SetIfAbsent(..) => {}
    }
}
