//! `security.istio.io`: who may call whom, and over what.

mod request_authentication;

pub use request_authentication::{ClaimToHeader, JwtHeader, JwtRule, RequestAuthentication};

use std::collections::BTreeMap;

use mesh_types::Labels;

use crate::read::{object, words};
use crate::schema::{rule, selector_or_targets};

object! {
    /// Workloads by labels.
    #[derive(Eq)]
    pub struct WorkloadSelectorMatch {
        /// All of these must be equal.
        match_labels: Labels = "matchLabels" where { "maxProperties": 4096, "x-kubernetes-validations": [
            rule("self.all(key, !key.contains('*'))", "wildcard not allowed in label key match"),
            rule("self.all(key, key.size() != 0)", "key must not be empty")
        ] },
    }
}

object! {
    /// Mutual TLS that workloads ask of their callers.
    #[derive(Eq)]
    pub struct PeerAuthentication {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// For all ports; absent or `UNSET` inherits.
        mtls: Option<PeerMtls> = "mtls",
        /// For single ports of the workload; needs a selector.
        port_level_mtls: BTreeMap<u16, PeerMtls> = "portLevelMtls" where {
            "minProperties": 1,
            "maxProperties": 4096,
            "x-kubernetes-validations": [rule(
                "self.all(key, key.matches('^[0-9]{1,5}$') && 0 < int(key) && int(key) <= 65535)",
                "port must be between 1-65535"
            )]
        },
    }
    where { "x-kubernetes-validations": [rule(
        "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && \
         self.selector.matchLabels.size() > 0)",
        "portLevelMtls requires selector"
    )] }
}

object! {
    /// Mutual TLS.
    #[derive(Eq)]
    pub struct PeerMtls {
        /// How strict.
        mode: MtlsMode = "mode",
    }
}

words! {
    /// How strict mutual TLS is.
    pub enum MtlsMode {
        /// Inherited; `PERMISSIVE` if nobody says more.
        Unset = "UNSET",
        /// Plain text only.
        Disable = "DISABLE",
        /// Both.
        Permissive = "PERMISSIVE",
        /// Mutual TLS only.
        Strict = "STRICT",
    }
}

object! {
    /// Who may do what. Without rules, `ALLOW` allows nothing.
    pub struct AuthorizationPolicy {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Attachment to gateways and waypoints.
        target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Attachment to gateways and waypoints.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// What a match means.
        action: AuthorizationPolicyAction = "action",
        /// Any of these matches.
        rules: Vec<Rule> = "rules" where { "maxItems": 512 },
        /// For `CUSTOM`.
        provider: Option<Provider> = "provider",
    }
    where { "x-kubernetes-validations": (selector_or_targets()) }
}

object! {
    /// What a policy is attached to.
    #[derive(Eq)]
    pub struct PolicyTargetReference {
        /// API group; empty means the core.
        group: String = "group" where { "maxLength": 253 },
        /// `Gateway`, `GatewayClass`, `Service` or `ServiceEntry`.
        kind: String = "kind" where { "minLength": 1, "maxLength": 63 },
        /// Its name.
        name: String = "name" where { "minLength": 1, "maxLength": 253 },
        /// Its namespace; must be ours.
        namespace: String = "namespace" where { "x-kubernetes-validations": [
            rule("self.size() == 0", "cross namespace referencing is not currently supported")
        ] },
    }
    where {
        "required": ["kind", "name"],
        "x-kubernetes-validations": [rule(
            "[has(self.group) ? self.group : '', self.kind] in [['core','Service'], ['','Service'], \
             ['gateway.networking.k8s.io','Gateway'], ['gateway.networking.k8s.io','GatewayClass'], \
             ['networking.istio.io','ServiceEntry']]",
            "Support kinds are core/Service, networking.istio.io/ServiceEntry, gateway.networking.k8s.io/Gateway"
        )]
    }
}

words! {
    /// What a match means.
    pub enum AuthorizationPolicyAction {
        /// Allowed; what no policy allows is refused.
        Allow = "ALLOW",
        /// Refused, before anything is allowed.
        Deny = "DENY",
        /// Marked in the access log (`envoy.common:access_log_hint`), and otherwise let be.
        Audit = "AUDIT",
        /// Another service decides.
        Custom = "CUSTOM",
    }
}

object! {
    /// The service that decides.
    #[derive(Eq)]
    pub struct Provider {
        /// One of `MeshConfig.extensionProviders`.
        name: String = "name",
    }
}

object! {
    /// One rule: somebody of `from`, doing something of `to`, while all of `when` hold. Empty matches everything.
    #[derive(Eq)]
    pub struct Rule {
        /// Any of these; none means anybody.
        from: Vec<RuleFrom> = "from" where { "maxItems": 512 },
        /// Any of these; none means anything.
        to: Vec<RuleTo> = "to" where { "maxItems": 512 },
        /// All of these.
        when: Vec<Condition> = "when",
    }
}

object! {
    /// Somebody.
    #[derive(Eq)]
    pub struct RuleFrom {
        /// Who.
        source: Option<Source> = "source",
    }
}

object! {
    /// Something.
    #[derive(Eq)]
    pub struct RuleTo {
        /// What.
        operation: Option<Operation> = "operation",
    }
}

object! {
    /// Who: all that is set must hold, each by any of its values. Values may be exact, `prefix*`, `*suffix` or `*`.
    #[derive(Eq)]
    pub struct Source {
        /// `trust-domain/ns/namespace/sa/account`.
        principals: Vec<String> = "principals",
        /// None of these.
        not_principals: Vec<String> = "notPrincipals",
        /// `issuer/subject` of a JWT.
        request_principals: Vec<String> = "requestPrincipals",
        /// None of these.
        not_request_principals: Vec<String> = "notRequestPrincipals",
        /// Namespaces.
        namespaces: Vec<String> = "namespaces",
        /// None of these.
        not_namespaces: Vec<String> = "notNamespaces",
        /// `namespace/account`, or an account of the policy's namespace; no wildcards.
        service_accounts: Vec<String> = "serviceAccounts",
        /// None of these.
        not_service_accounts: Vec<String> = "notServiceAccounts",
        /// Addresses and networks of the peer.
        ip_blocks: Vec<String> = "ipBlocks",
        /// None of these.
        not_ip_blocks: Vec<String> = "notIpBlocks",
        /// Addresses and networks of the first caller, by `X-Forwarded-For` or PROXY protocol.
        remote_ip_blocks: Vec<String> = "remoteIpBlocks",
        /// None of these.
        not_remote_ip_blocks: Vec<String> = "notRemoteIpBlocks",
        /// Trust domains.
        trust_domains: Vec<String> = "trustDomains",
        /// None of these.
        not_trust_domains: Vec<String> = "notTrustDomains",
    }
}

object! {
    /// What: all that is set must hold, each by any of its values. Values may be exact, `prefix*`, `*suffix` or `*`.
    #[derive(Eq)]
    pub struct Operation {
        /// `Host` of the request; case is not looked at.
        hosts: Vec<String> = "hosts",
        /// None of these.
        not_hosts: Vec<String> = "notHosts",
        /// Ports of the workload, as strings.
        ports: Vec<String> = "ports",
        /// None of these.
        not_ports: Vec<String> = "notPorts",
        /// Methods.
        methods: Vec<String> = "methods",
        /// None of these.
        not_methods: Vec<String> = "notMethods",
        /// Paths without query; also templates, `{*}` for one segment and `{**}` for the rest.
        paths: Vec<String> = "paths",
        /// None of these.
        not_paths: Vec<String> = "notPaths",
    }
}

object! {
    /// A condition on an attribute: any of `values`, none of `notValues`.
    #[derive(Eq)]
    pub struct Condition {
        /// Such as `request.headers[version]`, `source.ip`, `destination.port`, `connection.sni`.
        key: String = "key",
        /// Any of these.
        values: Vec<String> = "values",
        /// None of these.
        not_values: Vec<String> = "notValues",
    }
    where { "required": ["key"] }
}
