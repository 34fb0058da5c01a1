//! Which instances a caller takes first, and how much of its traffic each place gets (Istio's `localityLbSetting`,
//! Kubernetes' `trafficDistribution` and `internalTrafficPolicy`).

use std::collections::BTreeMap;

use galley::api::{LocalityFailover, LocalityLb};
use mesh_types::Locality;

use super::policy::Policy;
use crate::proxy::Proxy;
use crate::world::{Instance, NODE, Nearness, REGION, SUBZONE, Service, World, ZONE};

/// Instances of one place that are taken alike.
pub(super) struct Group<'a> {
    pub(super) locality: &'a Locality,
    /// 0 is taken first.
    pub(super) priority: u32,
    pub(super) weight: u32,
    pub(super) instances: Vec<&'a Instance>,
}

/// What decides.
pub(super) struct Preference<'a> {
    /// None but those on the caller's node.
    only_node: bool,
    order: Order<'a>,
}

enum Order<'a> {
    /// All alike.
    None,
    /// Percentages by locality, those that say more first.
    Shares(Vec<(&'a str, u32)>),
    /// The more of these labels in a row are the caller's, the sooner; then by region.
    Labels(Vec<&'a str>, &'a [LocalityFailover]),
    /// The nearer the sooner. Of other regions the one that the caller's fails over to comes first.
    Near(&'a [LocalityFailover]),
}

impl<'a> Preference<'a> {
    /// What holds for a caller of a service. An order among places means nothing unless somebody notices that a place
    /// fails: it needs outlier detection, as Istio's does.
    pub(super) fn of(world: &'a World, proxy: &Proxy, service: &Service, policy: &'a Policy) -> Self {
        let said = policy.load_balancer.as_ref().and_then(|balancer| balancer.locality_lb_setting.as_ref());
        let order = match (said, service.nearness) {
            (None, Nearness::Zone) => Order::Labels(vec![REGION, ZONE, SUBZONE], &[]),
            (None, Nearness::Node) => Order::Labels(vec![REGION, ZONE, SUBZONE, NODE], &[]),
            _ => {
                let setting = said.or(world.mesh.locality_lb_setting.as_ref());
                Order::of(setting, &proxy.place().locality, policy.outlier_detection.is_some())
            }
        };
        Self { only_node: service.nearness == Nearness::OnlyNode, order }
    }

    /// True if places share the traffic by weight.
    pub(super) fn is_shared_out(&self) -> bool {
        matches!(self.order, Order::Shares(_))
    }

    /// Groups those instances that take new work.
    pub(super) fn arrange<'b>(&self, proxy: &Proxy, instances: impl Iterator<Item = &'b Instance>) -> Vec<Group<'b>> {
        let mut groups: BTreeMap<(Rank, &Locality), Vec<&Instance>> = BTreeMap::new();
        let node = &proxy.place().node;
        let taken = |one: &&Instance| one.ready && (!self.only_node || (!node.is_empty() && one.place.node == *node));
        for instance in instances.filter(taken) {
            let rank = self.order.rank(proxy, instance);
            groups.entry((rank, &instance.place.locality)).or_default().push(instance);
        }
        let mut ranks: Vec<Rank> = groups.keys().map(|(rank, _)| *rank).collect();
        ranks.dedup();
        let group = |((rank, locality), instances): ((Rank, &'b Locality), Vec<&'b Instance>)| Group {
            locality,
            priority: ranks.iter().position(|one| *one == rank).map_or(0, |at| at as u32),
            weight: instances.iter().map(|instance| instance.weight).fold(0, u32::saturating_add),
            instances,
        };
        let groups: Vec<Group<'_>> = groups.into_iter().map(group).collect();
        match &self.order {
            Order::Shares(shares) => share_out(groups, shares),
            _ => groups,
        }
    }
}

/// Lower is sooner: by labels, then by place.
type Rank = (usize, usize);

impl<'a> Order<'a> {
    fn of(setting: Option<&'a LocalityLb>, caller: &Locality, notices: bool) -> Self {
        let Some(setting) = setting else {
            return if notices && !caller.region.is_empty() { Self::Near(&[]) } else { Self::None };
        };
        if setting.enabled == Some(false) {
            return Self::None;
        }
        if !setting.distribute.is_empty() {
            let own = setting.distribute.iter().find(|one| covers(&one.from, caller));
            let Some(own) = own else { return Self::None };
            let mut shares: Vec<_> = own.to.iter().map(|(place, share)| (place.as_str(), *share)).collect();
            let said = |place: &str| place.split('/').filter(|part| *part != "*").count();
            shares.sort_by_key(|(place, _)| std::cmp::Reverse(said(place)));
            return Self::Shares(shares);
        }
        match (notices, setting.failover_priority.as_slice()) {
            (false, _) => Self::None,
            (true, []) if caller.region.is_empty() => Self::None,
            (true, []) => Self::Near(&setting.failover),
            (true, labels) => Self::Labels(labels.iter().map(String::as_str).collect(), &setting.failover),
        }
    }

    fn rank(&self, proxy: &Proxy, instance: &Instance) -> Rank {
        let caller = &proxy.place().locality;
        match self {
            Self::None | Self::Shares(_) => (0, 0),
            Self::Near(regions) => (0, distance(caller, &instance.place.locality, regions)),
            Self::Labels(labels, regions) => {
                let alike = |label: &&&str| {
                    let (name, wanted) = match label.split_once('=') {
                        Some((name, wanted)) => (name, wanted),
                        None => (**label, proxy.label(label)),
                    };
                    instance.place.label(&instance.labels, name) == wanted
                };
                let by_region =
                    if regions.is_empty() { 0 } else { distance(caller, &instance.place.locality, regions) };
                (labels.len() - labels.iter().take_while(alike).count(), by_region)
            }
        }
    }
}

/// 0 in one sub-zone, 3 in another region, 4 in one that is not the caller's first resort.
fn distance(caller: &Locality, other: &Locality, regions: &[LocalityFailover]) -> usize {
    let apart = 3 - caller.shared_prefix(other);
    let resort = regions.iter().find(|one| one.from == caller.region);
    if apart == 3 && resort.is_some_and(|one| one.to != other.region) { 4 } else { apart }
}

/// Gives each group its part of the share of its place; a place with no share gets nothing.
fn share_out<'a>(groups: Vec<Group<'a>>, shares: &[(&str, u32)]) -> Vec<Group<'a>> {
    let share_of = |group: &Group<'_>| shares.iter().position(|(place, _)| covers(place, group.locality));
    let whole = |share: usize| -> u64 {
        groups.iter().filter(|one| share_of(one) == Some(share)).map(|one| u64::from(one.weight)).sum()
    };
    let parts: Vec<u32> = groups
        .iter()
        .map(|group| match share_of(group) {
            Some(share) => {
                let part = (u64::from(shares[share].1) * u64::from(group.weight)).div_ceil(whole(share).max(1));
                u32::try_from(part).unwrap_or(u32::MAX)
            }
            None => 0,
        })
        .collect();
    let given = groups.into_iter().zip(parts).filter(|(_, part)| *part > 0);
    given.map(|(group, weight)| Group { weight, ..group }).collect()
}

/// True if `region/zone/subzone`, of which the end may be left out or `*`, covers a locality.
fn covers(pattern: &str, locality: &Locality) -> bool {
    let own = [&locality.region, &locality.zone, &locality.subzone];
    pattern.split('/').zip(own).all(|(wanted, own)| wanted == "*" || wanted == own)
}
