//! Resources as they are served.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use mesh_types::ClusterName;
use prost::Message;

use crate::kind::Kind;
use crate::ordered::{Shape, ordered};

/// One resource, encoded. Two are equal if they say the same, by version, to the same effect.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What it says, by hash: equal versions are equal resources.
    pub version: u64,
    /// The message.
    pub body: Any,
    /// What a proxy that uses it will ask for next.
    pub mentions: Vec<(Kind, String)>,
    /// Hosts: while nothing changes that concerns these, it stays as it is.
    pub(crate) depends_on: Vec<Arc<str>>,
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.mentions == other.mentions && self.depends_on == other.depends_on
    }
}

impl Resource {
    /// Encodes a message.
    pub fn new(kind: Kind, message: &impl Message) -> Self {
        let value = ordered(&message.encode_to_vec(), Shape::of(kind));
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let body = Any { type_url: kind.url().to_owned(), value };
        Self { version: hasher.finish(), body, mentions: Vec::new(), depends_on: Vec::new() }
    }

    /// Its version, as proxies are told.
    pub(crate) fn version_text(&self) -> String {
        format!("{:016x}", self.version)
    }

    /// The same, of which these hosts decide what it says.
    #[must_use]
    pub(crate) fn about<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Self {
        self.depends_on.extend(hosts.into_iter().map(Arc::from));
        self
    }

    /// The same, which mentions others. The hosts of clusters have a say in how they are led to.
    #[must_use]
    pub(crate) fn mentioning(mut self, mentions: Vec<(Kind, String)>) -> Self {
        let clusters = mentions.iter().filter_map(|(_, name)| name.parse::<ClusterName>().ok());
        self.depends_on.extend(clusters.map(|cluster| Arc::from(cluster.host)));
        self.mentions = mentions;
        self
    }
}

/// Everything that a proxy may see, by kind and name. A copy shares what stays as it is, and a comparison passes over what
/// is shared.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    tables: BTreeMap<Kind, OrdMap<String, Arc<Resource>>>,
}

impl Resources {
    /// Adds a message. Of two with one name the later counts.
    pub fn add(&mut self, kind: Kind, name: &str, message: &impl Message) {
        let resource = Resource::new(kind, message);
        self.tables.entry(kind).or_default().insert(name.to_owned(), Arc::new(resource));
    }

    /// Removes those of a kind that `keep` does not pick by name.
    pub fn retain(&mut self, kind: Kind, keep: impl Fn(&str) -> bool) {
        if let Some(table) = self.tables.get_mut(&kind) {
            let others: Vec<String> = table.keys().filter(|name| !keep(name)).cloned().collect();
            for name in others {
                table.remove(&name);
            }
        }
    }

    /// Adds all of others. Of two with one name theirs counts.
    pub(crate) fn extend(&mut self, others: Self) {
        for (kind, table) in others.tables {
            self.tables.entry(kind).or_default().extend(table);
        }
    }

    /// One by name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        self.tables.get(&kind)?.get(name)
    }

    /// All of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&String, &Arc<Resource>)> {
        self.tables.get(&kind).into_iter().flatten()
    }

    /// Names of a kind that are not the same in both.
    pub(crate) fn differing(&self, other: &Self, kind: Kind) -> BTreeSet<String> {
        let none = OrdMap::new();
        let [one, other] = [self, other].map(|resources| resources.tables.get(&kind).unwrap_or(&none));
        let names = one.diff(other).map(|item| match item {
            DiffItem::Add(name, _) | DiffItem::Remove(name, _) | DiffItem::Update { new: (name, _), .. } => {
                name.clone()
            }
        });
        names.collect()
    }
}
