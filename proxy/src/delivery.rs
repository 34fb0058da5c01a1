//! What the kernel knows of bytes that were sent: whether the other end can have read them.

use std::mem::offset_of;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::stream::Stream;

/// `TCP_INFO` up to the count of acknowledged bytes (Linux 4.1 and later).
const INFO: usize = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
/// `TCP_CLOSE` of the kernel's states.
const CLOSED: u8 = 7;
/// The reset that answers bytes nobody will read comes within a round trip.
const PATIENCE: Duration = Duration::from_millis(250);

/// The beginning of `TCP_INFO`, as the kernel lays it out.
#[derive(Clone, Copy, Debug)]
struct TcpInfo;

nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, [u8; INFO], GetStruct<[u8; INFO]>);

/// True if it is certain that nothing after the first `before` bytes of a connection was read. To be asked of a
/// connection whose end was read: its peer's last word acknowledged all that had come by then, and what came later was
/// answered with a reset.
pub(crate) async fn is_none_after(stream: &Stream, before: u64) -> bool {
    let socket = stream.socket();
    if let Some(known) = is_none(socket, before) {
        return known;
    }
    let reset = tokio::time::timeout(PATIENCE, socket.ready(Interest::ERROR)).await;
    reset.is_ok() && is_none(socket, before) == Some(true)
}

/// `None` as long as it is not known.
fn is_none(socket: &TcpStream, before: u64) -> Option<bool> {
    let Ok(info) = getsockopt(socket, TcpInfo) else { return Some(false) };
    let (acknowledged, _) = info[offset_of!(libc::tcp_info, tcpi_bytes_acked)..].as_chunks();
    // The kernel counts the SYN of our side as a byte.
    if u64::from_ne_bytes(acknowledged[0]) > before + 1 {
        return Some(false);
    }
    (info[offset_of!(libc::tcp_info, tcpi_state)] == CLOSED).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::plain(client), listener.accept().await.unwrap().0)
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
        assert!(is_none_after(&client, before).await);
        assert!(!is_none_after(&client, 0).await, "the first was read");
    }

    #[tokio::test]
    async fn what_came_before_the_end_may_have_been_read() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"first").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(!is_none_after(&client, 0).await);
    }

    #[tokio::test]
    async fn whoever_only_stops_writing_may_still_read() {
        let (mut client, mut server) = pair().await;
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        client.write_all(b"first").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        assert!(!is_none_after(&client, 0).await);
    }
}
