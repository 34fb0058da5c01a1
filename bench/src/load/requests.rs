//! HTTP/1.1 by wrk, as fast as it is answered.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{CONNECTIONS, output};
use crate::peer::Target;
use crate::site::Site;

/// What becomes of a connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
}

/// How many requests were answered. A wrong answer, or none, is an error.
pub(crate) fn run(site: &Site, target: Target, after: After, lasting: Duration) -> Result<f64> {
    let mut wrk = site.load("wrk");
    wrk.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", lasting.as_secs())]);
    wrk.args(["-H", &format!("Host: {}", target.authority)]);
    if after == After::Close {
        wrk.args(["-H", "Connection: close"]);
    }
    let text = output(wrk.arg(format!("http://{}/", target.address))).context("wrk")?;
    count(&text).with_context(|| format!("wrk says:\n{text}"))
}

fn count(text: &str) -> Result<f64> {
    for wrong in ["Non-2xx", "Socket errors"] {
        if text.contains(wrong) {
            bail!("{wrong}: answers are wrong or missing");
        }
    }
    let line = text.lines().find(|line| line.contains("requests in")).context("it says nothing of requests")?;
    let count: f64 =
        line.split_whitespace().next().and_then(|count| count.parse().ok()).context("it counts nothing")?;
    if count > 0.0 { Ok(count) } else { bail!("nothing was answered") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_are_errors() {
        assert_eq!(count("  150 requests in 1.00s, 2MB read\n").unwrap(), 150.0);
        assert!(count("  0 requests in 1.00s, 2MB read\n").is_err());
        assert!(count("  150 requests in 1.00s, 2MB read\n  Non-2xx or 3xx responses: 1\n").is_err());
        assert!(count("  Socket errors: connect 0, read 1, write 0, timeout 0\n  150 requests in 1.00s\n").is_err());
    }
}
