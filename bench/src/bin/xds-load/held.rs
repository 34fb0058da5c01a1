//! What a simulated proxy has been sent, and what it asks for in consequence: by name what its application uses, or
//! everything.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::decode::{Kind, mentions};

/// All that it has.
pub(crate) struct Held {
    on_demand: bool,
    tables: BTreeMap<Kind, Table>,
}

/// What it has of one kind.
#[derive(Default)]
struct Table {
    versions: BTreeMap<String, String>,
    mentions: BTreeMap<String, Vec<String>>,
    /// What the application's own calls made it ask for.
    called: BTreeSet<String>,
    /// Asked for on this stream.
    asked: BTreeSet<String>,
    absent: BTreeSet<String>,
    /// The first request was sent, and is answered.
    opened: bool,
    answered: bool,
}

impl Held {
    pub(crate) fn new(on_demand: bool) -> Self {
        Self { on_demand, tables: Kind::ALL.into_iter().map(|kind| (kind, Table::default())).collect() }
    }

    /// The requests that begin a stream, the first with the node: they tell what is held already.
    pub(crate) fn open(&mut self, node: Node) -> Vec<DeltaDiscoveryRequest> {
        let mut node = Some(node);
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            let wanted = self.wanted(kind);
            let table = self.table(kind);
            (table.asked, table.answered) = (wanted.clone(), false);
            table.opened = kind.is_wildcard() || !wanted.is_empty();
            if table.opened {
                let all = (kind.is_wildcard() && !wanted.is_empty()).then(|| "*".to_owned());
                requests.push(DeltaDiscoveryRequest {
                    node: node.take(),
                    type_url: kind.url().to_owned(),
                    resource_names_subscribe: all.into_iter().chain(wanted).collect(),
                    initial_resource_versions: table.versions.clone().into_iter().collect(),
                    ..Default::default()
                });
            }
        }
        requests
    }

    /// Takes a response.
    pub(crate) fn take(&mut self, response: &DeltaDiscoveryResponse) -> Result<()> {
        let kind = Kind::of(&response.type_url)?;
        let table = self.table(kind);
        table.answered = true;
        for resource in &response.resources {
            let bytes = resource.resource.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
            table.mentions.insert(resource.name.clone(), mentions(kind, bytes)?);
            table.versions.insert(resource.name.clone(), resource.version.clone());
            table.absent.remove(&resource.name);
        }
        for name in &response.removed_resources {
            table.mentions.remove(name);
            table.versions.remove(name);
            table.absent.insert(name.clone());
        }
        Ok(())
    }

    /// The application calls something: asks for resources of these names.
    pub(crate) fn call(&mut self, kind: Kind, names: impl IntoIterator<Item = String>) {
        self.table(kind).called.extend(names);
    }

    /// What is to be asked for, or not any more, since the last call.
    pub(crate) fn changes(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            let wanted = self.wanted(kind);
            let table = self.table(kind);
            let more: Vec<String> = wanted.difference(&table.asked).cloned().collect();
            let less: Vec<String> = table.asked.difference(&wanted).cloned().collect();
            if more.is_empty() && less.is_empty() {
                continue;
            }
            table.absent.retain(|name| !more.contains(name));
            (table.asked, table.opened) = (wanted, true);
            requests.push(DeltaDiscoveryRequest {
                type_url: kind.url().to_owned(),
                resource_names_subscribe: more,
                resource_names_unsubscribe: less,
                ..Default::default()
            });
        }
        requests
    }

    /// True if every kind that was asked for is answered, and every name is there or known to be nowhere.
    pub(crate) fn is_complete(&self) -> bool {
        self.tables.iter().all(|(kind, table)| {
            let known = |name: &String| table.versions.contains_key(name) || table.absent.contains(name);
            (!table.opened || table.answered) && self.wanted(*kind).iter().all(known)
        })
    }

    fn wanted(&self, kind: Kind) -> BTreeSet<String> {
        let called = self.tables.get(&kind).into_iter().flat_map(|table| &table.called);
        if kind == Kind::Cluster && !self.on_demand {
            return BTreeSet::new();
        }
        let mentioning = self.tables.iter().filter(|(of, _)| of.mentioned() == kind);
        let mentioned = mentioning.flat_map(|(_, table)| table.mentions.values().flatten());
        called.chain(mentioned).cloned().collect()
    }

    fn table(&mut self, kind: Kind) -> &mut Table {
        self.tables.entry(kind).or_default()
    }
}
