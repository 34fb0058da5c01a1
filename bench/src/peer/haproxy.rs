//! HAProxy: no log, no routing, connections used again.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Launch, Peer, Side, Work};
use crate::site::Site;

pub(super) fn launch(site: &Site, work: Work, side: Side, directory: &Path) -> Result<Launch> {
    let door = Peer::Haproxy.listen(site, side)?;
    let upstream = Peer::Haproxy.upstream(site, work, side)?;
    let mode = if work.is_bytes() { "tcp" } else { "http" };
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn 9000\ndefaults\n  mode {mode}\n  \
         timeout client 300s\n  timeout server 300s\n  timeout connect 5s\n"
    );
    let (mut bind, mut server) = (String::new(), String::new());
    match side {
        Side::Server => bind = tls(site, work, "server"),
        Side::Client if work != Work::Hop => server = tls(site, work, "client"),
        Side::Client => {}
    }
    if work == Work::Grpc && side == Side::Server {
        server.push_str(" proto h2");
    }
    let reuse = if work.is_bytes() { "" } else { "  http-reuse always\n" };
    write!(
        text,
        "frontend door\n  bind {door}{bind}\n  default_backend next\nbackend next\n{reuse}  server next {upstream}{server}\n"
    )?;
    let file = directory.join("haproxy.cfg");
    fs::write(&file, text)?;
    Ok(Launch {
        program: "haproxy".into(),
        arguments: ["-db", "-q", "-f", &file.display().to_string()].map(str::to_owned).to_vec(),
        environment: Vec::new(),
        door,
        ready: None,
    })
}

/// Shows a certificate, and believes the authority's alone.
fn tls(site: &Site, work: Work, account: &str) -> String {
    let certificates = &site.certificates;
    let alpn = match work {
        _ if work.is_bytes() => "",
        // The server also takes HTTP/1.1, of those who test it.
        _ if work.is_http2_between() && account == "server" => " alpn h2,http/1.1",
        _ if work.is_http2_between() => " alpn h2",
        _ => " alpn http/1.1",
    };
    format!(
        " ssl crt {} ca-file {} verify required{alpn}",
        certificates.both(account).display(),
        certificates.root().display()
    )
}
