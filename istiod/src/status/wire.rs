//! A standing on the wire: what differs from the one before it.

use std::collections::BTreeMap;

use galley::{Kind, ObjectRef};
use weft_proto::replicas::object_standing::Fate as WireFate;
use weft_proto::replicas::{Object, ObjectStanding, ProxyStanding, Refusal, StandingChange};

use super::standing::{Entry, Fate, Standing, Version};

/// What turns `before` into `now`; `None` if they are the same.
pub(super) fn change(before: &Standing, now: &Standing) -> Option<StandingChange> {
    let (objects, gone_objects) = differences(&before.objects, &now.objects);
    let (proxies, gone_proxies) = differences(&before.proxies, &now.proxies);
    let change = StandingChange {
        objects: objects.map(|(reference, entry)| object_standing(reference, entry)).collect(),
        gone_objects: gone_objects.map(object).collect(),
        proxies: proxies.map(|(id, has)| ProxyStanding { id: id.clone(), has: *has }).collect(),
        gone_proxies: gone_proxies.cloned().collect(),
    };
    (change != StandingChange::default()).then_some(change)
}

/// Takes a change over. What is of a kind that this version does not know, or says nothing, is none of its business.
pub(super) fn apply(standing: &mut Standing, change: StandingChange) {
    for one in change.objects {
        if let Some((reference, entry)) = read(one) {
            standing.objects.insert(reference, entry);
        }
    }
    for gone in change.gone_objects.iter().filter_map(reference) {
        standing.objects.remove(&gone);
    }
    standing.proxies.extend(change.proxies.into_iter().map(|one| (one.id, one.has)));
    for gone in &change.gone_proxies {
        standing.proxies.remove(gone);
    }
}

/// What is new or different, and what is gone.
fn differences<'a, K: Ord, V: PartialEq>(
    before: &'a BTreeMap<K, V>,
    now: &'a BTreeMap<K, V>,
) -> (impl Iterator<Item = (&'a K, &'a V)>, impl Iterator<Item = &'a K>) {
    let different = now.iter().filter(|(key, value)| before.get(key) != Some(value));
    (different, before.keys().filter(|key| !now.contains_key(key)))
}

fn object(reference: &ObjectRef) -> Object {
    Object {
        kind: reference.kind.as_str().to_owned(),
        namespace: reference.namespace.to_string(),
        name: reference.name.to_string(),
    }
}

fn object_standing(reference: &ObjectRef, entry: &Entry) -> ObjectStanding {
    let fate = match &entry.fate {
        Fate::InForce(since) => WireFate::Since(*since),
        Fate::Refused(problems) => WireFate::Refused(Refusal { problems: problems.clone() }),
        Fate::LeftOut => WireFate::LeftOut(true),
    };
    ObjectStanding {
        object: Some(object(reference)),
        generation: entry.version.generation,
        created: entry.version.created,
        revision: entry.revision.clone().unwrap_or_default(),
        fate: Some(fate),
    }
}

fn read(wire: ObjectStanding) -> Option<(ObjectRef, Entry)> {
    let fate = match wire.fate? {
        WireFate::Since(since) => Fate::InForce(since),
        WireFate::Refused(refusal) => Fate::Refused(refusal.problems),
        WireFate::LeftOut(_) => Fate::LeftOut,
    };
    let version = Version { created: wire.created, generation: wire.generation };
    let revision = Some(wire.revision).filter(|revision| !revision.is_empty());
    Some((reference(&wire.object?)?, Entry { version, revision, fate }))
}

fn reference(wire: &Object) -> Option<ObjectRef> {
    let kind = *Kind::ALL.iter().find(|kind| kind.is_istio() && kind.as_str() == wire.kind)?;
    Some(ObjectRef { kind, namespace: wire.namespace.as_str().into(), name: wire.name.as_str().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(objects: &[(&str, Fate)], proxies: &[(&str, Option<u64>)]) -> Standing {
        let reference = |name: &str| ObjectRef { kind: Kind::Gateway, namespace: "shop".into(), name: name.into() };
        let entry = |fate: &Fate| Entry {
            version: Version { created: 5, generation: 3 },
            revision: Some("blue".to_owned()),
            fate: fate.clone(),
        };
        Standing {
            objects: objects.iter().map(|(name, fate)| (reference(name), entry(fate))).collect(),
            proxies: proxies.iter().map(|(id, has)| ((*id).to_owned(), *has)).collect(),
        }
    }

    #[test]
    fn whoever_takes_every_change_over_knows_the_same() {
        let refused = Fate::Refused(vec!["spec.a: unknown".to_owned()]);
        let all = [
            standing(&[("a", Fate::InForce(0)), ("b", refused)], &[("x", None), ("y", Some(0))]),
            standing(&[("a", Fate::InForce(2)), ("b", Fate::LeftOut)], &[("y", Some(2))]),
            standing(&[("c", Fate::InForce(3))], &[]),
            standing(&[], &[("x", Some(u64::MAX))]),
        ];
        let (mut said, mut heard) = (Standing::default(), Standing::default());
        for now in all {
            apply(&mut heard, change(&said, &now).unwrap());
            assert_eq!(heard, now);
            assert_eq!(change(&now, &now), None);
            said = now;
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let mut heard = Standing::default();
        let of = |kind: &str| Object { kind: kind.to_owned(), ..Object::default() };
        let fate = Some(WireFate::Since(1));
        let objects = vec![
            ObjectStanding { fate: fate.clone(), ..ObjectStanding::default() },
            ObjectStanding { object: Some(of("Gateway")), ..ObjectStanding::default() },
            ObjectStanding { object: Some(of("Pod")), fate: fate.clone(), ..ObjectStanding::default() },
            ObjectStanding { object: Some(of("Later")), fate, ..ObjectStanding::default() },
        ];
        apply(&mut heard, StandingChange { objects, ..StandingChange::default() });
        assert_eq!(heard, Standing::default());
    }
}
