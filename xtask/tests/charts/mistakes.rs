//! Mistakes that people make: the API server names the right word by itself, or leaves the matter to galley.

use crate::cluster::Cluster;

#[test]
fn definitions_help_their_users() {
    let Some(cluster) = Cluster::with_base() else { return };
    mistakes_are_named(&cluster);
    durations_are_what_galley_reads(&cluster);
    unknown_fields_reach_the_webhook(&cluster);
    every_kind_can_be_explained(&cluster);
    the_demos_objects_are_taken_in_every_version(&cluster);
}

fn mistakes_are_named(cluster: &Cluster) {
    let cases = [
        (
            "networking.stio.io/v1alpha3",
            "Gateway",
            "{selector: {istio: ingress}}",
            "Gateway belongs to the API group \"networking.istio.io\"; write apiVersion: networking.istio.io/v1alpha3",
        ),
        (
            "networking.istio.io/v1",
            "VirtualService",
            "{hosts: [a], http: [{match: [{uri: {prefix: /, exact: /}}]}]}",
            "spec.http[0].match[0].uri",
        ),
        ("networking.istio.io/v1", "VirtualService", "{hosts: a}", "spec.hosts: Invalid value: \"string\""),
        ("networking.istio.io/v1", "DestinationRule", "{}", "spec.host: Required value"),
        (
            "networking.istio.io/v1",
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {simple: ROUND_ROBBIN}}}",
            "spec.trafficPolicy.loadBalancer.simple: Unsupported value: \"ROUND_ROBBIN\"",
        ),
        (
            "networking.istio.io/v1",
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}}",
            "spec.trafficPolicy.loadBalancer",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            "{hosts: [a.com], endpoints: [{address: 10.0.0.1}]}",
            "NONE mode cannot set endpoints",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            "{hosts: [a.com], resolution: DNS, addresses: [10.0.0.0/8]}",
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
        ),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            "{hosts: [a.com], ports: [{number: 80, name: a}, {number: 80, name: b}]}",
            "port number cannot be duplicated",
        ),
        ("networking.istio.io/v1", "WorkloadEntry", "{labels: {app: a}}", "Address is required"),
        ("networking.istio.io/v1", "Sidecar", "{egress: [{hosts: []}]}", "spec.egress[0].hosts"),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            "{portLevelMtls: {\"80\": {mode: STRICT}}}",
            "portLevelMtls requires selector",
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            "{selector: {matchLabels: {app: a}}, portLevelMtls: {\"80000\": {mode: STRICT}}}",
            "port must be between 1-65535",
        ),
        (
            "security.istio.io/v1",
            "AuthorizationPolicy",
            "{selector: {matchLabels: {app: a}}, targetRefs: [{kind: Service, name: a}]}",
            "only one of targetRefs or selector can be set",
        ),
        (
            "security.istio.io/v1",
            "RequestAuthentication",
            "{jwtRules: [{issuer: a, jwksUri: 'ftp://a/b'}]}",
            "must be an http or https URL",
        ),
        ("extensions.istio.io/v1alpha1", "WasmPlugin", "{url: 'ftp://a'}", "url must have one of the schemes"),
        (
            "telemetry.istio.io/v1",
            "Telemetry",
            "{tracing: [{randomSamplingPercentage: 200}]}",
            "randomSamplingPercentage",
        ),
    ];
    for (version, kind, spec, message) in cases {
        let object = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let said = cluster.apply(&object).failure();
        assert!(said.contains(message), "{kind} {spec}: {said}");
    }
}

fn durations_are_what_galley_reads(cluster: &Cluster) {
    let cases = [
        ("networking", "VirtualService", "{hosts: [a], http: [{timeout: X}]}", "spec.http[0].timeout"),
        (
            "networking",
            "DestinationRule",
            "{host: a, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{outlierDetection: {interval: X}}]}}]}",
            "spec.subsets[0].trafficPolicy.portLevelSettings[0].outlierDetection.interval",
        ),
        (
            "networking",
            "Sidecar",
            "{egress: [{hosts: ['*/*']}], inboundConnectionPool: {tcp: {connectTimeout: X}}}",
            "spec.inboundConnectionPool.tcp.connectTimeout",
        ),
        (
            "security",
            "RequestAuthentication",
            "{jwtRules: [{issuer: a, jwksUri: 'https://a/b', timeout: X}]}",
            "spec.jwtRules[0].timeout",
        ),
        ("telemetry", "Telemetry", "{metrics: [{reportingInterval: X}]}", "spec.metrics[0].reportingInterval"),
    ];
    let dry_run = |group: &str, kind: &str, spec: &str, duration: &str| {
        let spec = spec.replace('X', &format!("'{duration}'"));
        let object = format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let path = cluster.file("object.yaml");
        std::fs::write(&path, object).unwrap();
        cluster.kubectl(&format!("apply --server-side --dry-run=server -f {}", path.display()))
    };
    for (group, kind, spec, field) in cases {
        for bad in ["5", "5 s", "1d", "-1s", "s", ""] {
            let said = dry_run(group, kind, spec, bad).failure();
            assert!(said.contains(&format!("{field}: Invalid value: \"{bad}\"")), "{kind} {bad:?}: {said}");
        }
        for good in ["0", "1h2m3.5s", ".5ms", "7.us", "7µs", "7μs", "1ns"] {
            dry_run(group, kind, spec, good).success();
        }
    }
}

/// The API server must not take away what it does not know: the rule would match everything, and no webhook could tell.
fn unknown_fields_reach_the_webhook(cluster: &Cluster) {
    let object = "apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match: [{url: {prefix: /a}}]
      route: [{destination: {host: reviews}, wait: 3}]
";
    // No istiod, no webhook: it is stored as it was written.
    cluster.apply(object).success();
    let stored = cluster.kubectl("get vs reviews -o yaml").success();
    assert!(stored.contains("url:") && stored.contains("wait: 3"), "{stored}");
}

fn every_kind_can_be_explained(cluster: &Cluster) {
    for field in [
        "virtualservice.spec.http.match.uri.prefix",
        "destinationrule.spec.trafficPolicy.outlierDetection.baseEjectionTime",
        "gateway.spec.servers.tls.credentialName",
        "serviceentry.spec.endpoints.address",
        "workloadentry.spec.locality",
        "workloadgroup.spec.template.serviceAccount",
        "sidecar.spec.egress.hosts",
        "envoyfilter.spec.configPatches.match.listener.filterChain.filter.name",
        "proxyconfig.spec.concurrency",
        "peerauthentication.spec.portLevelMtls",
        "authorizationpolicy.spec.rules.to.operation.paths",
        "requestauthentication.spec.jwtRules.jwksUri",
        "telemetry.spec.metrics.overrides.tagOverrides",
        "wasmplugin.spec.vmConfig.env.name",
        "trafficextension.spec.lua.inlineCode",
        "virtualservice.status.proxies.current",
    ] {
        let said = cluster.kubectl(&format!("explain {field}")).success();
        let description = said.split("DESCRIPTION:").nth(1).unwrap_or_default().trim();
        assert!(!description.is_empty() && !description.starts_with("<empty>"), "{field}: {said}");
    }
    for short in ["vs", "dr", "gw", "se", "we", "wg", "ap", "pa", "ra"] {
        cluster.kubectl(&format!("get {short}")).success();
    }
}

fn the_demos_objects_are_taken_in_every_version(cluster: &Cluster) {
    let files = std::fs::read_dir(crate::tools::root().join("e2e/yaml")).unwrap();
    for file in files.map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&file).unwrap();
        for version in ["v1", "v1beta1", "v1alpha3"] {
            // The kinds of security.istio.io have no v1alpha3.
            let text = text.replace("networking.istio.io/v1\n", &format!("networking.istio.io/{version}\n"));
            let path = cluster.file("demo.yaml");
            std::fs::write(&path, text).unwrap();
            let said = cluster.kubectl(&format!("apply --dry-run=server -f {}", path.display()));
            assert!(said.ok, "{}: {}", file.display(), said.text);
        }
    }
}
