//! Which app and which instance a request reaches.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    rig::{Rig, SOON, Wire, serving},
    upstream::{Upstream, full},
};

#[tokio::test]
async fn a_request_goes_to_the_app_its_host_names_in_any_case_and_with_any_port() {
    let mut rig = Rig::start().await;
    let (shop, blog) = (Upstream::saying("shop").await, Upstream::saying("blog").await);
    let apps =
        vec![serving("shop", vec![rig.instance("shop-1", shop.port)]), serving("blog", vec![rig.instance("blog-1", blog.port)])];
    rig.table(apps).await;
    for (host, text) in [("shop.localhost", "shop"), ("SHOP.localhost:8080", "shop"), ("blog.localhost.", "blog")] {
        let answer = rig.get(host, "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{host}");
    }
}

#[tokio::test]
async fn a_listener_of_an_app_serves_it_whatever_the_host() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let address = rig.listen_for("shop").await;
    let mut wire = Wire::connect(address).await;
    wire.send("GET /x?y HTTP/1.1\r\nHost: elsewhere.example:99\r\n\r\n").await;
    let answer = wire.answer().await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("GET /x?y\n"), "{answer:?}");
    assert!(answer.body.contains("\nhost: elsewhere.example:99\n"), "{answer:?}");
}

#[tokio::test]
async fn the_host_of_an_absolute_target_wins_over_the_header() {
    let mut rig = Rig::start().await;
    let shop = Upstream::echo().await;
    rig.shop(shop.port).await;
    let answer = rig.ask("GET http://shop.localhost/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n").await;
    assert!(answer.body.starts_with("GET /a?b\n"), "{answer:?}");
    assert!(answer.body.contains("\nhost: shop.localhost\n"), "{answer:?}");
}

#[tokio::test]
async fn an_unknown_host_gets_404_that_names_it_and_no_app() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("shop").await;
    rig.shop(shop.port).await;
    let answer = rig.get("nowhere.example", "/").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["code"], "HostUnknown");
    assert!(answer.body.contains("nowhere.example") && !answer.body.contains("shop"), "{answer:?}");

    let page = rig.ask("GET / HTTP/1.1\r\nHost: nowhere.example\r\nAccept: text/html,*/*\r\n\r\n").await;
    assert_eq!(page.status, 404);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("<h1>") && page.body.contains("nowhere.example"), "{page:?}");
}

#[tokio::test]
async fn a_host_with_markup_reaches_no_page() {
    let mut rig = Rig::start().await;
    rig.table(Vec::new()).await;
    for host in ["<script>alert(1)</script>", "a\"b", "a'b", "a b", "a/b", ""] {
        let answer = rig.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n")).await;
        assert_eq!(answer.status, 400, "{host}");
        assert!(!answer.body.contains("<script"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_less_loaded_instance_gets_the_next_request() {
    let mut rig = Rig::start().await;
    let release = Arc::new(Notify::new());
    let slow = {
        let release = release.clone();
        Upstream::serve(move |request| {
            let release = release.clone();
            async move {
                if request.uri().path() == "/slow" {
                    release.notified().await;
                }
                hyper::Response::new(full("one"))
            }
        })
        .await
    };
    let quick = Upstream::saying("two").await;
    // One busy request is put on the first instance while it is alone.
    let first = rig.instance("shop-1", slow.port);
    rig.table(vec![serving("shop", vec![first.clone()])]).await;
    let mut busy = rig.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    wait_until(&rig, |active| active == 1).await;
    let second = rig.instance("shop-2", quick.port);
    rig.table(vec![serving("shop", vec![first, second])]).await;
    for _ in 0..50 {
        assert_eq!(rig.get("shop.localhost", "/").await.body, "two");
    }
    release.notify_one();
    assert_eq!(busy.answer().await.body, "one");
}

#[tokio::test]
async fn a_program_on_the_ipv6_loopback_only_is_reached() {
    let mut rig = Rig::start().await;
    let program = Upstream::on("[::1]:0", |mut stream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut bytes = [0; 4096];
        while let Ok(1..) = stream.read(&mut bytes).await {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nsi").await.unwrap();
        }
    })
    .await;
    rig.shop(program.port).await;
    assert_eq!(rig.get("shop.localhost", "/").await.body, "si");
    assert_eq!(rig.get("shop.localhost", "/").await.body, "si");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_fail_nowhere_while_tables_swap_instances() {
    let mut rig = Rig::start().await;
    let programs = [Upstream::saying("a").await, Upstream::saying("b").await, Upstream::saying("c").await];
    let ports = programs.iter().map(|program| program.port).collect::<Vec<_>>();
    rig.shop(ports[0]).await;
    let address = rig.address;
    let clients: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn(async move {
                let mut wire = Wire::connect(address).await;
                for _ in 0..1_000 {
                    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
                    let answer = wire.answer().await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            })
        })
        .collect();
    let mut swaps = 0;
    while !clients.iter().all(|client| client.is_finished()) {
        swaps += 1;
        let (now, next) = (swaps % 3, (swaps + 1) % 3);
        let mut instances = vec![rig.instance(&format!("shop-{now}"), ports[now])];
        if swaps % 2 == 0 {
            instances.push(crate::rig::draining(rig.instance(&format!("shop-{next}"), ports[next])));
        }
        rig.table(vec![serving("shop", instances)]).await;
        // Drained reports pile up otherwise: reading them is `serve`'s part.
        while rig.news.try_recv().is_ok() {}
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(swaps > 10, "{swaps}");
    let stats = rig.client.stats().await.unwrap();
    assert_eq!((stats[0].requests, stats[0].status_2xx, stats[0].active), (10_000, 10_000, 0));
}

/// Polls the gateway's own count of requests under way.
pub async fn wait_until(rig: &Rig, reached: impl Fn(u64) -> bool) {
    let wait = async {
        while !reached(rig.client.stats().await.unwrap().iter().map(|app| app.active).sum()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("the count in time");
}
