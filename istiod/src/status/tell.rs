//! Tells other replicas how objects stand here.

use std::sync::Arc;

use citadel::{Authenticator, Caller, bearer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use weft_proto::replicas::replicas_server::{Replicas, ReplicasServer};
use weft_proto::replicas::{StandingChange, StandingRequest};

use super::look::{Look, Sources};
use super::standing::Standing;
use super::wire;

/// Tells those who are replicas themselves.
pub(crate) struct Teller {
    sources: Sources,
    callers: Arc<dyn Authenticator>,
    namespace: String,
}

impl Teller {
    /// As a gRPC service, for replicas in the control plane's namespace.
    pub(crate) fn server(sources: Sources, callers: Arc<dyn Authenticator>, namespace: &str) -> ReplicasServer<Self> {
        ReplicasServer::new(Self { sources, callers, namespace: namespace.to_owned() })
    }
}

#[tonic::async_trait]
impl Replicas for Teller {
    type StandingStream = ReceiverStream<Result<StandingChange, Status>>;

    async fn standing(&self, request: Request<StandingRequest>) -> Result<Response<Self::StandingStream>, Status> {
        let caller = self.callers.check(bearer(request.metadata())?).await?;
        if !is_replica(&caller, &self.namespace) {
            return Err(Status::permission_denied("only replicas of the control plane are told"));
        }
        // One at a time: a replica that is slow to listen is told the newest, not all that was.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(tell(Look::begin(&self.sources), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// By the service account, as the chart names it: `istiod`, or `istiod-` and the revision.
fn is_replica(caller: &Caller, namespace: &str) -> bool {
    let account = &caller.service_account;
    caller.namespace == namespace && (account == "istiod" || account.starts_with("istiod-"))
}

async fn tell(mut look: Look, sender: mpsc::Sender<Result<StandingChange, Status>>) {
    // The first answer is given even if there is nothing to tell: it is known then.
    let mut said: Option<Standing> = None;
    loop {
        let look = tokio::select! {
            look = look.next() => look,
            () = sender.closed() => return,
        };
        let Some((_, now)) = look else { return };
        let change = match &said {
            Some(said) => wire::change(said, &now),
            None => Some(wire::change(&Standing::default(), &now).unwrap_or_default()),
        };
        if let Some(change) = change
            && sender.send(Ok(change)).await.is_err()
        {
            return;
        }
        said = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_told_and_nobody_else() {
        let may = |namespace: &str, account: &str| is_replica(&Caller::new(namespace, account), "istio-system");
        assert!(may("istio-system", "istiod") && may("istio-system", "istiod-canary"));
        assert!(!may("default", "istiod") && !may("istio-system", "istio-ingress") && !may("istio-system", "istiodx"));
    }
}
