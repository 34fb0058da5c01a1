//! A mesh of YAML alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::Resource;
use galley::Objects;
use mesh_http::RequestHead;
use mesh_types::{Labels, NodeId, NodeKind};
use pilot::{Kind, Proxy, World};
use weft_proxy::sim::{Connection, Fate, Opening, Simulation};

pub(crate) struct Mesh {
    world: World,
    objects: Arc<Objects>,
}

impl Mesh {
    /// Reads YAML; every finding is a failure.
    pub(crate) fn new(yaml: &str) -> Self {
        let loaded = galley::load(&"test.yaml".into(), yaml);
        let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert!(said.is_empty(), "{said:#?}");
        let objects = Arc::new(Objects::new(loaded.objects));
        Self { world: World::build(&objects), objects }
    }

    /// What the sidecar of a workload makes of its application's GET.
    pub(crate) fn get(&self, workload: &str, host: &str, path: &str, fields: &[(&str, &str)]) -> Fate {
        self.call(workload, "GET", host, path, fields)
    }

    pub(crate) fn call(&self, workload: &str, method: &str, host: &str, path: &str, fields: &[(&str, &str)]) -> Fate {
        let connection = Connection {
            listener: "virtualOutbound".into(),
            destination: ([10, 96, 0, 12], 9080).into(),
            source: ([10, 0, 0, 99], 40_000).into(),
            identity: None,
            opening: Opening::Http,
        };
        self.decide(workload, [10, 0, 0, 99].into(), &connection, &mut head(method, host, path, fields))
    }

    /// What the sidecar of a workload makes of a call, with the request as it goes on.
    pub(crate) fn sent(&self, workload: &str, host: &str, path: &str) -> (Fate, String) {
        let mut head = head("GET", host, path, &[]);
        let connection = Connection {
            listener: "virtualOutbound".into(),
            destination: ([10, 96, 0, 12], 9080).into(),
            source: ([10, 0, 0, 99], 40_000).into(),
            identity: None,
            opening: Opening::Http,
        };
        let fate = self.decide(workload, [10, 0, 0, 99].into(), &connection, &mut head);
        (fate, String::from_utf8_lossy(head.path()).into_owned())
    }

    /// What the sidecar of a workload makes of a call to an address.
    pub(crate) fn get_at(&self, workload: &str, destination: &str, host: &str, path: &str) -> Fate {
        let connection = Connection {
            listener: "virtualOutbound".into(),
            destination: destination.parse().unwrap(),
            source: ([10, 0, 0, 99], 40_000).into(),
            identity: None,
            opening: Opening::Http,
        };
        self.decide(workload, [10, 0, 0, 99].into(), &connection, &mut head("GET", host, path, &[]))
    }

    /// What a gateway answers on a port of its own.
    pub(crate) fn edge(&self, port: u16, host: &str, path: &str) -> Fate {
        self.edge_at(port, Opening::Http, &mut head("GET", host, path, &[]))
    }

    /// The same over TLS, by a caller without a certificate.
    pub(crate) fn secure_edge(&self, port: u16, host: &str, path: &str) -> Fate {
        self.edge_at(port, Opening::Tls(host.to_owned()), &mut head("GET", host, path, &[]))
    }

    /// Where the sidecar of a workload carries a connection of its application.
    pub(crate) fn carry(&self, workload: &str, destination: &str, opening: Opening) -> Fate {
        let connection = Connection {
            listener: "virtualOutbound".into(),
            destination: destination.parse().unwrap(),
            source: ([10, 0, 0, 99], 40_000).into(),
            identity: None,
            opening,
        };
        self.decide(workload, [10, 0, 0, 99].into(), &connection, &mut RequestHead::default())
    }

    /// Where a gateway carries a connection to a port of it.
    pub(crate) fn at_gateway(&self, port: u16, opening: Opening) -> Fate {
        self.edge_at(port, opening, &mut RequestHead::default())
    }

    fn edge_at(&self, port: u16, opening: Opening, head: &mut RequestHead) -> Fate {
        let connection = Connection {
            listener: format!("0.0.0.0_{port}"),
            destination: ([10, 0, 0, 50], port).into(),
            source: ([198, 51, 100, 7], 40_000).into(),
            identity: None,
            opening,
        };
        let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
        self.through(NodeKind::Router, labels, [10, 0, 0, 50].into(), &connection, head)
    }

    /// What a workload's sidecar makes of a call to it by an account of its own namespace, or by nobody who is known.
    pub(crate) fn inbound(&self, workload: &str, caller: Option<&str>, path: &str) -> Fate {
        let identity = caller.map(|account| format!("spiffe://cluster.local/ns/default/sa/{account}"));
        self.called(workload, 9080, identity, Opening::Http, &mut head("GET", "reviews", path, &[]))
    }

    /// The same by an identity.
    pub(crate) fn inbound_from(&self, workload: &str, identity: &str, path: &str) -> Fate {
        let head = &mut head("GET", "reviews", path, &[]);
        self.called(workload, 9080, Some(identity.to_owned()), Opening::Http, head)
    }

    /// What a workload's sidecar makes of bytes in plain text on one of its ports.
    pub(crate) fn inbound_bytes(&self, workload: &str, port: u16) -> Fate {
        self.called(workload, port, None, Opening::Bytes, &mut RequestHead::default())
    }

    /// What a workload's sidecar makes of TLS that is not the mesh's own.
    pub(crate) fn inbound_tls(&self, workload: &str, port: u16) -> Fate {
        let opening = Opening::Tls("reviews.default.svc".to_owned());
        self.called(workload, port, None, opening, &mut RequestHead::default())
    }

    fn called(
        &self,
        workload: &str,
        port: u16,
        identity: Option<String>,
        opening: Opening,
        head: &mut RequestHead,
    ) -> Fate {
        let pod = self.objects.pods.values().find(|pod| *pod.meta.name == *workload).unwrap();
        let ip: IpAddr = pod.spec.status.pod_ip.parse().unwrap();
        let connection = Connection {
            listener: "virtualInbound".into(),
            destination: SocketAddr::new(ip, port),
            source: ([10, 0, 0, 99], 40_000).into(),
            identity,
            opening,
        };
        self.decide(workload, ip, &connection, head)
    }

    fn decide(&self, workload: &str, ip: IpAddr, connection: &Connection, head: &mut RequestHead) -> Fate {
        let pod = self.objects.pods.values().find(|pod| *pod.meta.name == *workload);
        let labels: Labels = pod.map(|pod| pod.meta.labels.clone()).unwrap_or_default();
        self.through(NodeKind::Sidecar, labels, ip, connection, head)
    }

    fn through(
        &self,
        kind: NodeKind,
        labels: Labels,
        ip: IpAddr,
        connection: &Connection,
        head: &mut RequestHead,
    ) -> Fate {
        let id = NodeId {
            kind,
            ip,
            workload: "some-pod".to_owned(),
            namespace: "default".to_owned(),
            domain: "default.svc.cluster.local".to_owned(),
        };
        let resources = pilot::generate(&self.world, &Proxy::new(id, labels, false));
        let sent = Kind::ALL.into_iter().flat_map(|kind| {
            let one = move |(name, resource): (&String, &Arc<pilot::Resource>)| {
                let resource =
                    Resource { name: name.clone(), resource: Some(resource.body.clone()), ..Default::default() };
                (kind.url().to_owned(), resource)
            };
            resources.all(kind).map(one).collect::<Vec<_>>()
        });
        let simulation = Simulation::load(sent.collect()).unwrap_or_else(|refused| panic!("{refused:#?}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(simulation.request(connection, head))
    }
}

fn head(method: &str, host: &str, path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_method(method.as_bytes());
    head.set_authority(host.as_bytes());
    head.set_path(path.as_bytes());
    fields.iter().for_each(|(name, value)| head.fields.append(name.as_bytes(), value.as_bytes()));
    head
}
