//! Roll-outs, logs, events, pulls and exec as they flow.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::Request;
use hyper_util::rt::TokioIo;
use pillion_api::wire::exec::{Frame, FrameCodec};
use serde_json::json;
use tokio_util::codec::Framed;

use crate::{
    schema::fits,
    world::{PATIENCE, World, read, shop},
};

#[tokio::test]
async fn a_roll_out_tells_each_container_and_ends_with_ready() {
    let world = World::new().await;
    let applied = world.ask("PUT", "/v1/apps/shop", json!({ "definition": shop("web:1", "cache:1") })).await;
    fits("ApplyOutcome", &applied.body);
    let lines = world.lines("/v1/apps/shop/rollout").await;
    lines.iter().for_each(|line| fits("RolloutEvent", line));
    assert_eq!(lines.last().unwrap()["event"], "ready");
    for container in ["web", "cache"] {
        let told = |line: &&serde_json::Value| line["container"] == container && line["progress"]["progress"] == "ready";
        assert!(lines.iter().any(|line| told(&line)), "{container}: {lines:#?}");
    }
}

#[tokio::test]
async fn logs_and_events_come_one_value_a_line() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let events = world.lines("/v1/apps/shop/events").await;
    assert!(events.iter().any(|event| event["kind"] == "applied"), "{events:?}");
    events.iter().for_each(|event| fits("Event", event));
    let logs = world.lines("/v1/apps/shop/logs?container=web").await;
    logs.iter().for_each(|line| fits("LogLine", line));
    assert!(logs.iter().all(|line| line["container"] == "web"), "{logs:?}");
}

#[tokio::test]
async fn a_pull_ends_with_its_digest() {
    let world = World::new().await;
    let request = Request::builder().method("POST").uri("/v1/images/pull").header("content-type", "application/json");
    let body = json!({ "image": "localhost:5000/web:1" }).to_string();
    let answer = read(world.send(request.body(Full::new(body.into())).unwrap()).await).await;
    let text = answer.body.as_str().expect("lines").to_owned();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(|line| fits("PullLine", line));
    assert_eq!(lines.last().unwrap()["kind"], "pulled");
}

#[tokio::test]
async fn exec_carries_input_to_the_command_and_its_end_back() {
    let world = World::new().await;
    world.roll(shop("web:1", "cache:1")).await;
    let request = Request::builder()
        .method("POST")
        .uri("/v1/apps/shop/exec")
        .header("content-type", "application/json")
        .header("connection", "upgrade")
        .header("upgrade", "pillion-exec");
    let body: Bytes = json!({ "command": ["cat"], "container": "web" }).to_string().into();
    let response = world.send(request.body(Full::new(body)).unwrap()).await;
    assert_eq!(response.status(), 101);
    let upgraded = hyper::upgrade::on(response).await.expect("it switches");
    let mut frames = Framed::new(TokioIo::new(upgraded), FrameCodec);
    frames.send(Frame::Stdin(Bytes::from_static(b"hello"))).await.unwrap();
    frames.send(Frame::StdinEnd).await.unwrap();
    let mut exit = None;
    while let Some(frame) = tokio::time::timeout(PATIENCE, frames.next()).await.expect("in time") {
        match frame.expect("a frame") {
            Frame::Exit(end) => exit = Some(end),
            Frame::Stdout(_) | Frame::Stderr(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(exit, Some(pillion_fault::Exit::Code { code: 0 }));
}
