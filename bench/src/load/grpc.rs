//! gRPC calls of one small message by h2load, one at a time on each connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{CONNECTIONS, output};
use crate::peer::Target;
use crate::site::Site;

/// A message of one string, such as greeters are asked.
const MESSAGE: &[u8] = b"\x00\x00\x00\x00\x07\x0a\x05world";

/// How many calls were answered. A wrong answer, or none, is an error.
pub(crate) fn run(site: &Site, target: Target, lasting: Duration) -> Result<f64> {
    let message = site.directory("message")?.join("message");
    std::fs::write(&message, MESSAGE)?;
    let mut h2load = site.load("h2load");
    h2load.args(["--threads=1", &format!("--clients={CONNECTIONS}"), "--max-concurrent-streams=1"]);
    h2load.arg(format!("--duration={}", lasting.as_secs())).arg("--data").arg(&message);
    for header in ["te: trailers", "content-type: application/grpc", "user-agent: grpc-bench/1"] {
        h2load.args(["--header", header]);
    }
    h2load.args(["--header", &format!(":authority: {}", target.authority)]);
    let text = output(h2load.arg(format!("http://{}/", target.address))).context("h2load")?;
    count(&text).with_context(|| format!("h2load says:\n{text}"))
}

/// `requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout`
fn count(text: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("requests: ")).context("it says nothing of requests")?;
    let number = |name: &str| {
        let field = line.split(", ").find_map(|field| field.strip_suffix(name)?.trim().parse::<f64>().ok());
        field.with_context(|| format!("it does not say how many {name}"))
    };
    let (succeeded, failed, errored) = (number("succeeded")?, number("failed")?, number("errored")?);
    ensure!(failed + errored == 0.0, "calls failed");
    ensure!(succeeded > 0.0, "no call was answered");
    Ok(succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_calls_are_errors() {
        let line = |failed| {
            format!("x\nrequests: 12 total, 12 started, 12 done, 11 succeeded, {failed} failed, 0 errored, 0 timeout\n")
        };
        assert_eq!(count(&line(0)).unwrap(), 11.0);
        assert!(count(&line(1)).is_err());
        assert!(count("").is_err());
    }
}
