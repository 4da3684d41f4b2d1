//! Ends on demand: Ctrl-C in order, twice at once, and programs that need no grace are given none.

use std::time::{Duration, Instant};

use pillion_e2e::{Copy, Images, Leftovers, Registry, Users, get, until};
use rustix::process::Signal;

use crate::fleet::RECOVERY;

fn serves(copy: &Copy, app: &str) {
    until("the app answers", RECOVERY, || {
        let ran = copy.run(["status", app, "--output", "json"]);
        let status: serde_json::Value = serde_json::from_str(&ran.stdout).ok()?;
        (status["state"] == "running").then_some(())
    });
    assert_eq!(get(&copy.url(app)).expect("an answer").status, 200);
}

/// What `up` left once it has ended.
fn nothing_left(copy: &Copy) {
    let mut now = Leftovers::default();
    let quiet = |now: &mut Leftovers| {
        *now = Leftovers::of(copy);
        now.is_quiet() && !now.files.iter().any(|file| file.contains("/i/") || file.ends_with(".sock"))
    };
    let began = Instant::now();
    until("nothing is left", Duration::from_secs(15), || {
        let done = quiet(&mut now);
        assert!(done || began.elapsed() < Duration::from_secs(10), "left behind: {now:#?}");
        done.then_some(())
    });
}

#[test]
fn a_second_ctrl_c_ends_at_once_even_where_a_container_ignores_its_stop_signal() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let file = copy.file(
        "pillion.yaml",
        &format!(
            "name: stubborn
containers:
  web: {{ main: true, image: '{image}', port: 8080, command: [ignore-term, serve, '8080'] }}
  side: {{ image: '{image}', command: [ignore-term, sleep] }}
"
        ),
    );
    let mut up = copy.spawn(["up".as_ref(), "-f".as_ref(), file.as_os_str()]);
    serves(&copy, "stubborn");
    up.signal(Signal::INT);
    until("it stops in order", RECOVERY, || {
        let ran = copy.run(["status", "stubborn", "--output", "json"]);
        (ran.stdout.contains("stopping") && !up.has_ended()).then_some(())
    });
    let second = Instant::now();
    up.signal(Signal::INT);
    let ran = up.finish();
    // Far below the grace of 10 s that the first asks for, and generous for a busy machine.
    assert!(second.elapsed() < Duration::from_secs(5), "it took {:?}: {}", second.elapsed(), ran.said());
    assert_eq!(ran.code, 0, "{}", ran.said());
    nothing_left(&copy);
}

#[test]
fn ctrl_c_stops_an_app_with_a_real_redis_and_collector_long_before_the_grace_is_over() {
    let registry = Registry::start(Users::Anyone);
    let images = Images::new(&registry);
    let (puppet, redis, rotel) = (images.puppet(), images.redis(), images.rotel());
    let copy = Copy::new();
    let file = copy.file(
        "pillion.yaml",
        &format!(
            "name: shop
containers:
  web: {{ main: true, image: '{puppet}', port: 8080, command: [serve, '8080'] }}
  cache: {{ image: '{redis}', port: 6379, volumes: [{{ volume: cache, path: /data }}] }}
  telemetry: {{ image: '{rotel}', port: 4318 }}
volumes: {{ cache: {{}} }}
"
        ),
    );
    let up = copy.spawn(["up".as_ref(), "-f".as_ref(), file.as_os_str()]);
    serves(&copy, "shop");
    let asked = Instant::now();
    up.signal(Signal::INT);
    let ran = up.finish();
    assert!(asked.elapsed() < Duration::from_secs(8), "it took {:?}: {}", asked.elapsed(), ran.said());
    assert_eq!(ran.code, 0, "{}", ran.said());
    nothing_left(&copy);
}

#[test]
fn a_killed_up_takes_its_server_and_its_apps_along() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let text =
        format!("name: shop\ncontainers: {{ web: {{ main: true, image: '{image}', port: 8080, command: [serve, '8080'] }} }}\n");
    let file = copy.file("pillion.yaml", &text);
    let mut up = copy.spawn(["up".as_ref(), "-f".as_ref(), file.as_os_str()]);
    serves(&copy, "shop");
    up.kill();
    nothing_left(&copy);
}
