//! A load balancer for clusters that have none: it gives every Service of that type the addresses of the nodes, whose
//! kube-proxy then takes the Service's ports there, as small clusters' balancers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Kube;

/// How long a Service waits for its address at most.
const PERIOD: Duration = Duration::from_millis(500);

/// The running balancer. Dropping it ends it.
#[derive(Debug)]
pub struct Balancer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Balancer {
    /// Starts one, if the cluster has none.
    pub fn start(kube: &Kube) -> Option<Self> {
        kube.is_of_containers().then(|| Self::run(kube))
    }

    fn run(kube: &Kube) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (kube, stopped) = (kube.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The API server may be away: a scenario kills it.
                let _ = balance(&kube);
                std::thread::sleep(PERIOD);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn balance(kube: &Kube) -> Result<()> {
    let services = kube.get("services --all-namespaces")?;
    for service in services["items"].as_array().into_iter().flatten().filter(|service| waits(service)) {
        let addresses: Vec<Value> = kube.node_addresses()?.iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
        let patch = json!({ "status": { "loadBalancer": { "ingress": addresses } } }).to_string();
        let (namespace, name) = (&service["metadata"]["namespace"], &service["metadata"]["name"]);
        let (namespace, name) = (namespace.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
        let patch = ["patch", "service", name, "--namespace", namespace, "--subresource", "status", "--patch", &patch];
        kube.kubectl_with(&patch)?;
    }
    Ok(())
}

fn waits(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer" && service["status"]["loadBalancer"]["ingress"].is_null()
}
