//! The environment, read whole before the first failure is reported.

use std::env;

/// Reads variables and keeps what is wrong with them.
#[derive(Default)]
pub(super) struct Reader(pub(super) Vec<String>);

impl Reader {
    pub(super) fn problem(&mut self, problem: String) {
        self.0.push(problem);
    }

    pub(super) fn optional(&mut self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }

    pub(super) fn text(&mut self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn required(&mut self, name: &str, meaning: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name} is not set: {meaning}"));
        }
        value
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.optional(name)?;
        serde_json::from_str(&text).map_err(|error| self.problem(format!("{name}: {error}"))).ok()
    }

    /// Processors that the container may use, rounded up; `None` without a limit.
    pub(super) fn cpu_limit(&mut self) -> Option<usize> {
        let text = self.optional("ISTIO_CPU_LIMIT")?;
        match text.parse() {
            Ok(limit) => Some(limit).filter(|limit| *limit > 0),
            Err(_) => {
                self.problem(format!("ISTIO_CPU_LIMIT: {text:?} is no whole number of processors"));
                None
            }
        }
    }

    /// A whole number of seconds.
    pub(super) fn seconds(&mut self, name: &str, default: std::time::Duration) -> std::time::Duration {
        let Some(text) = self.optional(name) else { return default };
        text.parse().map(std::time::Duration::from_secs).unwrap_or_else(|_| {
            self.problem(format!("{name}: {text:?} is no whole number of seconds"));
            default
        })
    }

    /// A duration as Istio's objects write it; Istio's default is 5 s.
    pub(super) fn duration(&mut self, name: &str, text: Option<&str>) -> std::time::Duration {
        const DEFAULT: std::time::Duration = std::time::Duration::from_secs(5);
        const MOST: std::time::Duration = std::time::Duration::from_hours(24);
        let Some(text) = text else { return DEFAULT };
        match mesh_types::duration::parse(text) {
            Some(duration) => duration.min(MOST),
            None => {
                self.problem(format!("PROXY_CONFIG: {name}: {text:?} is no duration such as 45s or 1m30s"));
                DEFAULT
            }
        }
    }
}
