//! The names of annotations under Istio's prefixes, and those that ask for what is not served.

/// Prefixes under which every annotation of a pod is for the injector.
const PREFIXES: &[&str] = &[
    "inject.istio.io/",
    "prometheus.istio.io/",
    "proxy.istio.io/",
    "readiness.status.sidecar.istio.io/",
    "sidecar.istio.io/",
    "status.sidecar.istio.io/",
    "traffic.sidecar.istio.io/",
];

/// What is understood.
const SERVED: &[&str] = &[
    "inject.istio.io/templates",
    "istio.io/reroute-virtual-interfaces",
    "prometheus.istio.io/merge-metrics",
    super::PROXY_CONFIG,
    super::OVERRIDES,
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/capNetBindService",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/discoveryAddress",
    crate::decide::INJECT,
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    super::PROXY_IMAGE,
    super::PROXY_IMAGE_TYPE,
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/rewriteAppHTTPProbers",
    super::STATUS,
    super::USER_VOLUME,
    "sidecar.istio.io/userVolumeMount",
    "status.sidecar.istio.io/port",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/kubevirtInterfaces",
];

/// What Istio has and this mesh has not, and why.
const UNSERVED: &[(&str, &str)] = &[
    ("prometheus.istio.io/scrape-targets", "one target a pod is merged: prometheus.io/port and prometheus.io/path"),
    (
        "readiness.status.sidecar.istio.io/applicationPorts",
        "the proxy is ready once it is configured for all ports; remove it",
    ),
    ("sidecar.istio.io/bootstrapOverride", "the proxy has no bootstrap that could be overridden"),
    ("sidecar.istio.io/enableCoreDump", "the proxy writes no core dumps"),
    ("sidecar.istio.io/extraStatTags", STATS),
    ("sidecar.istio.io/statsHistogramBins", STATS),
    ("sidecar.istio.io/statsHistogramBuckets", STATS),
];

const STATS: &str = "the proxy has Istio's metrics, in Istio's shape; remove it";

/// What chooses among Envoy's statistics: where there are none a pod is right all the same.
const WITHOUT_EFFECT: &[&str] = &[
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/statsFlushInterval",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionRegexps",
    "sidecar.istio.io/statsInclusionSuffixes",
];

/// True for an annotation that is taken though it does nothing here.
pub(crate) fn is_without_effect(name: &str) -> bool {
    WITHOUT_EFFECT.contains(&name)
}

/// True if the injector looks at annotations of this name.
pub(crate) fn is_read(name: &str) -> bool {
    SERVED.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The name, if it is one that is served; `None` if it is for others.
///
/// # Errors
/// If it is not served, or does not exist.
pub(super) fn check(name: &str, value: &str) -> Result<Option<&'static str>, String> {
    if let Some(served) = SERVED.iter().find(|served| **served == name) {
        return Ok(Some(served));
    }
    if let Some((_, because)) = UNSERVED.iter().find(|(unserved, _)| *unserved == name) {
        return if value == "false" { Ok(None) } else { Err(format!("is not served: {because}")) };
    }
    if !is_read(name) || is_without_effect(name) {
        return Ok(None);
    }
    Err(match did_you_mean(name, SERVED) {
        Some(known) => format!("there is no such annotation; did you mean {known}?"),
        None => "there is no such annotation".to_owned(),
    })
}

/// The word among `known` that was probably meant: equal but for case, or few typing errors away.
pub(crate) fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 100;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let (errors, best) = known.iter().map(|candidate| (distance(candidate), *candidate)).min()?;
    (errors <= 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_refused_or_for_others() {
        assert!(matches!(check("sidecar.istio.io/proxyCPU", "1"), Ok(Some(_))));
        assert_eq!(check("prometheus.io/port", "80"), Ok(None));
        assert_eq!(check("istio.io/rev", "x"), Ok(None));
        assert_eq!(
            check("sidecar.istio.io/proxyCpu", "1").unwrap_err(),
            "there is no such annotation; did you mean sidecar.istio.io/proxyCPU?"
        );
        assert_eq!(
            check("traffic.sidecar.istio.io/excludeOutboundPort", "1").unwrap_err(),
            "there is no such annotation; did you mean traffic.sidecar.istio.io/excludeOutboundPorts?"
        );
        assert_eq!(check("sidecar.istio.io/statsInclusionPrefixes", "cluster"), Ok(None));
        assert!(check("sidecar.istio.io/bootstrapOverride", "map").unwrap_err().starts_with("is not served"));
    }

    #[test]
    fn every_name_is_in_one_list_only() {
        assert!(UNSERVED.iter().all(|(name, _)| !SERVED.contains(name) && !is_without_effect(name)));
        assert!(SERVED.iter().all(|name| !is_without_effect(name)));
        assert!(SERVED.is_sorted());
    }
}
