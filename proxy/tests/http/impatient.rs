//! A server that lets go of idle connections at moments nobody can foresee (P08).

use std::cell::Cell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};
use weft_proxy::model::ListenerKind;

use crate::world::run_alone;

const CALLERS: usize = 64;
const CALLS: usize = 120;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How often each path was asked for.
type Served = HashMap<String, usize>;

/// Serves in a thread of its own until the sender of the channel is dropped, and then says what was served.
fn serve() -> (SocketAddr, mpsc::Receiver<Served>, tokio::sync::oneshot::Sender<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (told, served) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let served = Rc::new(Cell::new(Served::new()));
            let counted = served.clone();
            tokio::task::spawn_local(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::task::spawn_local(connection(socket, counted.clone()));
                }
            });
            let _ = stopped.await;
            told.send(served.take()).unwrap();
        });
    });
    (address, served, stop)
}

/// Reads requests whole, and closes in one step, or in two, after a while without one.
async fn connection(mut socket: TcpStream, served: Rc<Cell<Served>>) {
    let mut request = [0; 4096];
    loop {
        let patience = Duration::from_micros(fastrand::u64(1_000..50_000));
        let Ok(read) = timeout(patience, socket.readable()).await else { break };
        read.unwrap();
        let count = match socket.try_read(&mut request) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let text = std::str::from_utf8(&request[..count]).unwrap();
        assert!(text.ends_with("money"), "{text:?}");
        let mut counts = served.take();
        *counts.entry(text.split(' ').nth(1).unwrap().to_owned()).or_default() += 1;
        served.set(counts);
        if socket.write_all(OK).await.is_err() {
            return;
        }
    }
    if fastrand::bool() {
        let _ = socket.shutdown().await;
        tokio::task::yield_now().await;
    }
}

/// Pays so often, with pauses as long as the server's patience. True for each answer that was good.
async fn pay(proxy: SocketAddr, caller: usize) -> Vec<bool> {
    let mut client = TcpStream::connect(proxy).await.unwrap();
    let mut answers = Vec::new();
    for call in 0..CALLS {
        sleep(Duration::from_micros(fastrand::u64(0..60_000))).await;
        let request = format!("POST /{caller}/{call} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nmoney");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok")
            && !answer.ends_with(b"termination")
            && client.read_buf(&mut answer).await.unwrap() > 0
        {}
        answers.push(answer.starts_with(b"HTTP/1.1 200 "));
    }
    answers
}

#[test]
fn a_server_that_closes_idle_connections_fails_no_post_and_gets_none_twice() {
    let (origin, served, stop) = serve();
    run_alone(
        |setting| {
            setting.kind = ListenerKind::Inbound;
            setting.origin = Some(origin);
        },
        |world| async move {
            let callers: JoinSet<_> = (0..CALLERS).map(|caller| pay(world.proxy, caller)).collect();
            let answers = callers.join_all().await.concat();
            stop.send(()).unwrap();
            let served = served.recv().unwrap();
            let doubled = served.values().filter(|count| **count > 1).count();
            let failed = answers.iter().filter(|good| !**good).count();
            assert_eq!((failed, doubled, served.len()), (0, 0, CALLERS * CALLS), "failed, doubled, served");
        },
    );
}
