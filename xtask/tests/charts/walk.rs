//! The user's path: the commands that people know, from a fresh cluster to an empty one.

use std::collections::BTreeSet;

use crate::cluster::Cluster;

/// Kinds of which a chart could leave something behind.
const KINDS: &str = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,\
                     horizontalpodautoscalers";
const CLUSTER_KINDS: &str =
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations";

const AWS: &str = r"--set service.annotations.service\.beta\.kubernetes\.io/aws-load-balancer-scheme=internet-facing,service.annotations.alb\.ingress\.kubernetes\.io/target-type=ip";

#[test]
fn the_users_commands_do_what_they_say() {
    let Some(cluster) = Cluster::start() else { return };
    walk(&cluster, |chart| format!("charts/{chart}"));
}

#[test]
fn packaged_charts_do_the_same() {
    let Some(cluster) = Cluster::start() else { return };
    let folder = cluster.file("charts");
    cluster.helm(&format!("package charts/base charts/istiod charts/gateway -d {}", folder.display())).success();
    let version = env!("CARGO_PKG_VERSION");
    walk(&cluster, |chart| folder.join(format!("{chart}-{version}.tgz")).display().to_string());
}

fn walk(cluster: &Cluster, chart: impl Fn(&str) -> String) {
    cluster.kubectl("create namespace istio-system").success();
    cluster.kubectl("create namespace istio-ingress").success();
    let before = objects(cluster);

    let (base, istiod, gateway) = (chart("base"), chart("istiod"), chart("gateway"));
    cluster.helm(&format!("install istio-base {base} -n istio-system --set defaultRevision=default")).success();
    let listed = cluster.helm("ls -n istio-system").success();
    assert!(listed.contains("istio-base") && listed.contains("deployed"), "{listed}");

    // Nothing ever becomes ready here, so nobody waits.
    cluster.helm(&format!("install istiod {istiod} -n istio-system")).success();
    let status = cluster.helm("status istiod -n istio-system").success();
    assert!(status.contains("STATUS: deployed"), "{status}");
    let deployments = cluster.kubectl("get deployments -n istio-system --output wide").success();
    let image = format!("docker.io/weft/pilot:{}", env!("CARGO_PKG_VERSION"));
    assert!(deployments.contains("istiod") && deployments.contains(&image), "{deployments}");

    cluster.helm(&format!("install istio-ingress {gateway} -n istio-ingress {AWS}")).success();
    let service = cluster.kubectl("get service istio-ingress -n istio-ingress -o yaml").success();
    assert!(service.contains("service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing"), "{service}");
    assert!(service.contains("alb.ingress.kubernetes.io/target-type: ip"), "{service}");
    assert!(service.contains("type: LoadBalancer"), "{service}");
    cluster.kubectl("label namespace default istio-injection=enabled").success();

    // istiod does not run here: its webhook would refuse what nobody checks.
    cluster.kubectl("delete mutatingwebhookconfiguration istio-sidecar-injector").success();
    cluster.helm("install membership-service e2e/charts/membership-service").success();
    let shown = cluster.kubectl("get vs").success();
    for heading in ["NAME", "GATEWAYS", "HOSTS", "VALID", "CURRENT", "PROXIES", "AGE"] {
        assert!(shown.contains(heading), "{heading} in {shown}");
    }
    assert!(shown.contains("membership-service"), "{shown}");

    cluster.helm("upgrade membership-service e2e/charts/membership-service --set replicas=3").success();
    cluster.helm(&format!("upgrade istiod {istiod} -n istio-system --set global.proxy.logLevel=debug")).success();
    cluster.helm(&format!("upgrade istio-base {base} -n istio-system --set defaultRevision=default")).success();
    cluster.helm(&format!("upgrade istio-ingress {gateway} -n istio-ingress --set service.type=NodePort")).success();
    let service = cluster.kubectl("get service istio-ingress -n istio-ingress").success();
    assert!(service.contains("NodePort"), "{service}");

    cluster.helm("uninstall membership-service").success();
    cluster.helm("uninstall istio-ingress -n istio-ingress").success();
    cluster.helm("uninstall istiod -n istio-system").success();
    let said = cluster.helm("uninstall istio-base -n istio-system").success();
    assert!(said.contains("virtualservices.networking.istio.io"), "{said}");

    assert_eq!(objects(cluster), before, "something is left");
    let routes = cluster.kubectl("get gateways,virtualservices --all-namespaces").success();
    assert!(routes.contains("No resources found"), "{routes}");
    let definitions = cluster.kubectl("get customresourcedefinitions -o name").success();
    assert_eq!(definitions.lines().count(), 15, "{definitions}");
    assert!(definitions.lines().all(|name| name.ends_with(".istio.io")), "{definitions}");

    // What stayed is taken over by the next installation.
    cluster.helm(&format!("install istio-base {base} -n istio-system")).success();
}

/// The names of all that a chart could make. What Kubernetes keeps for itself comes and goes as it likes.
fn objects(cluster: &Cluster) -> BTreeSet<String> {
    let columns = "custom-columns=:.kind,:.metadata.namespace,:.metadata.name";
    let namespaced = cluster.kubectl(&format!("get {KINDS} --all-namespaces -o {columns}")).success();
    let wide = cluster.kubectl(&format!("get {CLUSTER_KINDS} -o {columns}")).success();
    let lines = namespaced.lines().chain(wide.lines());
    let own = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    own.filter(|line| !line.contains(" kube-") && !line.contains("system:")).collect()
}
