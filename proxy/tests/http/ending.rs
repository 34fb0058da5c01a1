//! A proxy that ends: whoever calls it is told before a connection is closed.

use weft_proxy::model::ListenerKind;

use crate::world::run;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_connection_is_closed_after_the_answer_that_says_so() {
    run(
        |setting| setting.kind = ListenerKind::Gateway,
        |world| async move {
            let mut client = world.connect().await;
            client.send(GET).await;
            let mut origin = world.accept().await;
            origin.read_head().await;
            origin.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
            let told = client.read_to("ok").await;
            assert!(!told.contains("connection: close"), "{told}");
            // The end comes in the middle of an answer that did not know of it: one more request is taken.
            world.end.begin();
            origin.send("ok").await;
            client.read_to("ok").await;
            client.send(GET).await;
            origin.read_head().await;
            origin.send(OK).await;
            let told = client.read_all().await;
            assert!(told.contains("connection: close\r\n") && told.ends_with("\r\n\r\nok"), "{told}");
            // Whoever comes meanwhile is served, and told at once.
            let mut late = world.connect().await;
            late.send(GET).await;
            origin.read_head().await;
            origin.send(OK).await;
            assert!(late.read_all().await.contains("connection: close\r\n"));
        },
    );
}

#[test]
fn connections_of_the_application_itself_stay_as_they_are() {
    run(
        |_| (),
        |world| async move {
            world.end.begin();
            let mut client = world.connect().await;
            client.send(GET).await;
            let mut origin = world.accept().await;
            for _ in 0..2 {
                origin.read_head().await;
                origin.send(OK).await;
                assert!(!client.read_to("ok").await.contains("connection: close"));
                client.send(GET).await;
            }
        },
    );
}
