use std::task::{Context, Poll, Waker};

use mesh_http::RequestHead;
use mesh_http::h2::{Code, Limits, Role};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::stream::Stream;

/// A client's end that has written its preface, and the peer's socket.
async fn connected() -> (Rc<Link>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (peer, _) = listener.accept().await.unwrap();
    let link = Link::new(Role::Client, Limits::default(), Wire::new(Stream::plain(ours)));
    assert!(turn(&link).is_ready());
    arrived(&peer).await;
    (link, peer)
}

/// The end of a turn of the driver's.
fn turn(link: &Link) -> Poll<()> {
    link.poll_write(&mut Context::from_waker(Waker::noop()))
}

async fn arrived(peer: &TcpStream) -> usize {
    peer.readable().await.unwrap();
    peer.try_read(&mut [0; 4096]).unwrap()
}

fn open(link: &Rc<Link>) -> Line {
    let mut head = RequestHead::default();
    head.set_method(b"GET");
    head.set_path(b"/");
    link.open(&head).unwrap()
}

#[tokio::test]
async fn what_a_stream_alone_says_is_written_at_once() {
    let (link, peer) = connected().await;
    let _line = open(&link);
    assert!(turn(&link).is_ready());
    assert!(arrived(&peer).await > 0);
}

#[tokio::test]
async fn what_several_streams_say_waits_for_one_turn_of_the_runtime() {
    let (link, peer) = connected().await;
    let lines = [open(&link), open(&link)];
    assert!(turn(&link).is_pending());
    assert!(peer.try_read(&mut [0; 16]).is_err(), "nothing was written");
    let late = open(&link);
    assert!(turn(&link).is_ready(), "what was said meanwhile is no reason to wait again");
    let three = arrived(&peer).await;
    drop((lines, late));
    assert!(turn(&link).is_ready(), "no stream is open");
    assert_eq!(arrived(&peer).await, 3 * (9 + size_of::<u32>()), "three resets");
    let _line = open(&link);
    assert!(turn(&link).is_ready());
    assert!(three > 2 * arrived(&peer).await, "three requests in one write");
}

#[tokio::test]
async fn much_is_written_at_once() {
    let (link, peer) = connected().await;
    let _lines = [open(&link), open(&link)];
    link.inner.borrow_mut().wire.output.tail().resize(HIGH_WATER, 0);
    assert!(turn(&link).is_ready());
    assert!(arrived(&peer).await > 0);
    link.refuse(Code::NoError, "");
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_waits_for_settings_is_told_that_none_will_come() {
    let (link, _peer) = connected().await;
    let woken = std::sync::Arc::<Woken>::default();
    let waker = woken.clone().into();
    link.wait_for_settings(&Context::from_waker(&waker));
    assert_eq!(link.takes_upgrades(), None);
    link.refuse(Code::NoError, "idle");
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(link.takes_upgrades(), Some(false));
    assert!(link.open(&RequestHead::default()).is_none());
}
