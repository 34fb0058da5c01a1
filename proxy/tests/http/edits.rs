//! Configuration is data: edits close no connection and fail no request.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weft_proxy::model::*;

use crate::world::{World, run, target};

const EDITS: u32 = 10_000;
const CALLERS: usize = 4;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn ten_thousand_edits_under_load_close_no_connection_and_fail_no_request() {
    run(
        |_| (),
        |world| async move {
            let proxy = world.proxy;
            let (done, served) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0_u64)));
            let config = world.config.clone();
            let origin = tokio::task::spawn_local(serve(world));
            let callers: Vec<_> =
                (0..CALLERS).map(|_| tokio::task::spawn_local(call(proxy, done.clone(), served.clone()))).collect();
            for edit in 0..EDITS {
                let mut next = Snapshot::clone(&config.current());
                change(&mut next, edit);
                config.publish(next);
                // Traffic goes on between edits.
                if edit % 4 == 0 {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_micros(1)).await;
                }
            }
            done.set(true);
            for caller in callers {
                caller.await.unwrap();
            }
            assert!(served.get() > u64::from(EDITS) / 100, "only {} requests were served meanwhile", served.get());
            origin.abort();
        },
    );
}

/// One of the edits that users make: of the routes, the cluster or its endpoints.
fn change(snapshot: &mut Snapshot, edit: u32) {
    let cluster = snapshot.clusters.get_mut("origin").unwrap();
    match edit % 4 {
        0 => Arc::make_mut(cluster).connect_timeout = Duration::from_millis(u64::from(1000 + edit % 500)),
        1 => {
            let mut target = target();
            target.timeout = Some(Duration::from_secs(u64::from(5 + edit % 5)));
            edit_route(snapshot, |route| route.action = RouteAction::Forward(target.clone()));
        }
        2 => edit_route(snapshot, |route| {
            route.edits.response = vec![HeaderEdit::Set("x-edit".into(), edit.to_string().into())];
        }),
        _ => {
            let Discovery::Static(endpoints) = &mut Arc::make_mut(cluster).discovery else { panic!("static") };
            for locality in &mut Arc::make_mut(endpoints).localities {
                locality.endpoints.iter_mut().for_each(|one| Arc::make_mut(one).weight = 1 + edit % 9);
            }
        }
    }
}

fn edit_route(snapshot: &mut Snapshot, change: impl FnOnce(&mut Route)) {
    let routes = Arc::make_mut(snapshot.routes.get_mut("80").unwrap());
    let host = Arc::make_mut(&mut routes.virtual_hosts[0]);
    change(Arc::make_mut(&mut host.routes[0]));
}

/// An origin that answers everything.
async fn serve(world: World) {
    loop {
        let mut peer = world.accept().await;
        tokio::task::spawn_local(async move {
            let (mut buffer, mut seen) = (vec![0; 4096], Vec::new());
            while let Ok(count @ 1..) = peer.0.read(&mut buffer).await {
                seen.extend_from_slice(&buffer[..count]);
                while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                    seen.drain(..end + 4);
                    if peer.0.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// A caller that keeps one connection for all its requests.
async fn call(proxy: std::net::SocketAddr, done: Rc<Cell<bool>>, served: Rc<Cell<u64>>) {
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    while !done.get() {
        socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "the connection was closed");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        served.set(served.get() + 1);
    }
}
