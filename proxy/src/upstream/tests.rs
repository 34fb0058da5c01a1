use std::time::Duration;

use super::*;
use crate::model::{
    CircuitBreakers, ConsistentHash, DnsEndpoint, EndpointHealth, LocalityEndpoints, OutlierDetection, UpstreamHttp,
    UpstreamProtocol,
};

fn endpoint(last: u8) -> Endpoint {
    Endpoint {
        address: ([10, 0, 0, last], 80).into(),
        hostname: None,
        health: EndpointHealth::Healthy,
        weight: 1,
        mtls: false,
        workload: None,
    }
}

fn locality(priority: u32, weight: u32, endpoints: impl IntoIterator<Item = Endpoint>) -> LocalityEndpoints {
    let endpoints = endpoints.into_iter().map(Arc::new).collect();
    LocalityEndpoints { locality: Default::default(), priority, weight, endpoints }
}

/// One healthy endpoint.
pub(crate) fn endpoints() -> EndpointSet {
    EndpointSet { localities: vec![locality(0, 1, [endpoint(1)])] }
}

pub(crate) fn cluster(discovery: Discovery) -> Cluster {
    Cluster {
        name: "c".into(),
        discovery,
        lb: LbPolicy::RoundRobin,
        locality_weighted: false,
        panic_threshold: 0,
        connect_timeout: Duration::from_secs(1),
        http: UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            idle_timeout: None,
            max_requests_per_connection: 0,
            max_concurrent_streams: 100,
        },
        tls: Vec::new(),
        breakers: CircuitBreakers {
            max_connections: u32::MAX,
            max_pending: u32::MAX,
            max_requests: u32::MAX,
            max_retries: u32::MAX,
            retry_budget: None,
        },
        outlier: None,
        keepalive: None,
        service: None,
        bind: None,
        proxy_protocol: None,
    }
}

fn outlier() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 2,
        consecutive_gateway: 0,
        consecutive_local: 0,
        split_local: false,
        interval: Duration::from_secs(1),
        base_ejection: Duration::from_secs(10),
        max_ejection: Duration::from_secs(300),
        max_ejection_percent: 100,
    }
}

/// A cluster over EDS with these localities, and the means to change them.
struct World {
    upstreams: Upstreams,
    snapshot: Snapshot,
}

impl World {
    fn new(change: impl FnOnce(&mut Cluster), localities: Vec<LocalityEndpoints>) -> Self {
        let mut config = cluster(Discovery::Eds("c".into()));
        change(&mut config);
        let mut world = Self {
            upstreams: Upstreams::new(Shared::new(tokio::runtime::Handle::current())),
            snapshot: Snapshot::default(),
        };
        world.snapshot.clusters.insert("c".into(), Arc::new(config));
        world.set(localities);
        world
    }

    fn set(&mut self, localities: Vec<LocalityEndpoints>) {
        self.snapshot.endpoints.insert("c".into(), Arc::new(EndpointSet { localities }));
        self.snapshot.version += 1;
    }

    fn upstream(&self) -> Rc<Upstream> {
        self.upstreams.get(&self.snapshot, &self.snapshot.clusters["c"])
    }

    fn pick(&self, context: &PickContext<'_>) -> Result<u8, Fault> {
        self.upstream().pick(context).map(|pick| last(&pick))
    }

    /// How often each of the endpoints 1, 2, 3 … is chosen in a thousand.
    fn shares(&self) -> [u32; 8] {
        let mut shares = [0; 8];
        (0..1000).for_each(|_| shares[usize::from(self.pick(&PickContext::default()).unwrap())] += 1);
        shares
    }
}

fn last(pick: &Pick) -> u8 {
    match pick.endpoint().address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    }
}

#[tokio::test]
async fn round_robin_is_even_and_heeds_weights() {
    let even = World::new(|_| (), vec![locality(0, 0, [endpoint(1), endpoint(2)])]);
    assert_eq!(even.shares()[1..3], [500, 500]);
    let heavy = Endpoint { weight: 3, ..endpoint(2) };
    let weighted = World::new(|_| (), vec![locality(0, 0, [endpoint(1), heavy])]);
    assert!((249..=251).contains(&weighted.shares()[1]));
}

#[tokio::test]
async fn least_request_avoids_the_busy() {
    let world =
        World::new(|cluster| cluster.lb = LbPolicy::LeastRequest(2), vec![locality(0, 0, [endpoint(1), endpoint(2)])]);
    let upstream = world.upstream();
    let busy: Vec<Pick> = (0..50).map(|_| upstream.pick(&PickContext::default()).unwrap()).collect();
    let first = busy.iter().filter(|pick| last(pick) == 1).count();
    assert_eq!(first, 25, "two hosts under P2C share evenly");
    let (ones, _twos): (Vec<Pick>, Vec<Pick>) = busy.into_iter().partition(|pick| last(pick) == 1);
    drop(ones);
    assert_eq!(world.pick(&PickContext::default()).unwrap(), 1);
}

#[tokio::test]
async fn localities_share_by_weight_and_priorities_take_over() {
    let weighted = World::new(
        |cluster| cluster.locality_weighted = true,
        vec![locality(0, 80, [endpoint(1)]), locality(0, 20, [endpoint(2), endpoint(3)])],
    );
    assert!((730..=870).contains(&weighted.shares()[1]));

    let mut failing = World::new(|_| (), vec![locality(0, 0, [endpoint(1)]), locality(1, 0, [endpoint(2)])]);
    assert_eq!(failing.shares()[1], 1000);
    let sick = |last| Endpoint { health: EndpointHealth::Unhealthy, ..endpoint(last) };
    failing.set(vec![locality(0, 0, [sick(1)]), locality(1, 0, [endpoint(2)])]);
    assert_eq!(failing.shares()[2], 1000);
    // Half of priority 0 is healthy: 1.4 times that stays, the rest falls to the next.
    failing.set(vec![locality(0, 0, [sick(1), endpoint(3)]), locality(1, 0, [endpoint(2)])]);
    assert!((630..=770).contains(&failing.shares()[3]));
    failing.set(vec![locality(0, 0, [sick(1)])]);
    let fault = failing.pick(&PickContext::default()).unwrap_err();
    assert_eq!(fault.cause, Cause::NoHealthyUpstream);
    assert_eq!(fault.reason, "none of the 1 endpoints of c is healthy");
}

#[tokio::test(start_paused = true)]
async fn the_sick_are_ejected_and_come_back() {
    let world =
        World::new(|cluster| cluster.outlier = Some(outlier()), vec![locality(0, 0, [endpoint(1), endpoint(2)])]);
    let upstream = world.upstream();
    let fail = |which: u8, times: usize| {
        for _ in 0..times {
            let pick = std::iter::repeat_with(|| upstream.pick(&PickContext::default()).unwrap());
            pick.take(100).find(|pick| last(pick) == which).unwrap().report(Outcome::Answer(503));
        }
    };
    fail(1, 1);
    assert!(world.shares()[1] > 0);
    fail(1, 1);
    assert_eq!(world.shares()[1], 0);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(world.shares()[1], 500);
}

#[tokio::test]
async fn retries_prefer_what_was_not_tried() {
    let world = World::new(|_| (), vec![locality(0, 0, [endpoint(1), endpoint(2)])]);
    let tried = [endpoint(1).address];
    let context = PickContext { tried: &tried, ..PickContext::default() };
    assert!((0..50).all(|_| world.pick(&context).unwrap() == 2));
    let all = [endpoint(1).address, endpoint(2).address];
    assert!(world.pick(&PickContext { tried: &all, ..PickContext::default() }).is_ok());
}

#[tokio::test]
async fn hashing_is_stable_and_moves_few() {
    // With fewer hosts each has more points on a ring of a given size, so some requests move between those that stay.
    let ring = ConsistentHash::Ring { minimum: 1024, maximum: 8 << 20 };
    for (lb, most) in [(ring, 200), (ConsistentHash::Maglev(65537), 50)] {
        let mut world =
            World::new(|cluster| cluster.lb = LbPolicy::Hash(lb.clone()), vec![locality(0, 0, (1..=5).map(endpoint))]);
        let place = |world: &World| -> Vec<u8> {
            let hash = |request: u64| request.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let context = |request| PickContext { hash: Some(hash(request)), ..PickContext::default() };
            (0..1000).map(|request| world.pick(&context(request)).unwrap()).collect()
        };
        let before = place(&world);
        assert_eq!(before, place(&world));
        assert!((1..=5).all(|host| before.iter().filter(|place| **place == host).count() > 100), "{lb:?}");
        world.set(vec![locality(0, 0, (1..=4).map(endpoint))]);
        let after = place(&world);
        let moved = before.iter().zip(&after).filter(|(before, after)| **before != 5 && before != after).count();
        assert!(moved < most, "{lb:?}: {moved} of 1000 moved though their host stayed");
    }
}

#[tokio::test]
async fn what_is_under_way_outlives_an_update() {
    let mut world = World::new(|_| (), vec![locality(0, 0, [endpoint(1)])]);
    let busy = world.upstream().pick(&PickContext::default()).unwrap();
    world.set(vec![locality(0, 0, [Endpoint { weight: 7, ..endpoint(1) }, endpoint(2)])]);
    let mut active = Vec::new();
    world.upstream();
    world.upstreams.for_each_host(|_, host| active.push((host.endpoint.weight, host.active())));
    assert_eq!(active, [(7, 1), (1, 0)]);
    drop(busy);
    world.upstreams.for_each_host(|_, host| assert_eq!(host.active(), 0));
}

#[tokio::test]
async fn an_older_request_takes_no_newer_endpoints_away() {
    let mut world = World::new(|_| (), vec![locality(0, 0, [endpoint(1)])]);
    let older = world.snapshot.clone();
    let mut edited = cluster(Discovery::Eds("c".into()));
    edited.connect_timeout *= 2;
    world.upstream();
    world.set(vec![locality(0, 0, [endpoint(2)])]);
    assert_eq!(world.pick(&PickContext::default()).unwrap(), 2);
    let same = world.upstreams.get(&older, &older.clusters["c"]);
    assert_eq!(same.pick(&PickContext::default()).as_ref().map(last), Ok(2));

    world.snapshot.clusters.insert("c".into(), Arc::new(edited));
    world.set(vec![locality(0, 0, [endpoint(3)])]);
    let newest = world.upstream();
    let before = world.upstreams.get(&older, &older.clusters["c"]);
    assert!(!Rc::ptr_eq(&before, &newest), "the request has the settings that it was decided by");
    assert!(Rc::ptr_eq(&world.upstream(), &newest), "and the edited cluster keeps its connections");
}

#[tokio::test]
async fn literal_names_resolve_to_themselves() {
    let names = [DnsEndpoint {
        host: "127.0.0.9".into(),
        port: 81,
        template: endpoint(0),
        locality: Default::default(),
        priority: 0,
    }];
    let world = World::new(|cluster| cluster.discovery = Discovery::StrictDns(names.into()), Vec::new());
    let upstream = world.upstream();
    upstream.ready().await.unwrap();
    assert_eq!(upstream.pick(&PickContext::default()).unwrap().endpoint().address, ([127, 0, 0, 9], 81).into());
}

#[tokio::test]
async fn original_destinations_are_endpoints() {
    let world = World::new(|cluster| cluster.discovery = Discovery::OriginalDst, Vec::new());
    let context = PickContext { original_destination: Some(endpoint(7).address), ..PickContext::default() };
    assert_eq!(world.pick(&context).unwrap(), 7);
    assert_eq!(world.pick(&PickContext::default()).unwrap_err().cause, Cause::NoHealthyUpstream);
    world.upstreams.tidy();
    let mut left = 0;
    world.upstreams.for_each_host(|_, _| left += 1);
    assert_eq!(left, 0);
}
