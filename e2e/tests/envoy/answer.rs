//! An answer, as far as it should be the same whoever gives it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use anyhow::Result;
use e2e::client::Call;
use http::Method;
use mesh_testkit::lab::Pod;

use super::table::Request;

/// What differs from call to call, or names the data plane, or tells of time.
const IGNORED: [&str; 6] = [
    "date",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-decorator-operation",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
];

/// Status, fields and body; of what the origin tells, what is not ignored.
#[derive(PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: BTreeMap<String, Vec<String>>,
    body: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.fields, self.body)
    }
}

impl Answer {
    /// Asks from a pod. Wherever the answer names the address of `data_plane`, it says so instead.
    pub(crate) fn ask(
        from: &Pod,
        address: SocketAddr,
        request: &Request,
        http2: bool,
        data_plane: &Pod,
    ) -> Result<Self> {
        let mut call = Call::get(address, request.host, request.path);
        call.method = Method::from_bytes(request.method.as_bytes())?;
        for (name, value) in request.fields {
            call = call.header(name, value);
        }
        let answer = if http2 { call.over_http2_from(from) } else { call.from(from) }?;
        let address = data_plane.ip().to_string();
        let alike = |text: &str| without_hashes(&text.replace(&address, "DATA-PLANE"));
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.headers {
            if !IGNORED.contains(&name.as_str()) {
                let takes_time = name == "x-envoy-upstream-service-time";
                let value =
                    if takes_time { "some".into() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
                fields.entry(name.to_string()).or_default().push(alike(&value));
            }
        }
        // The length of what the origin would have told: by what is ignored.
        if request.method == "HEAD" && fields.contains_key("x-origin") {
            fields.remove("content-length");
        }
        let mut body = answer.json();
        let mut text = answer.text();
        if let Some(sent) = body["fields"].as_object_mut() {
            // Whether a request without a body says so is anybody's choice.
            let says_nothing = sent.get("content-length").is_some_and(|length| length[0] == "0");
            sent.retain(|name, _| !IGNORED.contains(&name.as_str()) && (name != "content-length" || !says_nothing));
            text = body.to_string();
            // The length of what the origin tells depends on what is ignored.
            fields.remove("content-length");
        }
        let mut answer = Self { status: answer.status.as_u16(), fields, body: alike(&text) };
        answer.forget_reason();
        Ok(answer)
    }

    /// Our sidecar tells its own application why it was not served. Where Envoy says nothing, that is no difference.
    fn forget_reason(&mut self) {
        let is_reason = |text: &str| text.starts_with("no route of ") || text.ends_with(" does not exist");
        if self.fields.get("grpc-message").is_some_and(|said| is_reason(&said[0])) {
            self.fields.remove("grpc-message");
        }
        if self.body.is_empty() || is_reason(&self.body) {
            self.body.clear();
            self.fields.remove("content-length");
            if self.fields.get("content-type").is_some_and(|kind| kind[0] == "text/plain") {
                self.fields.remove("content-type");
            }
        }
    }
}

/// `x-forwarded-client-cert` tells a certificate's hash, which is each caller's own.
fn without_hashes(text: &str) -> String {
    let mut parts = text.split("Hash=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("Hash=SOME");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    out
}
