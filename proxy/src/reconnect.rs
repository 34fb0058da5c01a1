//! When the control plane is tried again: soon while nobody is there, later and later while somebody is there and fails.

use std::io;
use std::time::Duration;

use mesh_runtime::Backoff;

/// Waits while connections are refused are no longer. A refusal costs next to nothing, and nobody is there to be
/// spared; the proxies of a control plane that returns come back within this time, evenly spread over it.
const REFUSED: Duration = Duration::from_secs(2);

/// The waits between tries.
pub(crate) struct Reconnect(Backoff);

impl Reconnect {
    /// The first wait is at most `soonest`; those after a control plane that is there and fails are at most `latest`.
    pub(crate) fn new(soonest: Duration, latest: Duration) -> Self {
        Self(Backoff::new(soonest, latest))
    }

    /// How long to wait after a try that ended so.
    pub(crate) fn after(&mut self, error: &anyhow::Error) -> Duration {
        if is_refused(error) { self.0.next_delay_at_most(REFUSED) } else { self.0.next_delay() }
    }

    /// Starts over: the control plane is well.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

/// True if nobody listens where the control plane should be.
fn is_refused(error: &anyhow::Error) -> bool {
    let mut kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| kind == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_tls::grpc;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep, sleep_until};

    const SOONEST: Duration = Duration::from_millis(100);
    const LATEST: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_port_without_listener_refuses_and_a_listener_that_hangs_up_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hangs_up = async {
            loop {
                drop(listener.accept().await);
            }
        };
        let failed = tokio::select! {
            failed = connect(&address) => failed,
            () = hangs_up => unreachable!("it accepts for ever"),
        };
        assert!(failed.is_none_or(|error| !is_refused(&error)));
        drop(listener);
        assert!(is_refused(&connect(&address).await.unwrap()));
    }

    async fn connect(address: &str) -> Option<anyhow::Error> {
        let connected = grpc::connect(address, None).await;
        connected.err().map(|error| anyhow::Error::new(error).context("cannot connect"))
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_proxies_are_back_within_two_seconds_and_not_at_once() {
        let back = Instant::now() + Duration::from_secs(61);
        let mut proxies = JoinSet::new();
        for _ in 0..10_000 {
            proxies.spawn(async move {
                let refused = anyhow::Error::new(io::Error::from(io::ErrorKind::ConnectionRefused));
                let mut reconnect = Reconnect::new(SOONEST, LATEST);
                while Instant::now() < back {
                    sleep(reconnect.after(&refused)).await;
                }
                Instant::now() - back
            });
        }
        let late = proxies.join_all().await;
        assert!(late.iter().all(|late| *late <= REFUSED + Duration::from_millis(1)), "the timer's grain is 1 ms");
        let mut tenths = [0; 21];
        late.iter().for_each(|late| tenths[late.as_millis() as usize / 100] += 1);
        assert!(tenths.iter().all(|count| *count < 1_000), "a tenth of a second sees no tenth of them: {tenths:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_control_plane_that_fails_is_left_alone_for_longer_and_longer() {
        let mut reconnect = Reconnect::new(SOONEST, LATEST);
        let failed = anyhow::anyhow!("the control plane ended the stream");
        let end = Instant::now() + Duration::from_secs(600);
        let mut tries = 0;
        while Instant::now() < end {
            let delay = reconnect.after(&failed);
            assert!(delay <= LATEST);
            sleep_until((Instant::now() + delay).min(end)).await;
            tries += 1;
        }
        assert!((60..=130).contains(&tries), "{tries} in ten minutes");
    }
}
