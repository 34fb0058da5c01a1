//! The laboratory as a place for the shop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::Method;
use mesh_testkit::lab::Pod;

use super::{INGRESS_PORT, Mesh, objects, service_ip};
use crate::client::{Answer, Call, GrpcCall};
use crate::place::{Ask, Callee, Caller, Place, Unanswered};
use crate::shop::{GRPC_PORT, PORT, Role};

impl Mesh {
    /// A question as the call that an application in a pod makes of it.
    pub fn call(&self, ask: &Ask) -> Result<Call> {
        let pod = |workload: &str| Ok::<_, anyhow::Error>(self.get(workload)?.pod().ip());
        let (address, authority) = match &ask.callee {
            Callee::Service(role) => (SocketAddr::new(service_ip(*role), PORT), format!("{}:{PORT}", role.name())),
            Callee::Workload(name) => {
                let address = SocketAddr::new(pod(name)?, PORT);
                (address, address.to_string())
            }
            Callee::Ingress(host) => (SocketAddr::new(pod("ingress")?, INGRESS_PORT), host.clone()),
        };
        let call = Call::get(address, &authority, &ask.path);
        let (method, headers, body) = (ask.method.clone(), ask.headers.clone(), ask.body.clone());
        Ok(Call { method, headers, body, ..call })
    }

    fn pod_of(&self, caller: Caller) -> Result<Arc<Pod>> {
        Ok(match caller {
            Caller::Client => self.get("client")?.pod().clone(),
            Caller::Stranger => self.get("stranger")?.pod().clone(),
            Caller::Outside => Arc::new(self.lab.outside()),
        })
    }
}

impl Place for Mesh {
    /// Writes a file of YAML, as an editor does: whole or not at all.
    fn apply(&self, file: &str, yaml: &str) -> Result<()> {
        objects::write(self.config(), file, yaml)
    }

    fn remove(&self, file: &str) -> Result<()> {
        std::fs::remove_file(self.config().join(file)).with_context(|| format!("removing {file}"))
    }

    fn ask(&self, caller: Caller, ask: &Ask, times: usize) -> Result<Vec<Answer>> {
        self.call(ask)?.repeat_from(&*self.pod_of(caller)?, times).map_err(unanswered)
    }

    fn ask_grpc(&self, role: Role, times: usize) -> Result<Vec<(String, String)>> {
        let call = GrpcCall {
            address: SocketAddr::new(service_ip(role), GRPC_PORT),
            authority: format!("{}:{GRPC_PORT}", role.name()),
            path: GrpcCall::VERSION.to_owned(),
        };
        call.repeat_from(&*self.pod_of(Caller::Client)?, times)
    }

    fn admin(&self, workload: &str, path: &str) -> Result<String> {
        Ok(self.get(workload)?.admin(path)?.text())
    }

    fn tell(&self, workload: &str, method: Method, path: &str) -> Result<Answer> {
        let call = Call::get(SocketAddr::from(([127, 0, 0, 1], PORT)), "localhost", path);
        Call { method, ..call }.from(self.get(workload)?.pod()).map_err(unanswered)
    }
}

fn unanswered(error: anyhow::Error) -> anyhow::Error {
    Unanswered(error.root_cause().to_string()).into()
}
