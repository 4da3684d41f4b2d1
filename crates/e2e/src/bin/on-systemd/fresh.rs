//! The first boot: Pillion is installed and goes through what systemd does to a service.

use std::{fs, time::Duration};

use pillion_e2e::until;

use super::{
    Check, app,
    machine::{
        PAYLOAD, group, journal, knows_leaves, main_pid, ok, own_processes, pillion, property, run, start_registry, systemctl,
        systemd_version,
    },
    memory::Memory,
};

pub const CHECKS: &[Check] = &[
    ("the_unit_file_says_nothing_that_systemd_minds", verify),
    ("the_service_answers_as_soon_as_it_is_enabled", install),
    ("without_certificate_authorities_a_pull_says_what_to_install", without_authorities),
    ("an_app_is_pulled_started_and_served", serve_an_app),
    ("containers_have_their_limits_in_the_part_of_the_tree_that_is_theirs", placement),
    ("limits_outlive_a_reload_of_systemd", reload_of_systemd),
    ("what_the_server_says_is_in_the_journal", says_in_journal),
    ("the_settings_are_read_again_when_the_service_is_reloaded", reload),
    ("apps_answer_while_the_service_is_stopped_and_keep_their_processes", stop_and_start),
    ("a_restart_of_the_service_keeps_every_process_of_apps", restart),
    ("a_killed_server_is_started_again_and_adopts_its_apps", crash),
    ("a_container_over_its_memory_limit_does_not_end_the_service", out_of_memory),
];

const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Comes and goes with controllers of its own.
const OTHER: &str = "[Service]\nType=oneshot\nCPUWeight=200\nMemoryMax=64M\nExecStart=/bin/true\n";
const UNIT: &str = "/etc/systemd/system/pillion.service";

fn verify(_: &mut Memory) {
    ok("install", &[&format!("{PAYLOAD}/pillion"), &format!("{PAYLOAD}/pillion-supervisor"), "/usr/local/bin/"]);
    ok("install", &["--mode", "644", &format!("{PAYLOAD}/pillion.service"), UNIT]);
    let verified = run("systemd-analyze", &["verify", UNIT]);
    assert_eq!(verified.code, 0, "{}", verified.said());
    // Said of the one line that is for newer ones.
    let minded = verified.said();
    let minded: Vec<_> = minded.lines().filter(|line| knows_leaves() || !line.contains("DelegateSubgroup")).collect();
    assert_eq!(minded, [""; 0]);
}

fn install(_: &mut Memory) {
    systemctl(&["enable", "--now", "pillion"]);
    let listed = pillion(&["list"]);
    assert_eq!(listed.code, 0, "{}", listed.said());
    assert_eq!((property("ActiveState"), property("UnitFileState")), ("active".into(), "enabled".into()));
}

/// A minimal Debian has none.
fn without_authorities(_: &mut Memory) {
    start_registry();
    let refused = app::try_to_apply(&app::FIRST);
    assert_eq!(refused.code, 1, "{}", refused.said());
    assert!(refused.said().contains("install the package `ca-certificates`"), "{}", refused.said());
    // What the package does.
    ok("install", &["-D", "--mode", "644", &format!("{PAYLOAD}/ca-certificates.crt"), AUTHORITIES]);
}

fn serve_an_app(_: &mut Memory) {
    app::apply(&app::FIRST);
    app::answers_as(&app::FIRST);
    app::answers_now();
    app::in_container("web", &["write", "/data/note", "kept"]);
    assert_eq!(app::in_container("cache", &["read", "/data/note"]), "kept\n");
    // What comes next has to do without.
    systemctl(&["stop", "registry"]);
}

/// Below the service's own group where systemd starts the server in a leaf of it, else beside systemd's slices.
fn placement(_: &mut Memory) {
    let own = "/sys/fs/cgroup/system.slice/pillion.service";
    let (server, parent) = if knows_leaves() {
        (format!("{own}/serve"), format!("{own}/pillion"))
    } else {
        (own.to_owned(), "/sys/fs/cgroup/pillion".to_owned())
    };
    assert_eq!(property("Delegate"), "yes");
    assert_eq!(group(main_pid().into()).display().to_string(), server);
    for container in ["web", "cache"] {
        let group = group(app::pid(container));
        assert!(group.starts_with(&parent), "{} is not below {parent}", group.display());
    }
    has_limits();
}

fn has_limits() {
    let group = group(app::pid("web"));
    let read = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let limits = [read("memory.max"), read("memory.swap.max"), read("cpu.max"), read("pids.max")];
    assert_eq!(limits, [format!("{}\n", 96 << 20), "0\n".into(), "50000 100000\n".into(), "40\n".into()]);
}

/// A reload, and units that come and go, make systemd write its part of the tree anew.
fn reload_of_systemd(_: &mut Memory) {
    fs::write("/run/systemd/system/other.service", OTHER).expect("a unit is written");
    systemctl(&["daemon-reload"]);
    systemctl(&["start", "other"]);
    has_limits();
    app::answers_now();
}

fn says_in_journal(_: &mut Memory) {
    until("the journal has it", Duration::from_secs(10), || {
        let said = journal();
        (said.contains("serving") && said.contains("/run/pillion/pillion.sock")).then_some(())
    });
}

fn reload(_: &mut Memory) {
    let server = main_pid();
    fs::create_dir_all("/etc/pillion").expect("the settings have a directory");
    fs::write("/etc/pillion/config.yaml", "maxInstances: 3\n").expect("the settings are written");
    systemctl(&["reload", "pillion"]);
    until("the journal tells of the reload", Duration::from_secs(10), || journal().contains("maxInstances").then_some(()));
    assert_eq!(main_pid(), server);
}

/// Every process that has to go on: containers, supervisors, wardens, the gateway.
fn lasting() -> (i64, i64, Vec<i32>) {
    let server = main_pid();
    let others = own_processes().into_iter().filter(|&pid| pid != server).collect();
    (app::pid("web"), app::pid("cache"), others)
}

fn stop_and_start(_: &mut Memory) {
    let before = lasting();
    systemctl(&["stop", "pillion"]);
    assert_eq!(property("ActiveState"), "inactive");
    app::answers_now();
    systemctl(&["start", "pillion"]);
    app::answers_now();
    assert_eq!(lasting(), before);
}

fn restart(_: &mut Memory) {
    let (before, server) = (lasting(), main_pid());
    systemctl(&["restart", "pillion"]);
    assert_ne!(main_pid(), server);
    app::answers_now();
    assert_eq!(lasting(), before);
    has_limits();
}

fn crash(_: &mut Memory) {
    // By default systemd gives up on what ends too often.
    assert_eq!(property("StartLimitIntervalUSec"), "0");
    let (before, server) = (lasting(), main_pid());
    ok("kill", &["-9", &server.to_string()]);
    until("systemd has started it again", Duration::from_secs(20), || {
        let new = main_pid();
        (new != 0 && new != server && property("ActiveState") == "active").then_some(())
    });
    assert_eq!(property("NRestarts"), "1");
    app::answers_now();
    assert_eq!(lasting(), before);
}

fn out_of_memory(_: &mut Memory) {
    let (server, web) = (main_pid(), app::pid("web"));
    // A process more in the container, which the kernel kills.
    let ate = pillion(&["exec", app::APP, "-c", "web", "--", "/bin/puppet", "eat", "200"]);
    assert_ne!(ate.code, 0, "{}", ate.said());
    until("the kernel tells of it", Duration::from_secs(10), || {
        let events = fs::read_to_string(group(web).join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count != "0")).then_some(())
    });
    // Systemd learns of it as we do; a round trip through it comes after.
    systemctl(&["daemon-reload"]);
    assert_eq!((property("ActiveState"), main_pid()), ("active".into(), server), "systemd {}", systemd_version());
    app::answers_now();
}
