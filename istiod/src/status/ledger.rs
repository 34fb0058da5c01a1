//! What is to be said of each object, and what was said of it last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use galley::{ObjectRef, State};
use pilot::World;
use tokio::time::Instant;

/// How often a count of proxies alone is written: proxies come and go all the time.
const COUNTS: Duration = Duration::from_secs(10);

/// What is to be said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The object's generation of which this is true.
    pub(super) generation: i64,
    /// Why it is refused; empty if it is valid.
    pub(super) problems: Vec<String>,
    /// Proxies that have this generation.
    pub(super) current: usize,
    /// Proxies that are connected, or are known to exist.
    pub(super) total: usize,
}

/// Since when objects are what they are, and what was said of them.
#[derive(Default)]
pub(super) struct Ledger {
    /// Generation of the object, and of the first world that had it.
    since: BTreeMap<ObjectRef, (i64, u64)>,
    said: BTreeMap<ObjectRef, (Verdict, Instant)>,
}

impl Verdict {
    /// True if it is valid and every proxy has it.
    pub(super) fn is_everywhere(&self) -> bool {
        self.problems.is_empty() && self.current == self.total
    }

    /// True if it must be said now; what only counts proxies can wait.
    fn is_news(&self, before: &Self) -> bool {
        (self.generation, &self.problems) != (before.generation, &before.problems)
            || self.is_everywhere() && !before.is_everywhere()
    }
}

impl Ledger {
    /// Takes note of what a world has that the one before it had not.
    pub(super) fn follow(&mut self, world: &World) {
        let mut there = BTreeSet::new();
        for (kind, meta) in world.objects().metas().filter(|(kind, _)| kind.is_istio()) {
            let reference = ObjectRef { kind, namespace: meta.namespace.clone(), name: meta.name.clone() };
            let now = (meta.generation, world.generation());
            let since = self.since.entry(reference.clone()).or_insert(now);
            if since.0 != meta.generation {
                *since = now;
            }
            there.insert(reference);
        }
        self.since.retain(|reference, _| there.contains(reference));
    }

    /// What is to be written now, the most needed first. `has` is the newest world that each proxy has.
    pub(super) fn due(
        &mut self,
        state: &State,
        mut has: Vec<Option<u64>>,
        now: Instant,
        most: usize,
    ) -> Vec<(ObjectRef, Verdict)> {
        has.sort_unstable();
        let verdicts = self.verdicts(state, &has);
        self.said.retain(|reference, _| verdicts.contains_key(reference));
        let mut due: Vec<(bool, ObjectRef, Verdict)> = Vec::new();
        for (reference, verdict) in verdicts {
            match self.said.get(&reference) {
                Some((said, _)) if *said == verdict => {}
                Some((said, at)) => {
                    let news = verdict.is_news(said);
                    if news || now.duration_since(*at) >= COUNTS {
                        due.push((!news, reference, verdict));
                    }
                }
                None => due.push((false, reference, verdict)),
            }
        }
        due.sort_by_key(|(waits, _, _)| *waits);
        due.into_iter().take(most).map(|(_, reference, verdict)| (reference, verdict)).collect()
    }

    /// Takes note of what was written.
    pub(super) fn written(&mut self, reference: ObjectRef, verdict: Verdict, now: Instant) {
        self.said.insert(reference, (verdict, now));
    }

    fn verdicts(&self, state: &State, has: &[Option<u64>]) -> BTreeMap<ObjectRef, Verdict> {
        let with = |world: u64| has.len() - has.partition_point(|one| *one < Some(world));
        let in_force = self.since.iter().map(|(reference, (generation, world))| {
            let (generation, current) = (*generation, with(*world));
            (reference.clone(), Verdict { generation, problems: Vec::new(), current, total: has.len() })
        });
        let mut verdicts: BTreeMap<ObjectRef, Verdict> = in_force.collect();
        for (reference, generation) in state.refused.iter().filter(|(reference, _)| reference.kind.is_istio()) {
            let problems = problems(state, reference);
            let refused = Verdict { generation: *generation, problems, current: 0, total: has.len() };
            verdicts.insert(reference.clone(), refused);
        }
        verdicts
    }
}

fn problems(state: &State, reference: &ObjectRef) -> Vec<String> {
    let own = state.diagnostics.iter().filter(|one| one.is_error() && one.object.as_ref() == Some(reference));
    own.map(|one| if one.path.is_empty() { one.message.clone() } else { format!("{}: {}", one.path, one.message) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use galley::Objects;
    use std::sync::Arc;

    fn objects(generation: i64) -> Arc<Objects> {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a, generation: {generation}}}\nspec: {{egress: [{{hosts: ['*/*']}}]}}\n"
        );
        let loaded = galley::load(&"test.yaml".into(), &text);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        Arc::new(Objects::new(loaded.objects))
    }

    #[test]
    fn it_is_everywhere_when_every_proxy_has_its_world() {
        let (mut ledger, state, start) = (Ledger::default(), State::default(), Instant::now());
        let first = World::build(&objects(1));
        let second = first.next(&objects(2));
        ledger.follow(&first);
        ledger.follow(&second);
        let due = |ledger: &mut Ledger, has: &[Option<u64>], after: Duration| {
            ledger.due(&state, has.to_vec(), start + after, 10)
        };
        let (reference, verdict) = due(&mut ledger, &[Some(0), Some(1), None], Duration::ZERO).remove(0);
        assert_eq!((verdict.generation, verdict.current, verdict.total), (2, 1, 3));
        ledger.written(reference.clone(), verdict, start);
        assert!(due(&mut ledger, &[Some(0), Some(1), None], COUNTS).is_empty(), "nothing is new");
        assert!(due(&mut ledger, &[Some(1), Some(1), None], Duration::from_secs(1)).is_empty(), "a count can wait");
        assert_eq!(due(&mut ledger, &[Some(1), Some(1), None], COUNTS).len(), 1);
        let (_, verdict) = due(&mut ledger, &[Some(1), Some(7)], Duration::from_secs(1)).remove(0);
        assert!(verdict.is_everywhere(), "that cannot");
    }

    #[test]
    fn what_is_refused_says_why() {
        let mut ledger = Ledger::default();
        ledger.follow(&World::build(&objects(1)));
        let loaded = galley::load(
            &"".into(),
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egres: []}\n",
        );
        let refused = loaded.refused.iter().map(|one| (one.clone(), 2)).collect();
        let state = State { diagnostics: loaded.diagnostics.into(), refused: Arc::new(refused), ..State::default() };
        let due = ledger.due(&state, vec![Some(0)], Instant::now(), 10);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1.generation, 2);
        assert_eq!(due[0].1.problems, ["spec.egres: unknown field; did you mean `egress`?"]);
    }
}
