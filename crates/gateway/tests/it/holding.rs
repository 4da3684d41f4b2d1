//! Requests that come before an app is there, and instances that go while requests run.

use std::sync::Arc;

use hyper::Response;
use pillion_gateway::{client::News, protocol::AppState};
use tokio::sync::Notify;

use crate::{
    rig::{Rig, Wire, draining, in_state, serving},
    routing::wait_until,
    upstream::{Upstream, full},
};

#[tokio::test]
async fn requests_wait_for_the_first_instance() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.table(vec![serving("shop", Vec::new())]).await;
    let mut early = Vec::new();
    for n in 0..20 {
        let mut wire = rig.connect().await;
        wire.send(&format!("POST /{n} HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 2\r\n\r\nhi")).await;
        early.push(wire);
    }
    wait_until(&rig, |active| active == 20).await;
    rig.shop(shop.port).await;
    for (n, mut wire) in early.into_iter().enumerate() {
        let answer = wire.answer().await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(&format!("POST /{n}\n")) && answer.body.ends_with("hi"), "{answer:?}");
    }
}

#[tokio::test]
async fn connections_made_before_the_first_table_wait_for_it() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("there").await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    rig.shop(shop.port).await;
    assert_eq!(wire.answer().await.body, "there");
}

#[tokio::test]
async fn a_held_request_gets_503_with_retry_after_at_its_deadline() {
    let mut rig = Rig::start().await;
    rig.table(vec![in_state("shop", AppState::Serving { hold_ms: 50 }, Vec::new())]).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert_eq!(answer.json()["code"], "AppStarting");
    assert_eq!(answer.json()["app"], "shop");
}

#[tokio::test]
async fn no_more_requests_are_held_than_allowed() {
    let mut rig = Rig::start_with(|args| args.max_held_per_app = Some(2)).await;
    rig.table(vec![serving("shop", Vec::new())]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = rig.connect().await;
        wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        held.push(wire);
    }
    wait_until(&rig, |active| active == 2).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.json()["reason"].as_str().unwrap().contains("Too many"), "{answer:?}");
}

#[tokio::test]
async fn a_held_request_is_told_when_the_app_turns_out_to_be_down() {
    let mut rig = Rig::start().await;
    rig.table(vec![serving("shop", Vec::new())]).await;
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\nAccept: text/html\r\n\r\n").await;
    wait_until(&rig, |active| active == 1).await;
    let state = AppState::Down { reason: "web: exit <code> 3".to_owned(), hint: Some("read its log".to_owned()) };
    rig.table(vec![in_state("shop", state, Vec::new())]).await;
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    for part in ["`shop`", "web: exit &lt;code&gt; 3", "read its log", "AppDown"] {
        assert!(answer.body.contains(part), "{part} in {answer:?}");
    }
}

#[tokio::test]
async fn a_stopped_app_says_so() {
    let mut rig = Rig::start().await;
    rig.table(vec![in_state("shop", AppState::Stopped, Vec::new())]).await;
    let answer = rig.get("shop.localhost", "/").await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"AppStopped".into()));
    assert!(answer.json()["hint"].as_str().unwrap().contains("pillion start shop"));
}

#[tokio::test]
async fn a_draining_instance_finishes_its_requests_gets_no_new_ones_and_is_reported() {
    let mut rig = Rig::start().await;
    let (old, release) = slow("old").await;
    let new = Upstream::saying("new").await;
    rig.shop(old.port).await;
    let mut running = begin_slow(&rig).await;
    let apps =
        |rig: &Rig| vec![serving("shop", vec![draining(rig.instance("shop-1", old.port)), rig.instance("shop-2", new.port)])];
    let table = apps(&rig);
    rig.table(table).await;
    for _ in 0..20 {
        assert_eq!(rig.get("shop.localhost", "/").await.body, "new");
    }
    assert!(rig.news.try_recv().is_err());
    release.notify_one();
    assert_eq!(running.answer().await.body, "old");
    assert_eq!(rig.next_news().await, News::Drained { instance: "shop-1".to_owned() });
}

#[tokio::test]
async fn an_instance_that_left_the_table_is_reported_when_its_last_request_ends() {
    let mut rig = Rig::start().await;
    let (old, release) = slow("old").await;
    rig.shop(old.port).await;
    let mut running = begin_slow(&rig).await;
    rig.table(Vec::new()).await;
    assert!(rig.news.try_recv().is_err());
    release.notify_one();
    assert_eq!(running.answer().await.body, "old");
    assert_eq!(rig.next_news().await, News::Drained { instance: "shop-1".to_owned() });
}

#[tokio::test]
async fn an_idle_instance_is_drained_at_once_and_its_connections_close() {
    let mut rig = Rig::start().await;
    let (closed, mut closes) = tokio::sync::mpsc::unbounded_channel();
    let shop = Upstream::raw(move |stream| {
        let closed = closed.clone();
        async move {
            let service = hyper::service::service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(full("x"))) });
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    rig.shop(shop.port).await;
    assert_eq!(rig.get("shop.localhost", "/").await.body, "x");
    rig.table(Vec::new()).await;
    assert_eq!(rig.next_news().await, News::Drained { instance: "shop-1".to_owned() });
    tokio::time::timeout(crate::rig::SOON, closes.recv()).await.expect("the close in time").unwrap();
}

/// A program whose `/slow` waits to be released.
async fn slow(text: &'static str) -> (Upstream, Arc<Notify>) {
    let release = Arc::new(Notify::new());
    let notify = release.clone();
    let program = Upstream::serve(move |request| {
        let notify = notify.clone();
        async move {
            if request.uri().path() == "/slow" {
                notify.notified().await;
            }
            Response::new(full(text))
        }
    })
    .await;
    (program, release)
}

async fn begin_slow(rig: &Rig) -> Wire {
    let mut wire = rig.connect().await;
    wire.send("GET /slow HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    wait_until(rig, |active| active == 1).await;
    wire
}
