//! Resources as they are served.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use mesh_types::ClusterName;
use prost::Message;

use crate::kind::Kind;
use crate::ordered::{Shape, ordered};

/// One resource, encoded.
#[derive(Clone, Debug, PartialEq)]
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

/// Everything that a proxy may see, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    tables: BTreeMap<Kind, BTreeMap<String, Arc<Resource>>>,
}

impl Resources {
    /// Adds a message. Of two with one name the later counts.
    pub fn add(&mut self, kind: Kind, name: &str, message: &impl Message) {
        let resource = Resource::new(kind, message);
        self.tables.entry(kind).or_default().insert(name.to_owned(), Arc::new(resource));
    }

    /// Removes those of a kind that `keep` does not pick by name.
    pub fn retain(&mut self, kind: Kind, mut keep: impl FnMut(&str) -> bool) {
        if let Some(table) = self.tables.get_mut(&kind) {
            table.retain(|name, _| keep(name));
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
}
