//! Where the gateway of Ingresses is reached, as Istio finds it: by its Service, or by its pods' nodes.

use std::net::IpAddr;

use galley::api::{LoadBalancerIngress, ServiceType};
use galley::{Key, Objects};

/// Where it is reached; nowhere while nobody says.
pub(super) fn of_gateway(objects: &Objects) -> Vec<LoadBalancerIngress> {
    let names = match objects.mesh().ingress_gateway_service() {
        "" => of_nodes(objects),
        name => of_service(objects, name),
    };
    sorted(names.into_iter().map(address).collect())
}

/// In Istio's order, each once.
pub(super) fn sorted(mut addresses: Vec<LoadBalancerIngress>) -> Vec<LoadBalancerIngress> {
    addresses.sort_by(|one, other| (&one.hostname, &one.ip).cmp(&(&other.hostname, &other.ip)));
    addresses.dedup();
    addresses
}

fn of_service(objects: &Objects, name: &str) -> Vec<String> {
    let key = Key { namespace: objects.mesh().root().into(), name: name.into() };
    let Some(service) = objects.services.get(&key).map(|object| &object.spec) else { return Vec::new() };
    if service.spec.service_type == ServiceType::ExternalName {
        return vec![service.spec.external_name.clone()];
    }
    let balanced = service.status.load_balancer.ingress.iter();
    let balanced = balanced.map(|one| if one.ip.is_empty() { one.hostname.clone() } else { one.ip.clone() });
    balanced.chain(service.spec.external_ips.iter().cloned()).collect()
}

/// The external addresses of the nodes on which its pods run.
fn of_nodes(objects: &Objects) -> Vec<String> {
    let mesh = objects.mesh();
    let labels = mesh.ingress_gateway_labels();
    let pods = objects.pods.values().filter(|pod| {
        *pod.meta.namespace == *mesh.root()
            && pod.spec.status.phase == "Running"
            && labels.iter().all(|(key, value)| pod.meta.labels.get(key) == Some(value))
    });
    let node = |name: &str| objects.nodes.get(&Key { namespace: "".into(), name: name.into() });
    let addresses = pods.filter_map(|pod| node(&pod.spec.spec.node_name)).flat_map(|node| &node.spec.status.addresses);
    addresses.filter(|one| one.address_type == "ExternalIP").map(|one| one.address.clone()).collect()
}

fn address(text: String) -> LoadBalancerIngress {
    match text.parse::<IpAddr>() {
        Ok(_) => LoadBalancerIngress { ip: text, hostname: String::new() },
        Err(_) => LoadBalancerIngress { ip: String::new(), hostname: text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the gateway is reached by what these say; names are told by their `!`.
    fn found(mesh: &str, objects: &str) -> Vec<String> {
        let settings = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: '{mesh}'}}\n"
        );
        let loaded = galley::load(&"test.yaml".into(), &format!("{settings}---{objects}"));
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let all = of_gateway(&Objects::new(loaded.objects));
        all.into_iter().map(|one| if one.ip.is_empty() { format!("{}!", one.hostname) } else { one.ip }).collect()
    }

    #[test]
    fn its_service_says() {
        let service = |name: &str, spec: &str, status: &str| {
            format!(
                "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: istio-system}}
spec: {{{spec} ports: [{{port: 80}}]}}
status: {{loadBalancer: {{ingress: [{status}]}}}}
"
            )
        };
        let balanced = service(
            "istio-ingressgateway",
            "type: LoadBalancer, externalIPs: [192.0.2.9],",
            "{ip: 192.0.2.7, ipMode: VIP}, {hostname: edge.example.com}",
        );
        assert_eq!(found("{}", &balanced), ["192.0.2.7", "192.0.2.9", "edge.example.com!"]);
        assert_eq!(found("ingressService: other", &balanced), Vec::<String>::new());
        let alias = service("edge", "type: ExternalName, externalName: edge.example.com,", "");
        assert_eq!(found("ingressService: edge", &alias), ["edge.example.com!"]);
        assert_eq!(found("{}", &service("istio-ingressgateway", "", "")), Vec::<String>::new());
    }

    #[test]
    fn without_a_service_its_nodes_say() {
        let objects = "
apiVersion: v1
kind: Node
metadata: {name: one}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: two}
status: {addresses: [{type: ExternalIP, address: 192.0.2.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: istio-system, labels: {istio: edge}}
spec: {nodeName: one, containers: []}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: pending, namespace: istio-system, labels: {istio: edge}}
spec: {nodeName: two, containers: []}
status: {phase: Pending}
";
        assert_eq!(found("{ingressService: \"\", ingressSelector: edge}", objects), ["192.0.2.1"]);
        assert_eq!(found("{ingressService: \"\"}", objects), Vec::<String>::new());
    }
}
