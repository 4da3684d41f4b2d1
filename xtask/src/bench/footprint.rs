//! Rows: what the processes around the containers weigh, by the kernel's own account.

use std::{fs, os::unix::ffi::OsStrExt, thread, time::Duration};

use pillion_e2e::{Copy, eventually};

use super::{
    figures::{Row, Spread},
    pod::{CONTAINERS, Images},
    podman::Podman,
    say,
};
use crate::run::{Outcome, output};

const INSTANCES: u32 = 10;
const APPS: u32 = 10;
const REST: Duration = Duration::from_secs(3);

/// Measures the rows.
///
/// # Errors
/// A side does not come up.
pub fn measure(images: &Images) -> Outcome<Vec<Row>> {
    Ok(vec![per_instance(images)?, control_plane(images)?])
}

/// Returns the processes whose command line is as wanted.
pub fn processes(wanted: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let numbers =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let words = |pid: &u32| -> Option<Vec<String>> {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(line.split(|byte| *byte == 0).map(|word| std::ffi::OsStr::from_bytes(word).to_string_lossy().into_owned()).collect())
    };
    numbers.filter(|pid| words(pid).is_some_and(|words| wanted(&words))).collect()
}

fn per_instance(images: &Images) -> Outcome<Row> {
    say(&format!("memory per instance: {INSTANCES} instances of {CONTAINERS} containers"));
    let copy = Copy::serving();
    let applied = copy.apply(&images.app_file("heavy", INSTANCES));
    if applied.code != 0 {
        return Err(format!("apply: {}", applied.said()));
    }
    let server = copy.server_pid().map_or(0.0, f64::from);
    let role = |role: &'static str| processes(move |words| words.get(1).is_some_and(|word| word == role));
    // A warden is its supervisor's fork, with the same command line.
    let own = || {
        let (supervisors, others): (Vec<_>, Vec<_>) =
            role("supervise").into_iter().partition(|pid| status_field(*pid, "PPid:") == server);
        let wardens = others.into_iter().filter(|pid| supervisors.iter().any(|of| status_field(*pid, "PPid:") == f64::from(*of)));
        wardens.chain(supervisors.iter().copied()).collect::<Vec<_>>()
    };
    eventually("only supervisors and wardens are left", || own().len() == 2 * INSTANCES as usize);
    // A supervisor at rest gives back what the start used, a second after the last news.
    thread::sleep(REST);
    let weights: Vec<f64> = own().into_iter().map(pss).collect();
    say(&format!("single processes: {}", Spread::of(&weights).shown("kB", 0)));
    let total = weights.iter().sum::<f64>() / f64::from(INSTANCES) / 1024.0;
    drop(copy);

    let podman = Podman::with(images)?;
    for n in 0..INSTANCES {
        output(&mut podman.play(&images.pod(&format!("heavy{n}"), false), &[])?)?;
    }
    let helpers = podman.helpers();
    let theirs = helpers.iter().copied().map(pss).sum::<f64>() / f64::from(INSTANCES) / 1024.0;
    Ok(Row {
        what: format!("memory per instance of {CONTAINERS} containers, {INSTANCES} running: supervisor + warden, PSS"),
        ours: format!("{total:.2} MB"),
        peer: format!("podman's {} conmon of a pod: {theirs:.2} MB", helpers.len() / INSTANCES as usize),
        ratio: Some(total / theirs),
        target: "≤ 2 MB".to_owned(),
        met: total <= 2.0,
    })
}

fn control_plane(images: &Images) -> Outcome<Row> {
    say(&format!("control plane: {APPS} apps"));
    let copy = Copy::serving();
    for n in 0..APPS {
        let applied = copy.apply(&images.lone_app_file(&format!("app{n}")));
        if applied.code != 0 {
            return Err(format!("apply: {}", applied.said()));
        }
    }
    let serve = copy.server_pid().and_then(|pid| u32::try_from(pid).ok()).ok_or("the server has no process")?;
    let gateways = processes(|words| words.get(1).is_some_and(|word| word == "gateway"));
    let gateway = gateways.into_iter().find(|pid| status_field(*pid, "PPid:") == f64::from(serve));
    let gateway = gateway.ok_or("the server has no gateway")?;
    let megabytes = [serve, gateway].map(|pid| status_field(pid, "VmRSS:") / 1024.0);
    let total: f64 = megabytes.iter().sum();
    Ok(Row {
        what: format!("control plane + gateway, {APPS} apps, idle: RSS"),
        ours: format!("{total:.0} MB ({:.0} + {:.0})", megabytes[0], megabytes[1]),
        peer: "podman has neither".to_owned(),
        ratio: None,
        target: "≤ 60 MB".to_owned(),
        met: total <= 60.0,
    })
}

/// Returns a process's proportional set size in kB.
fn pss(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Returns the processor time that a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: the fields from the third on.
    let ticks = |field: usize| -> f64 {
        let fields = stat.rsplit_once(')').map(|(_, behind)| behind.split_whitespace());
        fields.and_then(|mut fields| fields.nth(field - 3)?.parse().ok()).unwrap_or(f64::NAN)
    };
    (ticks(14) + ticks(15)) / rustix::param::clock_ticks_per_second() as f64
}

fn status_field(pid: u32, name: &str) -> f64 {
    field(&format!("/proc/{pid}/status"), name)
}

fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    found.unwrap_or(f64::NAN)
}
