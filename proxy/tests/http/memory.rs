//! What the proxy holds while one side is fast and the other slow: counted on its thread; callers and origins are on others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use tokio::sync::oneshot;

use crate::counting::Watch;
use crate::frames::*;
use crate::world::{Setting, run};

/// Bytes that go through, more than the kernel holds on the way to a slow reader (4 MiB).
const SIZE: usize = 12 << 20;
/// Of them each of many streams has so many.
const SHARE: usize = 2 << 20;
/// What one exchange may hold: a read each way (16 KiB), and a buffer of unwritten bytes (64 KiB and a read) each way, with
/// as many that were written and not yet let go, and the room that a growing buffer makes in advance: at worst twice.
const OF_ONE: usize = 384 << 10;

const STREAMS: u32 = 20;
/// What HTTP/2 may hold of bodies that come: the connection's window (4 MiB), twice since buffers grow by doubling, and
/// what is on its way to the other side.
const OF_WINDOW: usize = 2 * (4 << 20) + STREAMS as usize * OF_ONE;

/// Reads so many bytes, a few at a time.
fn read_slowly(socket: &mut TcpStream, bytes: usize) {
    let mut left = bytes;
    let mut piece = [0; 4096];
    while left > 0 {
        let room = piece.len().min(left);
        let count = socket.read(&mut piece[..room]).unwrap();
        assert_ne!(count, 0, "the proxy closed the connection");
        left -= count;
    }
}

/// A socket whose own buffer is as small as the system lets it be.
fn small(socket: TcpStream) -> TcpStream {
    socket2::SockRef::from(&socket).set_recv_buffer_size(1).unwrap();
    socket
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn read_head(socket: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

/// An origin that answers at once, with so many bytes.
fn writes(size: usize) -> SocketAddr {
    serve(move |mut socket| {
        read_head(&mut socket);
        socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n").as_bytes()).unwrap();
        socket.write_all(&vec![b'x'; size]).unwrap();
    })
}

/// An origin that reads what it is sent, so many bytes, slowly.
fn reads_slowly(size: usize) -> SocketAddr {
    serve(move |mut socket| {
        read_head(&mut socket);
        read_slowly(&mut socket, size);
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    })
}

fn serve(each: impl Fn(TcpStream) + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(1).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            thread::spawn(move || each(small(socket.unwrap())));
        }
    });
    address
}

/// The most that the proxy holds at once while a caller on a thread of its own does this.
fn most(origin: SocketAddr, call: impl FnOnce(SocketAddr) + Send + 'static) -> usize {
    let (told, most) = std::sync::mpsc::channel();
    run(
        |setting: &mut Setting| setting.origin = Some(origin),
        |world| async move {
            let watch = Watch::begin();
            let (end, ended) = oneshot::channel();
            let proxy = world.proxy;
            thread::spawn(move || {
                call(proxy);
                end.send(()).unwrap();
            });
            ended.await.expect("the caller failed");
            told.send(watch.most()).unwrap();
        },
    );
    let most = most.recv().unwrap();
    println!("{most} bytes at most");
    most
}

#[test]
fn an_answer_waits_for_a_slow_reader() {
    let held = most(writes(SIZE), |proxy| {
        let mut caller = connect(proxy);
        caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        read_head(&mut caller);
        read_slowly(&mut caller, SIZE);
    });
    assert!(held <= OF_ONE, "{held} bytes were held");
}

#[test]
fn a_request_waits_for_a_slow_origin() {
    let held = most(reads_slowly(SIZE), |proxy| {
        let mut caller = connect(proxy);
        caller.write_all(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes()).unwrap();
        caller.write_all(&vec![b'x'; SIZE]).unwrap();
        read_head(&mut caller);
    });
    assert!(held <= OF_ONE, "{held} bytes were held");
}

/// A caller that never ends a line.
#[test]
fn a_slow_writer_has_no_more_than_a_head_held() {
    const HEAD: usize = 60 * 1024;
    let held = most(writes(SIZE), |proxy| {
        let mut caller = connect(proxy);
        caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").unwrap();
        // It is refused and closed at some point of this.
        while caller.write_all(b"y").is_ok() {}
    });
    assert!(held <= 3 * HEAD, "{held} bytes were held");
}

/// A caller over HTTP/2 that lets a kilobyte of each answer come at a time.
#[test]
fn answers_wait_for_a_slow_reader_of_many() {
    let held = most(writes(SHARE), |proxy| {
        let mut caller = TcpStream::connect(proxy).unwrap();
        let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 4, 0]);
        caller.write_all(&[HELLO, &window].concat()).unwrap();
        for stream in 0..STREAMS {
            caller.write_all(&get(2 * stream + 1, "/")).unwrap();
        }
        let (mut bytes, mut open, mut piece) = (Vec::new(), STREAMS, vec![0; 64 << 10]);
        while open > 0 {
            let count = caller.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the proxy closed the connection");
            bytes.extend_from_slice(&piece[..count]);
            let (frames, taken) = Frame::some(&bytes);
            bytes.drain(..taken);
            let mut more = Vec::new();
            for frame in frames {
                match frame.kind {
                    SETTINGS if frame.flags & ACK == 0 => more.extend(self::frame(SETTINGS, ACK, 0, &[])),
                    PING if frame.flags & ACK == 0 => more.extend(self::frame(PING, ACK, 0, &frame.payload)),
                    DATA if frame.flags & END_STREAM != 0 => open -= 1,
                    DATA if !frame.payload.is_empty() => {
                        let length = frame.payload.len() as u32;
                        more.extend([credit(0, length), credit(frame.stream, length)].concat());
                    }
                    _ => {}
                }
            }
            caller.write_all(&more).unwrap();
        }
    });
    assert!(held <= STREAMS as usize * OF_ONE, "{held} bytes were held");
}

/// A caller over HTTP/2 that sends whatever the windows let it, to origins that hardly read.
#[test]
fn requests_wait_for_slow_origins_within_the_windows() {
    let held = most(reads_slowly(SHARE), |proxy| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(proxy).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let calls: tokio::task::JoinSet<_> = (0..STREAMS).map(|_| crate::h2::put(client.clone(), SHARE)).collect();
            calls.join_all().await;
        });
    });
    assert!(held <= OF_WINDOW, "{held} bytes were held");
}
