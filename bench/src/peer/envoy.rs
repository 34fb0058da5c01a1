//! Stock Envoy with what Istio configures for a sidecar: injected faults, CORS, permission of one principal, a router with
//! a retry policy, request ids, an access log, statistics. Limits on connections and requests are lifted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Launch, Peer, Side, Work};
use crate::certificates::spiffe;
use crate::site::Site;

const BOOTSTRAP: &str = include_str!("envoy/bootstrap.yaml");
const HTTP: &str = include_str!("envoy/http.yaml");
const TCP: &str = include_str!("envoy/tcp.yaml");

/// Where Envoy is: `cargo xtask` installs it and says so.
pub(crate) fn binary() -> Result<PathBuf> {
    let path =
        std::env::var_os("WEFT_ENVOY").context("WEFT_ENVOY does not name Envoy's binary; run cargo xtask bench")?;
    Ok(path.into())
}

pub(super) fn launch(site: &Site, work: Work, side: Side, directory: &Path) -> Result<Launch> {
    let door = Peer::Envoy.listen(site, side)?;
    let upstream = Peer::Envoy.upstream(site, work, side)?;
    let (downstream_tls, upstream_tls) = match side {
        Side::Client if work == Work::Hop => (String::new(), String::new()),
        Side::Client => (String::new(), upstream_tls(site, work)),
        Side::Server => (downstream_tls(site, work), String::new()),
    };
    let http2 = work == Work::Grpc || (work == Work::Http2 && side == Side::Client);
    let text = BOOTSTRAP
        .replace("FILTERS", &filters(work, side))
        .replace("DOOR_IP", &door.ip().to_string())
        .replace("DOOR_PORT", &door.port().to_string())
        .replace("UPSTREAM_IP", &upstream.ip().to_string())
        .replace("UPSTREAM_PORT", &upstream.port().to_string())
        .replace("UPSTREAM_PROTOCOL", if http2 { "http2_protocol_options" } else { "http_protocol_options" })
        .replace("DOWNSTREAM_TLS", &downstream_tls)
        .replace("UPSTREAM_TLS", &upstream_tls);
    let file = directory.join("envoy.yaml");
    fs::write(&file, text)?;
    let arguments = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
    Ok(Launch {
        program: binary()?,
        arguments: arguments.into_iter().map(str::to_owned).chain([file.display().to_string()]).collect(),
        environment: Vec::new(),
        door,
        ready: None,
    })
}

/// Only the server asks who calls, and tells it.
fn filters(work: Work, side: Side) -> String {
    let (filters, kind, prefix) =
        if work.is_bytes() { (TCP, "network", "stat_prefix: tcp., ") } else { (HTTP, "http", "") };
    let (permission, told) = match side {
        Side::Client => (String::new(), "SANITIZE"),
        Side::Server => (permission(kind, prefix), "APPEND_FORWARD"),
    };
    filters.replace("PERMISSION", &permission).replace("TOLD", told)
}

fn permission(kind: &str, prefix: &str) -> String {
    format!(
        "- {{name: rbac, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.{kind}.rbac.v3.RBAC, {prefix}\
         rules: {{action: ALLOW, policies: {{client: {{permissions: [{{any: true}}], \
         principals: [{{authenticated: {{principal_name: {{exact: '{}'}}}}}}]}}}}}}}}}}",
        spiffe("client")
    )
}

/// Whom the authority knows may come in; who may call is the filter's to say.
fn downstream_tls(site: &Site, work: Work) -> String {
    let context = common(site, work, "server", "prefix: 'spiffe://cluster.local/'");
    transport_socket("Downstream", &format!("require_client_certificate: true, {context}"))
}

fn upstream_tls(site: &Site, work: Work) -> String {
    let context = common(site, work, "client", &format!("exact: '{}'", spiffe("server")));
    transport_socket("Upstream", &format!("sni: outbound_.80_._.origin.example.com, {context}"))
}

fn transport_socket(side: &str, settings: &str) -> String {
    format!(
        "transport_socket: {{name: envoy.transport_sockets.tls, typed_config: \
         {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext, {settings}}}}}"
    )
}

fn common(site: &Site, work: Work, account: &str, peer: &str) -> String {
    let certificates = &site.certificates;
    let alpn = match account {
        _ if work.is_bytes() => "istio",
        "client" if work.is_http2_between() => "h2",
        "client" => "http/1.1",
        _ => "h2, http/1.1",
    };
    format!(
        "common_tls_context: {{alpn_protocols: [{alpn}], \
         tls_params: {{tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}}, \
         tls_certificates: [{{certificate_chain: {{filename: {}}}, private_key: {{filename: {}}}}}], \
         validation_context: {{trusted_ca: {{filename: {}}}, match_typed_subject_alt_names: [{{san_type: URI, matcher: {{{peer}}}}}]}}}}",
        certificates.chain(account).display(),
        certificates.key(account).display(),
        certificates.root().display(),
    )
}
