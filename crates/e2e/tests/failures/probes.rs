//! Probes that fail.

use pillion_e2e::get;

use crate::stage::{Stage, soon, swap};

#[test]
fn a_probe_that_gets_404() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [serve, '8080']", "probe: { http: /status/404 }"]));
    let told = stage.fails("Probe answers 404", "ProbeStatus", "web", &broken);
    stage.heals(&swap(&broken, "probe: { http: /status/404 }", &told.printed(0).replace("PATH", "/health")));
}

#[test]
fn a_probe_that_gets_503() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [serve, '8080']", "probe: { http: { path: /status/503 } }"]));
    let told = stage.fails("Probe answers 503", "ProbeStatus", "web", &broken);
    let fix = told.hint.split('`').find(|part| part.starts_with("statuses: ")).expect("statuses are printed");
    stage.heals(&swap(&broken, "path: /status/503", &format!("path: /status/503, {fix}")));
}

#[test]
fn a_probe_that_is_too_slow() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [serve, '8080', '200', '1500']", "probe: { http: / }"]));
    let told = stage.fails("Probe too slow", "ProbeSlow", "web", &broken);
    stage.heals(&swap(&broken, "http: /", &format!("http: /, {}", told.printed(0))));
}

#[test]
fn a_probe_that_is_refused() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [serve, '8080']", "probe: { tcp: 9090 }"]));
    let told = stage.fails("Probe refused", "ProbeRefused", "web", &broken);
    assert_eq!(told.printed(0), "probe:");
    stage.heals(&swap(&broken, "tcp: 9090", "tcp: 8080"));
}

#[test]
fn a_probe_command_that_fails() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&[
        "port: 8080",
        "command: [serve, '8080']",
        "probe: { exec: [/bin/puppet, warn, 'no schema yet', exit, '3'] }",
    ]));
    let told = stage.fails("Probe command fails", "ProbeExec", "web", &broken);
    assert_eq!(told.printed(0), "exec:");
    stage.heals(&swap(&broken, "exit, '3'", "exit, '0'"));
}

#[test]
fn a_container_that_needs_longer_than_the_deadline() {
    let stage = Stage::new();
    let broken = swap(
        &stage.app(&[
            "port: 8080",
            "command: [serve, '8080', '200', '0']",
            "probe: { exec: [/bin/puppet, nap, '3000'], timeout: 10 }",
        ]),
        "readyWithin: 230",
        "readyWithin: 2",
    );
    let told = stage.fails("Not ready in time", "NotReadyInTime", "web", &broken);
    stage.heals(&swap(&broken, "readyWithin: 2", told.printed(0)));
    assert_eq!(get(&stage.copy.url("shop")).expect("an answer").status, 200);
}
