//! What was said of each object, and what is to be said next.

use std::collections::BTreeMap;
use std::time::Duration;

use galley::ObjectRef;
use tokio::time::Instant;

use super::verdict::Verdict;

/// How often a count of proxies alone is written: proxies come and go all the time.
const COUNTS: Duration = Duration::from_secs(10);

/// What was said.
#[derive(Default)]
pub(super) struct Ledger {
    said: BTreeMap<ObjectRef, (Verdict, Instant)>,
}

impl Ledger {
    /// What is to be written now, the most needed first.
    pub(super) fn due(
        &mut self,
        verdicts: BTreeMap<ObjectRef, Verdict>,
        now: Instant,
        most: usize,
    ) -> Vec<(ObjectRef, Verdict)> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use galley::Kind;

    #[test]
    fn that_all_have_it_is_said_at_once_and_a_count_can_wait() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let object = ObjectRef { kind: Kind::Sidecar, namespace: "shop".into(), name: "a".into() };
        let of = |current| Verdict { generation: 2, current, total: 3, ..Verdict::default() };
        let due = |ledger: &mut Ledger, current, after| {
            let verdicts = [(object.clone(), of(current))].into();
            ledger.due(verdicts, start + after, 10).len()
        };
        assert_eq!(due(&mut ledger, 1, Duration::ZERO), 1);
        ledger.written(object.clone(), of(1), start);
        assert_eq!(due(&mut ledger, 1, COUNTS), 0, "nothing is new");
        assert_eq!(due(&mut ledger, 2, Duration::from_secs(1)), 0, "a count can wait");
        assert_eq!(due(&mut ledger, 2, COUNTS), 1);
        assert_eq!(due(&mut ledger, 3, Duration::from_secs(1)), 1, "that cannot");
    }
}
