//! Bytes that are meant to be understood differently by the gateway and by an app, or to wear the gateway out.

use tokio::io::AsyncReadExt;

use crate::{
    rig::{Rig, in_state},
    upstream::Upstream,
};

#[tokio::test]
async fn malformed_framing_is_refused_and_reaches_no_app() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("reached").await;
    rig.shop(shop.port).await;
    let head = "POST / HTTP/1.1\r\nHost: shop.localhost\r\n";
    for (name, request) in [
        ("two lengths", format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")),
        ("a list of lengths", format!("{head}Content-Length: 3, 4\r\n\r\nabcd")),
        ("a negative length", format!("{head}Content-Length: -1\r\n\r\n")),
        ("a signed length", format!("{head}Content-Length: +3\r\n\r\nabc")),
        ("a length beyond 64 bits", format!("{head}Content-Length: 99999999999999999999\r\n\r\n")),
        ("a folded header", format!("{head}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n")),
        ("a space before the colon", format!("{head}Content-Length : 3\r\n\r\nabc")),
        ("chunked not last", format!("{head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")),
        ("an unknown coding", format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        (
            "chunked in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", "GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: shop.localhost\r\n\r\n".to_owned()),
        ("a NUL in a value", format!("{head}X-A: a\0b\r\n\r\n")),
        ("a bare CR in a value", format!("{head}X-A: a\rb\r\n\r\n")),
        ("a control character in the target", "GET /\u{1} HTTP/1.1\r\nHost: shop.localhost\r\n\r\n".to_owned()),
        ("another protocol", "GET / HTTP/3.0\r\nHost: shop.localhost\r\n\r\n".to_owned()),
    ] {
        let answer = rig.ask(&request).await;
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
    for (name, request, status) in [
        ("a coding beneath chunked", format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501),
        (
            "two codings in two lines",
            format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        ("a tunnel", "CONNECT shop.localhost:80 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n".to_owned(), 405),
    ] {
        let answer = rig.ask(&request).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    assert_eq!(shop.connections(), 0);
}

/// The bytes an app gets when this is sent to the gateway, and what the client gets.
async fn seen_by_app(request: &str) -> (String, String) {
    let mut rig = Rig::start_with(|args| args.request_head_ms = Some(500)).await;
    let (bytes, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let shop = Upstream::raw(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                bytes.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).unwrap();
                if buffer[..count].ends_with(b"0\r\n\r\n") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            }
        }
    })
    .await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    wire.send(request).await;
    let client = wire.rest().await;
    let mut app = String::new();
    while let Ok(part) = seen.try_recv() {
        app.push_str(&part);
    }
    (app.to_ascii_lowercase(), client)
}

#[tokio::test]
async fn a_message_with_both_lengths_is_read_by_its_chunks_alone_and_ends_its_connection() {
    for both in ["Content-Length: 60\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 60"] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
        let (app, client) =
            seen_by_app(&format!("POST / HTTP/1.1\r\nHost: shop.localhost\r\n{both}\r\n\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}"))
                .await;
        assert!(app.contains("transfer-encoding: chunked") && !app.contains("content-length"), "{app}");
        assert!(!app.contains("smuggled"), "{app}");
        assert_eq!(client.matches("HTTP/1.1 ").count(), 1, "{client}");
    }
}

#[tokio::test]
async fn a_bad_chunk_never_becomes_the_end_of_a_body() {
    for chunks in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "xyz\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
    ] {
        let (app, client) =
            seen_by_app(&format!("POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;
        assert!(!app.ends_with("0\r\n\r\n"), "{chunks:?}: {app}");
        assert!(!client.starts_with("HTTP/1.1 200"), "{chunks:?}: {client}");
    }
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_431() {
    let mut rig = Rig::start_with(|args| args.max_head_bytes = Some(16 * 1024)).await;
    rig.table(vec![in_state("shop", pillion_gateway::protocol::AppState::Stopped, Vec::new())]).await;
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = format!("X-A: {}\r\n", "a".repeat(20 * 1024));
    for headers in [many, long] {
        let mut wire = rig.connect().await;
        // The refusal may come before everything is sent.
        let _ = tokio::io::AsyncWriteExt::write_all(
            &mut wire.stream,
            format!("GET / HTTP/1.1\r\nHost: shop.localhost\r\n{headers}\r\n").as_bytes(),
        )
        .await;
        assert_eq!(wire.answer().await.status, 431);
    }
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_cut_off() {
    let mut rig = Rig::start_with(|args| args.request_head_ms = Some(200)).await;
    rig.table(Vec::new()).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\nX-A:").await;
    let rest = wire.rest().await;
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_cut_off() {
    let mut rig = Rig::start_with(|args| args.request_head_ms = Some(200)).await;
    // More than the buffers of every socket on the way.
    let shop = Upstream::saying(&"x".repeat(64 << 20)).await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    crate::routing::wait_until(&rig, |active| active == 1).await;
    crate::routing::wait_until(&rig, |active| active == 0).await;
    let stats = rig.client.stats().await.unwrap();
    assert_eq!(stats[0].requests, 1);
}

#[tokio::test]
async fn a_slow_answer_outlives_the_limit_for_waiting_clients() {
    let mut rig = Rig::start_with(|args| args.request_head_ms = Some(50)).await;
    let shop = Upstream::serve(|_| async {
        // Longer than the limit under test: nothing but time can show that it is not applied here.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        hyper::Response::new(crate::upstream::full("late"))
    })
    .await;
    rig.shop(shop.port).await;
    assert_eq!(rig.get("shop.localhost", "/").await.body, "late");
}

#[tokio::test]
async fn clients_beyond_the_limit_are_told_and_the_others_served() {
    let mut rig = Rig::start_with(|args| args.max_connections = Some(2)).await;
    let shop = Upstream::saying("hello").await;
    rig.shop(shop.port).await;
    let mut first = rig.connect().await;
    let mut second = rig.connect().await;
    for wire in [&mut first, &mut second] {
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        assert_eq!(wire.answer().await.body, "hello");
    }
    let answer = rig.connect().await.answer().await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"TooManyConnections".into()));
    second.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    assert_eq!(second.answer().await.body, "hello");
}

#[tokio::test]
async fn an_apps_requests_beyond_its_limit_are_503() {
    let mut rig = Rig::start_with(|args| args.max_requests_per_app = Some(1)).await;
    let shop = Upstream::serve(|request| async move {
        if request.uri().path() == "/slow" {
            std::future::pending::<()>().await;
        }
        hyper::Response::new(crate::upstream::full("x"))
    })
    .await;
    rig.shop(shop.port).await;
    let mut slow = rig.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    crate::routing::wait_until(&rig, |active| active == 1).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"AppTooBusy".into()));
}
