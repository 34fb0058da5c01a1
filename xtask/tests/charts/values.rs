//! What is no value, or does nothing, is refused by name.

use crate::tools::{helm, told};

#[test]
fn values_that_do_not_exist_or_do_nothing_are_named() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let cases = [
        ("base", "defaultRevison=default", "additional properties 'defaultRevison' not allowed"),
        ("base", "base.excludedCrds={a}", "at '/base': additional properties 'excludedCrds' not allowed"),
        ("base", "base.validationURL=http://a", "at '/base/validationURL'"),
        ("base", "global.istioNamespac=a", "at '/global': additional properties 'istioNamespac' not allowed"),
        ("istiod", "revison=canary", "additional properties 'revison' not allowed"),
        ("istiod", "revision=A_B", "at '/revision'"),
        ("istiod", "autoscaleMin=0", "at '/autoscaleMin'"),
        ("istiod", "autoscaleMin=two", "at '/autoscaleMin'"),
        ("istiod", "global.proxy.logLevels=info", "at '/global/proxy': additional properties 'logLevels' not allowed"),
        ("istiod", "global.proxy.logLevel=loud", "at '/global/proxy/logLevel'"),
        ("istiod", "global.logging.level=default:loud", "at '/global/logging/level'"),
        ("istiod", "global.imagePullPolicy=Sometimes", "at '/global/imagePullPolicy'"),
        ("gateway", "imagePullPolicy=Always", "at '/imagePullPolicy'"),
        ("istiod", "global.network=network1", "at '/global/network'"),
        ("istiod", "global.meshNetworks.network1.gateways[0].port=443", "at '/global/meshNetworks'"),
        ("istiod", "global.caAddress=ca:443", "at '/global/caAddress'"),
        ("istiod", "profile=ambient", "at '/profile'"),
        ("istiod", "cni.enabled=true", "at '/cni/enabled'"),
        ("istiod", "traceSampling=50", "at '/traceSampling'"),
        ("istiod", "env.PILOT_ENABLE_IP_AUTOALLOCATE=true", "at '/env/PILOT_ENABLE_IP_AUTOALLOCATE'"),
        ("istiod", "sidecarInjectorWebhook.templates.mine=x", "at '/sidecarInjectorWebhook/templates'"),
        (
            "istiod",
            "sidecarInjectorWebhook.reinvocationPolicy=Always",
            "at '/sidecarInjectorWebhook/reinvocationPolicy'",
        ),
        ("istiod", "meshConfig.trustDomian=a", "at '/meshConfig': additional properties 'trustDomian' not allowed"),
        (
            "istiod",
            "meshConfig.extensionProviders[0].name=a",
            "at '/meshConfig': additional properties 'extensionProviders'",
        ),
        ("istiod", "meshConfig.outboundTrafficPolicy.mode=ALLOW", "at '/meshConfig/outboundTrafficPolicy/mode'"),
        ("istiod", "meshConfig.enableAutoMtls=maybe", "at '/meshConfig/enableAutoMtls'"),
        ("istiod", "meshConfig.connectTimeout=10 s", "at '/meshConfig/connectTimeout'"),
        ("gateway", "servce.type=NodePort", "additional properties 'servce' not allowed"),
        ("gateway", "service.type=Nodeport", "at '/service/type'"),
        ("gateway", "service.ports[0].port=99999", "at '/service/ports/0/port'"),
        ("gateway", "networkGateway=network1", "at '/networkGateway'"),
        ("gateway", "autoscaling.minReplicas=none", "at '/autoscaling/minReplicas'"),
        ("gateway", "imagePullSecrets={registry}", "at '/imagePullSecrets/0'"),
    ];
    for (chart, value, message) in cases {
        let said = helm(&["template", "a", &format!("charts/{chart}"), "--set", value]).failure();
        assert!(said.contains(message), "{chart} {value}: {said}");
    }
}

#[test]
fn what_the_injector_cannot_use_is_refused_before_it_is_installed() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let proxies = "meshConfig.defaultConfig";
    let pods = "sidecarInjectorWebhook";
    let cases = [
        ("global.proxy", "clusterDomain", "corp.example"),
        ("global.proxy", "componentLogLevel", "http:debug"),
        ("global.proxy", "includeInboundPorts", "http"),
        ("global.proxy", "includeInboundPorts", "*\\,80"),
        ("global.proxy", "excludeInboundPorts", "*"),
        ("global.proxy", "excludeInboundPorts", "80\\,70000"),
        ("global.proxy", "excludeOutboundPorts", "*"),
        ("global.proxy", "excludeOutboundPorts", "0"),
        ("global.proxy", "includeOutboundPorts", "*"),
        ("global.proxy", "includeOutboundPorts", "80 81"),
        ("global.proxy", "includeIPRanges", "10.0.0.1"),
        ("global.proxy", "excludeIPRanges", "*"),
        ("global.proxy", "excludeIPRanges", "10.0.0.0/8\\,10.0.0.1"),
        ("global", "istioNamespace", "istio system"),
        (pods, "defaultTemplates", "{sidecar,gateway}"),
        (pods, "neverInjectSelector[0].matchLables.app", "web"),
        (pods, "alwaysInjectSelector[0].matchExpressions[0].operator", "Like"),
        (pods, "injectedAnnotations.sidecar\\.istio\\.io/logLevel", "debug"),
        (proxies, "concurrency", "1025"),
        (proxies, "discoveryAddress", "istiod"),
        (proxies, "image.imageType", "tiny"),
        (proxies, "proxyAdminPort", "0"),
        (proxies, "statusPort", "0"),
        (proxies, "proxyMetadata.POD_NAME", "x"),
        (proxies, "proxyMetadata.MINIMUM_DRAIN_DURATION", "60s"),
        (proxies, "proxyMetadata.OUTPUT_CERTS", "/etc/certs"),
        (proxies, "proxyMetadata.A B", "x"),
    ];
    for (place, name, value) in cases {
        // Ports and counts are numbers in these places, and text in all others.
        let option = if value.parse::<u16>().is_ok() && place == proxies { "--set" } else { "--set-string" };
        let option = if value.starts_with('{') { "--set" } else { option };
        let said = helm(&["template", "a", "charts/istiod", option, &format!("{place}.{name}={value}")]).failure();
        let top = format!("at '/{}", place.replace('.', "/"));
        assert!(said.contains(&top), "{place}.{name}={value}: {said}");
    }
}

#[test]
fn what_the_injector_can_use_is_installed() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let values = [
        "global.proxy.includeInboundPorts=80\\, 65535",
        "global.proxy.excludeInboundPorts=15000\\,",
        "global.proxy.includeOutboundPorts=443",
        "global.proxy.excludeOutboundPorts=",
        "global.proxy.includeIPRanges=10.0.0.0/8\\,fd00::/8",
        "global.proxy.excludeIPRanges=192.168.0.0/16",
        "meshConfig.defaultConfig.discoveryAddress=istiod.mesh.svc:15012",
        "meshConfig.defaultConfig.image.imageType=debug",
        "meshConfig.defaultConfig.proxyMetadata.MINIMUM_DRAIN_DURATION=5s",
        "meshConfig.defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE=false",
        "meshConfig.defaultConfig.proxyMetadata.MINE=x",
    ];
    let mut arguments = vec!["template", "istiod", "charts/istiod", "--namespace", "istio-system"];
    values.iter().for_each(|value| arguments.extend(["--set-string", value]));
    helm(&arguments).success();
}

#[test]
fn defaults_that_istios_chart_writes_out_are_taken() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    // Values files are often Istio's own, with a few lines changed.
    let same = [
        "global.network=",
        "global.caAddress=",
        "global.multiCluster.enabled=false",
        "global.pilotCertProvider=istiod",
        "global.proxy.tracer=none",
        "profile=",
        "cni.enabled=false",
        "telemetry.enabled=true",
        "traceSampling=1.0",
        "global.multiCluster.clusterName=",
        "telemetry.v2.enabled=true",
        "telemetry.v2.prometheus.enabled=true",
        "telemetry.v2.stackdriver.enabled=false",
        "experimental.stableValidationPolicy=false",
        "ownerName=",
        "trustedZtunnelNamespace=",
        "trustedZtunnelName=",
        "istiodRemote.enabled=false",
        "istiodRemote.injectionURL=",
        "istiodRemote.injectionPath=/inject",
        "istiodRemote.injectionCABundle=",
        "taint.enabled=false",
        "taint.namespace=",
        "base.enableIstioConfigCRDs=true",
        "global.istiod.enableAnalysis=false",
        "global.sts.servicePort=0",
        "global.waypoint.resources.requests.cpu=100m",
    ];
    let mut arguments = vec!["template", "istiod", "charts/istiod", "--namespace", "istio-system"];
    same.iter().for_each(|value| arguments.extend(["--set", value]));
    helm(&arguments).success();
}

#[test]
fn a_revision_named_default_is_the_one_without_a_name() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let rendered = |values: &[&str]| {
        let mut arguments = vec!["template", "istiod", "charts/istiod", "--namespace", "istio-system"];
        values.iter().for_each(|value| arguments.extend(["--set", value]));
        helm(&arguments).success()
    };
    // istiod looks for its settings, its account's rights and its Service by the same names in both cases.
    let others = ["revisionTags={prod}", "sidecarInjectorWebhook.enableNamespacesByDefault=true"];
    let named = rendered(&[&others[..], &["revision=default"]].concat());
    assert_eq!(named.replace("\"revision\": \"default\"", "\"revision\": \"\""), rendered(&others));
}

#[test]
fn a_control_plane_where_its_proxies_would_not_look_for_it_is_refused() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let said = helm(&["template", "istiod", "charts/istiod", "--namespace", "mesh"]).failure();
    assert!(said.contains("set global.istioNamespace=mesh, here and for the chart base"), "{said}");
    // What base tells people to do next is right, wherever its own release is.
    for namespace in ["istio-system", "mesh"] {
        let value = format!("global.istioNamespace={namespace}");
        let base =
            ["install", "istio-base", "charts/base", "--namespace", "default", "--dry-run=client", "--set", &value];
        let said = helm(&base).success();
        let next = said.lines().find_map(|line| line.trim().strip_prefix("helm install ")).unwrap();
        assert!(next.contains(&format!("--namespace {namespace} ")), "{next}");
        let next = next.split(' ').filter(|word| *word != "--wait");
        let next: Vec<&str> = std::iter::once("template").chain(next).collect();
        helm(&next).success();
    }
}

#[test]
fn two_values_take_validation_away() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let validates = |chart: &str, value: &str| {
        let rendered = helm(&["template", "a", chart, "--namespace", "istio-system", "--set", value]).success();
        rendered.contains("\nkind: ValidatingWebhookConfiguration\n")
    };
    for (chart, on, off) in [
        ("charts/istiod", "global.configValidation=true", "global.configValidation=false"),
        ("charts/base", "defaultRevision=default", "defaultRevision="),
    ] {
        assert!(validates(chart, on) && !validates(chart, off), "{chart}");
    }
}
