//! What is said of objects that are not right.

fn said(kind: &str, spec: &str) -> Vec<String> {
    let group = if kind == "AuthorizationPolicy" { "security" } else { "networking" };
    let text = format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    let loaded = crate::load(&"f.yaml".into(), &text);
    loaded.diagnostics.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let unserved = "is not supported by this version";
    let cases = [
        ("AuthorizationPolicy", "{action: CUSTOM}", "spec.action"),
        (
            "AuthorizationPolicy",
            "{rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}",
            "spec.rules[0].when[0].key",
        ),
        (
            "DestinationRule",
            "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: true}}}}",
            "spec.trafficPolicy.loadBalancer.localityLbSetting",
        ),
        (
            "Gateway",
            "{servers: [{port: {number: 443, protocol: TLS}, hosts: ['*'], tls: {mode: AUTO_PASSTHROUGH}}]}",
            "spec.servers[0].tls.mode",
        ),
        ("Sidecar", "{egress: [{port: {number: 80, protocol: HTTP}, hosts: ['*/*']}]}", "spec.egress[0].port"),
        ("Sidecar", "{ingress: [{port: {number: 80, protocol: HTTP}}]}", "spec.ingress"),
    ];
    for (kind, spec, path) in cases {
        assert_eq!(said(kind, spec), [format!("{path}: {unserved}")], "{kind} {spec}");
    }
    assert!(said("Sidecar", "{egress: [{hosts: ['*/*']}]}").is_empty());
    let host = said("Sidecar", "{egress: [{hosts: ['reviews']}]}");
    assert_eq!(host, ["spec.egress[0].hosts[0]: must be namespace/host, such as ./* or istio-system/*"]);
    assert!(said("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM}}}").is_empty());
}

#[test]
fn rules_must_say_what_is_done() {
    let none = said("VirtualService", "{hosts: [a], http: [{match: [{uri: {prefix: /}}]}]}");
    assert_eq!(none, ["spec.http[0]: one of route, redirect, directResponse and delegate must be set"]);
    let regex =
        said("VirtualService", "{hosts: [a], http: [{match: [{uri: {regex: '['}}], directResponse: {status: 200}}]}");
    assert!(regex[0].starts_with("spec.http[0].match[0].uri: \"[\" is no regular expression"), "{regex:?}");
    let tls = said(
        "VirtualService",
        "{hosts: ['*.example.com'], tls: [{match: [{sniHosts: [a.example.com, other.org], destinationSubnets: [here]}], route: [{destination: {host: a}}]}]}",
    );
    assert_eq!(
        tls,
        [
            "spec.tls[0].match[0].sniHosts[1]: \"other.org\" is not within spec.hosts",
            "spec.tls[0].match[0].destinationSubnets[0]: \"here\" is neither an address nor a network such as 10.0.0.0/8",
        ]
    );
    let gateway = said(
        "Gateway",
        "{servers: [{port: {number: 443, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, minProtocolVersion: TLSV1_0}}, {port: {number: 80, protocol: HTP}, hosts: [a]}]}",
    );
    assert_eq!(
        gateway,
        [
            "spec.servers[0].tls.credentialName: must be set, or serverCertificate and privateKey",
            "spec.servers[0].tls.minProtocolVersion: is older than TLS 1.2, which is the least that is spoken",
            "spec.servers[1].port.protocol: \"HTP\" is no protocol of a gateway",
        ]
    );
}
