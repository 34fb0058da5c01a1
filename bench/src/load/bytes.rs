//! Bytes by iperf3, as fast as they are taken.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::output;
use crate::peer::Target;
use crate::site::Site;

/// Sends for some time on so many connections; says how much the origin received, in GB (10⁹ bytes) a second.
pub(crate) fn run(site: &Site, target: Target, connections: usize, lasting: Duration) -> Result<f64> {
    let mut iperf3 = site.load("iperf3");
    iperf3.args(["--json", "--client", &target.address.ip().to_string()]);
    iperf3.args(["--port", &target.address.port().to_string(), "--parallel", &connections.to_string()]);
    let text = output(iperf3.args(["--time", &lasting.as_secs().to_string()])).context("iperf3")?;
    let answer: Value = serde_json::from_str(&text).context("iperf3")?;
    let bits = answer["end"]["sum_received"]["bits_per_second"].as_f64();
    let bits = bits.with_context(|| format!("iperf3 received nothing: {}", answer["error"]))?;
    Ok(bits / 8e9)
}
