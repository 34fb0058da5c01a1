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

/// Rules of a VirtualService and what is said of them.
fn said_of_rule(rule: &str) -> Vec<String> {
    let said = said("VirtualService", &format!("{{hosts: [a], http: [{rule}]}}"));
    said.iter().map(|one| one.strip_prefix("spec.http[0]").unwrap_or(one).to_owned()).collect()
}

#[test]
fn http_rules_hold_nothing_that_is_not_done() {
    let to = "route: [{destination: {host: a}}]";
    let cases = [
        (
            format!("{{{to}, retries: {{attempts: 1, retryOn: '5xx,retriable-headers'}}}}"),
            ".retries.retryOn: \"retriable-headers\" is not supported",
        ),
        (
            format!("{{{to}, retries: {{attempts: 1, retryRemoteLocalities: true}}}}"),
            ".retries.retryRemoteLocalities: is not supported",
        ),
        (format!("{{{to}, match: [{{statPrefix: a}}]}}"), ".match[0].statPrefix: is not supported"),
        (format!("{{{to}, match: [{{method: {{regex: '['}}}}]}}"), ".match[0].method: \"[\" is no regular expression"),
        (format!("{{{to}, match: [{{queryParams: {{a: {{regex: '['}}}}}}]}}"), ".match[0].queryParams"),
        (format!("{{{to}, match: [{{withoutHeaders: {{a: {{regex: '['}}}}}}]}}"), ".match[0].withoutHeaders"),
        (
            format!("{{{to}, corsPolicy: {{allowOrigins: [{{regex: '['}}]}}}}"),
            ".corsPolicy.allowOrigins[0]: \"[\" is no regular",
        ),
        (format!("{{{to}, corsPolicy: {{maxAge: 1500ms}}}}"), ".corsPolicy.maxAge: must be whole seconds"),
        (
            format!("{{{to}, rewrite: {{uriRegexRewrite: {{match: '[', rewrite: a}}}}}}"),
            ".rewrite.uriRegexRewrite.match: \"[\" is no",
        ),
        (format!("{{{to}, headers: {{request: {{set: {{a: '%HOSTNAME%'}}}}}}}}"), ".headers.request.set"),
        (format!("{{{to}, headers: {{response: {{add: {{a: '%REQ(b)%'}}}}}}}}"), ".headers.response.add"),
        (
            "{route: [{destination: {host: a}, headers: {request: {add: {a: '50%'}}}}]}".to_owned(),
            ".route[0].headers.request.add",
        ),
        (format!("{{{to}, fault: {{}}}}"), ".fault: one of delay and abort must be set"),
        (format!("{{{to}, fault: {{delay: {{percent: 1}}}}}}"), ".fault.delay.fixedDelay: must be set"),
        (format!("{{{to}, fault: {{abort: {{}}}}}}"), ".fault.abort: one of httpStatus and grpcStatus must be set"),
        (
            format!("{{{to}, fault: {{abort: {{grpcStatus: BUSY}}}}}}"),
            ".fault.abort.grpcStatus: \"BUSY\" is no status of gRPC",
        ),
        (
            format!("{{{to}, fault: {{abort: {{httpStatus: 99}}}}}}"),
            ".fault.abort.httpStatus: 99 is not within 200 to 599",
        ),
        (
            format!("{{{to}, mirror: {{host: b}}, mirrors: [{{destination: {{host: c}}}}]}}"),
            ".mirrors: must not be set with mirror",
        ),
        ("{directResponse: {status: 100}}".to_owned(), ".directResponse.status: 100 is not within 200 to 599"),
        (
            "{directResponse: {status: 200}, rewrite: {uri: /a}}".to_owned(),
            ".rewrite: must not be set with redirect or directResponse",
        ),
        ("{redirect: {redirectCode: 305}}".to_owned(), ".redirect.redirectCode: must be 301, 302, 303, 307 or 308"),
        ("{redirect: {uri: /a, prefixRewrite: /b}}".to_owned(), ".redirect.prefixRewrite: must not be set with uri"),
        (
            "{redirect: {port: 1, derivePort: FROM_REQUEST_PORT}}".to_owned(),
            ".redirect.derivePort: must not be set with port",
        ),
    ];
    for (rule, want) in cases {
        let said = said_of_rule(&rule);
        assert!(said.len() == 1 && said[0].starts_with(want), "{rule}: {said:?}");
    }
    let served = [
        format!(
            "{{{to}, retries: {{attempts: 1, retryOn: '503, gateway-error,reset'}}, match: [{{headers: {{a: {{regex: '*'}}}}}}]}}"
        ),
        format!(
            "{{{to}, headers: {{request: {{set: {{a: 'x%%%REQ(b):3%'}}}}, response: {{add: {{b: '%DOWNSTREAM_LOCAL_PORT%'}}}}}}}}"
        ),
        format!(
            "{{{to}, fault: {{abort: {{grpcStatus: UNAVAILABLE}}, delay: {{fixedDelay: 1s}}}}, corsPolicy: {{maxAge: 60s}}}}"
        ),
        "{redirect: {redirectCode: 308, derivePort: FROM_PROTOCOL_DEFAULT}, fault: {abort: {httpStatus: 500}}}"
            .to_owned(),
    ];
    for rule in served {
        assert!(said_of_rule(&rule).is_empty(), "{rule}: {:?}", said_of_rule(&rule));
    }
}

#[test]
fn delegates_have_rules_and_nothing_else() {
    let rule = "http: [{route: [{destination: {host: a}}]}]";
    assert!(said("VirtualService", &format!("{{{rule}}}")).is_empty());
    assert_eq!(
        said("VirtualService", "{gateways: [edge], http: [{delegate: {name: b}}]}"),
        [
            "spec.gateways: must not be set without hosts, in a delegate",
            "spec.http[0].delegate: must not be set without hosts: a delegate has no delegates",
        ]
    );
    let everything = said("VirtualService", &format!("{{hosts: ['*'], {rule}}}"));
    assert!(everything[0].starts_with("spec.hosts[0]: \"*\" is only for gateways"), "{everything:?}");
    assert!(said("VirtualService", &format!("{{hosts: ['*'], gateways: [edge], {rule}}}")).is_empty());
}

#[test]
fn servers_say_what_they_can_do() {
    let server = |port: &str, tls: &str| {
        let said =
            said("Gateway", &format!("{{servers: [{{port: {{number: 443, {port}}}, hosts: [a], tls: {tls}}}]}}"));
        said.iter().map(|one| one.strip_prefix("spec.servers[0].").unwrap_or(one).to_owned()).collect::<Vec<_>>()
    };
    let https = "protocol: HTTPS";
    assert!(server(https, "{mode: SIMPLE, credentialName: 'kubernetes://a'}").is_empty());
    assert_eq!(
        server(https, "{mode: SIMPLE, credentialName: 'sds://a'}"),
        ["tls.credentialName: \"sds://a\" is not supported; it must be a secret's name, perhaps after kubernetes://"]
    );
    assert_eq!(
        server(https, "{mode: SIMPLE, httpsRedirect: true, credentialName: a, credentialNames: [b, c, d]}"),
        [
            "tls.httpsRedirect: is for servers whose protocol is HTTP",
            "tls.credentialNames: must not be set with credentialName",
            "tls.credentialNames: must be at most two",
        ]
    );
    assert!(server("protocol: HTTP", "{httpsRedirect: true}").is_empty());
    assert_eq!(
        server("protocol: HTTP", "{mode: SIMPLE, credentialName: a}"),
        ["tls: can only have httpsRedirect where the protocol is HTTP; HTTPS has the rest"]
    );
    assert_eq!(server("protocol: UDP", "{mode: PASSTHROUGH}"), ["port.protocol: is not supported by this version"]);
    let twice = "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a]}, {port: {number: 81, name: a, protocol: HTTP}, hosts: [a]}]}";
    assert_eq!(said("Gateway", twice), ["spec.servers[1].port.name: \"a\" is the name of another server's port"]);
}

#[test]
fn settings_of_the_mesh_are_checked() {
    let said = |mesh: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    {mesh}\n"
        );
        let loaded = crate::load(&"f.yaml".into(), &text);
        loaded.diagnostics.iter().map(|one| format!("{}: {}", one.path, one.message)).collect::<Vec<_>>()
    };
    let words = said("defaultHttpRetryPolicy: {attempts: 1, retryOn: sometimes}");
    assert!(
        words[0].starts_with("data.mesh.defaultHttpRetryPolicy.retryOn: \"sometimes\" is not supported"),
        "{words:?}"
    );
    let nested = said("{accessLogEncoding: JSON, accessLogFormat: '{\"a\": {\"b\": \"%PROTOCOL%\"}}'}");
    assert!(
        nested[0].starts_with("data.mesh.accessLogFormat: must be an object of JSON whose values are strings"),
        "{nested:?}"
    );
    assert!(said("{accessLogEncoding: JSON, accessLogFormat: '{\"a\": \"%PROTOCOL%\"}'}").is_empty());
}
