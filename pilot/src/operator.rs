//! What operators' tools ask over xDS (`istioctl proxy-status`): how every proxy stands with what it was sent, and what one
//! of them has. They speak the protocol's older form, of which nothing else is served.

mod dump;
mod page;
mod states;

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{ControlPlane, Node};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value};
use mesh_types::NodeId;
use prost::Message;
use tonic::Status;

use crate::kind::Kind;
use crate::push::{Known, Shown};

pub use page::DEBUG_PAGES;
pub(crate) use page::page;

/// Istio's question for the state of all proxies.
const SYNCZ: &str = "istio.io/debug/syncz";
/// Istio's question for what the proxy has that is named, as `<pod>.<namespace>`.
const CONFIG_DUMP: &str = "istio.io/debug/config_dump";
/// Istio's question for who is connected.
const CONNECTIONS: &str = "istio.io/connections";
/// Istio's question for a debug page, by its name.
const DEBUG: &str = "istio.io/debug";
const NODE: &str = "type.googleapis.com/envoy.config.core.v3.Node";

/// The nonce of every answer: who asks again shows another one, or none, and who has it acknowledges.
const NONCE: &str = "1";

/// By this sentence of Istio's, istioctl knows that it is to ask the next replica.
const ELSEWHERE: &str = "Proxy not connected to this Pilot instance. It may be connected to another instance.";

/// True for what is no question: that an answer of ours has come. istioctl puts a nonce of its own on each question.
pub(crate) fn acknowledges(request: &DiscoveryRequest) -> bool {
    request.response_nonce == NONCE
}

/// # Errors
/// With what to do instead, for questions that proxies ask, and others that are not served.
pub(crate) fn check(request: &DiscoveryRequest) -> Result<(), Status> {
    match request.type_url.as_str() {
        SYNCZ | CONNECTIONS => Ok(()),
        CONFIG_DUMP if request.resource_names.len() == 1 => Ok(()),
        CONFIG_DUMP => Err(Status::invalid_argument("resource_names must be one proxy, as <pod>.<namespace>")),
        DEBUG => match &request.resource_names[..] {
            [name] if page::names().any(|known| known == name) => Ok(()),
            names => Err(Status::not_found(format!(
                "no debug page of the name {:?} is served; {} are",
                names.join(", "),
                page::names().collect::<Vec<_>>().join(", ")
            ))),
        },
        url if Kind::of(url).is_some() => {
            Err(Status::unimplemented("only delta ADS is served: set ads_config.api_type to DELTA_GRPC"))
        }
        url => Err(Status::unimplemented(format!(
            "{url:?} is not served; {SYNCZ}, {CONFIG_DUMP}, {CONNECTIONS} and {DEBUG} are"
        ))),
    }
}

/// What is known of these proxies, as this control plane says it.
///
/// # Errors
/// As [`check`].
pub(crate) fn answer(
    control_plane: &str,
    request: &DiscoveryRequest,
    proxies: &[Arc<Known>],
) -> Result<DiscoveryResponse, Status> {
    check(request)?;
    let resources = match (request.type_url.as_str(), &request.resource_names[..]) {
        (CONFIG_DUMP, [name]) => dump_of(name, proxies),
        (DEBUG, names) => names.iter().filter_map(|name| debug(name, proxies)).collect(),
        (CONNECTIONS, _) => proxies.iter().map(|proxy| any(NODE, &node(&proxy.shown.lock()))).collect(),
        _ => proxies.iter().map(|proxy| states::client(&proxy.shown.lock())).collect(),
    };
    Ok(DiscoveryResponse {
        version_info: "1".to_owned(),
        type_url: request.type_url.clone(),
        nonce: NONCE.to_owned(),
        resources,
        control_plane: Some(ControlPlane { identifier: identifier(control_plane) }),
        ..DiscoveryResponse::default()
    })
}

/// A debug page, as JSON.
fn debug(name: &str, proxies: &[Arc<Known>]) -> Option<Any> {
    let shown: Vec<Shown> = proxies.iter().map(|proxy| proxy.shown.lock().clone()).collect();
    page(name, &shown).map(|page| Any { type_url: DEBUG.to_owned(), value: page.to_string().into_bytes() })
}

/// What the proxy of this name has. A proxy that has come back before its old connection was seen to end is the newer one.
fn dump_of(name: &str, proxies: &[Arc<Known>]) -> Vec<Any> {
    let proxy = proxies.iter().rev().find(|proxy| node(&proxy.shown.lock()).id == name);
    match proxy {
        Some(proxy) => dump::sections(&proxy.held.lock()),
        None => vec![Any { type_url: CONFIG_DUMP.to_owned(), value: ELSEWHERE.into() }],
    }
}

/// Istio's form: which instance answers, and of which version it is.
fn identifier(instance: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!({ "Component": "istiod", "ID": instance, "Info": { "version": version } }).to_string()
}

/// A proxy by its [`name`], `<pod>.<namespace>`.
fn node(shown: &Shown) -> Node {
    let id: Option<NodeId> = shown.proxy.parse().ok();
    let text = |text: &str| value::Kind::StringValue(text.to_owned());
    let metadata = [
        ("CLUSTER_ID", text(&shown.cluster)),
        ("ISTIO_VERSION", text(&shown.version)),
        ("NAMESPACE", text(id.as_ref().map_or("", |id| &id.namespace))),
        // By its presence istioctl tells proxies from others that are connected.
        ("PROXY_CONFIG", value::Kind::StructValue(Struct::default())),
    ];
    let fields = metadata.into_iter().map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) })).collect();
    Node { id: name(shown), metadata: Some(Struct { fields }), ..Node::default() }
}

/// The name by which operators know a proxy.
fn name(shown: &Shown) -> String {
    let id = shown.proxy.parse::<NodeId>();
    id.map_or_else(|_| shown.proxy.clone(), |id| format!("{}.{}", id.workload, id.namespace))
}

fn any(type_url: &str, message: &impl Message) -> Any {
    Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::Subscription;
    use crate::view::Concerned;
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    fn proxy(pod: &str) -> Arc<Known> {
        let id = format!("sidecar~10.0.0.1~{pod}.shop~shop.svc.cluster.local");
        let known = Known::default();
        *known.shown.lock() = Shown { proxy: id, version: "1.30".to_owned(), ..Shown::default() };
        Arc::new(known)
    }

    fn ask(type_url: &str, names: &[&str], proxies: &[Arc<Known>]) -> Result<Vec<Any>, Status> {
        let resource_names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = DiscoveryRequest { type_url: type_url.to_owned(), resource_names, ..Default::default() };
        answer("istiod-0", &request, proxies).map(|answer| answer.resources)
    }

    /// Sends a proxy a cluster, which it takes.
    fn take(proxy: &Known, name: &str) {
        let mut subscription = Subscription::new(Kind::Cluster);
        subscription.ask(name, true);
        let cluster = Cluster { name: name.to_owned(), ..Cluster::default() };
        let resource = Arc::new(crate::Resource::new(Kind::Cluster, &cluster));
        subscription.lacking(1, Concerned::Anything, [].iter(), |_| Some(resource.clone()));
        subscription.taken(1);
        proxy.held.lock().insert(Kind::Cluster, subscription);
    }

    #[test]
    fn a_dump_is_of_the_one_proxy_that_is_named() {
        let proxies = [proxy("cart-0"), proxy("cart-1"), proxy("cart-1")];
        ["other", "before", "after"].iter().zip(&proxies).for_each(|(name, proxy)| take(proxy, name));
        let dump = ask(CONFIG_DUMP, &["cart-1.shop"], &proxies).unwrap();
        let said = |name: &str| dump[0].value.windows(name.len()).any(|part| part == name.as_bytes());
        assert_eq!(["other", "before", "after"].map(said), [false, false, true], "of its newest connection");
    }

    #[test]
    fn of_a_proxy_that_is_elsewhere_it_is_said_so() {
        let answer = ask(CONFIG_DUMP, &["cart-2.shop"], &[proxy("cart-1")]).unwrap();
        let [only] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(only.value, ELSEWHERE.as_bytes());
        let malformed = ask(CONFIG_DUMP, &[], &[proxy("cart-1")]).unwrap_err();
        assert_eq!(malformed.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn debug_pages_are_asked_for_by_name() {
        let proxies = [proxy("cart-0"), proxy("cart-1")];
        let page = |name: &str| {
            let answer = ask(DEBUG, &[name], &proxies).unwrap();
            serde_json::from_slice::<serde_json::Value>(&answer[0].value).unwrap()
        };
        assert_eq!(page("list"), serde_json::json!(["clusterz", "connections", "syncz"]));
        assert_eq!(page("connections")["totalClients"], 2);
        let standing = &page("syncz")[1];
        let said = ["istio_version", "proxy", "proxy_type"].map(|key| standing[key].as_str().unwrap_or_default());
        assert_eq!(said, ["1.30", "cart-1.shop", "sidecar"]);
        // istioctl reads a map of states by type.
        assert!(standing["resources"].is_object(), "{standing}");
        for names in [&["configz"][..], &[], &["syncz", "list"]] {
            let refused = ask(DEBUG, names, &proxies).unwrap_err();
            assert!(refused.message().contains("clusterz, connections, list, syncz are"), "{refused}");
        }
    }

    #[test]
    fn connections_are_proxies_with_their_versions() {
        let answer = ask(CONNECTIONS, &[], &[proxy("cart-0"), proxy("cart-1")]).unwrap();
        let nodes: Vec<Node> = answer.iter().map(|one| Node::decode(&*one.value).unwrap()).collect();
        let names: Vec<&str> = nodes.iter().map(|node| &*node.id).collect();
        assert_eq!(names, ["cart-0.shop", "cart-1.shop"]);
        assert_eq!(crate::proxy::text_of(&nodes[0], "ISTIO_VERSION"), Some("1.30"));
        assert!(nodes[0].metadata.as_ref().unwrap().fields.contains_key("PROXY_CONFIG"));
    }
}
