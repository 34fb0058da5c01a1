//! What the injector must know about the cluster.

use std::fmt;
use std::str::FromStr;

/// Facts about the cluster, and what the operator says about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Version of the oldest kubelet; `None` if it is not known.
    pub oldest_kubelet: Option<KubernetesVersion>,
    /// Whether the proxy is a native sidecar (istiod's `ENABLE_NATIVE_SIDECARS`).
    pub native_sidecars: NativeSidecars,
}

/// Whether the proxy is a native sidecar: an init container that keeps running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeSidecars {
    /// Where every kubelet has them for good, as in Istio.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Facts {
    /// Native sidecars are generally available from here; `auto` begins with it, as in Istio.
    const STABLE: KubernetesVersion = KubernetesVersion { major: 1, minor: 33 };
    /// Before this an init container that keeps running would block the pod for ever.
    const FIRST: KubernetesVersion = KubernetesVersion { major: 1, minor: 29 };

    /// Whether pods that do not say have native sidecars.
    pub(crate) fn prefers_native(&self) -> bool {
        match self.native_sidecars {
            NativeSidecars::Always => true,
            NativeSidecars::Never => false,
            NativeSidecars::Auto => self.oldest_kubelet.is_some_and(|version| version >= Self::STABLE),
        }
    }

    /// False if a kubelet is known that does not run native sidecars.
    pub(crate) fn can_be_native(&self) -> bool {
        self.oldest_kubelet.is_none_or(|version| version >= Self::FIRST)
    }
}

impl FromStr for NativeSidecars {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "" | "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Always),
            "false" => Ok(Self::Never),
            other => Err(format!("{other:?} is none of auto, true, false")),
        }
    }
}

/// A version of Kubernetes, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// 1.
    pub major: u32,
    /// 33 in `v1.33.2`.
    pub minor: u32,
}

/// A text that is no version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of Kubernetes such as v1.33.2")]
pub struct UnreadableVersion(String);

impl FromStr for KubernetesVersion {
    type Err = UnreadableVersion;

    /// `v1.33.2`, `1.33`, `v1.33.2-gke.100`, `1.33+`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let digits = |part: Option<&str>| {
            let part = part?;
            part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
        };
        match (digits(parts.next()), digits(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(UnreadableVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_clusters_write_them() {
        let read = |text: &str| text.parse::<KubernetesVersion>().map(|version| version.to_string()).ok();
        for (text, want) in [
            ("v1.33.2", Some("1.33")),
            ("1.29", Some("1.29")),
            ("v1.31.5-gke.1023000", Some("1.31")),
            ("1.30+", Some("1.30")),
            ("", None),
            ("1", None),
            ("latest", None),
            ("1.x", None),
        ] {
            assert_eq!(read(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn native_sidecars_follow_the_oldest_kubelet() {
        let facts = |version: Option<&str>, native_sidecars| {
            let oldest_kubelet = version.map(|version| version.parse().unwrap());
            let facts = Facts { oldest_kubelet, native_sidecars };
            (facts.prefers_native(), facts.can_be_native())
        };
        assert_eq!(facts(None, NativeSidecars::Auto), (false, true));
        assert_eq!(facts(Some("1.28"), NativeSidecars::Auto), (false, false));
        assert_eq!(facts(Some("1.32"), NativeSidecars::Auto), (false, true));
        assert_eq!(facts(Some("1.33"), NativeSidecars::Auto), (true, true));
        assert_eq!(facts(Some("1.40"), NativeSidecars::Never), (false, true));
        assert_eq!(facts(None, NativeSidecars::Always), (true, true));
    }
}
