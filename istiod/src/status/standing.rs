//! How objects stand with the proxies of one replica.

use std::collections::BTreeMap;

use galley::ObjectRef;

/// The label that leaves an object to one revision, that a replica has, and the annotation of a pod that has its proxy
/// from it.
pub(super) const REVISION: &str = "istio.io/rev";

/// What one replica knows: of every object, and of every proxy that is connected to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) objects: BTreeMap<ObjectRef, Entry>,
    /// By node id: the newest of the replica's worlds of which the proxy has everything.
    pub(super) proxies: BTreeMap<String, Option<u64>>,
}

/// How one object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: Version,
    /// Its label `istio.io/rev`, if it has one and is known.
    pub(super) revision: Option<String>,
    pub(super) fate: Fate,
}

/// Which version of an object it is about. One that was deleted and made again begins its generations anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    /// Seconds since 1970; 0 if unknown.
    pub(super) created: i64,
    pub(super) generation: i64,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in force since this world of the replica's.
    InForce(u64),
    /// It is refused, and why.
    Refused(Vec<String>),
    /// Its namespace is not looked at (`discoverySelectors`): no proxy of the replica needs it.
    LeftOut,
}
