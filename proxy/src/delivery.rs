//! What the kernel knows of bytes that were sent: whether the other end can have read them.

use std::mem::offset_of;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use tokio::io::Interest;

use crate::stream::Stream;

/// `TCP_INFO` up to the count of acknowledged bytes (Linux 4.1 and later).
const INFO: usize = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
/// `TCP_CLOSE` of the kernel's states.
const CLOSED: u8 = 7;
/// The reset that answers bytes nobody will read comes within a round trip.
const PATIENCE: Duration = Duration::from_millis(250);
/// Counters of our network namespace, which is the application's too.
const COUNTERS: &str = "/proc/self/net/netstat";
/// Of these, the connections that were closed here with bytes unread.
const UNREAD: &str = "TCPAbortOnClose";

static CLOSED_UNREAD: LazyLock<Account> =
    LazyLock::new(|| Account(AtomicU64::new(closed_unread().unwrap_or(u64::MAX))));

/// The beginning of `TCP_INFO`, as the kernel lays it out.
#[derive(Clone, Copy, Debug)]
struct TcpInfo;

nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, [u8; INFO], GetStruct<[u8; INFO]>);

/// True once a connection was reset; false if that does not come soon. To be asked of one whose end was read: a peer
/// that has closed it resets what it did not read and what comes later.
pub(crate) async fn is_reset(stream: &Stream) -> bool {
    let reset = |stream| info(stream).is_some_and(|info| info[offset_of!(libc::tcp_info, tcpi_state)] == CLOSED);
    if reset(stream) {
        return true;
    }
    let told = tokio::time::timeout(PATIENCE, stream.socket().ready(Interest::ERROR)).await;
    told.is_ok() && reset(stream)
}

/// True if the peer has acknowledged nothing after the first `before` bytes of a connection.
pub(crate) fn is_none_acknowledged(stream: &Stream, before: u64) -> bool {
    let Some(info) = info(stream) else { return false };
    let (acknowledged, _) = info[offset_of!(libc::tcp_info, tcpi_bytes_acked)..].as_chunks();
    // The kernel counts the SYN of our side as a byte.
    u64::from_ne_bytes(acknowledged[0]) <= before + 1
}

fn info(stream: &Stream) -> Option<[u8; INFO]> {
    getsockopt(stream.socket(), TcpInfo).ok()
}

/// True if the kernel closed a connection with bytes unread, in our namespace and not long ago, that nobody has asked
/// about yet. An application that has read a request and then aborts the connection (`SO_LINGER` of 0) is not counted
/// there, although its caller sees the same reset.
pub(crate) fn was_one_closed_unread() -> bool {
    closed_unread().is_some_and(|count| CLOSED_UNREAD.take_one(count))
}

/// Begins the account.
pub(crate) fn watch() {
    LazyLock::force(&CLOSED_UNREAD);
}

/// Lets go of connections that nobody asked about. To be called every few seconds.
pub(crate) fn settle() {
    if let Some(count) = closed_unread() {
        CLOSED_UNREAD.settle(count);
    }
}

fn closed_unread() -> Option<u64> {
    let counters = std::fs::read_to_string(COUNTERS).inspect_err(|error| tracing::debug!("{COUNTERS}: {error}"));
    counter(&counters.ok()?, UNREAD)
}

/// A counter of `/proc/net/netstat`: lines come in twos, first the names, then the values.
fn counter(counters: &str, name: &str) -> Option<u64> {
    let mut lines = counters.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        if let Some(index) = names.split(' ').position(|other| other == name) {
            return values.split(' ').nth(index)?.parse().ok();
        }
    }
    None
}

/// A counter of the kernel's up to which all is accounted for.
#[derive(Debug)]
struct Account(AtomicU64);

impl Account {
    /// True if the counter is beyond the account, which then grows by one.
    fn take_one(&self, count: u64) -> bool {
        let grown = |accounted: u64| (accounted < count).then(|| accounted + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    fn settle(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::plain(client), listener.accept().await.unwrap().0)
    }

    /// True if the connection was reset and nothing after `before` can have been read.
    async fn is_lost(stream: &Stream, before: u64) -> bool {
        is_reset(stream).await && is_none_acknowledged(stream, before)
    }

    #[tokio::test]
    async fn what_came_after_the_end_was_not_read() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"first").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        drop(server);
        let before = client.written();
        client.write_all(b"second").await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(is_lost(&client, before).await);
        assert!(!is_lost(&client, 0).await, "the first was read");
    }

    #[tokio::test]
    async fn what_came_before_the_end_may_have_been_read() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"first").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(!is_reset(&client).await);
    }

    #[tokio::test]
    async fn whoever_only_stops_writing_may_still_read() {
        let (mut client, mut server) = pair().await;
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        client.write_all(b"first").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        assert!(!is_reset(&client).await);
    }

    #[test]
    fn the_kernel_counts_what_is_closed_unread() {
        assert!(closed_unread().is_some());
        let counters = "TcpExt: A TCPAbortOnClose B\nTcpExt: 1 2 3\nIpExt: C\nIpExt: 4\n";
        assert_eq!(counter(counters, UNREAD), Some(2));
        assert_eq!(counter(counters, "C"), Some(4));
        assert_eq!(counter(counters, "D"), None);
    }

    #[test]
    fn each_of_the_closed_is_accounted_for_once() {
        let account = Account(AtomicU64::new(u64::MAX));
        assert!(!account.take_one(5), "nothing is known");
        account.settle(5);
        assert!(!account.take_one(5));
        assert!(account.take_one(7) && account.take_one(7) && !account.take_one(7));
        account.settle(9);
        assert!(!account.take_one(9), "too long ago");
    }
}
