//! Every surface tells one cause: `apply`, `status`, `up`, and the gateway's answer.

use pillion_e2e::{get, request, until};
use std::time::Duration;

use crate::stage::{Stage, Told, soon, swap, text};

#[test]
fn status_up_and_the_gateway_tell_the_cause_that_apply_tells() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [warn, 'DB_URL is not set', exit, '1']"]);
    let told = Told::of(stage.copy.apply(&broken));
    let cause = "ended with exit code 1";
    assert!(told.head.contains(cause), "{}", told.head);

    let status = stage.copy.ok(["status", "shop"]);
    assert!(status.contains("web") && status.contains(cause) && status.contains("hint: "), "{status}");

    let page = request("GET", &stage.copy.url("shop"), &[("accept", "text/html")], "").expect("an answer");
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains("shop") && page.body.contains("web") && page.body.contains(cause), "{}", page.body);
    let json = request("GET", &stage.copy.url("shop"), &[("accept", "application/json")], "").expect("an answer");
    assert!(json.status == 503 && json.body.contains(cause), "{}", json.body);

    let file = stage.copy.file("pillion.yaml", &swap(&broken, "warn", "print, again, warn"));
    let up = Told::of(stage.copy.run(["up", "-f", text(&file)]));
    assert!(up.head.contains("web") && up.head.contains(cause), "{}", up.head);
    assert_eq!(up.hint, told.hint);
}

#[test]
fn status_tells_the_other_port_while_apply_still_waits() {
    let stage = Stage::new();
    let file = stage.copy.file(
        "pillion.yaml",
        &swap(&stage.app(&["port: 8080", "command: [serve, '3000']"]), "readyWithin: 230", "readyWithin: 20"),
    );
    let mut apply = stage.copy.spawn(["apply", "-f", text(&file)]);
    until("status tells the port that was opened", Duration::from_secs(15), || {
        let status = stage.copy.run(["status", "shop"]).said();
        (status.contains("listens on 3000") && status.contains("port: 3000")).then_some(())
    });
    assert!(!apply.has_ended(), "it was told only when it was over");
    assert_eq!(apply.finish().code, 1);
}

#[test]
fn status_tells_of_a_container_that_waits_for_one_that_is_not_ready() {
    let stage = Stage::new();
    let app = format!(
        "{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']", "dependsOn: { cache: healthy }"]),
        stage.sidecar("cache", &["port: 6379", "command: [print, loading, sleep]"])
    );
    let file = stage.copy.file("pillion.yaml", &app);
    let mut apply = stage.copy.spawn(["apply", "-f", text(&file)]);
    let status = until("status tells what `web` waits for", Duration::from_secs(60), || {
        let status = stage.copy.run(["status", "shop"]).said();
        status.contains("container \"web\" was not started").then_some(status)
    });
    assert!(status.contains("\"cache\" was not healthy within"), "{status}");
    assert!(status.contains("`pillion status shop`"), "the fix names the app: {status}");
    let json = stage.copy.json(&["status", "shop"]).to_string();
    assert!(json.contains("\"code\":\"DependencyNeverReady\""), "{json}");
    assert!(!apply.has_ended(), "it was told only when it was over");
    stage.copy.ok(["delete", "shop"]);
    apply.finish();
}

#[test]
fn status_tells_of_a_container_that_waits_for_one_that_was_stopped() {
    let stage = Stage::new();
    stage.heals(&format!(
        "{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']", "dependsOn: { cache: healthy }"]),
        stage.sidecar("cache", &["port: 6379", "command: [bind, '6379', sleep]"])
    ));
    stage.copy.ok(["stop", "shop", "-c", "cache"]);
    let restart = stage.copy.spawn(["restart", "shop", "-c", "web"]);
    let status = until("status tells why `web` does not start", Duration::from_secs(30), || {
        let status = stage.copy.run(["status", "shop"]).said();
        status.contains("\"cache\" failed before it was healthy").then_some(status)
    });
    assert!(status.contains("`pillion logs shop -c cache`"), "{status}");
    let json = stage.copy.json(&["status", "shop"]).to_string();
    assert!(json.contains("\"code\":\"DependencyFailed\""), "{json}");
    stage.copy.ok(["start", "shop", "-c", "cache"]);
    assert_eq!(restart.finish().code, 0);
    assert_eq!(get(&stage.copy.url("shop")).expect("an answer").status, 200);
}

#[test]
fn the_gateway_says_that_an_app_was_stopped_while_it_still_stops() {
    let stage = Stage::new();
    stage.heals(&stage.app(&["port: 8080", "command: [ignore-term, serve, '8080']"]));
    let mut stop = stage.copy.spawn(["stop", "shop"]);
    let url = stage.copy.url("shop");
    let json = until("requests are turned away", Duration::from_secs(15), || {
        let answer = request("GET", &url, &[("accept", "application/json")], "").ok()?;
        (answer.status == 503).then_some(answer)
    });
    let page = request("GET", &url, &[("accept", "text/html")], "").expect("an answer");
    assert!(!stop.has_ended(), "it stopped before anybody could ask");
    assert!(json.body.contains("\"AppStopped\"") && json.body.contains("shop"), "{}", json.body);
    assert!(page.status == 503 && page.body.contains("<html") && page.body.contains("is stopped"), "{}", page.body);
    assert_eq!(stage.copy.json(&["status", "shop"])["state"], "stopping");
    assert_eq!(stop.finish().code, 0);
}

#[test]
fn apply_says_while_it_waits_why_a_container_is_not_ready() {
    let stage = Stage::new();
    let file = stage.copy.file("pillion.yaml", &stage.app(&["port: 8080", "command: [serve, '3000']", "probe: { http: / }"]));
    let apply = stage.copy.spawn(["apply", "-f", text(&file)]);
    until("the cause is known", Duration::from_secs(30), || {
        stage.copy.run(["status", "shop"]).said().contains("listens on 3000").then_some(())
    });
    // What is known when the end comes is told before the end.
    stage.copy.ok(["delete", "shop"]);
    let said = apply.finish().said();
    assert!(said.contains("running, not ready yet: was expected to listen on port 8080, but listens on 3000"), "{said}");
}

#[test]
fn a_revision_that_fails_is_told_by_status_while_the_old_one_serves() {
    let stage = Stage::new();
    let well = stage.app(&["port: 8080", "command: [serve, '8080']"]);
    stage.heals(&well);
    let told = Told::of(stage.copy.apply(&soon(&swap(&well, "'8080'", "'3000'"))));
    assert!(told.head.contains("goes on serving"), "{}", told.head);
    assert_eq!(get(&stage.copy.url("shop")).expect("an answer").status, 200);
    let status = stage.copy.ok(["status", "shop"]);
    assert!(status.contains("listens on 3000"), "{status}");
}
