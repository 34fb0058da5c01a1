//! What our service accounts may do, and that our pods need no privileges.

use crate::cluster::Cluster;

#[test]
fn accounts_and_pods_have_the_least_rights_that_do() {
    let Some(cluster) = Cluster::with_base() else { return };
    istiod_may_do_what_it_needs_and_no_more(&cluster);
    a_gateway_may_read_the_secrets_of_its_namespace(&cluster);
    pods_meet_the_restricted_level(&cluster);
}

fn istiod_may_do_what_it_needs_and_no_more(cluster: &Cluster) {
    cluster.helm("install istiod charts/istiod -n istio-system --set revisionTags={prod}").success();
    let istiod = "system:serviceaccount:istio-system:istiod";
    let may = [
        "watch services -n shop",
        "watch pods -n shop",
        "list nodes",
        "watch namespaces",
        "watch endpointslices.discovery.k8s.io -n shop",
        "watch ingresses.networking.k8s.io -n shop",
        "watch ingressclasses.networking.k8s.io",
        "patch ingresses.networking.k8s.io/a --subresource=status -n shop",
        "watch virtualservices.networking.istio.io -n shop",
        "watch authorizationpolicies.security.istio.io -n shop",
        "patch virtualservices.networking.istio.io/a --subresource=status -n shop",
        "get secrets/cert -n istio-ingress",
        "watch secrets -n istio-system",
        "create secrets -n istio-system",
        "update secrets/istio-ca-secret -n istio-system",
        "create configmaps -n shop",
        "patch configmaps/istio-ca-root-cert -n shop",
        "update configmaps/istio-ca-crl -n shop",
        "get configmaps/istio-ca-root-cert -n shop",
        "watch configmaps/istio -n istio-system",
        "list configmaps/istio-sidecar-injector -n istio-system",
        "create tokenreviews.authentication.k8s.io",
        "create subjectaccessreviews.authorization.k8s.io",
        "create leases.coordination.k8s.io -n istio-system",
        "update leases.coordination.k8s.io/istio-leader -n istio-system",
        "create gateways.networking.istio.io -n istio-system",
        "patch mutatingwebhookconfigurations/istio-sidecar-injector",
        "patch mutatingwebhookconfigurations/istio-revision-tag-prod",
        "patch validatingwebhookconfigurations/istio-validator-istio-system",
        "patch validatingwebhookconfigurations/istiod-default-validator",
    ];
    let may_not = [
        "create pods -n shop",
        "delete pods -n shop",
        "create pods --subresource=exec -n shop",
        "patch nodes/a",
        "patch services/a -n shop",
        "create secrets -n shop",
        "update secrets/cert -n istio-system",
        "delete secrets/istio-ca-secret -n istio-system",
        "get configmaps/app -n shop",
        "list configmaps -n shop",
        "get configmaps/app -n istio-system",
        "update configmaps/app -n shop",
        "delete configmaps/istio-ca-root-cert -n shop",
        "patch virtualservices.networking.istio.io/a -n shop",
        "delete virtualservices.networking.istio.io/a -n shop",
        "create gateways.networking.istio.io -n shop",
        "create virtualservices.networking.istio.io -n istio-system",
        "create leases.coordination.k8s.io -n shop",
        "patch mutatingwebhookconfigurations/other",
        "create mutatingwebhookconfigurations",
        "delete validatingwebhookconfigurations/istiod-default-validator",
        "create serviceaccounts --subresource=token -n shop",
        "impersonate users",
        "create clusterrolebindings",
    ];
    check(cluster, istiod, &may, &may_not);
    // As istiod follows them: what a field selector names counts as named.
    let all = |selector: &str| cluster.kubectl(&format!("get configmaps -A {selector} --as {istiod}"));
    all("--field-selector metadata.name=istio-ca-root-cert").success();
    all("").failure();
}

fn a_gateway_may_read_the_secrets_of_its_namespace(cluster: &Cluster) {
    cluster.kubectl("create namespace istio-ingress").success();
    cluster.helm("install istio-ingress charts/gateway -n istio-ingress").success();
    let may = ["get secrets/cert -n istio-ingress", "list secrets -n istio-ingress"];
    let may_not = ["get secrets/cert -n istio-system", "create secrets -n istio-ingress", "list pods -n istio-ingress"];
    check(cluster, "system:serviceaccount:istio-ingress:istio-ingress", &may, &may_not);
}

fn check(cluster: &Cluster, account: &str, may: &[&str], may_not: &[&str]) {
    let answer = |question: &str| {
        let said = cluster.kubectl(&format!("auth can-i {question} --as={account}")).text;
        said.lines().any(|line| line == "yes")
    };
    may.iter().for_each(|question| assert!(answer(question), "{account} must be able to {question}"));
    may_not.iter().for_each(|question| assert!(!answer(question), "{account} must not be able to {question}"));
}

fn pods_meet_the_restricted_level(cluster: &Cluster) {
    cluster.kubectl("create namespace mesh").success();
    cluster.kubectl("label namespace mesh pod-security.kubernetes.io/warn=restricted").success();
    let charts = [
        "charts/istiod --set global.istioNamespace=mesh",
        "charts/gateway",
        "charts/gateway --set kind=DaemonSet",
        "e2e/charts/membership-service",
    ];
    for chart in charts {
        let rendered = cluster.helm(&format!("template a {chart} -n mesh")).success();
        let workload: String = rendered
            .split("\n---\n")
            .filter(|document| document.contains("\nkind: Deployment\n") || document.contains("\nkind: DaemonSet\n"))
            .collect();
        let path = cluster.file("workload.yaml");
        std::fs::write(&path, workload).unwrap();
        let said = cluster.kubectl(&format!("apply --dry-run=server -n mesh -f {}", path.display())).success();
        // Proof that the check is on: a pod of an application that asks for nothing is warned of.
        let warned = said.contains("would violate PodSecurity");
        assert_eq!(warned, chart.starts_with("e2e/"), "{chart}: {said}");
    }
}
