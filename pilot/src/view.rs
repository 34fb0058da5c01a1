//! What one proxy may see of a world: all of it made at once, or, for a proxy that asks by name, what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::generate;
use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::shelf::{Part, Sight};
use crate::world::{Changed, Hosts, World};

/// One proxy's view.
pub(crate) struct View {
    world: Arc<World>,
    proxy: Proxy,
    sight: Sight,
    /// Sent without being asked for, to all that see the same.
    clusters: Arc<Resources>,
    listeners: Arc<Resources>,
    /// Sent without being asked for, to this proxy.
    own: Resources,
    changes: Changes,
}

/// What may be different from the view before.
enum Changes {
    Anything,
    /// What depends on the hosts that the world says.
    OfHosts,
    /// These names.
    Of(BTreeMap<Kind, BTreeSet<String>>),
}

/// Of one kind, what may be different from the view before.
#[derive(Clone, Copy)]
pub(crate) enum Concerned<'a> {
    Anything,
    /// What depends on these hosts.
    Hosts(&'a Hosts),
    Names(&'a BTreeSet<String>),
}

impl View {
    pub(crate) fn new(world: Arc<World>, proxy: Proxy) -> Self {
        let proxy = proxy.scoped(&world);
        let sight = world.shelf.sight(&proxy);
        let clusters = world.shelf.common(Part::Clusters, sight, || generate::clusters(&world, &proxy).into());
        let listeners =
            world.shelf.common(Part::Listeners, sight, || generate::listeners(&world, &proxy, &clusters).into());
        let own = generate::own(&world, &proxy);
        Self { world, proxy, sight, clusters, listeners, own, changes: Changes::Anything }
    }

    /// Follows to a newer world.
    pub(crate) fn follow(&mut self, world: Arc<World>) {
        let next = world.generation == self.world.generation + 1;
        let (hosts, only_instances) = match &world.changed {
            Changed::Hosts { hosts, only_instances }
                if next && self.keeps_own(&world, hosts) && (*only_instances || !self.proxy.is_gateway()) =>
            {
                (hosts, *only_instances)
            }
            _ => {
                *self = Self::new(world, self.proxy.clone());
                return;
            }
        };
        self.sight = world.shelf.sight(&self.proxy);
        // Of what is sent unasked to a proxy that asks for the rest, nothing depends on hosts.
        self.changes = match self.proxy.on_demand {
            true => Changes::OfHosts,
            false => self.follow_all(&world, hosts, only_instances),
        };
        self.world = world;
    }

    /// Brings what is sent unasked up to date, as far as it depends on hosts.
    fn follow_all(&mut self, world: &World, hosts: &Hosts, only_instances: bool) -> Changes {
        let clusters = world.shelf.common(Part::Clusters, self.sight, || {
            let mut clusters = (*self.clusters).clone();
            generate::clusters_of(world, &self.proxy, hosts, &mut clusters);
            clusters.into()
        });
        let listeners = world.shelf.common(Part::Listeners, self.sight, || {
            let stay = only_instances
                && !generate::listeners_depend_on(world, &self.proxy, hosts)
                && self.listeners.all(Kind::Cluster).next().is_none();
            if stay { self.listeners.clone() } else { generate::listeners(world, &self.proxy, &clusters).into() }
        });
        let differing = |kind: Kind| {
            let mut names = self.clusters.differing(&clusters, kind);
            names.extend(self.listeners.differing(&listeners, kind));
            (kind, names)
        };
        let differing = Kind::ALL.into_iter().map(differing).collect();
        (self.clusters, self.listeners) = (clusters, listeners);
        Changes::Of(differing)
    }

    /// What of a kind may be different from the view before.
    pub(crate) fn concerned(&self, kind: Kind) -> Concerned<'_> {
        match (&self.changes, &self.world.changed) {
            (Changes::OfHosts, Changed::Hosts { hosts, .. }) => Concerned::Hosts(hosts),
            (Changes::Of(names), _) => names.get(&kind).map_or(Concerned::Anything, Concerned::Names),
            _ => Concerned::Anything,
        }
    }

    /// True if the proxy's workload is where it was, and nothing changed of what it serves.
    fn keeps_own(&self, world: &World, hosts: &Hosts) -> bool {
        let ip = self.proxy.ip();
        let mut served = self.world.served_by(ip).iter().chain(world.served_by(ip));
        self.world.place_of(ip) == world.place_of(ip) && !served.any(|served| hosts.concern(&served.host))
    }

    /// A resource by name, if there is one.
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<Arc<Resource>> {
        if let Some(sent) = self.parts().find_map(|part| part.get(kind, name)) {
            return Some(sent.clone());
        }
        if !self.proxy.on_demand {
            return None;
        }
        let make = || generate::one(&self.world, &self.proxy, kind, name);
        self.world.shelf.get(kind, name, self.sight, make)
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
    pub(crate) fn is_unasked(&self, kind: Kind, name: &str) -> bool {
        self.parts().any(|part| part.get(kind, name).is_some())
    }

    /// The names that are sent without being asked for, of those that are concerned. What depends on hosts is not sent so
    /// to a proxy that asks by name.
    pub(crate) fn unasked<'a>(
        &'a self,
        kind: Kind,
        concerned: Concerned<'a>,
    ) -> Box<dyn Iterator<Item = &'a String> + 'a> {
        match concerned {
            Concerned::Anything => Box::new(self.parts().flat_map(move |part| part.all(kind)).map(|(name, _)| name)),
            Concerned::Hosts(_) => Box::new(std::iter::empty()),
            Concerned::Names(names) => Box::new(names.iter().filter(move |name| self.is_unasked(kind, name))),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Resources> {
        [&self.own, &*self.clusters, &*self.listeners].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::subscription::Subscription;
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
        view.unasked(kind, Concerned::Anything).cloned().collect()
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
        assert!(
            asking.unasked(Kind::Cluster, Concerned::Anything).all(|name| !name.contains('|')),
            "nothing that nobody asked for"
        );
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

    /// A subscription to everything of each kind, and to these names.
    fn subscribed(names: &BTreeSet<(Kind, String)>) -> BTreeMap<Kind, Subscription> {
        let open = |kind: Kind| {
            let mut subscription = Subscription::new(kind);
            subscription.open(true);
            names.iter().filter(|(of, _)| *of == kind).for_each(|(_, name)| subscription.ask(name, true));
            (kind, subscription)
        };
        Kind::ALL.into_iter().map(open).collect()
    }

    /// What a proxy holds once it was sent what it lacks.
    fn held_after(view: &View, kind: Kind, subscription: &mut Subscription, nonce: u64) -> BTreeMap<String, u64> {
        let concerned = view.concerned(kind);
        let get = |name: &str| view.get(kind, name);
        subscription.lacking(nonce, concerned, view.unasked(kind, concerned), get);
        subscription.taken(nonce);
        let held = subscription.held().filter_map(|held| Some((held.name.to_owned(), held.taken?.version)));
        held.collect()
    }

    /// The shop after one edit after another, and whether that concerns a few objects alone.
    fn edits() -> Vec<(String, bool)> {
        let (a, b) = (pod("a", "10.0.0.1"), pod("b", "10.0.0.2"));
        let slice = |address: &str| {
            format!(
                "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: reviews-x, namespace: default, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: IPv4
ports: [{{name: http, port: 9080}}, {{name: any, port: 7000}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
"
            )
        };
        let edited = SHOP.replace("hosts: [reviews]", "hosts: [reviews, unknown.example.com]");
        let of_callers = SHOP.replace("{mirror:", "{match: [{sourceLabels: {app: client}}], mirror:");
        let wild = SHOP.replace("hosts: [reviews]", "hosts: ['*.default.svc.cluster.local']");
        let delegating = SHOP.to_owned()
            + "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: other}
spec: {hosts: [api.example.com], http: [{delegate: {name: part, namespace: default}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part, namespace: default}
spec: {http: [{timeout: 3s, route: [{destination: {host: reviews}}]}]}
";
        let entry = SHOP.replace("resolution: DNS", "resolution: STATIC\n  endpoints: [{address: 192.0.2.9}]");
        vec![
            (SHOP.to_owned() + &a, true),
            (SHOP.to_owned() + &a + &b, true),
            (SHOP.to_owned() + &a + &b + &slice("10.0.0.1"), true),
            (SHOP.to_owned() + &a + &b + &slice("10.0.0.3"), true),
            (edited + &a + &b, true),
            (of_callers + &a, true),
            (wild + &b, true),
            (delegating.clone(), true),
            (delegating.replace("3s", "4s"), true),
            (SHOP.to_owned() + &pod("own", "10.0.0.99"), true),
            (entry, false),
            (SHOP.to_owned(), false),
        ]
    }

    /// A proxy that follows some of the worlds.
    struct Follower {
        /// Of so many worlds it sees one.
        every: usize,
        view: View,
        subscriptions: BTreeMap<Kind, Subscription>,
    }

    impl Follower {
        fn new(world: &Arc<World>, every: usize, on_demand: bool, asked: &BTreeSet<(Kind, String)>) -> Self {
            let (view, mut subscriptions) = (View::new(world.clone(), proxy(on_demand)), subscribed(asked));
            subscriptions.iter_mut().for_each(|(kind, subscription)| {
                held_after(&view, *kind, subscription, 0);
            });
            Self { every, view, subscriptions }
        }

        /// Follows to a world, and has then what is made `anew` from its objects: of these names, and of what it asked for.
        fn follow(
            &mut self,
            number: usize,
            [world, anew]: [&Arc<World>; 2],
            [names, asked]: [&BTreeSet<(Kind, String)>; 2],
        ) {
            if !number.is_multiple_of(self.every) {
                return;
            }
            self.view.follow(world.clone());
            let fresh = View::new(anew.clone(), proxy(self.view.is_on_demand()));
            let place = format!("edit {number}, on demand {}", self.view.is_on_demand());
            for (kind, name) in names {
                let body = |view: &View| view.get(*kind, name).map(|one| one.body.clone());
                assert_eq!(body(&self.view), body(&fresh), "{place}: {kind:?} {name}");
            }
            for kind in Kind::ALL {
                let sent = |view: &View| named(view, kind).into_iter().collect::<BTreeSet<_>>();
                assert_eq!(sent(&self.view), sent(&fresh), "{place}: {kind:?}");
                let nonce = number as u64 + 1;
                let subscription = self.subscriptions.get_mut(&kind).unwrap();
                let held = held_after(&self.view, kind, subscription, nonce);
                let holds = held_after(&fresh, kind, &mut subscribed(asked).remove(&kind).unwrap(), nonce);
                assert_eq!(held, holds, "{place}: {kind:?}");
            }
        }
    }

    /// After each edit, what is kept is what would be made anew, in order or with worlds in between left out, and so is
    /// what a proxy holds.
    #[test]
    fn following_gives_what_beginning_gives() {
        let mut world = Arc::new(World::build(&objects(SHOP, None)));
        let asked: BTreeSet<(Kind, String)> = [
            (Kind::VirtualHost, "80/reviews"),
            (Kind::VirtualHost, "80/api.example.com"),
            (Kind::VirtualHost, "80/unknown.example.com"),
            (Kind::VirtualHost, "80/10.96.0.12"),
            (Kind::Listener, "10.0.0.1_3306"),
            (Kind::Listener, "10.0.0.2_3306"),
            (Kind::Listener, "10.0.0.99_3306"),
        ]
        .map(|(kind, name)| (kind, name.to_owned()))
        .into();
        let mut names = asked.clone();
        let mut followers = [(1, false), (2, false), (1, true), (2, true)]
            .map(|(every, on_demand)| Follower::new(&world, every, on_demand, &asked));
        for (number, (yaml, few)) in edits().into_iter().enumerate() {
            let next = Arc::new(world.next(&objects(&yaml, Some(&world))));
            assert_eq!(next.changed != Changed::Everything, few, "edit {number}");
            world = next;
            let anew = Arc::new(World::build(&world.objects));
            let whole = View::new(anew.clone(), proxy(false));
            let of_kind = |kind| named(&whole, kind).into_iter().map(move |name| (kind, name));
            names.extend(Kind::ALL.into_iter().flat_map(of_kind));
            for follower in &mut followers {
                follower.follow(number, [&world, &anew], [&names, &asked]);
            }
        }
    }

    /// What an edit does not concern stays the very same, for all that see the same.
    #[test]
    fn what_is_not_concerned_is_not_made_again() {
        let first = Arc::new(World::build(&objects(&(SHOP.to_owned() + &pod("a", "10.0.0.1")), None)));
        let edited = SHOP.replace("subset: v1, port", "port") + &pod("a", "10.0.0.1");
        let mut views = [proxy(true), proxy(true)].map(|proxy| View::new(first.clone(), proxy));
        let (reviews, outside) = ("80/reviews", "80/api.example.com");
        let before = [reviews, outside].map(|name| views[0].get(Kind::VirtualHost, name).unwrap());
        let second = Arc::new(first.next(&objects(&edited, Some(&first))));
        views.iter_mut().for_each(|view| view.follow(second.clone()));
        let after =
            views.each_ref().map(|view| [reviews, outside].map(|name| view.get(Kind::VirtualHost, name).unwrap()));
        assert_ne!(after[0][0].version, before[0].version);
        assert!(Arc::ptr_eq(&after[0][0], &after[1][0]), "made once");
        assert!(Arc::ptr_eq(&after[0][1], &before[1]), "not made again");
    }
}
