//! What is said of objects that are not right.

fn said(kind: &str, spec: &str) -> Vec<String> {
    let security = matches!(kind, "AuthorizationPolicy" | "PeerAuthentication");
    let group = if security { "security" } else { "networking" };
    let text = format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    let loaded = crate::load(&"f.yaml".into(), &text);
    loaded.diagnostics.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let unserved = "is not supported by this version";
    let cases = [
        (
            "AuthorizationPolicy",
            "{rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}",
            "spec.rules[0].when[0].key",
        ),
        (
            "DestinationRule",
            "{host: a, trafficPolicy: {portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnectionDuration: 1s}}}]}}",
            "spec.trafficPolicy.portLevelSettings[0].connectionPool.tcp.maxConnectionDuration",
        ),
        ("WorkloadEntry", "{address: 10.0.0.1, network: far}", "spec.network"),
        ("Sidecar", "{egress: [{port: {number: 80, protocol: HTTP}, hosts: ['*/*']}]}", "spec.egress[0].port"),
        ("Sidecar", "{ingress: [{port: {number: 80, protocol: HTTP}}]}", "spec.ingress"),
    ];
    for (kind, spec, path) in cases {
        assert_eq!(said(kind, spec), [format!("{path}: {unserved}")], "{kind} {spec}");
    }
    let words = [
        ("AuthorizationPolicy", "{action: CUSTOM}", "spec.action: CUSTOM"),
        (
            "ServiceEntry",
            "{hosts: ['*.a.org'], ports: [{number: 80, name: a}], resolution: DYNAMIC_DNS}",
            "spec.resolution: DYNAMIC_DNS",
        ),
        (
            "Gateway",
            "{servers: [{port: {number: 443, protocol: TLS}, hosts: ['*'], tls: {mode: AUTO_PASSTHROUGH}}]}",
            "spec.servers[0].tls.mode: AUTO_PASSTHROUGH",
        ),
        ("Sidecar", "{egress: [{captureMode: NONE, hosts: ['*/*']}]}", "spec.egress[0].captureMode: NONE"),
    ];
    for (kind, spec, word) in words {
        assert_eq!(said(kind, spec), [format!("{word} {unserved}")], "{kind} {spec}");
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

#[test]
fn policies_say_who_and_what() {
    let wrong = said(
        "AuthorizationPolicy",
        "{action: DENY, rules: [{from: [{}], to: [{operation: {}}], when: [{key: 'request.headers[x', values: [a]}, {key: source.ip, values: [here]}, {key: destination.port}]}, {from: [{source: {ipBlocks: [10.0.0.0/33], serviceAccounts: ['a/b/c', 'x*']}}], to: [{operation: {ports: ['http', '0']}}]}]}",
    );
    let expected = [
        "spec.rules[0].from[0].source: must be set",
        "spec.rules[0].to[0].operation: says nothing: one of its fields must be set",
        "spec.rules[0].when[0].key: must be request.headers[name]",
        "spec.rules[0].when[1].values[0]: \"here\" is neither an address nor a network such as 10.0.0.0/8",
        "spec.rules[0].when[2].values: must be set, or notValues",
        "spec.rules[1].from[0].source.ipBlocks[0]: \"10.0.0.0/33\" is neither an address nor a network such as 10.0.0.0/8",
        "spec.rules[1].from[0].source.serviceAccounts[0]: \"a/b/c\" is neither an account nor namespace/account; there are no wildcards",
        "spec.rules[1].from[0].source.serviceAccounts[1]: \"x*\" is neither an account nor namespace/account; there are no wildcards",
        "spec.rules[1].to[0].operation.ports[0]: \"http\" is no port (1 to 65535)",
        "spec.rules[1].to[0].operation.ports[1]: \"0\" is no port (1 to 65535)",
    ];
    assert_eq!(wrong, expected);
    let nothing = said("AuthorizationPolicy", "{action: DENY}");
    assert_eq!(
        nothing,
        ["spec.rules: must be set: DENY without rules refuses nothing; `rules: [{}]` refuses everything"]
    );
    assert!(said("AuthorizationPolicy", "{}").is_empty(), "ALLOW without rules allows nothing, which is a policy");
    let ports = said("PeerAuthentication", "{portLevelMtls: {8080: {mode: DISABLE}}}");
    assert_eq!(ports, ["spec.portLevelMtls: needs spec.selector.matchLabels: ports are those of chosen workloads"]);
}

#[test]
fn a_field_that_is_not_served_is_refused_by_its_presence() {
    let tunnel = said("DestinationRule", "{host: a, trafficPolicy: {tunnel: {targetHost: b, targetPort: 1}}}");
    assert_eq!(tunnel, ["spec.trafficPolicy.tunnel: is not supported by this version"]);
    let target = said("AuthorizationPolicy", "{targetRef: {kind: Gateway, name: a}}");
    assert_eq!(target, ["spec.targetRef: is not supported by this version"]);
}

#[test]
fn kinds_that_are_not_served_are_refused_by_name() {
    let cases = [
        (
            "networking.istio.io/v1alpha3",
            "EnvoyFilter",
            "{configPatches: [{applyTo: CLUSTER, patch: {value: {a: [1, 2.5, ~]}}}]}",
        ),
        ("networking.istio.io/v1beta1", "ProxyConfig", "{concurrency: 2}"),
        ("security.istio.io/v1", "RequestAuthentication", "{jwtRules: [{issuer: a}]}"),
        ("telemetry.istio.io/v1", "Telemetry", "{accessLogging: [{providers: [{name: envoy}]}]}"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin", "{url: 'oci://a'}"),
        ("extensions.istio.io/v1alpha1", "TrafficExtension", "{lua: {inlineCode: a}}"),
    ];
    for (version, kind, spec) in cases {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let loaded = crate::load(&"f.yaml".into(), &text);
        let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let message = "kind: {kind} is not supported by this version: it would do nothing".replace("{kind}", kind);
        assert_eq!(said, [format!("f.yaml:2:7: error: {kind} default/a: {message}")]);
        assert!(loaded.objects.is_empty());
    }
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
fn terms_of_calling_must_make_sense() {
    let balancer =
        |text: &str| said("DestinationRule", &format!("{{host: a, trafficPolicy: {{loadBalancer: {text}}}}}"));
    let path = "spec.trafficPolicy.loadBalancer";
    let keys = "needs exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName to hash";
    assert_eq!(balancer("{consistentHash: {maglev: {}}}"), [format!("{path}.consistentHash: {keys}")]);
    assert_eq!(
        balancer("{simple: RANDOM, consistentHash: {useSourceIp: true}}"),
        [format!("{path}.consistentHash: cannot be set together with simple; keep one")]
    );
    assert!(balancer("{localityLbSetting: {failover: [{from: eu, to: us}], failoverPriority: [app]}}").is_empty());
    assert_eq!(
        balancer(
            "{localityLbSetting: {distribute: [{from: eu, to: {eu: 80, us: 10}}], failover: [{from: eu, to: eu}]}}"
        ),
        [
            format!(
                "{path}.localityLbSetting.distribute: cannot be set together with failover or failoverPriority; keep one"
            ),
            format!("{path}.localityLbSetting.distribute[0].to: must add up to 100 percent"),
            format!("{path}.localityLbSetting.failover[0].to: must be another region than from"),
        ]
    );
    assert_eq!(
        said("DestinationRule", "{trafficPolicy: {portLevelSettings: [{tls: {}}]}, subsets: [{name: v1}, {name: v1}]}"),
        [
            "spec.host: must be set",
            "spec.trafficPolicy.portLevelSettings[0].port.number: must be set",
            "spec.subsets[1].name: is another subset's name too",
        ]
    );
}

#[test]
fn services_by_hand_must_make_sense() {
    let entry = |text: &str| said("ServiceEntry", text);
    assert_eq!(entry("{resolution: STATIC}"), ["spec.hosts: must be set"]);
    assert!(entry("{hosts: [a.org], resolution: DNS}").is_empty(), "Istio asks for no port");
    assert_eq!(
        entry(
            "{hosts: ['*.a.org', '*.a.org'], ports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: a, protocol: SCTP}], resolution: DNS}"
        ),
        [
            "spec.hosts[0]: has a wildcard, which cannot be resolved; give endpoints",
            "spec.hosts[1]: is there twice",
            "spec.hosts[1]: has a wildcard, which cannot be resolved; give endpoints",
            "spec.ports[1].number: is another port's number too",
            "spec.ports[1].name: is another port's name too",
            "spec.ports[1].protocol: \"SCTP\" is no protocol",
        ]
    );
    let with = |rest: &str| entry(&format!("{{hosts: [a.org], ports: [{{number: 80, name: a}}], {rest}}}"));
    assert_eq!(
        with("resolution: STATIC, endpoints: [{address: b.org}, {address: 'unix:///s'}, {}]"),
        [
            "spec.endpoints[0].address: is no IP address, which resolution STATIC asks for; DNS resolves names",
            "spec.endpoints[1].address: is a socket of this machine, which this version does not call",
            "spec.endpoints[2].address: must be set",
        ]
    );
    assert_eq!(
        with("resolution: NONE, addresses: [10.0.0.1, 10.0.0.0/8, '2001:db8::/32', 10.0.0.0/33, all]"),
        [
            "spec.addresses[3]: is neither an IP address nor a range of them, such as 192.0.2.0/24",
            "spec.addresses[4]: is neither an IP address nor a range of them, such as 192.0.2.0/24",
        ]
    );
    assert_eq!(
        with("resolution: NONE, endpoints: [{address: 10.0.0.1}]"),
        ["spec.endpoints: mean nothing with resolution NONE, which goes where the client goes"]
    );
    assert_eq!(
        with("resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.org}, {address: c.org}]"),
        ["spec.endpoints: must be one at most with resolution DNS_ROUND_ROBIN"]
    );
    assert!(with("resolution: DNS, endpoints: [{address: b.org}]").is_empty());
    assert_eq!(
        with("resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {a: 8080, b: 8081}}]"),
        ["spec.endpoints[0].ports.b: is no name of the entry's own ports, so that nobody would call it"]
    );
    let no_name = "is no name of a port: lower-case letters, digits and `-`, of 63 characters at most";
    assert_eq!(
        said("WorkloadEntry", "{address: 10.0.0.1, ports: {http: 80, '@': 81}}"),
        [format!("spec.ports[\"@\"]: {no_name}")]
    );
    assert_eq!(
        said("ServiceEntry", "{hosts: [a.org], resolution: DNS, ports: [{number: 80, name: my_port, protocol: HTTP}]}"),
        [format!("spec.ports[0].name: {no_name}")]
    );
    assert_eq!(said("WorkloadGroup", "{metadata: {labels: {a: b}}}"), ["spec.template: must be set"]);
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
    let files = "serverCertificate: /c, privateKey: /k, caCrl: /l";
    assert!(server(https, &format!("{{mode: MUTUAL, caCertificates: /r, {files}}}")).is_empty());
    assert!(server(https, "{mode: ISTIO_MUTUAL, caCrl: /l}").is_empty());
    assert_eq!(
        server(https, &format!("{{mode: SIMPLE, {files}}}")),
        ["tls.caCrl: does nothing in a mode that asks clients for no certificate"]
    );
    assert_eq!(
        server(https, "{mode: MUTUAL, credentialName: a, caCrl: /l}"),
        ["tls.caCrl: cannot be set together with credentialName; put the list into that secret as ca.crl"]
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
fn a_revocation_list_of_servers_is_for_tls_that_is_verified() {
    let said =
        |tls: &str| said("DestinationRule", &format!("{{host: a, trafficPolicy: {{tls: {{caCrl: /l, {tls}}}}}}}"));
    assert!(said("mode: SIMPLE").is_empty());
    assert!(said("mode: MUTUAL, clientCertificate: /c, privateKey: /k").is_empty());
    for tls in ["mode: ISTIO_MUTUAL", "mode: DISABLE", "mode: SIMPLE, insecureSkipVerify: true"] {
        let message = "is for the modes SIMPLE and MUTUAL, without insecureSkipVerify; elsewhere it does nothing";
        assert_eq!(said(tls), [format!("spec.trafficPolicy.tls.caCrl: {message}")]);
    }
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
    let domain = said("{trustDomain: a.example, trustDomainAliases: [b.example, 'C d']}");
    assert!(domain[0].starts_with("data.mesh.trustDomainAliases[1]: \"C d\" is not a trust domain"), "{domain:?}");
    for (wrong, good) in [
        ("enableTracing: true", "enableTracing: false"),
        ("proxyListenPort: 15101", "proxyListenPort: 15001"),
        ("proxyInboundListenPort: 15001", "proxyInboundListenPort: 15006"),
    ] {
        let field = wrong.split(':').next().unwrap();
        let words = said(wrong);
        assert!(words.len() == 1 && words[0].starts_with(&format!("data.mesh.{field}: ")), "{words:?}");
        assert!(words[0].ends_with("; leave it out"), "{words:?}");
        assert!(said(good).is_empty(), "{good}");
    }
}

#[test]
fn hosts_have_names_that_can_be() {
    let route = "http: [{route: [{destination: {host: HOST}}]}]";
    for (host, good) in [
        ("shop", true),
        ("*.shop.example.com", true),
        ("10.0.0.1", true),
        ("2001:db8::1", true),
        ("_sip._tcp.example.com", true),
        ("member ship", false),
        ("shop.*.com", false),
        ("http://shop", false),
    ] {
        let quoted = format!("{host:?}");
        let host_of_rule = said("VirtualService", &format!("{{hosts: [{quoted}], {}}}", route.replace("HOST", "a")));
        let destination = said("VirtualService", &format!("{{hosts: [a], {}}}", route.replace("HOST", &quoted)));
        for words in [host_of_rule, destination] {
            assert_eq!(words.is_empty(), good, "{host}: {words:?}");
        }
    }
    let words = said("VirtualService", &format!("{{hosts: [member ship], {}}}", route.replace("HOST", "a")));
    assert_eq!(words, ["spec.hosts[0]: \"member ship\" is no name of a host: ' ' cannot be in one"]);
}

#[test]
fn an_ingress_is_held_to_what_kubernetes_asks_for() {
    let said = |spec: &str| {
        let text = format!("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: a}}\nspec: {spec}\n");
        let loaded = crate::load(&"f.yaml".into(), &text);
        loaded.diagnostics.iter().map(|one| format!("{}: {}", one.path, one.message)).collect::<Vec<_>>()
    };
    let path = |path: &str| said(&format!("{{rules: [{{host: a.org, http: {{paths: [{path}]}}}}]}}"));
    let to_web = "backend: {service: {name: web, port: {number: 80}}}";
    let at = "spec.rules[0].http.paths[0]";
    assert_eq!(said("{}"), ["spec.rules: must be set, or defaultBackend"]);
    assert_eq!(said("{defaultBackend: {}}"), ["spec.defaultBackend.service: must be set"]);
    assert_eq!(
        path(&format!("{{path: /, {to_web}}}")),
        [format!("{at}.pathType: must be Exact, Prefix or ImplementationSpecific")]
    );
    assert_eq!(
        path(&format!("{{path: a, pathType: Prefix, {to_web}}}")),
        [format!("{at}.path: \"a\" must begin with a slash")]
    );
    assert_eq!(path(&format!("{{pathType: ImplementationSpecific, {to_web}}}")), Vec::<String>::new());
    let backend = |backend: &str| path(&format!("{{path: /, pathType: Exact, backend: {{{backend}}}}}"));
    assert_eq!(
        backend("service: {name: web, port: {}}"),
        [format!("{at}.backend.service.port: must have a name or a number")]
    );
    assert_eq!(
        backend("service: {name: web, port: {name: http, number: 80}}"),
        [format!("{at}.backend.service.port.number: must not be set with name")]
    );
    assert_eq!(
        backend("service: {name: web, port: {number: 80}}, resource: {kind: A, name: a}"),
        [format!("{at}.backend.resource: must not be set with service")]
    );
    assert_eq!(said("{rules: [{hots: a.org}]}"), ["spec.rules[0].hots: unknown field; did you mean `host`?"]);
}
