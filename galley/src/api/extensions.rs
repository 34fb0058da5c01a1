//! `extensions.istio.io`: code of the user's in the proxy.

use super::common::{Json, PortSelector};
use super::security::{PolicyTargetReference, WorkloadSelectorMatch};
use super::telemetry::WorkloadMode;
use crate::read::{object, words};
use crate::schema::{rule, selector_or_targets};

object! {
    /// A WebAssembly module in the proxy.
    pub struct WasmPlugin {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Attachment to a gateway or waypoint.
        target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Attachment to gateways and waypoints; excludes `selector`.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// Where the module is: `oci://`, `https://`, `http://` or `file://`.
        url: String = "url" where { "minLength": 1, "x-kubernetes-validations": [rule(
            "!self.contains('://') || self.split('://')[0] in ['http', 'https', 'oci', 'file', '']",
            "url must have one of the schemes http, https, file and oci"
        )] , "maxLength": 4096 },
        /// Its checksum, in hexadecimal.
        sha256: String = "sha256" where { "pattern": "(^$|^[a-f0-9]{64}$)" },
        /// When it is fetched again.
        image_pull_policy: PullPolicy = "imagePullPolicy",
        /// Secret of the registry, in the same namespace.
        image_pull_secret: String = "imagePullSecret" where { "minLength": 1, "maxLength": 253 },
        /// Not used.
        verification_key: String = "verificationKey",
        /// What the module is told.
        plugin_config: Option<Json> = "pluginConfig",
        /// Which of the module's plugins.
        plugin_name: String = "pluginName" where { "minLength": 1, "maxLength": 256 },
        /// Where among the filters it belongs.
        phase: PluginPhase = "phase",
        /// Within the phase: higher ones come first.
        priority: Option<i32> = "priority",
        /// What becomes of traffic if it fails.
        fail_strategy: FailStrategy = "failStrategy",
        /// Its machine.
        vm_config: Option<VmConfig> = "vmConfig",
        /// Which traffic: any of these.
        matches: Vec<TrafficSelector> = "match",
        /// What it looks at.
        plugin_type: PluginType = "type",
    }
    where { "required": ["url"], "x-kubernetes-validations": (selector_or_targets()) }
}

object! {
    /// Code in the proxy: a WebAssembly module or a Lua script.
    pub struct TrafficExtension {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Attachment to gateways and waypoints; excludes `selector`.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// Where among the filters it belongs.
        phase: PluginPhase = "phase",
        /// Within the phase: higher ones come first.
        priority: Option<i32> = "priority",
        /// Which traffic: any of these.
        matches: Vec<TrafficSelector> = "match",
        /// A WebAssembly module.
        wasm: Option<WasmExtension> = "wasm",
        /// A Lua script.
        lua: Option<LuaExtension> = "lua",
    }
    where {
        "oneOf": (crate::schema::one_of(&["wasm", "lua"])),
        "x-kubernetes-validations": [rule(
            "(has(self.selector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
            "only one of targetRefs or selector can be set"
        )]
    }
}

object! {
    /// A WebAssembly module.
    pub struct WasmExtension {
        /// Where the module is: `oci://`, `https://`, `http://` or `file://`.
        url: String = "url" where { "minLength": 1 },
        /// Its checksum, in hexadecimal.
        sha256: String = "sha256" where { "pattern": "(^$|^[a-f0-9]{64}$)" },
        /// When it is fetched again.
        image_pull_policy: PullPolicy = "imagePullPolicy",
        /// Secret of the registry, in the same namespace.
        image_pull_secret: String = "imagePullSecret" where { "minLength": 1, "maxLength": 253 },
        /// What the module is told.
        plugin_config: Option<Json> = "pluginConfig",
        /// Which of the module's plugins.
        plugin_name: String = "pluginName" where { "minLength": 1, "maxLength": 256 },
        /// What becomes of traffic if it fails.
        fail_strategy: FailStrategy = "failStrategy",
        /// Its machine.
        vm_config: Option<VmConfig> = "vmConfig",
        /// What it looks at.
        plugin_type: PluginType = "type",
    }
    where { "required": ["url"] }
}

object! {
    /// A Lua script.
    pub struct LuaExtension {
        /// The script.
        inline_code: String = "inlineCode" where { "minLength": 1, "maxLength": 65536 },
    }
    where { "required": ["inlineCode"] }
}

words! {
    /// When a module is fetched again.
    pub enum PullPolicy {
        /// `Always` for the tag `latest`, else `IfNotPresent`.
        Unspecified = "UNSPECIFIED_POLICY",
        /// If it is not there.
        IfNotPresent = "IfNotPresent",
        /// Whenever it is loaded.
        Always = "Always",
    }
}

words! {
    /// Where among the filters it belongs.
    pub enum PluginPhase {
        /// At the end.
        Unspecified = "UNSPECIFIED_PHASE",
        /// Before authentication.
        Authn = "AUTHN",
        /// Before authorisation.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}

words! {
    /// What becomes of traffic if it fails.
    pub enum FailStrategy {
        /// It is refused.
        FailClose = "FAIL_CLOSE",
        /// It passes.
        FailOpen = "FAIL_OPEN",
        /// The module is loaded anew.
        FailReload = "FAIL_RELOAD",
    }
}

words! {
    /// What it looks at.
    pub enum PluginType {
        /// As `HTTP`.
        Unspecified = "UNSPECIFIED_PLUGIN_TYPE",
        /// Requests.
        Http = "HTTP",
        /// Connections.
        Network = "NETWORK",
    }
}

object! {
    /// The machine of a module.
    pub struct VmConfig {
        /// Its environment.
        env: Vec<EnvVar> = "env" where { "maxItems": 256, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
    }
}

object! {
    /// One variable.
    pub struct EnvVar {
        /// Its name.
        name: String = "name" where { "minLength": 1, "maxLength": 256 },
        /// Where its value comes from.
        value_from: EnvValueSource = "valueFrom",
        /// Its value, with `INLINE`.
        value: String = "value" where { "maxLength": 2048 },
    }
    where { "required": ["name"], "x-kubernetes-validations": [rule(
        "(has(self.valueFrom) ? self.valueFrom : '') != 'HOST' || !has(self.value)",
        "value may only be set when valueFrom is INLINE"
    )] }
}

words! {
    /// Where a value comes from.
    pub enum EnvValueSource {
        /// It stands beside.
        Inline = "INLINE",
        /// The proxy's environment.
        Host = "HOST",
    }
}

object! {
    /// Which traffic: all that is set must hold.
    pub struct TrafficSelector {
        /// By the proxy's side.
        mode: WorkloadMode = "mode",
        /// By port: any of these.
        ports: Vec<PortSelector> = "ports" where { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["number"] },
    }
}
