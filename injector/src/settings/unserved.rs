//! Values of Istio's chart that ask for what is not served. They are refused by name, so that nobody relies on them.

use serde_json::Value;

/// A value, the settings of it that ask for nothing, and what to say about any other.
struct Unserved {
    pointer: &'static str,
    harmless: &'static [&'static str],
    because: &'static str,
}

const UNSERVED: &[Unserved] = &[
    Unserved { pointer: "/pilot/cni/enabled", harmless: &["false"], because: CNI },
    Unserved { pointer: "/cni/enabled", harmless: &["false"], because: CNI },
    Unserved { pointer: "/istio_cni/enabled", harmless: &["false"], because: CNI },
    Unserved {
        pointer: "/global/nativeNftables",
        harmless: &["false"],
        because: "istio-init writes its rules by iptables",
    },
    Unserved {
        pointer: "/global/mountMtlsCerts",
        harmless: &["false"],
        because: "certificates come from istiod and are never mounted",
    },
    Unserved {
        pointer: "/global/platform",
        harmless: &["", "gke", "k3d", "k3s", "microk8s", "minikube"],
        because: "the proxy runs as user 1337 on every platform",
    },
    Unserved {
        pointer: "/global/caName",
        harmless: &["", "Citadel"],
        because: "istiod is the only certificate authority",
    },
    Unserved { pointer: "/global/certSigners", harmless: &["[]"], because: "istiod is the only certificate authority" },
    Unserved {
        pointer: "/global/pilotCertProvider",
        harmless: &["", "istiod"],
        because: "istiod signs its own certificate; use istiod",
    },
    Unserved {
        pointer: "/global/sds/token/aud",
        harmless: &["", "istio-ca"],
        because: "istiod believes tokens for the audience istio-ca only",
    },
    Unserved { pointer: "/global/sts/servicePort", harmless: &["0"], because: "there is no token exchange" },
    Unserved {
        pointer: "/global/podDNSSearchNamespaces",
        harmless: &["[]"],
        because: "search domains of pods are left alone",
    },
    Unserved {
        pointer: "/global/proxy/tracer",
        harmless: &["", "none"],
        because: "tracing is configured by MeshConfig and Telemetry",
    },
    Unserved {
        pointer: "/global/proxy/enableCoreDump",
        harmless: &["false"],
        because: "the proxy writes no core dumps",
    },
    Unserved {
        pointer: "/global/proxy/outlierLogPath",
        harmless: &[""],
        because: "the proxy writes no log of outlier detection",
    },
    Unserved {
        pointer: "/sidecarInjectorWebhook/templates",
        harmless: &["{}"],
        because: "templates in Go's template language are not served; the templates are sidecar and gateway",
    },
];

const CNI: &str = "there is no CNI plugin: istio-init redirects traffic";

/// What the values ask for that is not served.
pub(super) fn asked_for(values: &Value) -> impl Iterator<Item = String> {
    UNSERVED.iter().filter_map(|unserved| {
        let value = values.pointer(unserved.pointer)?;
        let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let asks = !unserved.harmless.contains(&written.as_str());
        let path = unserved.pointer.trim_start_matches('/').replace('/', ".");
        asks.then(|| format!("values: {path}: {written} is not served: {}", unserved.because))
    })
}
