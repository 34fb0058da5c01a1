//! The requests.

use std::fmt;

/// A request, and how it is made.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{} {:?}", self.method, self.host, self.path, self.fields)
    }
}

const SHOP: &str = "shop.example.com";

fn get(path: &'static str) -> Request {
    with(path, &[])
}

fn with(path: &'static str, fields: &'static [(&'static str, &'static str)]) -> Request {
    Request { method: "GET", host: SHOP, path, fields }
}

fn method(method: &'static str, path: &'static str) -> Request {
    Request { method, host: SHOP, path, fields: &[] }
}

fn to(host: &'static str, path: &'static str) -> Request {
    Request { method: "GET", host, path, fields: &[] }
}

pub(crate) fn requests() -> Vec<Request> {
    vec![
        get("/exact"),
        get("/exact?a=b"),
        get("/exact/more"),
        get("/upper/x"),
        get("/UpPeR"),
        get("/items/12"),
        get("/items/12?x=y"),
        get("/items/12a"),
        method("DELETE", "/anything"),
        with("/x", &[("end-user", "jason"), ("x-beta", "abc")]),
        with("/rest", &[("end-user", "jason"), ("x-beta", "abcd")]),
        with("/rest", &[("End-User", "jason")]),
        get("/without"),
        with("/without", &[("x-no", "1")]),
        get("/query?q=1"),
        get("/query?q=2"),
        get("/query?a=b&q=1"),
        get("/query"),
        get("/scheme"),
        get("/old/path?q=1"),
        get("/secure/path?q=1"),
        get("/rewrite/a/b?c=d"),
        get("/swap/one/two"),
        get("/swap/one"),
        get("/teapot"),
        method("HEAD", "/teapot"),
        with("/fields", &[("x-gone", "1"), ("x-set", "zero"), ("x-add", "one")]),
        get("/abort"),
        get("/grpc-abort"),
        with("/grpc-abort", &[("content-type", "application/grpc")]),
        with("/abort", &[("content-type", "application/grpc")]),
        get("/slow"),
        with("/slow", &[("content-type", "application/grpc")]),
        get("/flaky"),
        get("/once"),
        with("/cors", &[("origin", "http://a.example.com")]),
        with("/cors", &[("origin", "http://b.example.com")]),
        with("/cors", &[("origin", "http://c.example.com")]),
        Request {
            method: "OPTIONS",
            host: SHOP,
            path: "/cors",
            fields: &[("origin", "http://a.example.com"), ("access-control-request-method", "GET")],
        },
        Request {
            method: "OPTIONS",
            host: SHOP,
            path: "/cors",
            fields: &[("origin", "http://c.example.com"), ("access-control-request-method", "GET")],
        },
        get("/refused"),
        with("/refused", &[("content-type", "application/grpc")]),
        get("/nowhere"),
        get("/http2/x?y=z"),
        method("POST", "/http2"),
        with("/http2", &[("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers")]),
        get("/rest"),
        with("/rest", &[("cookie", "a=b"), ("cookie", "c=d")]),
        method("POST", "/rest"),
        method("HEAD", "/rest"),
        get("/rest/./a/../b"),
        get("/rest/%2e%2e/exact"),
        get("/rest//double"),
        get("/rest/%2Fslash"),
        get("/unmatched"),
        with("/unmatched", &[("content-type", "application/grpc")]),
        get("/rest/forbidden"),
        get("/rest/forbidden/more?x"),
        get("/rest/some/admin"),
        with("/rest/forbidden", &[("content-type", "application/grpc")]),
        method("PATCH", "/rest"),
        with("/rest", &[("x-bad", "yes")]),
        with("/rest", &[("x-bad", "no")]),
        with("/rest", &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")]),
        with("/rest", &[("x-envoy-internal", "true"), ("x-envoy-max-retries", "9")]),
        with("/rest", &[("te", "trailers, gzip"), ("connection", "x-hop"), ("x-hop", "1")]),
        with("/rest", &[("x-forwarded-client-cert", "By=spiffe://forged")]),
        to("SHOP.example.com:8080", "/rest"),
        to("shop.example.com:9999", "/rest"),
        to("a.wild.example.com", "/anything"),
        to("wild.example.com", "/anything"),
        to("other.example.org", "/"),
        to("unknown.example.com", "/"),
    ]
}

/// What the policies of a sidecar say besides, by who calls; with the status of the answer.
pub(crate) fn by_principal() -> Vec<(Request, u16)> {
    vec![
        (get("/rest/not-for-callers"), 403),
        (get("/rest/for-callers"), 200),
        (get("/rest/not-for-neighbours"), 403),
        (get("/rest/for-friends"), 403),
        (with("/rest/for-friends", &[("content-type", "application/grpc")]), 200),
        // Who it is says its certificate, not its word.
        (
            with(
                "/rest/for-friends",
                &[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/friend")],
            ),
            403,
        ),
    ]
}

/// From outside the mesh, in plain text; with the status of the answer.
pub(crate) fn in_plain_text() -> Vec<(Request, u16)> {
    vec![
        (get("/public"), 200),
        (with("/public/x?y=z", &[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/caller")]), 200),
        (with("/public", &[("x-envoy-max-retries", "9"), ("x-forwarded-proto", "https")]), 200),
        (get("/private"), 403),
        (with("/private", &[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/caller")]), 403),
    ]
}

/// At a port whose protocol was not declared.
pub(crate) fn undeclared() -> Vec<Request> {
    vec![get("/anything?a=b"), method("POST", "/anything"), get("/rest/for-friends"), get("/slow")]
}
