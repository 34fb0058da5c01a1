//! The scenarios: what a mesh does, each as something done, something expected and something measured. The demo shows
//! them and the tests assert them.

mod control;
mod resilience;
mod rollout;
mod security;
mod shop;
mod traffic;

use anyhow::Result;

use crate::mesh::Mesh;
use crate::place::Place;
use crate::story::Story;

pub use rollout::restart_all;
pub use shop::open;

/// One scenario. It begins and ends with the shop as [`open`] leaves it.
pub struct Scenario {
    /// What is done.
    pub title: &'static str,
    /// What should be true.
    pub expected: &'static str,
    /// Does it, and returns what it measured.
    pub run: Run,
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Wherever the shop stands.
    Anywhere(fn(&dyn Place) -> Result<String>),
    /// With the processes of the laboratory.
    Here(fn(&mut Mesh) -> Result<String>),
}

/// All scenarios, in the order in which teams adopt a mesh.
pub const ALL: &[Scenario] = &[
    Scenario {
        title: "Discovery and balancing",
        expected: "300 calls to `reviews` reach its three versions evenly, all over mutual TLS",
        run: Run::Anywhere(traffic::balancing),
    },
    Scenario {
        title: "gRPC over HTTP/2",
        expected: "300 calls on one connection reach all three versions, each with its trailers",
        run: Run::Anywhere(traffic::grpc),
    },
    Scenario {
        title: "The web front, through the ingress gateway",
        expected: "/productpage answers with details, reviews and ratings; another host gets 404",
        run: Run::Anywhere(traffic::ingress),
    },
    Scenario {
        title: "Only what is used",
        expected: "a proxy knows the services that its application has called, and no others",
        run: Run::Anywhere(traffic::on_demand),
    },
    Scenario {
        title: "A canary: 90 % to v1, 10 % to v3",
        expected: "of 1,000 calls 7 to 13 in a hundred reach v3, none v2",
        run: Run::Anywhere(traffic::canary),
    },
    Scenario {
        title: "A canary by header",
        expected: "`end-user: jason` gets v2, everyone else v1",
        run: Run::Anywhere(traffic::by_header),
    },
    Scenario {
        title: "A timeout of 300 ms",
        expected: "a slow call ends with 504 after 300 ms, a quick one is not touched",
        run: Run::Anywhere(resilience::timeout),
    },
    Scenario {
        title: "Retries over a sick instance",
        expected: "one of two instances answers 500: every call still succeeds",
        run: Run::Anywhere(resilience::retries),
    },
    Scenario {
        title: "Fault injection",
        expected: "half of the calls get 418; jason's are delayed by 400 ms",
        run: Run::Anywhere(resilience::fault_injection),
    },
    Scenario {
        title: "A circuit breaker opens on a sick instance",
        expected: "after at most 3 failures in a row the instance gets no more calls; once well, it is back",
        run: Run::Anywhere(resilience::circuit_breaker),
    },
    Scenario {
        title: "STRICT mutual TLS",
        expected: "plain text from outside the mesh works before and is refused after; the mesh notices nothing",
        run: Run::Anywhere(security::strict),
    },
    Scenario {
        title: "An AuthorizationPolicy",
        expected: "`ratings` answers to reviews' identity alone; anybody else gets 403",
        run: Run::Anywhere(security::policy),
    },
    Scenario {
        title: "A proxy is killed",
        expected: "its application's peers are refused, and never see plain text",
        run: Run::Here(security::killed_proxy),
    },
    Scenario {
        title: "A rolling restart under load",
        expected: "every instance of `reviews` is replaced; of 500 calls a second, half of them POSTs, none fails",
        run: Run::Here(rollout::rolling),
    },
    Scenario {
        title: "A mistake in the configuration",
        expected: "it is refused with file, line, field and the right word; everything else goes on",
        run: Run::Here(control::mistake),
    },
    Scenario {
        title: "The control plane is killed and comes back",
        expected: "no call fails meanwhile, and an edit made in its absence is live after its return",
        run: Run::Here(control::outage),
    },
];

/// Walks all scenarios on an open shop; true if every one holds.
pub fn walk(mesh: &mut Mesh, story: &mut Story) -> bool {
    for scenario in ALL {
        story.step(scenario.title, scenario.expected, || match scenario.run {
            Run::Anywhere(run) => run(mesh),
            Run::Here(run) => run(mesh),
        });
    }
    story.close()
}
