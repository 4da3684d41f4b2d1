//! Row: many instances at once, on one control plane.

use std::{thread, time::Duration, time::Instant};

use pillion_e2e::{Copy, until};

use super::{
    figures::Row,
    footprint::{cpu_seconds, processes},
    pod::Images,
    say,
};
use crate::run::Outcome;

const APPS: u32 = 20;
const INSTANCES: u32 = 10;
const CONTAINERS: usize = 3;
/// For how long the control plane is watched at rest.
const WATCHED: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures the row.
///
/// # Errors
/// An app is refused.
pub fn measure(images: &Images) -> Outcome<Vec<Row>> {
    let total = APPS * INSTANCES;
    say(&format!("{total} instances of {CONTAINERS} containers"));
    let mut copy = Copy::serving();
    let began = Instant::now();
    for n in 0..APPS {
        let applied = copy.apply(&images.short_app_file(&format!("many{n}"), INSTANCES, CONTAINERS));
        if applied.code != 0 {
            return Err(format!("apply: {}", applied.said()));
        }
    }
    all_ready(&copy);
    let started = began.elapsed().as_secs_f64();
    let programs = || {
        let mut pids = processes(|words| words.first().is_some_and(|word| word == "/bin/puppet"));
        pids.sort_unstable();
        pids
    };
    let before = programs();
    copy.kill_server();
    let began = Instant::now();
    copy.serve();
    all_ready(&copy);
    let adopted = began.elapsed().as_secs_f64();
    let kept = before.len() == total as usize * CONTAINERS && programs() == before;
    let server = copy.server_pid().and_then(|pid| u32::try_from(pid).ok()).ok_or("the server has no process")?;
    let used = cpu_seconds(server);
    thread::sleep(WATCHED);
    let share = (cpu_seconds(server) - used) / WATCHED.as_secs_f64() * 100.0;
    let survived = if kept { "every program kept its pid" } else { "**programs were lost**" };
    Ok(vec![Row {
        what: format!(
            "{total} instances of {CONTAINERS} containers ({APPS} apps): started; server killed and started anew; at rest"
        ),
        ours: format!(
            "all ready after {started:.0} s; adopted {adopted:.1} s after the kill, {survived}; {share:.1} % of one core"
        ),
        peer: "–".to_owned(),
        ratio: None,
        target: "survive; < 5 % of one core".to_owned(),
        met: kept && share < 5.0,
    }])
}

fn all_ready(copy: &Copy) {
    until("all instances are ready", PATIENCE, || {
        let apps = copy.json(&["list"]);
        let apps = apps.as_array()?;
        let ready = apps.iter().filter(|app| app["ready"].as_u64() == Some(u64::from(INSTANCES)));
        (ready.count() == APPS as usize).then_some(())
    });
}
