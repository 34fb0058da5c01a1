//! Two of our ends.

use mesh_http::h2::{Code, Event, Limits, ResetBy, Role};
use mesh_http::{BodyLength, Fields, ResponseHead};
use proptest::prelude::*;

use super::{End, request, sending};

/// A client and a server that have greeted each other.
fn pair() -> (End, End) {
    pair_with(Limits::default())
}

fn pair_with(limits: Limits) -> (End, End) {
    let (mut client, mut server) = (End::new(Role::Client), End::with(Role::Server, limits));
    settle(&mut client, &mut server);
    (client, server)
}

/// Passes everything on until both are silent; returns what the server and the client saw.
fn settle(client: &mut End, server: &mut End) -> (Vec<Event>, Vec<Event>) {
    let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
    while !client.out.is_empty() || !server.out.is_empty() {
        at_server.extend(server.read(&client.take()).unwrap().0);
        at_client.extend(client.read(&server.take()).unwrap().0);
    }
    (at_server, at_client)
}

fn response(status: u16) -> ResponseHead {
    ResponseHead { status, ..ResponseHead::default() }
}

#[test]
fn a_call_with_trailers() {
    let (mut client, mut server) = pair();
    let mut head = request("POST", "/pkg.Service/Call");
    head.fields.append(b"Content-Type", b"application/grpc");
    head.fields.append(b"TE", b"gzip, trailers");
    head.fields.append(b"Connection", b"close");
    head.body = BodyLength::Stream;
    let id = client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
    assert_eq!(client.conn.data(id, b"question", true, &mut client.out), 8);
    let (events, _) = settle(&mut client, &mut server);
    assert_eq!(events[0], Event::Request { stream: 1, end: false, too_large: false });
    assert!(matches!(events[1], Event::Data { stream: 1, end: true, .. }));
    let head = &server.requests[&1];
    let fields: Vec<_> = head.fields.iter().map(|(_, name, value)| (name, value)).collect();
    assert_eq!(fields, [(&b"content-type"[..], &b"application/grpc"[..]), (b"te", b"trailers")]);
    assert_eq!((head.authority(), head.path(), head.body), (&b"shop:8080"[..], head.path(), BodyLength::Stream));
    assert!(head.is_grpc());

    server.conn.respond_interim(1, &response(103), &mut server.out);
    server.conn.respond(1, &response(200), BodyLength::Stream, &mut server.out);
    server.conn.data(1, b"answer", false, &mut server.out);
    let mut trailers = Fields::default();
    trailers.append(b"grpc-status", b"0");
    server.conn.trailers(1, &trailers, &mut server.out);
    let (events, _) = client.read(&server.take()).unwrap();
    assert_eq!(events[0], Event::Response { stream: 1, end: false });
    assert!(matches!(events[2], Event::Data { end: false, .. }));
    assert_eq!(events[3], Event::Trailers { stream: 1 });
    assert_eq!(client.trailers[&1].get(b"grpc-status"), Some(&b"0"[..]));
    assert_eq!(client.conn.forget(1, Code::Cancel, &mut client.out).unwrap(), b"answer");
    assert_eq!((client.conn.active(), server.conn.active()), (0, 0));
}

#[test]
fn windows_hold_what_is_not_read_back() {
    let (mut client, mut server) = pair_with(Limits { stream_window: 1000, ..Limits::default() });
    let id = client.conn.open(&sending("PUT", "/"), Vec::new(), &mut client.out);
    let id = id.unwrap();
    assert_eq!(client.conn.data(id, &[7; 5000], true, &mut client.out), 1000);
    assert_eq!(client.conn.room(id), 0);
    settle(&mut client, &mut server);
    assert_eq!(client.conn.room(id), 1000, "what was read is granted anew");
    assert_eq!(client.conn.data(id, &[7; 400], true, &mut client.out), 400);
    settle(&mut client, &mut server);
    assert_eq!(server.conn.kept(id).unwrap().len(), 1400);
}

#[test]
fn an_upgrade_crosses_as_an_extended_connect() {
    let (mut client, mut server) = pair();
    assert!(client.conn.takes_upgrades());
    let mut head = request("GET", "/chat");
    head.upgrade = true;
    head.fields.append(b"Upgrade", b"websocket");
    head.fields.append(b"Connection", b"Upgrade");
    let id = client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
    settle(&mut client, &mut server);
    let head = &server.requests[&1];
    assert!(head.upgrade);
    assert_eq!((head.method(), head.fields.get(b"upgrade")), (&b"GET"[..], Some(&b"websocket"[..])));
    server.conn.respond(id, &response(101), BodyLength::Empty, &mut server.out);
    server.conn.data(id, b"hello", false, &mut server.out);
    settle(&mut client, &mut server);
    assert_eq!(client.responses[&id].status, 101);
    client.conn.data(id, b"hi", true, &mut client.out);
    server.conn.data(id, b"", true, &mut server.out);
    settle(&mut client, &mut server);
    assert_eq!((&client.conn.kept(id).unwrap()[..], &server.conn.kept(id).unwrap()[..]), (&b"hello"[..], &b"hi"[..]));
    assert_eq!(client.conn.active(), 0);
}

#[test]
fn a_reset_is_seen_once_and_its_bytes_given_back() {
    let (mut client, mut server) = pair();
    let id = client.conn.open(&sending("PUT", "/"), Vec::new(), &mut client.out);
    let id = id.unwrap();
    settle(&mut client, &mut server);
    client.conn.data(id, &[0; 100], false, &mut client.out);
    server.conn.reset(id, Code::RefusedStream, &mut server.out);
    server.conn.forget(id, Code::Cancel, &mut server.out);
    let (_, events) = settle(&mut client, &mut server);
    assert_eq!(events, [Event::Reset { stream: id, code: Code::RefusedStream, by: ResetBy::Peer }]);
    client.conn.data(id, b"more", true, &mut client.out);
    assert!(client.out.is_empty(), "nothing is sent on a stream that is over");
    assert_eq!((client.conn.active(), server.conn.active()), (0, 0));
}

#[test]
fn the_end_is_announced_before_it_comes() {
    let (mut client, mut server) = pair();
    let first = client.conn.open(&request("GET", "/1"), Vec::new(), &mut client.out).unwrap();
    server.conn.announce_end(&mut server.out);
    let (at_server, at_client) = settle(&mut client, &mut server);
    assert!(matches!(at_client[0], Event::GoAway { last: 0x7fff_ffff, code: Code::NoError }));
    assert!(at_server.contains(&Event::Pong) && client.conn.is_closing() && !client.conn.can_open());
    server.conn.go_away(Code::NoError, "", &mut server.out);
    let (_, at_client) = settle(&mut client, &mut server);
    assert_eq!(at_client, [Event::GoAway { last: first, code: Code::NoError }]);
}

#[test]
fn a_server_refuses_more_streams_than_it_takes() {
    let (mut client, mut server) =
        (End::new(Role::Client), End::with(Role::Server, Limits { streams: 2, ..Limits::default() }));
    // The client does not know the limit yet.
    for _ in 0..3 {
        client.conn.open(&request("GET", "/"), Vec::new(), &mut client.out).unwrap();
    }
    let (_, events) = settle(&mut client, &mut server);
    assert_eq!(events, [Event::Reset { stream: 5, code: Code::RefusedStream, by: ResetBy::Peer }]);
    assert!(!client.conn.can_open());
}

#[test]
fn long_heads_are_split_and_too_long_ones_told() {
    let (mut client, mut server) = pair();
    let mut head = request("GET", "/");
    (0..40).for_each(|n| head.fields.append(format!("x-{n}").as_bytes(), &[b'v'; 1000]));
    client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
    let (events, _) = settle(&mut client, &mut server);
    assert_eq!(events, [Event::Request { stream: 1, end: true, too_large: false }]);
    assert_eq!(server.requests[&1].fields.len(), 40);
    (0..30).for_each(|n| head.fields.append(format!("y-{n}").as_bytes(), &[b'v'; 1000]));
    client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
    let (events, _) = settle(&mut client, &mut server);
    assert_eq!(events, [Event::Request { stream: 3, end: true, too_large: true }]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the pieces, what one end sends the other one reads.
    #[test]
    fn pieces_do_not_matter(
        bodies in proptest::collection::vec(0..70_000_usize, 1..6),
        cuts in proptest::collection::vec(1..20_000_usize, 1..40),
    ) {
        let (mut client, mut server) = pair_with(Limits { stream_window: 20_000, ..Limits::default() });
        let mut left: Vec<(u32, Vec<u8>)> = Vec::new();
        for (n, length) in bodies.iter().enumerate() {
            let head = sending("PUT", &format!("/{n}"));
            let id = client.conn.open(&head, Vec::new(), &mut client.out).unwrap();
            left.push((id, (0..*length).map(|at| (at * 7 + n) as u8).collect()));
        }
        let wanted = left.clone();
        let (mut wire, mut cuts) = (Vec::new(), cuts.iter().cycle());
        let mut ended = 0;
        while ended < bodies.len() {
            for (id, body) in &mut left {
                let sent = client.conn.data(*id, body, true, &mut client.out);
                if sent == body.len() && !body.is_empty() || client.conn.room(*id) > 0 {
                    body.clear();
                } else {
                    body.drain(..sent);
                }
            }
            left.retain(|(_, body)| !body.is_empty());
            wire.extend(client.take());
            let cut = (*cuts.next().unwrap()).min(wire.len());
            let mut part: Vec<u8> = wire[..cut].to_vec();
            let (events, used) = server.read(&part).unwrap();
            part.truncate(used);
            wire.drain(..used);
            ended += events.iter().filter(|e| matches!(e, Event::Data { end: true, .. })).count();
            // A frame other than DATA may need more than was given.
            if used == 0 && !wire.is_empty() {
                let (events, used) = server.read(&wire).unwrap();
                wire.drain(..used);
                ended += events.iter().filter(|e| matches!(e, Event::Data { end: true, .. })).count();
            }
            client.read(&server.take()).unwrap();
        }
        for (id, body) in wanted {
            prop_assert_eq!(server.conn.kept(id).unwrap(), &body);
        }
    }

    /// Bytes of any kind are read or refused, on either side, and what is answered stays small.
    #[test]
    fn any_bytes(
        frames in proptest::collection::vec(
            (0..11_u8, any::<u8>(), 0..6_u32, proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
        server in any::<bool>(),
    ) {
        let (mut client, mut other) = pair();
        let end = if server { &mut other } else { &mut client };
        for stream in 0..2 {
            if !server {
                end.conn.open(&request("GET", "/"), Vec::new(), &mut Vec::new()).unwrap();
            }
            let _ = stream;
        }
        for (kind, flags, stream, payload) in frames {
            let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
            frame.extend([kind, flags]);
            frame.extend(stream.to_be_bytes());
            frame.extend(payload);
            if end.read(&frame).is_err() {
                break;
            }
        }
        prop_assert!(end.out.len() < 64 * 1024);
    }
}
