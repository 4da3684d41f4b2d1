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
