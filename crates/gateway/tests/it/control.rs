//! The process itself: its privileges, its control socket, its life beyond `serve`'s.

use std::time::Duration;

use pillion_gateway::{
    client::{Client, ClientError, News},
    protocol::RouteTable,
};

use crate::{
    rig::{NOBODY, Rig, Running, SOON, Wire, listening, serving},
    upstream::Upstream,
};

#[tokio::test]
async fn the_process_has_no_privilege_left() {
    let rig = Rig::start().await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.gateway.0.pid)).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let nobody = [NOBODY; 4].map(|id| id.to_string()).join("\t");
    assert_eq!((field("Uid:"), field("Gid:"), field("Groups:")), (nobody.clone(), nobody, String::new()));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    // A session of its own: the end of serve's terminal is not its end.
    let pid = rustix::process::Pid::from_raw(rig.gateway.0.pid as i32).unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
}

#[tokio::test]
async fn routing_goes_on_without_serve_and_a_new_serve_takes_over() {
    let mut rig = Rig::start().await;
    let (one, two) = (Upstream::saying("one").await, Upstream::saying("two").await);
    rig.shop(one.port).await;
    let Rig { directory, gateway, client, news, address, sockets, .. } = rig;
    let mut kept = Wire::connect(address).await;
    kept.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    assert_eq!(kept.answer().await.body, "one");
    drop((client, news, sockets));
    for _ in 0..10 {
        kept.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
        assert_eq!(kept.answer().await.body, "one");
    }
    let (client, news) = Client::connect(&directory.path().join("control.sock")).await.unwrap();
    assert_eq!((client.pid(), client.generation()), (gateway.0.pid, 1));
    // It gets the listening sockets back and can give them again.
    let sockets = client.listeners().await.unwrap();
    assert_eq!(sockets.iter().map(|(spec, _)| spec.address).collect::<Vec<_>>(), [address]);
    client.listen(&sockets).await.unwrap();
    let mut rig = Rig { directory, gateway, client, news, generation: 1, address, sockets };
    rig.shop(two.port).await;
    kept.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    assert_eq!(kept.answer().await.body, "two");
    assert_eq!(rig.get("shop.localhost", "/").await.body, "two");
}

#[tokio::test]
async fn what_drained_while_serve_was_away_is_told_to_the_next_one() {
    let mut rig = Rig::start().await;
    let shop = Upstream::serve(|_| std::future::pending()).await;
    rig.shop(shop.port).await;
    let mut running = rig.connect().await;
    running.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    crate::routing::wait_until(&rig, |active| active == 1).await;
    rig.table(Vec::new()).await;
    let (other, _unread) = Client::connect(&rig.control()).await.unwrap();
    drop(other);
    // The client leaves while no serve is there, and the instance is drained.
    drop(running);
    let (client, mut news) = Client::connect(&rig.control()).await.unwrap();
    let told = tokio::time::timeout(SOON, news.recv()).await.expect("news in time").unwrap();
    assert_eq!(told, News::Drained { instance: "shop-1".to_owned() });
    drop(client);
}

#[tokio::test]
async fn an_older_table_is_not_put_in_force() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("here").await;
    rig.generation = 6;
    rig.shop(shop.port).await;
    for generation in [1, 6] {
        let refused = rig.client.table(RouteTable { generation, apps: Vec::new() }).await;
        assert!(matches!(refused, Err(ClientError::Stale { in_force: 7, asked }) if asked == generation), "{refused:?}");
    }
    assert_eq!(rig.get("shop.localhost", "/").await.body, "here");
}

#[tokio::test]
async fn hundreds_of_listeners_arrive_in_one_set() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("here").await;
    rig.shop(shop.port).await;
    for _ in 0..299 {
        let (socket, address) = listening();
        rig.sockets.push((pillion_gateway::protocol::ListenerSpec { address, app: Some("shop".to_owned()) }, socket));
    }
    rig.client.listen(&rig.sockets).await.unwrap();
    let mut wire = Wire::connect(rig.sockets[299].0.address).await;
    wire.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(wire.answer().await.body, "here");
    assert_eq!(rig.client.listeners().await.unwrap().len(), 300);
}

#[tokio::test]
async fn a_dead_gateway_refuses_no_connection_while_another_is_started() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("here").await;
    rig.shop(shop.port).await;
    rig.gateway.0.child.start_kill().unwrap();
    rig.gateway.0.child.wait().await.unwrap();
    // The sockets live on in this process, so a client waits in their backlog.
    let mut wire = rig.connect().await;
    wire.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    let args = pillion_gateway::Args::new(rig.control(), NOBODY, NOBODY);
    let door = std::path::Path::new(env!("CARGO_BIN_EXE_pillion-gateway-door"));
    rig.gateway = Running(pillion_gateway::spawn(door, &[], &args, std::process::Stdio::inherit()).await.unwrap());
    (rig.client, rig.news) = Client::connect(&rig.control()).await.unwrap();
    rig.client.listen(&rig.sockets).await.unwrap();
    rig.shop(shop.port).await;
    assert_eq!(wire.answer().await.body, "here");
}

#[tokio::test]
async fn a_second_gateway_refuses_to_take_the_first_ones_socket() {
    let rig = Rig::start().await;
    let args = pillion_gateway::Args::new(rig.control(), NOBODY, NOBODY);
    let door = std::path::Path::new(env!("CARGO_BIN_EXE_pillion-gateway-door"));
    let second = pillion_gateway::spawn(door, &[], &args, std::process::Stdio::null()).await;
    assert!(matches!(second, Err(pillion_gateway::SpawnError::Ended { .. })));
    assert!(rig.client.stats().await.is_ok());
}

#[tokio::test]
async fn an_ordered_end_lets_a_running_request_finish() {
    let mut rig = Rig::start().await;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    let notify = release.clone();
    let shop = Upstream::serve(move |_| {
        let notify = notify.clone();
        async move {
            notify.notified().await;
            hyper::Response::new(crate::upstream::full("done"))
        }
    })
    .await;
    rig.shop(shop.port).await;
    let mut idle = rig.connect().await;
    let mut running = rig.connect().await;
    running.send("GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    crate::routing::wait_until(&rig, |active| active == 1).await;
    rig.client.drain(Duration::from_secs(15)).await.unwrap();
    assert_eq!(idle.rest().await, "");
    release.notify_one();
    assert_eq!(running.answer().await.body, "done");
    let status = tokio::time::timeout(SOON, rig.gateway.0.child.wait()).await.expect("its end in time").unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn requests_are_served_without_an_access_log_that_cannot_be_opened_and_serve_is_told() {
    let logs = tempfile::tempdir().unwrap();
    let pipe = logs.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [logs.path().to_owned(), logs.path().join("nowhere/access.log"), "/proc/access.log".into(), pipe] {
        let mut rig = Rig::start_with(|args| args.access_log = Some(path.clone())).await;
        let shop = Upstream::saying("hello").await;
        rig.shop(shop.port).await;
        assert_eq!(rig.get("shop.localhost", "/").await.body, "hello");
        let told = rig.client.unlogged().unwrap();
        assert!(told.contains(&format!("the access log {} cannot be opened: ", path.display())), "{told}");
    }
    assert_eq!(Rig::start().await.client.unlogged(), None);
}

#[tokio::test]
async fn every_request_is_a_line_in_the_access_log() {
    let logs = tempfile::tempdir().unwrap();
    let path = logs.path().join("access.log");
    let mut rig = Rig::start_with(|args| args.access_log = Some(path.clone())).await;
    let shop = Upstream::saying("hello").await;
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![serving("shop", vec![instance])]).await;
    rig.ask("GET /a?b=c HTTP/1.1\r\nHost: shop.localhost\r\nUser-Agent: test \"x\"\r\n\r\n").await;
    rig.get("nowhere.example", "/").await;
    rig.client.drain(Duration::from_secs(5)).await.unwrap();
    rig.gateway.0.child.wait().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    let served = lines.iter().find(|line| line["status"] == 200).unwrap();
    for (key, value) in [
        ("app", "shop"),
        ("instance", "shop-1"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "shop.localhost"),
        ("agent", "test \"x\""),
    ] {
        assert_eq!(served[key], value, "{key} in {text}");
    }
    assert_eq!((&served["bytes"], &served["target"]), (&5.into(), &"/a?b=c".into()));
    let refused = lines.iter().find(|line| line["status"] == 404).unwrap();
    assert_eq!(refused["code"], "HostUnknown");
}
