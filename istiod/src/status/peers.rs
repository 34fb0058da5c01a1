//! The other replicas of the control plane, of whatever revision, as the one that leads hears them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use citadel::Authority;
use galley::api::Pod;
use galley::{Object, Objects};
use mesh_runtime::Backoff;
use mesh_tls::{ClientSettings, ClientTls, PeerTest, Roots, Versions, grpc, server_name};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Code, Request, Status, Streaming};
use weft_proto::replicas::replicas_client::ReplicasClient;
use weft_proto::replicas::{StandingChange, StandingRequest};

use super::missing::is_ready;
use super::standing::{REVISION, Standing};
use super::wire;
use crate::flags::Place;

/// Waits after errors lie between these.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(2);
/// A first answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A replica is asked anew after so long, with a new token and the newest root, before its connection comes of age.
const ANEW: Duration = Duration::from_secs(5 * 60);
/// The largest message that is taken: a first one, of a hundred thousand objects and as many proxies.
const MOST: usize = 64 * 1024 * 1024;

/// By what a replica proves to another one who it is, and knows it.
#[derive(Clone)]
pub(crate) struct Trust {
    /// The root by which others are known.
    pub(crate) authority: watch::Receiver<Arc<Authority>>,
    /// The port of xDS over TLS; the same for all replicas.
    pub(crate) port: u16,
    /// Where the token of this pod's service account is, for the audience `istio-ca`.
    pub(crate) token: PathBuf,
}

/// A replica. One that has moved, or has become ready, is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Replica {
    pub(super) pod: Arc<str>,
    pub(super) revision: String,
    /// `None` while it is not ready.
    address: Option<IpAddr>,
}

/// What is heard of a replica.
#[derive(Debug)]
pub(super) enum Heard {
    /// It was just asked.
    NotYet,
    Standing(Standing),
    /// It is ready and cannot be asked.
    Silent,
    /// It is not ready: no proxy is sent to it.
    Away,
    /// It is a control plane of somebody else's, such as Istio's own.
    Foreign,
}

/// All other replicas.
pub(super) struct Peers {
    place: Place,
    trust: Trust,
    following: BTreeMap<Replica, watch::Receiver<Heard>>,
}

impl Peers {
    pub(super) fn new(place: Place, trust: Trust) -> Self {
        Self { place, trust, following: BTreeMap::new() }
    }

    /// Asks the replicas that there are now, and no others.
    pub(super) fn follow(&mut self, objects: &Objects) {
        let mut before = std::mem::take(&mut self.following);
        for replica in replicas(objects, &self.place) {
            let heard = before.remove(&replica).unwrap_or_else(|| self.listen(&replica));
            self.following.insert(replica, heard);
        }
    }

    /// What is heard of them.
    pub(super) fn heard(&self) -> Vec<(&Replica, watch::Ref<'_, Heard>)> {
        self.following.iter().map(|(replica, heard)| (replica, heard.borrow())).collect()
    }

    fn listen(&self, replica: &Replica) -> watch::Receiver<Heard> {
        let Some(ip) = replica.address else { return watch::channel(Heard::Away).1 };
        let (heard, receiver) = watch::channel(Heard::NotYet);
        let listener = Listener {
            pod: replica.pod.clone(),
            address: SocketAddr::new(ip, self.trust.port),
            name: format!("istiod.{}.svc", self.place.namespace),
            trust: self.trust.clone(),
            heard,
        };
        tokio::spawn(listener.run());
        receiver
    }
}

/// Those that there are but this one.
fn replicas(objects: &Objects, place: &Place) -> Vec<Replica> {
    let is_replica = |pod: &&Object<Pod>| {
        *pod.meta.namespace == *place.namespace
            && *pod.meta.name != *place.pod
            && pod.meta.labels.get("app").is_some_and(|app| app == "istiod")
    };
    let pods = objects.pods.values().filter(is_replica);
    let one = |pod: &Object<Pod>| Replica {
        pod: pod.meta.name.clone(),
        revision: pod.meta.labels.get(REVISION).cloned().unwrap_or_default(),
        address: is_ready(pod).then(|| pod.spec.status.pod_ip.parse().ok()).flatten(),
    };
    pods.map(one).collect()
}

/// Listens to one replica for as long as anybody cares.
struct Listener {
    pod: Arc<str>,
    address: SocketAddr,
    /// A name that the certificate of every replica has, whatever its revision.
    name: String,
    trust: Trust,
    heard: watch::Sender<Heard>,
}

impl Listener {
    async fn run(self) {
        tokio::select! {
            () = self.listen() => {}
            () = self.heard.closed() => {}
        }
    }

    async fn listen(&self) {
        let mut backoff = Backoff::new(SOONEST, LATEST);
        loop {
            // What it said stays until it has said it anew.
            let Ok(ended) = timeout(ANEW, self.hear(&mut backoff)).await else { continue };
            let why = ended.err().unwrap_or_else(|| anyhow::anyhow!("it ended its answer"));
            self.fail(&why);
            backoff.wait().await;
        }
    }

    /// Hears what it says, until it says no more.
    async fn hear(&self, backoff: &mut Backoff) -> Result<()> {
        let (first, mut changes) = timeout(PATIENCE, self.ask()).await.context("it does not answer in time")??;
        self.heard.send_replace(Heard::Standing(first));
        backoff.reset();
        while let Some(change) = changes.message().await? {
            self.heard.send_modify(|heard| {
                if let Heard::Standing(standing) = heard {
                    wire::apply(standing, change);
                }
            });
        }
        Ok(())
    }

    /// What it says first, and then changes of that.
    async fn ask(&self) -> Result<(Standing, Streaming<StandingChange>)> {
        let token = std::fs::read_to_string(&self.trust.token)
            .with_context(|| format!("the token {}", self.trust.token.display()))?;
        let channel = grpc::connect(&self.address.to_string(), Some(self.secure()?)).await.context("cannot connect")?;
        let mut client = ReplicasClient::new(channel).max_decoding_message_size(MOST);
        let mut request = Request::new(StandingRequest {});
        request.metadata_mut().insert("authorization", format!("Bearer {}", token.trim()).parse()?);
        let mut changes = client.standing(request).await?.into_inner();
        let mut first = Standing::default();
        wire::apply(&mut first, changes.message().await?.context("it ended its answer at once")?);
        Ok((first, changes))
    }

    fn secure(&self) -> Result<grpc::Secure> {
        let root = self.trust.authority.borrow().root_pem().to_owned();
        let tls = ClientTls::new(ClientSettings {
            certificate: None,
            roots: Some(Roots::from_pem(root.as_bytes(), "the mesh's root")?),
            alpn: vec![b"h2".to_vec()],
            versions: Versions::Both,
        })?;
        let name = server_name(Some(&self.name), self.address.ip());
        Ok(grpc::Secure { tls, test: PeerTest::Name(name.clone()), name })
    }

    /// Says so once for each outage.
    fn fail(&self, why: &anyhow::Error) {
        let status = why.downcast_ref::<Status>();
        let why = match status {
            Some(status) => format!("{:?}: {}", status.code(), status.message()),
            None => format!("{why:#}"),
        };
        let heard = status.map_or(Heard::Silent, refused);
        let is_foreign = matches!(heard, Heard::Foreign);
        match self.heard.send_replace(heard) {
            Heard::Silent | Heard::Foreign => tracing::debug!("replica {}: {why}", self.pod),
            _ if is_foreign => tracing::info!("{} is no replica of this mesh: its proxies are not counted", self.pod),
            _ => tracing::warn!(
                "replica {} cannot be asked which objects its proxies have: {why}; until it answers, or is not ready \
                 any more, no object counts as reconciled",
                self.pod
            ),
        }
    }
}

/// What is heard of one that refuses to answer. A control plane that does not know the question is not ours.
fn refused(status: &Status) -> Heard {
    if status.code() == Code::Unimplemented { Heard::Foreign } else { Heard::Silent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_does_not_know_the_question_is_foreign() {
        assert!(matches!(refused(&Status::unimplemented("")), Heard::Foreign));
        for status in [Status::permission_denied(""), Status::unavailable(""), Status::unknown("")] {
            assert!(matches!(refused(&status), Heard::Silent), "{status}");
        }
    }

    #[test]
    fn replicas_of_all_revisions_are_asked_once_they_are_ready() {
        let pod = |name: &str, namespace: &str, app: &str, revision: &str, ready: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}, \
                 istio.io/rev: {revision}}}}}\nstatus: {{podIP: 10.0.0.1, conditions: [{{type: Ready, status: '{ready}'}}]}}\n---\n"
            )
        };
        let text = [
            pod("own", "istio-system", "istiod", "default", "True"),
            pod("second", "istio-system", "istiod", "default", "True"),
            pod("canary", "istio-system", "istiod", "canary", "False"),
            pod("ingress", "istio-system", "istio-ingress", "default", "True"),
            pod("elsewhere", "other", "istiod", "default", "True"),
        ];
        let loaded = galley::load(&"test.yaml".into(), &text.concat());
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let place = Place { pod: "own".to_owned(), ..Place::of_flags(&[]) };
        let found = replicas(&Objects::new(loaded.objects), &place);
        let expected = [("canary", "canary", None), ("second", "default", Some([10, 0, 0, 1].into()))];
        let expected = expected.map(|(pod, revision, address)| Replica {
            pod: pod.into(),
            revision: revision.to_owned(),
            address,
        });
        assert_eq!(found, expected);
    }
}
