//! What passes through, and how.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Response, body::Frame};
use pillion_gateway::protocol::AppState;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    rig::{Rig, in_state},
    routing::wait_until,
    upstream::Upstream,
};

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("hello").await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    for _ in 0..100 {
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        assert_eq!(wire.answer().await.body, "hello");
    }
    assert_eq!(shop.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    let all: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")).collect();
    wire.send(&all).await;
    for n in 0..20 {
        assert!(wire.answer().await.body.starts_with(&format!("GET /{n}\n")));
    }
}

#[tokio::test]
async fn the_app_learns_who_asked_and_nothing_a_stranger_made_up() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let request = "GET / HTTP/1.1\r\nHost: shop.localhost:8080\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
         Forwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nConnection: x-mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=1\r\nTE: gzip\r\n\r\n";
    let body = rig.ask(request).await.body;
    for line in [
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-host: shop.localhost:8080\n",
        "host: shop.localhost:8080\n",
    ] {
        assert!(body.contains(line), "{line:?} in {body}");
    }
    for gone in ["6.6.6.6", "evil", "https", "x-mine", "keep-alive", "te:"] {
        assert!(!body.contains(gone), "{gone:?} in {body}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_appended_to() {
    let mut rig = Rig::start_with(|args| args.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let request = "GET / HTTP/1.1\r\nHost: shop.localhost\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n";
    let body = rig.ask(request).await.body;
    assert!(body.contains("x-forwarded-for: 192.0.2.1, 127.0.0.1\n") && body.contains("x-forwarded-proto: https\n"), "{body}");
}

#[tokio::test]
async fn hop_by_hop_headers_of_an_answer_end_at_the_gateway() {
    let mut rig = Rig::start().await;
    let shop = Upstream::serve(|_| async {
        Response::builder()
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("x-end", "2")
            .body(crate::upstream::full("x"))
            .unwrap()
    })
    .await;
    rig.shop(shop.port).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!(answer.header("x-end"), Some("2"));
    assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), (None, None));
}

#[tokio::test]
async fn bodies_pass_with_a_length_and_in_chunks_even_of_a_get() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let host = "Host: shop.localhost";
    let sized = rig.ask(&format!("POST / HTTP/1.1\r\n{host}\r\nContent-Length: 5\r\n\r\nhello")).await;
    assert!(sized.body.ends_with("\n\nhello") && sized.body.contains("content-length: 5\n"), "{sized:?}");
    for method in ["POST", "GET"] {
        let chunked = rig
            .ask(&format!("{method} / HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
            .await;
        assert!(chunked.body.ends_with("\n\nabcde") && chunked.body.contains("transfer-encoding: chunked\n"), "{chunked:?}");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_length_and_no_body() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("hello").await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    for _ in 0..2 {
        wire.send("HEAD / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        let head = wire.until("\r\n\r\n").await;
        assert!(head.contains("content-length: 5\r\n"), "{head}");
    }
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    assert_eq!(wire.answer().await.body, "hello");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_when_there_is_an_app_to_read_on() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![crate::rig::serving("shop", vec![instance]), in_state("blog", AppState::Stopped, Vec::new())]).await;
    let mut wire = rig.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: shop.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 100);
    wire.send("hello").await;
    assert!(wire.answer().await.body.ends_with("hello"));

    let mut wire = rig.connect().await;
    wire.send("POST / HTTP/1.1\r\nHost: blog.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 503);
    let odd = rig.ask("POST / HTTP/1.1\r\nHost: shop.localhost\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(odd.status, 417);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let mut rig = Rig::start().await;
    let shop = Upstream::raw(|mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut request = Vec::new();
        while !request.ends_with(b"0\r\nx-sum: 7\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n2\r\nok\r\n0\r\nx-end: 9\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: shop.localhost\r\nTE: trailers\r\nConnection: TE\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    wire.send(&format!("{head}3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    wire.until("ok\r\n0\r\nx-end: 9\r\n\r\n").await;
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let mut rig = Rig::start().await;
    let (streams, mut stream) = mpsc::unbounded_channel::<mpsc::UnboundedSender<&'static str>>();
    let shop = Upstream::serve(move |_| {
        let (events, receiver) = mpsc::unbounded_channel();
        streams.send(events).unwrap();
        async move {
            let frames = tokio_stream(receiver).map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes()))));
            let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            response
        }
    })
    .await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    let events = stream.recv().await.unwrap();
    wire.until("\r\n\r\n").await;
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        // The next is sent only when this one has arrived: nothing may wait in a buffer.
        events.send(event).unwrap();
        wire.until(event).await;
    }
    drop(events);
    wire.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn an_app_learns_that_the_client_of_a_stream_left() {
    let mut rig = Rig::start().await;
    let (streams, mut stream) = mpsc::unbounded_channel::<mpsc::UnboundedSender<&'static str>>();
    let shop = Upstream::serve(move |_| {
        let (events, receiver) = mpsc::unbounded_channel();
        streams.send(events).unwrap();
        async move {
            let frames = tokio_stream(receiver).map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes()))));
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
    })
    .await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    let events = stream.recv().await.unwrap();
    wire.until("\r\n\r\n").await;
    drop(wire);
    tokio::time::timeout(crate::rig::SOON, events.closed()).await.expect("the stream's end in time");
    wait_until(&rig, |active| active == 0).await;
}

#[tokio::test]
async fn websocket_messages_go_both_ways() {
    let mut rig = Rig::start().await;
    let shop = websocket_echo().await;
    rig.shop(shop.port).await;
    let stream = rig.connect().await.stream;
    let (mut socket, response) = tokio_tungstenite::client_async("ws://shop.localhost/chat", stream).await.unwrap();
    assert_eq!(response.status(), 101);
    for n in 0..100 {
        socket.send(Message::text(format!("message {n}"))).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(format!("message {n}")));
    }
    let large = "x".repeat(1 << 20);
    socket.send(Message::text(large.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(large));
    wait_until(&rig, |active| active == 1).await;
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    wait_until(&rig, |active| active == 0).await;
}

#[tokio::test]
async fn a_silent_websocket_is_closed_at_its_limit() {
    let mut rig = Rig::start_with(|args| args.upgrade_idle_ms = Some(200)).await;
    let shop = websocket_echo().await;
    rig.shop(shop.port).await;
    let stream = rig.connect().await.stream;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://shop.localhost/", stream).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.expect("an end in time");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
}

#[tokio::test]
async fn an_answer_of_many_megabytes_arrives_whole() {
    let mut rig = Rig::start().await;
    let text: String = (0..2_000_000).map(|n| format!("{n:08}")).collect();
    let shop = Upstream::saying(&text).await;
    rig.shop(shop.port).await;
    assert!(rig.get("shop.localhost", "/").await.body == text);
}

async fn websocket_echo() -> Upstream {
    Upstream::raw(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

fn tokio_stream<T>(receiver: mpsc::UnboundedReceiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}
