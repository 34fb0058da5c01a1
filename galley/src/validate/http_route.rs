//! HTTP rules of VirtualServices.

use std::collections::BTreeMap;

use mesh_types::header_format::{self, Of};

use super::Checker;
use crate::api::{
    CorsPolicy, FaultInjection, HeaderOperations, Headers, HttpDirectResponse, HttpMatch, HttpRedirect, HttpRetry,
    HttpRewrite, HttpRoute, StringMatch,
};
use crate::diagnostic::Code;
use crate::path::FieldPath;

/// Envoy's words for what is tried again, those that are served.
const RETRY_ON: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

impl Checker<'_> {
    pub(super) fn http_route(&mut self, route: &HttpRoute, path: &FieldPath) {
        self.one_action(route, path);
        for (index, one) in route.matches.iter().enumerate() {
            self.http_match(one, &path.field("match").index(index));
        }
        let destinations = route.route.iter().map(|to| (to.destination.as_ref(), to.weight));
        self.destinations(destinations, &path.field("route"));
        for (index, to) in route.route.iter().enumerate() {
            let path = path.field("route").index(index).field("headers");
            to.headers.iter().for_each(|headers| self.headers(headers, &path));
        }
        route.headers.iter().for_each(|headers| self.headers(headers, &path.field("headers")));
        route.redirect.iter().for_each(|redirect| self.redirect(redirect, &path.field("redirect")));
        route.direct_response.iter().for_each(|direct| self.direct_response(direct, &path.field("directResponse")));
        route.rewrite.iter().for_each(|rewrite| self.rewrite(rewrite, &path.field("rewrite")));
        route.retries.iter().for_each(|retries| self.retries(retries, &path.field("retries")));
        route.fault.iter().for_each(|fault| self.fault(fault, &path.field("fault")));
        route.cors_policy.iter().for_each(|policy| self.cors(policy, &path.field("corsPolicy")));
        for (index, mirror) in route.mirrors.iter().enumerate() {
            if mirror.destination.as_ref().is_none_or(|to| to.host.is_empty()) {
                let path = path.field("mirrors").index(index).field("destination").field("host");
                self.error(Code::Missing, &path, "must be set");
            }
        }
    }

    fn one_action(&mut self, route: &HttpRoute, path: &FieldPath) {
        let actions = [
            !route.route.is_empty(),
            route.redirect.is_some(),
            route.direct_response.is_some(),
            route.delegate.is_some(),
        ];
        match actions.iter().filter(|set| **set).count() {
            0 => self.error(Code::Missing, path, "one of route, redirect, directResponse and delegate must be set"),
            1 => {}
            _ => self.error(Code::Invalid, path, "only one of route, redirect, directResponse and delegate may be set"),
        }
        if route.rewrite.is_some() && (route.redirect.is_some() || route.direct_response.is_some()) {
            let message = "must not be set with redirect or directResponse, which send nothing on";
            self.error(Code::Invalid, &path.field("rewrite"), message);
        }
        if route.mirror.is_some() && !route.mirrors.is_empty() {
            self.error(Code::Invalid, &path.field("mirrors"), "must not be set with mirror");
        }
    }

    fn http_match(&mut self, one: &HttpMatch, path: &FieldPath) {
        let plain =
            [("uri", &one.uri), ("scheme", &one.scheme), ("method", &one.method), ("authority", &one.authority)];
        for (field, test) in plain {
            self.pattern(test.as_ref(), &path.field(field));
        }
        self.patterns(&one.headers, &path.field("headers"));
        self.patterns(&one.without_headers, &path.field("withoutHeaders"));
        self.patterns(&one.query_params, &path.field("queryParams"));
        if !one.stat_prefix.is_empty() {
            self.unserved(&path.field("statPrefix"));
        }
    }

    /// Istio takes `*` for "it is there".
    fn patterns(&mut self, tests: &BTreeMap<String, StringMatch>, path: &FieldPath) {
        for (name, test) in tests {
            if !matches!(test, StringMatch::Regex(pattern) if pattern == "*") {
                self.pattern(Some(test), &path.key(name));
            }
        }
    }

    fn headers(&mut self, headers: &Headers, path: &FieldPath) {
        let edits = [("request", &headers.request, Of::Request), ("response", &headers.response, Of::Response)];
        for (field, edits, of) in edits {
            edits.iter().for_each(|edits| self.header_values(edits, of, &path.field(field)));
        }
    }

    fn header_values(&mut self, edits: &HeaderOperations, of: Of, path: &FieldPath) {
        for (field, values) in [("set", &edits.set), ("add", &edits.add)] {
            for (name, value) in values {
                if let Err(message) = header_format::check(value, of) {
                    self.error(Code::Unsupported, &path.field(field).key(name), &message);
                }
            }
        }
    }

    fn redirect(&mut self, redirect: &HttpRedirect, path: &FieldPath) {
        if !redirect.uri.is_empty() && !redirect.prefix_rewrite.is_empty() {
            self.error(Code::Invalid, &path.field("prefixRewrite"), "must not be set with uri");
        }
        if redirect.port.is_some() && redirect.derive_port.is_some() {
            self.error(Code::Invalid, &path.field("derivePort"), "must not be set with port");
        }
        if !matches!(redirect.redirect_code, None | Some(301 | 302 | 303 | 307 | 308)) {
            self.error(Code::Invalid, &path.field("redirectCode"), "must be 301, 302, 303, 307 or 308");
        }
    }

    fn direct_response(&mut self, direct: &HttpDirectResponse, path: &FieldPath) {
        self.status(direct.status, &path.field("status"));
        if direct.body.as_ref().is_some_and(|body| body.string.is_some() && body.bytes.is_some()) {
            self.error(Code::Invalid, &path.field("body"), "only one of string and bytes may be set");
        }
    }

    fn status(&mut self, status: u32, path: &FieldPath) {
        if !(200..600).contains(&status) {
            self.error(Code::Invalid, path, &format!("{status} is not within 200 to 599"));
        }
    }

    fn rewrite(&mut self, rewrite: &HttpRewrite, path: &FieldPath) {
        let Some(expression) = &rewrite.uri_regex_rewrite else {
            if rewrite.uri.is_empty() && rewrite.authority.is_empty() {
                self.error(Code::Missing, path, "one of uri, authority and uriRegexRewrite must be set");
            }
            return;
        };
        if !rewrite.uri.is_empty() {
            self.error(Code::Invalid, &path.field("uriRegexRewrite"), "must not be set with uri");
        }
        self.regex(&expression.matches, &path.field("uriRegexRewrite").field("match"));
    }

    pub(super) fn retries(&mut self, retries: &HttpRetry, path: &FieldPath) {
        for word in retries.retry_on.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let is_status = word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
            if !is_status && !RETRY_ON.contains(&word) {
                let message = format!("{word:?} is not supported; it may be a status or of {}", RETRY_ON.join(", "));
                self.error(Code::Unsupported, &path.field("retryOn"), &message);
            }
        }
        if retries.retry_remote_localities == Some(true) {
            self.unserved(&path.field("retryRemoteLocalities"));
        }
    }

    fn fault(&mut self, fault: &FaultInjection, path: &FieldPath) {
        if fault.delay.is_none() && fault.abort.is_none() {
            self.error(Code::Missing, path, "one of delay and abort must be set");
        }
        if fault.delay.as_ref().is_some_and(|delay| delay.fixed_delay.is_none()) {
            self.error(Code::Missing, &path.field("delay").field("fixedDelay"), "must be set");
        }
        let Some(abort) = &fault.abort else { return };
        let path = path.field("abort");
        match (abort.http_status, abort.grpc_status.as_str()) {
            (None, "") => self.error(Code::Missing, &path, "one of httpStatus and grpcStatus must be set"),
            (Some(status), "") => self.status(status, &path.field("httpStatus")),
            (Some(_), _) => self.error(Code::Invalid, &path.field("grpcStatus"), "must not be set with httpStatus"),
            (None, word) if abort.grpc_code().is_none() => {
                self.error(Code::Invalid, &path.field("grpcStatus"), &format!("{word:?} is no status of gRPC"));
            }
            (None, _) => {}
        }
    }

    fn cors(&mut self, policy: &CorsPolicy, path: &FieldPath) {
        for (index, origin) in policy.allow_origins.iter().enumerate() {
            self.pattern(Some(origin), &path.field("allowOrigins").index(index));
        }
        if policy.max_age.is_some_and(|age| age.subsec_nanos() != 0) {
            self.error(Code::Invalid, &path.field("maxAge"), "must be whole seconds");
        }
    }

    fn pattern(&mut self, test: Option<&StringMatch>, path: &FieldPath) {
        if let Some(StringMatch::Regex(pattern)) = test {
            self.regex(pattern, path);
        }
    }

    fn regex(&mut self, pattern: &str, path: &FieldPath) {
        if let Err(error) = regex::Regex::new(pattern) {
            let text = error.to_string();
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            self.error(Code::Invalid, path, &format!("{pattern:?} is no regular expression: {last}"));
        }
    }
}
