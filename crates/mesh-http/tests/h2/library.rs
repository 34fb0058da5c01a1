//! Against the h2 crate: our client with its server, its client with our server.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use mesh_http::h2::{Event, Role};
use mesh_http::{BodyLength, Fields, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{End, sending};

const CALLS: usize = 40;

fn body(n: usize) -> Vec<u8> {
    (0..n * 5000).map(|at| (at + n) as u8).collect()
}

/// Reads the whole of a body that the library has.
async fn all(mut stream: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    (bytes, stream.trailers().await.unwrap())
}

/// Answers each request with its own path, field and body, and its number as a trailer.
async fn their_server(io: DuplexStream) {
    let mut server = h2::server::handshake(io).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    while let Some(call) = server.accept().await {
        let Ok((request, mut respond)) = call else { break };
        tasks.spawn(async move {
            let (parts, stream) = request.into_parts();
            let (bytes, _) = all(stream).await;
            let response = Response::builder().header("x-path", parts.uri.path()).header("x-n", &parts.headers["x-n"]);
            let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
            send_all(&mut send, bytes).await;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-end", parts.headers["x-n"].clone());
            send.send_trailers(trailers).unwrap();
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn send_all(send: &mut h2::SendStream<Bytes>, mut bytes: Vec<u8>) {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
        let piece: Vec<u8> = bytes.drain(..room.min(bytes.len())).collect();
        send.send_data(piece.into(), false).unwrap();
    }
}

/// Our end over a stream: writes what there is to write, then reads once.
async fn turn(end: &mut End, io: &mut DuplexStream, unread: &mut Vec<u8>) -> Option<Vec<Event>> {
    io.write_all(&end.take()).await.ok()?;
    if io.read_buf(unread).await.ok()? == 0 {
        return None;
    }
    let (events, used) = end.read(unread).unwrap();
    unread.drain(..used);
    Some(events)
}

#[tokio::test]
async fn our_client_and_their_server() {
    let (theirs, mut io) = tokio::io::duplex(30_000);
    tokio::spawn(their_server(theirs));
    let (mut client, mut unread) = (End::new(Role::Client), Vec::new());
    let (mut left, mut done, mut next) = (Vec::<(u32, Vec<u8>)>::new(), 0, 0);
    while done < CALLS {
        while next < CALLS && next < done + 7 {
            let mut head = sending("POST", &format!("/{next}"));
            head.fields.append(b"X-N", next.to_string().as_bytes());
            head.fields.append(b"x-team", b"shop");
            let id = client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
            left.push((id, body(next % 9)));
            next += 1;
        }
        left.retain_mut(|(id, bytes)| {
            let empty = bytes.is_empty();
            let sent = client.conn.data(*id, bytes, true, &mut client.out);
            bytes.drain(..sent);
            !(bytes.is_empty() || empty)
        });
        for event in turn(&mut client, &mut io, &mut unread).await.unwrap() {
            match event {
                Event::Response { stream, .. } => {
                    let head = &client.responses[&stream];
                    let n = (stream / 2).to_string();
                    assert_eq!(head.status, 200);
                    assert_eq!(head.fields.get(b"x-path"), Some(format!("/{n}").as_bytes()));
                    assert_eq!(head.fields.get(b"x-n"), Some(n.as_bytes()));
                }
                Event::Trailers { stream } => {
                    let n = stream / 2;
                    assert_eq!(client.trailers[&stream].get(b"x-end"), Some(n.to_string().as_bytes()));
                    let got = client.conn.forget(stream, mesh_http::h2::Code::Cancel, &mut client.out).unwrap();
                    assert_eq!(got, body(n as usize % 9));
                    done += 1;
                }
                Event::Data { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(client.conn.is_empty());
}

/// Answers like [`their_server`], once each request is complete.
async fn our_server(mut io: DuplexStream) {
    let (mut server, mut unread) = (End::new(Role::Server), Vec::new());
    let mut left = Vec::<(u32, Vec<u8>, Fields)>::new();
    while let Some(events) = turn(&mut server, &mut io, &mut unread).await {
        for event in events {
            let ended = match event {
                Event::Request { stream, end, .. } | Event::Data { stream, end, .. } => end.then_some(stream),
                _ => None,
            };
            let Some(stream) = ended else { continue };
            let head = server.requests.remove(&stream).unwrap();
            let number = head.fields.get(b"x-n").unwrap();
            let mut response = ResponseHead { status: 200, ..ResponseHead::default() };
            response.fields.append(b"x-path", head.path());
            response.fields.append(b"x-n", number);
            server.conn.respond(stream, &response, BodyLength::Stream, &mut server.out);
            let mut trailers = Fields::default();
            trailers.append(b"x-end", number);
            let bytes = std::mem::take(server.conn.kept(stream).unwrap());
            left.push((stream, bytes, trailers));
        }
        left.retain_mut(|(id, bytes, trailers)| {
            let sent = server.conn.data(*id, bytes, false, &mut server.out);
            bytes.drain(..sent);
            if bytes.is_empty() {
                server.conn.trailers(*id, trailers, &mut server.out);
                server.conn.forget(*id, mesh_http::h2::Code::Cancel, &mut server.out);
            }
            !bytes.is_empty()
        });
    }
}

#[tokio::test]
async fn their_client_and_our_server() {
    let (ours, io) = tokio::io::duplex(30_000);
    tokio::spawn(our_server(ours));
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(async move { connection.await.unwrap() });
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        let mut client = client.clone().ready().await.unwrap();
        tasks.spawn(async move {
            let request = Request::post(format!("http://shop/{n}")).header("x-n", n.to_string()).body(()).unwrap();
            let (response, mut send) = client.send_request(request, false).unwrap();
            send_all(&mut send, body(n % 9)).await;
            send.send_data(Bytes::new(), true).unwrap();
            let (parts, stream) = response.await.unwrap().into_parts();
            assert_eq!(parts.headers["x-path"], format!("/{n}"));
            let (bytes, trailers) = all(stream).await;
            assert_eq!(bytes, body(n % 9));
            assert_eq!(trailers.unwrap()["x-end"], n.to_string());
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
