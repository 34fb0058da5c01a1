//! Edits of header fields.

use envoy_types::pb::envoy::config::core::v3 as core;
use galley::api;

/// Edits of fields, as Envoy takes them.
#[derive(Clone, Default)]
pub(super) struct Edits {
    pub(super) request_add: Vec<core::HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<core::HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
}

impl Edits {
    pub(super) fn of(headers: &api::Headers) -> Self {
        let (request_add, request_remove) = headers.request.as_ref().map(operations).unwrap_or_default();
        let (response_add, response_remove) = headers.response.as_ref().map(operations).unwrap_or_default();
        Self { request_add, request_remove, response_add, response_remove }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.request_add.is_empty()
            && self.request_remove.is_empty()
            && self.response_add.is_empty()
            && self.response_remove.is_empty()
    }
}

fn operations(edits: &api::HeaderOperations) -> (Vec<core::HeaderValueOption>, Vec<String>) {
    use core::header_value_option::HeaderAppendAction as How;
    let option = |(key, value): (&String, &String), how: How| core::HeaderValueOption {
        header: Some(core::HeaderValue { key: key.clone(), value: value.clone(), ..Default::default() }),
        append_action: how as i32,
        ..Default::default()
    };
    let set = edits.set.iter().map(|pair| option(pair, How::OverwriteIfExistsOrAdd));
    let add = edits.add.iter().map(|pair| option(pair, How::AppendIfExistsOrAdd));
    (set.chain(add).collect(), edits.remove.clone())
}
