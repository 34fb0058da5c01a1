//! nginx: no log, no routing, connections used again. It tests host names in certificates, since it knows no SPIFFE.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::{Launch, Peer, Side, Work};
use crate::certificates::HOST;
use crate::site::Site;

pub(super) fn launch(site: &Site, work: Work, side: Side, directory: &Path) -> Result<Launch> {
    if !matches!(work, Work::Hop | Work::Http1) {
        bail!("nginx is measured with HTTP/1.1 alone");
    }
    let door = Peer::Nginx.listen(site, side)?;
    let upstream = Peer::Nginx.upstream(site, work, side)?;
    let certificates = &site.certificates;
    let root = certificates.root();
    let (listen, scheme, tls) = match side {
        Side::Server => {
            let (chain, key) = (certificates.chain("host"), certificates.key("host"));
            let tls = format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client on; ssl_protocols TLSv1.3;",
                chain.display(),
                key.display(),
                root.display()
            );
            (" ssl", "http", tls)
        }
        Side::Client if work == Work::Hop => ("", "http", String::new()),
        Side::Client => {
            let (chain, key) = (certificates.chain("client"), certificates.key("client"));
            let tls = format!(
                "proxy_ssl_certificate {}; proxy_ssl_certificate_key {}; proxy_ssl_trusted_certificate {}; \
                 proxy_ssl_verify on; proxy_ssl_name {HOST}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;",
                chain.display(),
                key.display(),
                root.display()
            );
            ("", "https", tls)
        }
    };
    let place = directory.display();
    let text = format!(
        "daemon off; master_process off; worker_processes 1; pid {place}/nginx.pid; error_log stderr;
events {{ worker_connections 9000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  upstream next {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen {door}{listen};
    {tls}
    location / {{ proxy_pass {scheme}://next; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
  }}
}}
"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, text)?;
    Ok(Launch {
        program: "nginx".into(),
        arguments: ["-e", "stderr", "-c", &file.display().to_string()].map(str::to_owned).to_vec(),
        environment: Vec::new(),
        door,
        ready: None,
    })
}
