//! How objects stand with this replica's own proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use galley::{Diagnostic, Kind, Meta, ObjectRef, Objects, State};
use pilot::{Shown, World};
use tokio::sync::watch;

use super::standing::{Entry, Fate, REVISION, Standing, Version};

/// Keeps in mind since when objects are what they are. One that begins late knows of nothing older than the world it
/// began with: it then counts a proxy too late, never too early.
#[derive(Default)]
pub(super) struct Own {
    objects: BTreeMap<ObjectRef, Entry>,
}

impl Own {
    /// One that has seen the newest world.
    pub(super) fn begin(world: &mut watch::Receiver<Arc<World>>) -> Self {
        let mut own = Self::default();
        own.follow(&world.borrow_and_update());
        own
    }

    /// Takes note of what a world has that the one before it had not.
    pub(super) fn follow(&mut self, world: &World) {
        let left_out = left_out(world);
        let mut before = std::mem::take(&mut self.objects);
        for (kind, meta) in istios(world.given()) {
            let reference = reference(kind, meta);
            let created = meta.creation.map(|at| at.as_second()).unwrap_or_default();
            let version = Version { created, generation: meta.generation };
            let is_left_out = left_out.contains(&reference);
            let same = |entry: &Entry| entry.version == version && (entry.fate == Fate::LeftOut) == is_left_out;
            let fate = match before.remove(&reference) {
                Some(entry) if same(&entry) => entry.fate,
                _ if is_left_out => Fate::LeftOut,
                _ => Fate::InForce(world.generation()),
            };
            let revision = meta.labels.get(REVISION).cloned();
            self.objects.insert(reference, Entry { version, revision, fate });
        }
    }

    /// With what is refused, and with these proxies.
    pub(super) fn standing(&self, state: &State, connections: Vec<Shown>) -> Standing {
        let mut objects = self.objects.clone();
        for (reference, generation) in state.refused.iter().filter(|(reference, _)| reference.kind.is_istio()) {
            // Of its last good version, if there was one.
            let good = objects.remove(reference);
            let (created, revision) = good.map(|good| (good.version.created, good.revision)).unwrap_or_default();
            let version = Version { created, generation: *generation };
            let fate = Fate::Refused(problems(state, reference));
            objects.insert(reference.clone(), Entry { version, revision, fate });
        }
        // A proxy that has come back by a newer connection is the newer one.
        let proxies = connections.into_iter().map(|one| (one.proxy, one.has)).collect();
        Standing { objects, proxies }
    }
}

fn istios(objects: &Objects) -> impl Iterator<Item = (Kind, &Arc<Meta>)> {
    objects.metas().filter(|(kind, _)| kind.is_istio())
}

fn reference(kind: Kind, meta: &Meta) -> ObjectRef {
    ObjectRef { kind, namespace: meta.namespace.clone(), name: meta.name.clone() }
}

/// Objects that are there and are not looked at.
fn left_out(world: &World) -> BTreeSet<ObjectRef> {
    if Arc::ptr_eq(world.given(), world.written()) {
        return BTreeSet::new();
    }
    let looked_at: BTreeSet<_> = istios(world.written()).map(|(kind, meta)| reference(kind, meta)).collect();
    let all = istios(world.given()).map(|(kind, meta)| reference(kind, meta));
    all.filter(|one| !looked_at.contains(one)).collect()
}

fn problems(state: &State, reference: &ObjectRef) -> Vec<String> {
    let own = state.diagnostics.iter().filter(|one| one.is_error() && one.object.as_ref() == Some(reference));
    own.map(words).collect()
}

/// A finding, within its object.
pub(super) fn words(found: &Diagnostic) -> String {
    if found.path.is_empty() { found.message.clone() } else { format!("{}: {}", found.path, found.message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(text: &str) -> Arc<Objects> {
        let loaded = galley::load(&"test.yaml".into(), text);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        Arc::new(Objects::new(loaded.objects))
    }

    fn sidecar(generation: i64, more: &str) -> String {
        let meta = format!("{{name: a, namespace: shop, generation: {generation}{more}}}");
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {meta}\nspec: {{egress: [{{hosts: ['*/*']}}]}}\n---\n"
        )
    }

    fn only(own: &Own) -> Entry {
        let entries: Vec<&Entry> = own.objects.values().collect();
        assert_eq!(entries.len(), 1);
        entries[0].clone()
    }

    #[test]
    fn an_object_is_what_it_is_since_a_world() {
        let mut own = Own::default();
        let mut world = World::build(&objects(&sidecar(1, "")));
        own.follow(&world);
        for (text, since) in [
            (sidecar(1, ""), 0),
            (sidecar(2, ""), 2),
            (sidecar(2, ", labels: {istio.io/rev: blue}"), 2),
            // Deleted and made again, between two worlds.
            (sidecar(2, ", creationTimestamp: '1970-01-01T00:00:07Z'"), 4),
        ] {
            world = world.next(&objects(&text));
            own.follow(&world);
            assert_eq!(only(&own).fate, Fate::InForce(since), "{text}");
        }
        assert_eq!(only(&own).version, Version { created: 7, generation: 2 });
        own.follow(&world.next(&objects("")));
        assert!(own.objects.is_empty());
    }

    #[test]
    fn what_is_not_looked_at_is_left_out_until_it_is() {
        let with = |labels: &str| {
            let namespace =
                format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{labels}}}}}\n---\n");
            let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
                        data: {mesh: 'discoverySelectors: [{matchLabels: {mesh: \"yes\"}}]'}\n---\n";
            objects(&(sidecar(1, "") + &namespace + mesh))
        };
        let mut own = Own::default();
        let away = World::build(&with(""));
        own.follow(&away);
        assert_eq!(only(&own).fate, Fate::LeftOut);
        own.follow(&away.next(&with("mesh: 'yes'")));
        assert_eq!(only(&own).fate, Fate::InForce(1));
    }

    #[test]
    fn what_is_refused_says_why() {
        let mut own = Own::default();
        own.follow(&World::build(&objects(&sidecar(1, ", labels: {istio.io/rev: blue}"))));
        let bad = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a, namespace: shop}\nspec: {egres: []}\n";
        let loaded = galley::load(&"".into(), bad);
        let refused = loaded.refused.iter().map(|one| (one.clone(), 2)).collect();
        let state = State { diagnostics: loaded.diagnostics.into(), refused: Arc::new(refused), ..State::default() };
        let standing = own.standing(&state, Vec::new());
        let (_, entry) = standing.objects.first_key_value().unwrap();
        assert_eq!(entry.version.generation, 2);
        assert_eq!(entry.revision.as_deref(), Some("blue"));
        assert_eq!(entry.fate, Fate::Refused(vec!["spec.egres: unknown field; did you mean `egress`?".to_owned()]));
    }

    #[test]
    fn a_proxy_that_came_back_is_the_newer_connection() {
        let shown = |has| Shown { proxy: "a".to_owned(), has, ..Shown::default() };
        let standing = Own::default().standing(&State::default(), vec![shown(Some(3)), shown(None)]);
        assert_eq!(standing.proxies, [("a".to_owned(), None)].into());
    }
}
