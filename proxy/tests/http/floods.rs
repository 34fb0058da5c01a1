//! HTTP/2 clients that make work and do none: each is told so, and its connection ended, within a bound.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;

use crate::frames::*;
use crate::world::{World, run};

/// Whatever is repeated, a connection does not outlive so many of it.
const MOST: u32 = 3000;

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The frames that are sent over and over, by their number.
type Each = fn(u32) -> Vec<u8>;

fn odd(n: u32) -> u32 {
    2 * n + 1
}

#[test]
fn floods_are_ended() {
    let nothing = Vec::new;
    let open = || frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[]));
    let begun = || frame(HEADERS, END_STREAM, 1, &request("GET", "/", &[]));
    let table: [(&str, Vec<u8>, Each); 13] = [
        ("pings", nothing(), |_| frame(PING, 0, 0, &[0; 8])),
        ("settings", nothing(), |_| frame(SETTINGS, 0, 0, &[])),
        ("settings that say something", nothing(), |n| {
            frame(SETTINGS, 0, 0, &[&[0, 4][..], &(n + 1).to_be_bytes()].concat())
        }),
        ("priorities", nothing(), |_| frame(PRIORITY, 0, 9, &[0; 5])),
        ("unknown frames", nothing(), |_| frame(77, 0, 0, &[])),
        ("credit", nothing(), |_| credit(0, 1)),
        ("empty data", open(), |_| frame(DATA, 0, 1, &[])),
        ("empty continuations", begun(), |_| frame(CONTINUATION, 0, 1, &[])),
        ("continuations without end", begun(), |_| {
            frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(120))]).repeat(100))
        }),
        ("rapid resets", nothing(), |n| [get(odd(n), "/"), frame(RESET, 0, odd(n), &[0, 0, 0, 8])].concat()),
        ("requests that are to be reset", nothing(), |n| [get(odd(n), "/"), credit(odd(n), 0)].concat()),
        ("malformed requests", nothing(), |n| frame(HEADERS, END_STREAM | END_HEADERS, odd(n), &[0x82])),
        ("more requests than are let in", nothing(), |n| get(odd(n), "/")),
    ];
    for (what, begin, each) in table {
        run(
            |_| (),
            |world| async move {
                let code = flood(&world, begin, each).await;
                assert!(matches!(code, Some(PROTOCOL_ERROR | ENHANCE_YOUR_CALM)), "{what}: {code:?}");
            },
        );
    }
}

/// Floods the proxy, and returns the code of the GOAWAY with which it ends the connection.
async fn flood(world: &World, begin: Vec<u8>, each: Each) -> Option<u32> {
    let (reader, mut writer) = world.connect().await.0.into_split();
    let told = tokio::task::spawn_local(last_word(reader));
    writer.write_all(&[HELLO, &begin].concat()).await.unwrap();
    for n in 0..MOST {
        if writer.write_all(&each(n)).await.is_err() {
            break;
        }
    }
    told.await.unwrap()
}

async fn last_word(mut reader: OwnedReadHalf) -> Option<u32> {
    let mut told = Vec::new();
    // A reset after the bytes is an end too.
    let _ = reader.read_to_end(&mut told).await;
    let goaway = Frame::some(&told).0.into_iter().rfind(|frame| frame.kind == GOAWAY)?;
    Some(u32::from_be_bytes(*goaway.payload[4..].first_chunk()?))
}
