//! `httpsOnly`: who is sent to where there is TLS, who is served, and that no instance is asked.

use std::time::Duration;

use pillion_gateway::{
    Args,
    protocol::{AppRoute, AppState, ShareRoute, SiteRoute},
};

use crate::{
    rig::{Rig, in_state, serving},
    upstream::Upstream,
};

fn trusting(args: &mut Args) {
    args.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

fn site(route: AppRoute, https_only: bool, shares: Vec<ShareRoute>) -> AppRoute {
    AppRoute { site: Some(SiteRoute { affinity: true, https_only, shares, ..SiteRoute::default() }), ..route }
}

/// App `shop` with one instance on this port and `httpsOnly`.
async fn demanding(rig: &mut Rig, port: u16) {
    let instance = rig.instance("shop-1", port);
    rig.table(vec![site(serving("shop", vec![instance]), true, Vec::new())]).await;
}

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.localhost\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_trusted_proxys_client_without_tls_is_sent_to_the_same_place_with_it_and_no_instance_is_asked() {
    let logs = tempfile::tempdir().unwrap();
    let path = logs.path().join("access.log");
    let mut rig = Rig::start_with(|args| {
        trusting(args);
        args.access_log = Some(path.clone());
    })
    .await;
    let shop = Upstream::saying("hello").await;
    demanding(&mut rig, shop.port).await;
    let mut wire = rig.connect().await;
    for (lines, place) in [
        ("X-Forwarded-Proto: http\r\n", "https://shop.localhost/a?b=c"),
        ("X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n", "https://shop.example/a?b=c"),
        ("X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example:80, inner\r\n", "https://shop.example/a?b=c"),
        ("X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example:8080\r\n", "https://shop.example:8080/a?b=c"),
        ("X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example/x?\r\n", "https://shop.localhost/a?b=c"),
        ("X-Forwarded-Proto: HTTP, https\r\n", "https://shop.localhost/a?b=c"),
        ("X-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", "https://shop.localhost/a?b=c"),
        (
            "X-Forwarded-Proto: http\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "https://shop.localhost/a?b=c",
        ),
    ] {
        // All over one connection, which stays good.
        wire.send(&get("/a?b=c", lines)).await;
        let answer = wire.answer().await;
        assert_eq!((answer.status, answer.header("location"), answer.body.as_str()), (301, Some(place), ""), "{lines:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(shop.connections(), 0, "an instance was asked");
    let stats = rig.client.stats().await.unwrap();
    assert_eq!((stats[0].status_3xx, stats[0].active), (8, 0));
    drop(wire);
    rig.client.drain(Duration::from_secs(5)).await.unwrap();
    rig.gateway.0.child.wait().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 8, "{text}");
    for line in &lines {
        let told = (&line["app"], &line["status"], &line["target"], &line["code"], line.get("instance"));
        assert_eq!(told, (&"shop".into(), &301.into(), &"/a?b=c".into(), &"HttpsOnly".into(), None), "{text}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_client_with_tls_is_served_and_so_is_one_it_says_nothing_of() {
    let mut rig = Rig::start_with(trusting).await;
    let shop = Upstream::saying("hello").await;
    demanding(&mut rig, shop.port).await;
    for lines in ["X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: https, http\r\n", ""] {
        let answer = rig.ask(&get("/", lines)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_served_whatever_it_says() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("hello").await;
    demanding(&mut rig, shop.port).await;
    for lines in ["", "X-Forwarded-Proto: http\r\n"] {
        assert_eq!(rig.ask(&get("/", lines)).await.status, 200, "{lines:?}");
    }
}

#[tokio::test]
async fn a_site_that_does_not_ask_for_tls_serves_without_and_a_stopped_one_that_does_still_sends_away() {
    let mut rig = Rig::start_with(trusting).await;
    let shop = Upstream::saying("hello").await;
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![
        site(serving("shop", vec![instance]), false, Vec::new()),
        site(in_state("blog", AppState::Stopped, Vec::new()), true, Vec::new()),
    ])
    .await;
    assert_eq!(rig.ask(&get("/", "X-Forwarded-Proto: http\r\n")).await.status, 200);
    let stopped = rig.ask("GET / HTTP/1.1\r\nHost: blog.localhost\r\nX-Forwarded-Proto: http\r\n\r\n").await;
    assert_eq!((stopped.status, stopped.header("location")), (301, Some("https://blog.localhost/")));
}

#[tokio::test]
async fn of_a_site_and_its_slots_the_one_that_would_answer_decides() {
    let mut rig = Rig::start_with(trusting).await;
    let (production, slot) = (Upstream::saying("production").await, Upstream::saying("slot").await);
    let (one, other) = (rig.instance("shop-1", production.port), rig.instance("blue-1", slot.port));
    let shares = vec![ShareRoute { slot: "blue".into(), app: "shop--blue".into(), share: 5_000 }];
    for (production_demands, slot_demands) in [(true, false), (false, true)] {
        rig.table(vec![
            site(serving("shop", vec![one.clone()]), production_demands, shares.clone()),
            site(serving("shop--blue", vec![other.clone()]), slot_demands, Vec::new()),
        ])
        .await;
        for (chosen, demands) in [("self", production_demands), ("blue", slot_demands)] {
            let lines = format!("X-Forwarded-Proto: http\r\nCookie: x-ms-routing-name={chosen}\r\n");
            assert_eq!(rig.ask(&get("/", &lines)).await.status, if demands { 301 } else { 200 }, "{chosen}");
        }
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_sent_on_before_the_body_is_asked_for() {
    let mut rig = Rig::start_with(trusting).await;
    let shop = Upstream::echo().await;
    demanding(&mut rig, shop.port).await;
    let head = "POST /form HTTP/1.1\r\nHost: shop.localhost\r\nX-Forwarded-Proto: http\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let answer = rig.ask(head).await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://shop.localhost/form")));
    assert_eq!(shop.connections(), 0);
}
