//! What one proxy may see of a world: all of it made at once, or, for a proxy that asks by name, what it asks for.

use std::sync::Arc;

use crate::generate;
use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::world::{Changed, Served, World};

/// One proxy's view.
pub(crate) struct View {
    world: Arc<World>,
    proxy: Proxy,
    /// Sent without being asked for.
    own: Resources,
    /// What the workload serves, of which `own` is made.
    serves: Vec<Served>,
}

impl View {
    pub(crate) fn new(world: Arc<World>, proxy: Proxy) -> Self {
        let proxy = proxy.scoped(&world);
        let own =
            if proxy.on_demand { generate::essentials(&world, &proxy) } else { generate::everything(&world, &proxy) };
        let serves = world.served_by(&proxy.ip().to_string()).to_vec();
        Self { world, proxy, own, serves }
    }

    /// Follows to a newer world.
    pub(crate) fn follow(&mut self, world: Arc<World>) {
        let serves = world.served_by(&self.proxy.ip().to_string()).to_vec();
        let only = match &world.changed {
            Changed::Instances(hosts)
                if world.generation == self.world.generation + 1
                    && serves == self.serves
                    && self.proxy.scoped(&world).place() == self.proxy.place() =>
            {
                Some(hosts)
            }
            _ => None,
        };
        match only {
            // A gateway's own are its listeners and routes, on which instances have no bearing.
            Some(_) if self.proxy.on_demand => {}
            Some(hosts) => generate::instances(&world, &self.proxy, hosts, &mut self.own),
            None => {
                *self = Self::new(world, self.proxy.clone());
                return;
            }
        }
        self.world = world;
    }

    /// A resource by name, if there is one.
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<Arc<Resource>> {
        if let Some(own) = self.own.get(kind, name) {
            return Some(own.clone());
        }
        if !self.proxy.on_demand {
            return None;
        }
        let make = || generate::one(&self.world, &self.proxy, kind, name);
        self.world.shelf.get(kind, name, &self.proxy, make)
    }

    /// True for a proxy that asks for what it uses.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.proxy.on_demand
    }

    /// The world that is viewed, counted.
    pub(crate) fn generation(&self) -> u64 {
        self.world.generation
    }

    /// How the control plane introduces itself to this proxy.
    pub(crate) fn identifier(&self) -> &'static str {
        if self.proxy.on_demand { mesh_types::ON_DEMAND_CONTROL_PLANE } else { "weft" }
    }

    /// True for what is sent without being asked for.
    pub(crate) fn has_own(&self, kind: Kind, name: &str) -> bool {
        self.own.get(kind, name).is_some()
    }

    /// The names that are sent without being asked for.
    pub(crate) fn own(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.own.all(kind).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use galley::Objects;
    use mesh_types::{NodeId, NodeKind};

    const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.96.0.12
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: 9080}, {name: any, port: 7000}, {name: tcp-x, port: 7001}]
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: default}
spec:
  clusterIP: None
  selector: {app: reviews}
  ports: [{name: mysql, port: 3306}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: other}
spec:
  hosts: [api.example.com]
  addresses: [192.0.2.1]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http: [{mirror: {host: api.example.com, port: {number: 80}}, route: [{destination: {host: reviews, subset: v1, port: {number: 80}}}]}]
";

    fn pod(name: &str, ip: &str) -> String {
        format!(
            "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{app: reviews, version: v1}}}}
spec: {{serviceAccountName: reviews, containers: [{{name: app}}]}}
status: {{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}
"
        )
    }

    fn objects(yaml: &str, before: Option<&World>) -> Arc<Objects> {
        let loaded = galley::load(&"test.yaml".into(), yaml);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let objects = Objects::new(loaded.objects);
        Arc::new(match before {
            Some(world) => objects.sharing(&world.objects),
            None => objects,
        })
    }

    fn proxy(on_demand: bool) -> Proxy {
        let id = NodeId {
            kind: NodeKind::Sidecar,
            ip: [10, 0, 0, 99].into(),
            workload: "client".into(),
            namespace: "default".into(),
            domain: "default.svc.cluster.local".into(),
        };
        Proxy::new(id, Default::default(), on_demand)
    }

    fn named(view: &View, kind: Kind) -> Vec<String> {
        view.own(kind).cloned().collect()
    }

    /// What is asked for by name is what a proxy that gets everything has, byte for byte.
    #[test]
    fn asking_gives_what_everything_has() {
        let world = Arc::new(World::build(&objects(&(SHOP.to_owned() + &pod("a", "10.0.0.1")), None)));
        let (everything, asking) = (View::new(world.clone(), proxy(false)), View::new(world, proxy(true)));
        let mut compared = 0;
        for kind in [Kind::Cluster, Kind::Endpoints, Kind::Listener] {
            for name in named(&everything, kind) {
                let wanted = everything.get(kind, &name).map(|one| one.body.clone());
                assert_eq!(asking.get(kind, &name).map(|one| one.body.clone()), wanted, "{kind:?} {name}");
                compared += 1;
            }
        }
        assert!(compared > 15, "{compared}");
        assert!(asking.own(Kind::Cluster).all(|name| !name.contains('|')), "nothing that nobody asked for");
        for name in ["80/reviews", "80/reviews.default.svc", "80/10.96.0.12", "80/api.example.com"] {
            assert!(asking.get(Kind::VirtualHost, name).is_some(), "{name}");
        }
        for name in ["80/nobody", "81/reviews", "x/reviews", "80", "80/", "80/headless"] {
            assert!(asking.get(Kind::VirtualHost, name).is_none(), "{name}");
        }
        for (kind, name) in [
            (Kind::Listener, "0.0.0.0_81"),
            (Kind::Listener, "10.96.0.12_80"),
            (Kind::Listener, "nonsense"),
            (Kind::Cluster, "outbound|80|v9|reviews.default.svc.cluster.local"),
            (Kind::Cluster, "inbound|80||"),
            (Kind::Route, "reviews.default.svc.cluster.local:80"),
            (Kind::Endpoints, "outbound|80||api.example.com"),
        ] {
            assert!(asking.get(kind, name).is_none(), "{name}");
        }
        let host = asking.get(Kind::VirtualHost, "80/reviews").unwrap();
        let mentioned: Vec<_> = host.mentions.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(mentioned, ["outbound|80|v1|reviews.default.svc.cluster.local", "outbound|80||api.example.com"]);
    }

    /// What a `Sidecar` leaves out is not there, however it is asked for, and is not there later either.
    #[test]
    fn a_sidecar_is_heeded_by_all() {
        let sidecar = "
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec: {egress: [{hosts: ['*/api.example.com']}]}
";
        let yaml = |more: &str| SHOP.to_owned() + sidecar + more;
        let first = Arc::new(World::build(&objects(&yaml(&pod("a", "10.0.0.1")), None)));
        let more = pod("a", "10.0.0.1") + &pod("b", "10.0.0.2");
        let second = Arc::new(first.next(&objects(&yaml(&more), Some(&first))));
        for on_demand in [false, true] {
            let mut view = View::new(first.clone(), proxy(on_demand));
            for world in [&first, &second] {
                view.follow((*world).clone());
                assert!(view.get(Kind::Listener, "10.96.0.12_7000").is_none(), "on demand: {on_demand}");
                assert!(view.get(Kind::Listener, "10.0.0.1_3306").is_none(), "on demand: {on_demand}");
                assert!(view.get(Kind::Listener, "0.0.0.0_80").is_some(), "on demand: {on_demand}");
            }
            assert!(view.get(Kind::VirtualHost, "80/reviews").is_none());
            assert_eq!(view.get(Kind::VirtualHost, "80/api.example.com").is_some(), on_demand);
        }
    }

    /// Who is near depends on where the proxy's own workload runs, which may become known later.
    #[test]
    fn a_place_that_becomes_known_changes_who_is_near() {
        let rule = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: near, namespace: default}
spec: {host: reviews, trafficPolicy: {outlierDetection: {}}}
---
apiVersion: v1
kind: Node
metadata: {name: eu, labels: {topology.kubernetes.io/region: eu}}
---
apiVersion: v1
kind: Node
metadata: {name: us, labels: {topology.kubernetes.io/region: us}}
";
        let on = |node: &str, pod: String| pod.replace("spec: {", &format!("spec: {{nodeName: {node}, "));
        let shop = SHOP.to_owned() + rule + &on("eu", pod("a", "10.0.0.1")) + &on("us", pod("b", "10.0.0.2"));
        let own = on("us", pod("client", "10.0.0.99")).replace("app: reviews", "app: client");
        let first = Arc::new(World::build(&objects(&shop, None)));
        let second = Arc::new(first.next(&objects(&(shop + &own), Some(&first))));
        let name = "outbound|80||reviews.default.svc.cluster.local";
        for on_demand in [false, true] {
            let endpoints = |view: &View| view.get(Kind::Endpoints, name).map(|one| one.body.clone());
            let mut view = View::new(first.clone(), proxy(on_demand));
            let before = endpoints(&view);
            view.follow(second.clone());
            assert_ne!(endpoints(&view), before, "on demand: {on_demand}");
            assert_eq!(endpoints(&view), endpoints(&View::new(second.clone(), proxy(on_demand))));
        }
    }

    /// After instances came or went, what is kept is what would be made anew.
    #[test]
    fn following_gives_what_beginning_gives() {
        let first = Arc::new(World::build(&objects(&(SHOP.to_owned() + &pod("a", "10.0.0.1")), None)));
        let more = SHOP.to_owned() + &pod("a", "10.0.0.1") + &pod("b", "10.0.0.2");
        let second = Arc::new(first.next(&objects(&more, Some(&first))));
        assert!(matches!(&second.changed, crate::world::Changed::Instances(hosts) if hosts.len() == 2));
        let third = Arc::new(second.next(&objects(SHOP, Some(&second))));
        for on_demand in [false, true] {
            let mut followed = View::new(first.clone(), proxy(on_demand));
            let ask = |view: &View| {
                let whole = View::new(third.clone(), proxy(false));
                let names = Kind::ALL.into_iter().flat_map(|kind| {
                    let old = View::new(second.clone(), proxy(false));
                    let all: Vec<_> = named(&whole, kind).into_iter().chain(named(&old, kind)).collect();
                    all.into_iter().map(move |name| (kind, name))
                });
                names.map(|(kind, name)| view.get(kind, &name).map(|one| one.body.clone())).collect::<Vec<_>>()
            };
            for world in [&second, &third] {
                ask(&followed);
                followed.follow((*world).clone());
                assert_eq!(ask(&followed), ask(&View::new((*world).clone(), proxy(on_demand))));
            }
            let anew = Arc::new(World::build(&third.objects));
            assert_eq!(ask(&followed), ask(&View::new(anew, proxy(on_demand))), "on demand: {on_demand}");
        }
    }
}
