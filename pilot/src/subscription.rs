//! What a proxy asked for of one type, and what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kind::Kind;
use crate::resource::Resource;
use crate::view::Concerned;
use crate::world::Hosts;

/// A proxy's subscription to one type.
pub(crate) struct Subscription {
    kind: Kind,
    wildcard: bool,
    entries: BTreeMap<Box<str>, Entry>,
    answered: bool,
}

/// What is known of a name.
#[derive(Default)]
struct Entry {
    why: Why,
    has: Has,
    taken: Taken,
    /// The proxy was told that there is none.
    gone: bool,
}

/// What a proxy has of a name.
#[derive(Default)]
enum Has {
    #[default]
    Nothing,
    /// What it says that it has.
    Version(u64),
    /// What it was sent.
    Resource(Arc<Resource>),
}

/// Whether a proxy has taken what it was sent of a name.
#[derive(Default)]
enum Taken {
    #[default]
    Yes,
    /// It has not answered the response of this nonce yet, or refused it, and has what it had before.
    NotYet { response: u64, before: Option<Arc<Resource>> },
}

/// A resource of which a proxy was told, as far as it is known to have taken it.
pub(crate) struct Held<'a> {
    pub(crate) name: &'a str,
    /// What it has taken.
    pub(crate) taken: Option<&'a Arc<Resource>>,
    /// What it was sent since.
    pub(crate) under_way: Option<&'a Arc<Resource>>,
}

impl Entry {
    /// A resource goes out in this response.
    fn send(&mut self, resource: Arc<Resource>, response: u64) {
        let before = match std::mem::take(&mut self.taken) {
            Taken::NotYet { before, .. } => before,
            Taken::Yes => self.sent().cloned(),
        };
        self.has = Has::Resource(resource);
        self.taken = Taken::NotYet { response, before };
    }

    fn sent(&self) -> Option<&Arc<Resource>> {
        match &self.has {
            Has::Resource(resource) => Some(resource),
            Has::Nothing | Has::Version(_) => None,
        }
    }

    fn held<'a>(&'a self, name: &'a str) -> Held<'a> {
        let (taken, under_way) = match &self.taken {
            Taken::Yes => (self.sent(), None),
            Taken::NotYet { before, .. } => (before.as_ref(), self.sent()),
        };
        Held { name, taken, under_way }
    }

    fn version(&self) -> Option<u64> {
        match &self.has {
            Has::Nothing => None,
            Has::Version(version) => Some(*version),
            Has::Resource(resource) => Some(resource.version),
        }
    }

    /// True if it depends on none of these hosts, whatever became of them.
    fn stands(&self, kind: Kind, name: &str, hosts: &Hosts) -> bool {
        match &self.has {
            Has::Resource(resource) => !resource.depends_on.iter().any(|host| hosts.concern(host)),
            Has::Nothing => self.gone && !hosts.concern(kind.host_in(name)),
            Has::Version(_) => false,
        }
    }
}

/// Why something is sent.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Why {
    /// For no other reason than that everything is.
    #[default]
    Unasked,
    /// What the proxy asked for mentions it; it will ask for it next.
    Implied,
    /// It was asked for by name.
    Asked,
}

/// What a proxy is to be sent.
#[derive(Default)]
pub(crate) struct Lacking {
    /// Resources that it has not, or not in this version.
    pub(crate) resources: Vec<(String, Arc<Resource>)>,
    /// Names of what is not there, or not any more.
    pub(crate) removed: Vec<String>,
}

impl Lacking {
    pub(crate) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.removed.is_empty()
    }
}

impl Subscription {
    /// To nothing yet.
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, wildcard: false, entries: BTreeMap::new(), answered: false }
    }

    /// The proxy's first request: for everything, or for what it names.
    pub(crate) fn open(&mut self, wildcard: bool) {
        self.wildcard |= wildcard;
    }

    /// The proxy says what it has. A version that is not one of ours is none that is in force.
    pub(crate) fn has(&mut self, name: &str, version: &str) {
        self.entry(name).has = Has::Version(u64::from_str_radix(version, 16).unwrap_or_default());
    }

    /// The proxy asks for something. Asking again is asking to be sent again, but not for what was just sent along, and
    /// not in the request in which it says what it has.
    pub(crate) fn ask(&mut self, name: &str, first: bool) {
        if name == "*" {
            self.wildcard = true;
            return;
        }
        let entry = self.entry(name);
        entry.gone = false;
        if entry.why != Why::Implied && !first {
            entry.has = Has::Nothing;
        }
        entry.why = Why::Asked;
    }

    pub(crate) fn let_go(&mut self, name: &str) {
        self.wildcard &= name != "*";
        self.entries.remove(name);
    }

    /// Something is to be sent along, since what the proxy asked for mentions it.
    pub(crate) fn imply(&mut self, name: &str) {
        let entry = self.entry(name);
        if entry.why == Why::Unasked {
            entry.why = Why::Implied;
        }
    }

    /// What is sent by name; of this, what may be different.
    pub(crate) fn named<'a>(&'a self, concerned: Concerned<'a>) -> impl Iterator<Item = &'a str> {
        self.in_doubt(concerned).filter(|(_, entry)| entry.why != Why::Unasked).map(|(name, _)| name)
    }

    /// What may be different.
    fn in_doubt<'a>(&'a self, concerned: Concerned<'a>) -> Box<dyn Iterator<Item = (&'a str, &'a Entry)> + 'a> {
        let all = self.entries.iter().map(|(name, entry)| (&**name, entry));
        match concerned {
            Concerned::Anything => Box::new(all),
            Concerned::Hosts(hosts) => Box::new(all.filter(|(name, entry)| !entry.stands(self.kind, name, hosts))),
            Concerned::Names(names) => {
                Box::new(names.iter().filter_map(|name| Some((name.as_str(), self.entries.get(name.as_str())?))))
            }
        }
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        !self.answered
    }

    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }

    /// The proxy has taken the response of this nonce.
    pub(crate) fn taken(&mut self, nonce: u64) {
        for entry in self.entries.values_mut() {
            if matches!(entry.taken, Taken::NotYet { response, .. } if response == nonce) {
                entry.taken = Taken::Yes;
            }
        }
    }

    /// What the proxy was told of, by name.
    pub(crate) fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.entries.iter().map(|(name, entry)| entry.held(name))
    }

    /// What the proxy lacks, which it has from now on. Nothing is looked at but what is `concerned`; `unasked` is what of
    /// this a proxy that asks for everything is sent. It goes out in the response of this nonce.
    pub(crate) fn lacking<'a>(
        &mut self,
        response: u64,
        concerned: Concerned<'_>,
        unasked: impl Iterator<Item = &'a String>,
        get: impl Fn(&str) -> Option<Arc<Resource>>,
    ) -> Lacking {
        let unasked: BTreeSet<&str> =
            if self.wildcard { unasked.map(String::as_str).collect() } else { BTreeSet::new() };
        let known = self.in_doubt(concerned).map(|(name, entry)| (Box::from(name), entry.why != Why::Unasked));
        let new =
            unasked.iter().filter(|name| !self.entries.contains_key(**name)).map(|name| (Box::from(*name), false));
        let names: Vec<(Box<str>, bool)> = known.chain(new).collect();
        let mut lacking = Lacking::default();
        for (name, is_named) in names {
            let resource = get(&name).filter(|_| is_named || unasked.contains(&*name));
            self.update(name, resource, response, &mut lacking);
        }
        lacking
    }

    /// A name stands for this resource, or for nothing.
    fn update(&mut self, name: Box<str>, resource: Option<Arc<Resource>>, response: u64, lacking: &mut Lacking) {
        match (resource, self.entries.get_mut(&name)) {
            (Some(resource), Some(entry)) if entry.version() == Some(resource.version) => {
                entry.gone = false;
                entry.has = Has::Resource(resource);
            }
            (Some(resource), _) => {
                let entry = self.entry(&name);
                entry.gone = false;
                entry.send(resource.clone(), response);
                lacking.resources.push((name.into_string(), resource));
            }
            (None, Some(entry)) => {
                entry.has = Has::Nothing;
                entry.taken = Taken::Yes;
                let was_gone = std::mem::replace(&mut entry.gone, true);
                if entry.why == Why::Unasked {
                    self.entries.remove(&name);
                }
                if !was_gone {
                    lacking.removed.push(name.into_string());
                }
            }
            (None, None) => {}
        }
    }

    fn entry(&mut self, name: &str) -> &mut Entry {
        self.entries.entry(name.into()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use prost::Message;

    /// A world of two clusters, of which one is another after each edit.
    fn get(edit: u64) -> impl Fn(&str) -> Option<Arc<Resource>> {
        move |name| {
            let alt_stat_name = if name == "edited" { edit.to_string() } else { String::new() };
            let cluster = Cluster { name: name.to_owned(), alt_stat_name, ..Default::default() };
            (name != "nowhere").then(|| Arc::new(Resource::new(Kind::Cluster, &cluster)))
        }
    }

    /// The edit is the response's nonce, too.
    fn lacking(subscription: &mut Subscription, unasked: &[String], edit: u64) -> (Vec<String>, Vec<String>) {
        let Lacking { resources, removed } = subscription.lacking(edit, Concerned::Anything, unasked.iter(), get(edit));
        (resources.into_iter().map(|(name, _)| name).collect(), removed)
    }

    #[test]
    fn what_is_held_is_not_sent_again() {
        let mut subscription = Subscription::new(Kind::Cluster);
        ["edited", "other", "nowhere"].iter().for_each(|name| subscription.ask(name, true));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(lacking(&mut subscription, &[], 1), (names(&["edited", "other"]), names(&["nowhere"])));
        assert_eq!(lacking(&mut subscription, &[], 1), (names(&[]), names(&[])));
        assert_eq!(lacking(&mut subscription, &[], 2), (names(&["edited"]), names(&[])));
        subscription.ask("other", false);
        subscription.ask("nowhere", false);
        assert_eq!(lacking(&mut subscription, &[], 2), (names(&["other"]), names(&["nowhere"])), "asked again");
        subscription.let_go("edited");
        assert_eq!(lacking(&mut subscription, &[], 3), (names(&[]), names(&[])), "let go");
    }

    #[test]
    fn what_was_sent_along_is_not_sent_when_it_is_asked_for() {
        let mut subscription = Subscription::new(Kind::Cluster);
        subscription.imply("other");
        assert_eq!(lacking(&mut subscription, &[], 1).0, ["other"]);
        subscription.ask("other", false);
        assert_eq!(lacking(&mut subscription, &[], 1).0, [""; 0]);
    }

    /// A proxy that comes back says what it has: it is sent what is another, and told of what is gone.
    #[test]
    fn a_proxy_that_comes_back_gets_what_changed() {
        let version = |name: &str| get(1)(name).map(|one| format!("{:016x}", one.version)).unwrap();
        let unasked = ["edited".to_owned(), "other".to_owned()];
        let mut subscription = Subscription::new(Kind::Cluster);
        subscription.open(true);
        subscription.has("edited", &version("edited"));
        subscription.has("other", &version("other"));
        subscription.has("old", "from another control plane");
        assert_eq!(lacking(&mut subscription, &unasked, 2), (vec!["edited".to_owned()], vec!["old".to_owned()]));
        assert_eq!(lacking(&mut subscription, &unasked[..1], 2), (vec![], vec!["other".to_owned()]));
        assert_eq!(lacking(&mut subscription, &unasked[..1], 2), (vec![], vec![]));
    }

    /// What is taken, and what is under way, of "edited" by its edit.
    fn held(subscription: &Subscription) -> [Option<String>; 2] {
        let edit = |one: &Arc<Resource>| Cluster::decode(&*one.body.value).unwrap().alt_stat_name;
        let held = subscription.held().find(|held| held.name == "edited");
        held.map_or([None, None], |held| [held.taken.map(edit), held.under_way.map(edit)])
    }

    #[test]
    fn a_proxy_has_what_it_took_until_it_takes_another() {
        let some = |edit: &str| Some(edit.to_owned());
        let mut subscription = Subscription::new(Kind::Cluster);
        subscription.ask("edited", true);
        lacking(&mut subscription, &[], 1);
        assert_eq!(held(&subscription), [None, some("1")]);
        subscription.taken(1);
        assert_eq!(held(&subscription), [some("1"), None]);
        lacking(&mut subscription, &[], 2);
        lacking(&mut subscription, &[], 3);
        subscription.taken(2);
        assert_eq!(held(&subscription), [some("1"), some("3")], "what was sent since is not answered");
        subscription.taken(3);
        assert_eq!(held(&subscription), [some("3"), None]);
    }

    #[test]
    fn what_a_proxy_comes_back_with_it_has() {
        let version = format!("{:016x}", get(1)("edited").unwrap().version);
        let mut subscription = Subscription::new(Kind::Cluster);
        subscription.ask("edited", true);
        subscription.has("edited", &version);
        lacking(&mut subscription, &[], 1);
        assert_eq!(held(&subscription), [Some("1".to_owned()), None]);
        lacking(&mut subscription, &[], 2);
        assert_eq!(held(&subscription), [Some("1".to_owned()), Some("2".to_owned())]);
    }
}
