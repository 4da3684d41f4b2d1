//! Row: replacing one sidecar of ten containers while 500 requests come each second.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use pillion_e2e::{Account, Copy, SteadyLoad, free_port};

use super::{
    figures::Row,
    pod::{CONTAINERS, Images, PORT},
    podman::{ADDRESS, Podman},
    proxy::Nginx,
    say, start,
};
use crate::run::{Outcome, output};

const APP: &str = "bench";
const RATE: u32 = 500;
/// Load before the change and after it.
const AROUND: Duration = Duration::from_secs(2);

/// Measures the row.
///
/// # Errors
/// A side does not come up.
pub fn measure(images: &Images) -> Outcome<Vec<Row>> {
    say(&format!("replacing one sidecar at {RATE} requests a second"));
    let (ours, took, same) = sidecar(images)?;
    let (theirs, replaced) = pod(images)?;
    Ok(vec![Row {
        what: format!("replacing one of {CONTAINERS} containers under {RATE} requests/s"),
        ours: format!(
            "{} of {} requests failed, main {} its pid, longest time without an answer {} ms, p99 {:.1} ms; replaced in {} ms",
            ours.failed,
            ours.made,
            if same { "keeps" } else { "LOSES" },
            ours.gap.as_millis(),
            ours.p99.as_secs_f64() * 1e3,
            took.as_millis()
        ),
        peer: format!(
            "podman can only replace the pod (`kube play --replace`): {} of {} failed, {} ms without an answer, every pid new; replaced in {} ms",
            theirs.failed,
            theirs.made,
            theirs.gap.as_millis(),
            replaced.as_millis()
        ),
        ratio: Some(ours.gap.as_secs_f64() / theirs.gap.as_secs_f64()),
        target: "0 failed, same pid".to_owned(),
        met: ours.failed == 0 && same,
    }])
}

/// Returns what became of the requests, how long the replacement took, and whether main kept its process.
fn sidecar(images: &Images) -> Outcome<(Account, Duration, bool)> {
    let copy = Copy::serving();
    // The new image is on the machine, as on the other side.
    copy.ok(["image", "pull", &images.newer]);
    let applied = copy.apply(&images.app_file(APP, 1));
    if applied.code != 0 {
        return Err(format!("apply: {}", applied.said()));
    }
    let (name, front) = (format!("c{}", CONTAINERS - 1), start::gateway(&copy)?);
    let before = (pid(&copy, "c0"), pid(&copy, &name));
    let load = SteadyLoad::begin(front, &format!("{APP}.localhost"), RATE);
    thread::sleep(AROUND);
    let began = Instant::now();
    let ran = copy.run(["sidecar", "update", APP, &name, "--image", &images.newer]);
    let took = began.elapsed();
    thread::sleep(AROUND);
    let account = load.end();
    if ran.code != 0 {
        return Err(format!("sidecar update: {}", ran.said()));
    }
    if pid(&copy, &name) == before.1 {
        return Err("the sidecar was not replaced".to_owned());
    }
    Ok((account, took, pid(&copy, "c0") == before.0))
}

fn pod(images: &Images) -> Outcome<(Account, Duration)> {
    let podman = Podman::with(images)?;
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let _nginx = Nginx::proxy(front.port(), &format!("{ADDRESS}:{PORT}"))?;
    let play = |newer: bool, more: &[&str]| -> Outcome { output(&mut podman.play(&images.pod(APP, newer), more)?).map(drop) };
    play(false, &["--ip", ADDRESS])?;
    let load = SteadyLoad::begin(front, APP, RATE);
    thread::sleep(AROUND);
    let began = Instant::now();
    let done = play(true, &["--ip", ADDRESS, "--replace"]);
    let took = began.elapsed();
    thread::sleep(AROUND);
    let account = load.end();
    done.map(|()| (account, took))
}

/// Returns the process of a container in the only instance, as the host numbers it.
fn pid(copy: &Copy, container: &str) -> Option<i64> {
    let status = copy.json(&["status", APP]);
    let containers = status["instances"][0]["containers"].as_array()?;
    containers.iter().find(|entry| entry["name"] == container)?["pid"].as_i64()
}
