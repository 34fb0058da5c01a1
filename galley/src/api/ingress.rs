//! `Ingress` and `IngressClass` of `networking.k8s.io`: Kubernetes' own way to say what is reached from outside.

use super::common::Json;
use super::kubernetes::LoadBalancerStatus;
use crate::read::{object, words};

object! {
    /// What is reached from outside, by host and path.
    #[derive(Eq)]
    pub struct Ingress {
        /// What is wanted.
        spec: IngressSpec = "spec",
        /// What is.
        status: IngressStatus = "status",
    }
}

object! {
    /// What is wanted of an Ingress.
    #[derive(Eq)]
    pub struct IngressSpec {
        /// The IngressClass, which says whose Ingress it is. The annotation `kubernetes.io/ingress.class` counts more.
        ingress_class_name: Option<String> = "ingressClassName",
        /// Where requests go that no rule takes.
        default_backend: Option<IngressBackend> = "defaultBackend",
        /// Certificates.
        tls: Vec<IngressTls> = "tls",
        /// Hosts and their paths.
        rules: Vec<IngressRule> = "rules",
    }
}

object! {
    /// The certificate of some hosts.
    #[derive(Eq)]
    pub struct IngressTls {
        /// None means all.
        hosts: Vec<String> = "hosts",
        /// A Secret in the namespace of the gateway's pods, as in Istio.
        secret_name: String = "secretName",
    }
}

object! {
    /// The paths of one host.
    #[derive(Eq)]
    pub struct IngressRule {
        /// A name, or `*.suffix`; empty means all.
        host: String = "host",
        /// Absent leaves the host to the default backend.
        http: Option<HttpIngressRule> = "http",
    }
}

object! {
    /// Paths.
    #[derive(Eq)]
    pub struct HttpIngressRule {
        /// The longest that matches is taken; of two as long, the exact one.
        paths: Vec<HttpIngressPath> = "paths",
    }
}

object! {
    /// One path.
    #[derive(Eq)]
    pub struct HttpIngressPath {
        /// Begins with a slash; only `ImplementationSpecific` takes an empty one, which means all.
        path: String = "path",
        /// How it is compared. Kubernetes asks for it.
        path_type: Option<PathType> = "pathType",
        /// Where its requests go.
        backend: IngressBackend = "backend",
    }
}

words! {
    /// How a path is compared.
    pub enum PathType {
        /// The whole path.
        Exact = "Exact",
        /// Element by element: `/foo` takes `/foo` and `/foo/bar`, not `/foobar`.
        Prefix = "Prefix",
        /// As Istio does: as a prefix if it ends with `/*` or `.*`, else the whole path.
        ImplementationSpecific = "ImplementationSpecific",
    }
}

object! {
    /// Where requests go: one of the two.
    #[derive(Eq)]
    pub struct IngressBackend {
        /// A service of the Ingress's namespace.
        service: Option<IngressServiceBackend> = "service",
        /// Some other object, of which neither Istio nor we know what it would mean.
        resource: Option<Json> = "resource",
    }
}

object! {
    /// A port of a service.
    #[derive(Eq)]
    pub struct IngressServiceBackend {
        /// The service's name.
        name: String = "name",
        /// Which of its ports.
        port: ServiceBackendPort = "port",
    }
}

object! {
    /// A port by name or number: one of the two.
    #[derive(Eq)]
    pub struct ServiceBackendPort {
        /// Its name.
        name: String = "name",
        /// 1 to 65535.
        number: u16 = "number",
    }
}

object! {
    /// What an Ingress is.
    #[derive(Eq)]
    pub struct IngressStatus {
        /// Where it is reached.
        load_balancer: LoadBalancerStatus = "loadBalancer",
    }
}

object! {
    /// Says who serves the Ingresses that name it.
    #[derive(Eq)]
    pub struct IngressClass {
        /// What it says.
        spec: IngressClassSpec = "spec",
    }
}

object! {
    /// Who serves the Ingresses of a class.
    #[derive(Eq)]
    pub struct IngressClassSpec {
        /// `istio.io/ingress-controller` is a mesh's.
        controller: String = "controller",
    }
    ignoring ["parameters"]
}
