//! What a request may cost: allocations, counted, not timed. Instructions and system calls follow them.
//!
//! A budget that is exceeded names what the change costs every request of every user. It is raised here, in the change
//! that needs it, with the reason in its message; it is lowered whenever a change makes room.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;
use weft_proxy::conn::ConnInfo;
use weft_proxy::http::{self, Live};
use weft_proxy::model::*;
use weft_proxy::record::LogFormat;
use weft_proxy::stream::Stream;
use weft_proxy::worker::Worker;

use crate::counting::allocations;
use crate::world::run;

/// Allocations of a thousand requests over a kept connection, routed, logged and counted.
const BUDGET: u64 = 40;
const REQUESTS: usize = 1000;
const REQUEST: &[u8] = b"GET /a?b=c HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const LINE: &str =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)%\" %RESPONSE_CODE% %UPSTREAM_HOST% %REQ(USER-AGENT)% %DURATION%\n";

#[test]
fn a_request_allocates_nothing_of_its_own() {
    let origin = answer_all();
    let log = AccessLog { path: "/dev/null".into(), format: Arc::new(AccessLogFormat::Text(LogFormat::parse(LINE))) };
    run(
        |setting| {
            setting.origin = Some(origin);
            setting.http.access_logs = [log].into();
            setting.http.generate_request_id = true;
        },
        |world| async move {
            let (warm, warmed) = oneshot::channel();
            let (go, gone) = mpsc::channel();
            let (end, ended) = oneshot::channel();
            let proxy = world.proxy;
            std::thread::spawn(move || {
                let mut caller = TcpStream::connect(proxy).unwrap();
                call(&mut caller, 100);
                warm.send(()).unwrap();
                gone.recv().unwrap();
                call(&mut caller, REQUESTS);
                end.send(()).unwrap();
            });
            warmed.await.unwrap();
            let before = allocations();
            go.send(()).unwrap();
            ended.await.unwrap();
            let spent = allocations() - before;
            println!("{spent} allocations for {REQUESTS} requests");
            assert!(spent <= BUDGET, "{spent} allocations for {REQUESTS} requests, over the budget of {BUDGET}");
        },
    );
}

/// Bytes that a connection of HTTP holds for as long as it is open, beside what is known of it and its socket.
const HELD: usize = 1280;

#[test]
fn an_idle_connection_holds_no_exchange() {
    fn held<'a, F>(_: impl Fn(&'a Rc<Worker>, &'a Rc<ConnInfo>, Live, Stream) -> F) -> usize {
        size_of::<F>()
    }
    let held = held(http::serve);
    println!("{held} bytes");
    assert!(held <= HELD, "{held} bytes, over the budget of {HELD}");
}

fn call(caller: &mut TcpStream, requests: usize) {
    let mut answer = [0; 4096];
    for _ in 0..requests {
        caller.write_all(REQUEST).unwrap();
        let mut read = 0;
        while !answer[..read].ends_with(b"\r\n\r\nok") {
            let more = caller.read(&mut answer[read..]).unwrap();
            assert!(more > 0, "the proxy closed the connection");
            read += more;
        }
    }
}

/// An origin on a thread of its own.
fn answer_all() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let (mut request, mut read) = ([0; 4096], 0);
        while let Ok(more @ 1..) = socket.read(&mut request[read..]) {
            read += more;
            if request[..read].ends_with(b"\r\n\r\n") {
                read = 0;
                socket.write_all(ANSWER).unwrap();
            }
        }
    });
    address
}
