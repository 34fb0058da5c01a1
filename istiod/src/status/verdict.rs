//! What is to be said of each object: how it stands with all replicas together.

use std::collections::{BTreeMap, BTreeSet};

use galley::{ObjectRef, Scope};

use super::standing::{Entry, Fate, Standing, Version};

/// What is to be said of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The object's generation of which this is true.
    pub(super) generation: i64,
    /// Why it is refused; empty if it is valid.
    pub(super) problems: Vec<String>,
    /// What of it is not used, since another object stands in its way.
    pub(super) conflicts: Vec<String>,
    /// Proxies that have this generation.
    pub(super) current: usize,
    /// Proxies that are connected, or are known to exist.
    pub(super) total: usize,
    /// Replicas of whose proxies nothing is known.
    pub(super) silent: usize,
}

impl Verdict {
    /// True if it is valid and every proxy has it.
    pub(super) fn is_everywhere(&self) -> bool {
        self.problems.is_empty() && self.current == self.total && self.silent == 0
    }

    /// True if it must be said now; what only counts proxies can wait.
    pub(super) fn is_news(&self, before: &Self) -> bool {
        (self.generation, &self.problems, &self.conflicts) != (before.generation, &before.problems, &before.conflicts)
            || self.is_everywhere() && !before.is_everywhere()
    }
}

/// What one replica adds to the sums.
pub(super) struct Part<'a> {
    scope: Scope,
    objects: &'a BTreeMap<ObjectRef, Entry>,
    /// The newest world that each proxy has, in order.
    has: Vec<Option<u64>>,
}

impl<'a> Part<'a> {
    /// A replica of a revision. `missing` are proxies of the revision that are connected to none.
    pub(super) fn new(scope: Scope, standing: &'a Standing, missing: usize) -> Self {
        let missing = std::iter::repeat_n(None, missing);
        let mut has: Vec<Option<u64>> = standing.proxies.values().copied().chain(missing).collect();
        has.sort_unstable();
        Self { scope, objects: &standing.objects, has }
    }

    fn with(&self, world: u64) -> usize {
        self.has.len() - self.has.partition_point(|has| *has < Some(world))
    }
}

/// Adds up what the replicas know. The first of them is the one that adds: the newest version of an object is the one
/// that it sees; of an object that is left to another revision, the newest that anybody sees.
pub(super) fn verdicts(parts: &[Part<'_>], silent: usize) -> BTreeMap<ObjectRef, Verdict> {
    let references: BTreeSet<&ObjectRef> = parts.iter().flat_map(|part| part.objects.keys()).collect();
    let said =
        references.into_iter().filter_map(|reference| Some((reference.clone(), verdict(parts, reference, silent)?)));
    said.collect()
}

/// `None` if nobody looks at it.
fn verdict(parts: &[Part<'_>], reference: &ObjectRef, silent: usize) -> Option<Verdict> {
    let known = || parts.iter().filter_map(|part| Some((part, part.objects.get(reference)?)));
    let own = parts.first().and_then(|part| part.objects.get(reference)).map(|entry| entry.version);
    let newest = own.or_else(|| known().map(|(_, entry)| entry.version).max())?;
    if known().all(|(_, entry)| entry.fate == Fate::LeftOut) {
        return None;
    }
    let problems = problems(known().map(|(_, entry)| entry), newest.generation);
    let nothing = Verdict { generation: newest.generation, problems, silent, ..Verdict::default() };
    if !nothing.problems.is_empty() {
        // What is refused says nothing of a revision, so that those who do not know it are not asked for it.
        return Some(Verdict { total: known().map(|(part, _)| part.has.len()).sum(), ..nothing });
    }
    let label = known().find_map(|(_, entry)| entry.revision.as_deref());
    Some(parts.iter().fold(nothing, |sum, part| match share(part, part.objects.get(reference), newest, label) {
        Some((current, total)) => Verdict { current: sum.current + current, total: sum.total + total, ..sum },
        None => sum,
    }))
}

/// How many proxies of a replica have the version, of how many; `None` if none needs it.
fn share(part: &Part<'_>, entry: Option<&Entry>, version: Version, label: Option<&str>) -> Option<(usize, usize)> {
    let current = match entry {
        Some(Entry { fate: Fate::LeftOut, .. }) => return None,
        None if !part.scope.covers(label) => return None,
        Some(Entry { fate: Fate::InForce(since), version: of, .. }) if *of == version => part.with(*since),
        // The replica has not heard of this version yet.
        _ => 0,
    };
    Some((current, part.has.len()))
}

/// What anybody finds wrong with a generation, once.
fn problems<'a>(entries: impl Iterator<Item = &'a Entry>, generation: i64) -> Vec<String> {
    let refused =
        entries.filter(|entry| entry.version.generation == generation).filter_map(|entry| match &entry.fate {
            Fate::Refused(problems) => Some(problems),
            _ => None,
        });
    let mut all: Vec<String> = Vec::new();
    for problem in refused.flatten() {
        if !all.contains(problem) {
            all.push(problem.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use galley::Kind;

    fn object() -> ObjectRef {
        ObjectRef { kind: Kind::Sidecar, namespace: "shop".into(), name: "a".into() }
    }

    fn entry(generation: i64, fate: Fate) -> Entry {
        Entry { version: Version { created: 0, generation }, revision: None, fate }
    }

    fn standing(entry: Option<Entry>, has: &[Option<u64>]) -> Standing {
        let proxies = has.iter().enumerate().map(|(index, has)| (index.to_string(), *has)).collect();
        Standing { objects: entry.map(|entry| (object(), entry)).into_iter().collect(), proxies }
    }

    fn sum(parts: &[(&str, &Standing, usize)], silent: usize) -> Option<Verdict> {
        let scope = |revision: &str| Scope { namespace: "istio-system".into(), revision: revision.into() };
        let parts: Vec<Part<'_>> =
            parts.iter().map(|(revision, standing, missing)| Part::new(scope(revision), standing, *missing)).collect();
        verdicts(&parts, silent).remove(&object())
    }

    fn counts(verdict: Option<Verdict>) -> (usize, usize, bool) {
        let verdict = verdict.unwrap();
        (verdict.current, verdict.total, verdict.is_everywhere())
    }

    #[test]
    fn every_replica_counts_by_its_own_worlds() {
        let own = standing(Some(entry(2, Fate::InForce(7))), &[Some(7), Some(9), Some(6), None]);
        let other = standing(Some(entry(2, Fate::InForce(1))), &[Some(1), Some(0)]);
        assert_eq!(counts(sum(&[("default", &own, 0)], 0)), (2, 4, false));
        assert_eq!(counts(sum(&[("default", &own, 0), ("default", &other, 0)], 0)), (3, 6, false));
        let well = standing(Some(entry(2, Fate::InForce(7))), &[Some(7)]);
        assert_eq!(counts(sum(&[("default", &well, 0), ("canary", &well, 0)], 0)), (2, 2, true));
        assert_eq!(counts(sum(&[("default", &well, 1)], 0)), (1, 2, false), "one is not connected");
        assert_eq!(counts(sum(&[("default", &well, 0)], 1)), (1, 1, false), "of some nothing is known");
    }

    #[test]
    fn a_replica_that_sees_another_version_has_it_nowhere() {
        let own = standing(Some(entry(2, Fate::InForce(7))), &[Some(7)]);
        let again = Entry { version: Version { created: 1, generation: 2 }, ..entry(2, Fate::InForce(0)) };
        for other in [None, Some(entry(1, Fate::InForce(0))), Some(entry(3, Fate::InForce(0))), Some(again)] {
            let other = standing(other, &[Some(9)]);
            let verdict = sum(&[("default", &own, 0), ("default", &other, 0)], 0).unwrap();
            assert_eq!((verdict.generation, verdict.current, verdict.total), (2, 1, 2), "{:?}", other.objects);
        }
    }

    #[test]
    fn an_object_of_one_revision_is_counted_there_alone() {
        let entry = Entry { revision: Some("canary".to_owned()), ..entry(4, Fate::InForce(0)) };
        let canary = standing(Some(entry), &[Some(0), None]);
        let other = standing(None, &[Some(0)]);
        let verdict = sum(&[("default", &other, 3), ("canary", &canary, 0)], 0).unwrap();
        assert_eq!((verdict.generation, verdict.current, verdict.total), (4, 1, 2));
    }

    #[test]
    fn who_does_not_look_at_it_is_not_counted() {
        let out = standing(Some(entry(1, Fate::LeftOut)), &[Some(0)]);
        let own = standing(Some(entry(1, Fate::InForce(0))), &[Some(0)]);
        assert_eq!(sum(&[("default", &out, 0)], 0), None, "nobody does");
        assert_eq!(counts(sum(&[("default", &out, 0), ("canary", &own, 0)], 0)), (1, 1, true));
    }

    #[test]
    fn what_anybody_refuses_is_refused() {
        let refusal = || Fate::Refused(vec!["spec.b: unknown".to_owned()]);
        let own = standing(Some(entry(2, Fate::InForce(0))), &[Some(0)]);
        let other = standing(Some(entry(2, refusal())), &[Some(0)]);
        let stranger = standing(None, &[Some(0)]);
        let parts = [("default", &own, 0), ("canary", &other, 0), ("canary", &other, 0), ("blue", &stranger, 0)];
        let verdict = sum(&parts, 0).unwrap();
        assert_eq!((verdict.problems.len(), verdict.current, verdict.total), (1, 0, 3));
        let older = standing(Some(entry(1, refusal())), &[Some(0)]);
        assert!(sum(&[("default", &own, 0), ("default", &older, 0)], 0).unwrap().problems.is_empty());
    }
}
