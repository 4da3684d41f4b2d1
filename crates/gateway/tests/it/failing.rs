//! Apps that refuse, break off or keep silent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    rig::{Rig, refusing, serving},
    upstream::Upstream,
};

#[tokio::test]
async fn a_port_nobody_listens_on_is_502_that_names_app_and_port() {
    let mut rig = Rig::start().await;
    let (_kept, port) = refusing();
    rig.shop(port).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!(answer.status, 502);
    let json = answer.json();
    assert_eq!((&json["code"], &json["app"]), (&"UpstreamUnreachable".into(), &"shop".into()));
    assert!(json["reason"].as_str().unwrap().contains(&port.to_string()), "{json}");
    assert!(json["hint"].as_str().unwrap().contains(&port.to_string()), "{json}");
}

#[tokio::test]
async fn a_host_without_ipv6_answers_as_fast() {
    use rustix::net::AddressFamily;
    let mut rig = Rig::start().await;
    let (_kept, port) = refusing();
    let instance = rig.instance_with("shop-1", port, [AddressFamily::INET, AddressFamily::INET]);
    rig.table(vec![serving("shop", vec![instance])]).await;
    let start = std::time::Instant::now();
    let answer = rig.get("shop.localhost", "/").await;
    assert!(answer.json()["reason"].as_str().unwrap().contains(&port.to_string()), "{answer:?}");
    // Waiting for sockets that never come would take 5 s.
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_request_goes_to_another_instance_when_one_takes_no_connection() {
    let mut rig = Rig::start().await;
    let (_kept, port) = refusing();
    let good = Upstream::echo().await;
    let mut gone = rig.instance("shop-3", 1);
    gone.gate = rig.directory.path().join("absent.gate");
    let instances = vec![rig.instance("shop-1", port), rig.instance("shop-2", good.port), gone];
    rig.table(vec![serving("shop", instances)]).await;
    for _ in 0..20 {
        // Even a POST: nothing of it was sent to the first.
        let answer = rig.ask("POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.ends_with("abc"));
    }
}

#[tokio::test]
async fn an_instance_whose_gate_is_gone_is_502_that_says_so() {
    let mut rig = Rig::start().await;
    let mut gone = rig.instance("shop-1", 80);
    gone.gate = rig.directory.path().join("absent.gate");
    rig.table(vec![serving("shop", vec![gone])]).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!(answer.status, 502);
    assert!(answer.json()["reason"].as_str().unwrap().contains("supervisor"), "{answer:?}");
}

#[tokio::test]
async fn an_app_that_closes_before_it_answers_is_502() {
    let mut rig = Rig::start().await;
    let shop = Upstream::raw(|mut stream| async move {
        let mut bytes = [0; 1024];
        let _ = stream.read(&mut bytes).await;
    })
    .await;
    rig.shop(shop.port).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!((answer.status, &answer.json()["code"]), (502, &"UpstreamBroken".into()));
}

#[tokio::test]
async fn an_app_that_speaks_no_http_is_502() {
    let mut rig = Rig::start().await;
    let shop = Upstream::raw(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    rig.shop(shop.port).await;
    assert_eq!(rig.get("shop.localhost", "/").await.status, 502);
}

#[tokio::test]
async fn an_app_that_does_not_answer_in_time_is_504() {
    let mut rig = Rig::start_with(|args| args.response_head_ms = Some(100)).await;
    let shop = Upstream::serve(|_| std::future::pending()).await;
    rig.shop(shop.port).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!((answer.status, &answer.json()["code"]), (504, &"UpstreamTimeout".into()));
    assert_eq!(answer.json()["app"], "shop");
}

#[tokio::test]
async fn a_client_that_stops_sending_its_body_gets_408() {
    let mut rig = Rig::start_with(|args| args.response_head_ms = Some(100)).await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let answer = rig.ask("POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_cut_at_its_limit() {
    let mut rig = Rig::start_with(|args| args.stream_idle_ms = Some(100)).await;
    let shop = Upstream::raw(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
        // Silent, until the gateway closes.
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    let rest = wire.rest().await;
    assert!(rest.contains("abc") && !rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn an_app_killed_within_its_answer_is_an_answer_cut_short_and_never_a_whole_one() {
    let mut rig = Rig::start().await;
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let shop = Upstream::raw(move |mut stream| async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{}", if head.starts_with('T') { "3\r\nabc\r\n" } else { "abc" });
            let _ = stream.write_all(text.as_bytes()).await;
        })
        .await;
        rig.shop(shop.port).await;
        let mut wire = rig.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        let rest = wire.rest().await;
        assert!(rest.starts_with("HTTP/1.1 200") && !rest.ends_with("0\r\n\r\n"), "{rest}");
    }
}

/// A program that answers the first request of a connection and closes at the second, without a byte.
async fn swallows_every_second() -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let program = Upstream::raw(move |mut stream| {
        let counter = counter.clone();
        async move {
            let mut bytes = [0; 4096];
            if let Ok(1..) = stream.read(&mut bytes).await {
                counter.fetch_add(1, SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            if let Ok(1..) = stream.read(&mut bytes).await {
                counter.fetch_add(1, SeqCst);
            }
        }
    })
    .await;
    (program, requests)
}

#[tokio::test]
async fn a_get_lost_on_a_kept_connection_is_sent_again_on_a_new_one() {
    let mut rig = Rig::start().await;
    let (shop, requests) = swallows_every_second().await;
    rig.shop(shop.port).await;
    let mut wire = rig.connect().await;
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        assert_eq!(wire.answer().await.body, "ok");
    }
    assert_eq!((requests.load(SeqCst), shop.connections()), (3, 2));
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    for (body, framing) in [("", "Content-Length: 0"), ("abc", "Content-Length: 3")] {
        let mut rig = Rig::start().await;
        let (shop, requests) = swallows_every_second().await;
        rig.shop(shop.port).await;
        let mut wire = rig.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        assert_eq!(wire.answer().await.body, "ok");
        wire.send(&format!("POST / HTTP/1.1\r\nHost: shop.localhost\r\n{framing}\r\n\r\n{body}")).await;
        assert_eq!(wire.answer().await.status, 502);
        assert_eq!((requests.load(SeqCst), shop.connections()), (2, 1));
    }
}
