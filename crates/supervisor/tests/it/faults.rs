//! Every cause that the supervisor names, brought about for real.

use pillion_fault::{Exit, Fault, OomScope};
use pillion_runtime::spec::MountSpec;
use pillion_supervisor::{
    spec::{Check, Condition, ContainerSpec, Probe},
    status::{ContainerPhase, InstancePhase},
};

use crate::world::{World, container, shell, waiting, web};

/// Runs the containers until `name` has a diagnosis that `fits`, and returns it.
async fn cause(containers: Vec<ContainerSpec>, name: &str, fits: impl Fn(&Fault) -> bool) -> Fault {
    let world = World::started(containers);
    let (status, _) = world.until(|s| container(s, name).diagnosis.as_ref().is_some_and(|d| fits(&d.fault))).await;
    let found = container(&status, name).diagnosis.clone().expect("a diagnosis");
    assert_eq!(found.container.as_deref(), Some(name));
    world.stop().await;
    found.fault
}

fn main_that(line: &str) -> ContainerSpec {
    ContainerSpec { run: shell("web", line).run, ..web(8080) }
}

#[tokio::test]
async fn a_main_that_exits_at_once_is_given_up_with_its_exit_code() {
    for code in [0, 1] {
        let world = World::started(vec![main_that(&format!("exit {code}"))]);
        let (status, _) = world.until(|s| matches!(s.phase, InstancePhase::Failed { .. })).await;
        let InstancePhase::Failed { diagnosis } = &status.phase else { unreachable!() };
        assert!(
            matches!(&diagnosis.fault, Fault::Exited { exit: Exit::Code { code: found }, .. } if *found == code),
            "{diagnosis:?}"
        );
        assert_eq!(diagnosis.container.as_deref(), Some("web"));
        world.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_is_missing_fails_at_once() {
    let mut main = web(8080);
    main.run.argv = vec!["/bin/nonesuch".into()];
    let world = World::started(vec![main]);
    let (status, _) = world.until(|s| matches!(s.phase, InstancePhase::Failed { .. })).await;
    assert_eq!(container(&status, "web").restarts, 0);
    assert_eq!(container(&status, "web").phase, ContainerPhase::Failed);
    assert!(
        matches!(&container(&status, "web").diagnosis.as_ref().expect("one").fault, Fault::CommandMissing { command, .. } if command == "/bin/nonesuch")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_port_that_never_opens_is_told_from_another_that_did() {
    let fault = cause(vec![main_that("exec sleep 1000")], "web", |_| true).await;
    assert!(matches!(fault, Fault::PortNeverOpened { port: Some(8080), .. }), "{fault:?}");
    let fault = cause(vec![main_that("exec httpd -f -p 3000 -h /")], "web", |_| true).await;
    let Fault::OtherPortOpened { wanted: 8080, found } = fault else { panic!("{fault:?}") };
    assert_eq!(found[0].address.port(), 3000);
}

#[tokio::test]
async fn a_probe_that_is_refused_tells_where_the_program_listens_instead() {
    let mut main = main_that("exec httpd -f -p 3000 -h /");
    main.readiness = Some(Probe {
        check: Check::Http { port: None, path: "/".into(), headers: vec![], statuses: vec![(200, 399)] },
        interval_ms: 50,
        timeout_ms: 1_000,
        failures: 1,
        within_ms: 0,
    });
    let fault = cause(vec![main], "web", |fault| !matches!(fault, Fault::ProbeRefused { .. })).await;
    let Fault::OtherPortOpened { wanted: 8080, found } = fault else { panic!("{fault:?}") };
    assert_eq!(found[0].address.port(), 3000);
}

#[tokio::test]
async fn a_port_in_anothers_hands_names_the_holder() {
    let mut cache = shell("cache", "exec nc -ll -p 6379 -e cat");
    cache.port = Some(6379);
    let mut second = shell("cache2", "exec nc -ll -p 6379 -e cat");
    second.port = Some(6379);
    second.depends_on = vec![("cache".into(), Condition::Healthy)];
    let fault = cause(vec![web(8080), cache, second], "cache2", |_| true).await;
    assert_eq!(fault, Fault::PortTaken { port: 6379, holder: "cache".into() });
}

#[tokio::test]
async fn memory_beyond_the_limit_is_an_oom_kill_of_that_limit() {
    let mut hungry = shell("hungry", "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo $x");
    hungry.run.limits.memory = Some(16 << 20);
    let fault = cause(vec![web(8080), hungry], "hungry", |_| true).await;
    let Fault::Exited { exit: Exit::Oom { scope: OomScope::Limit { bytes } }, .. } = fault else { panic!("{fault:?}") };
    assert_eq!(bytes, 16 << 20);
}

#[tokio::test]
async fn a_refused_fork_is_the_limit_of_processes() {
    let mut many = shell("many", "for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; exit 1");
    many.run.limits.pids = Some(4);
    let fault = cause(vec![web(8080), many], "many", |_| true).await;
    assert_eq!(fault, Fault::PidsLimit { limit: 4 });
}

#[tokio::test]
async fn a_probe_says_what_it_got() {
    let mut main = web(8080);
    main.startup = Some(Probe {
        check: Check::Http { port: None, path: "/health".into(), headers: vec![], statuses: vec![(200, 399)] },
        interval_ms: 50,
        timeout_ms: 1_000,
        failures: 1,
        within_ms: 4_000,
    });
    let fault = cause(vec![main], "web", |_| true).await;
    assert!(matches!(&fault, Fault::ProbeStatus { url, status: 404, .. } if url == "http://localhost:8080/health"), "{fault:?}");
}

#[tokio::test]
async fn a_write_to_a_read_only_root_names_the_path() {
    let mut main = main_that("touch /app-cache || exit 1");
    main.run.root.read_only = true;
    let fault = cause(vec![main], "web", |_| true).await;
    assert!(matches!(&fault, Fault::ReadOnlyWrite { path } if path.contains("app-cache")), "{fault:?}");
}

#[tokio::test]
async fn a_volume_over_the_program_is_named() {
    let volume = tempfile::tempdir_in("/run").expect("a directory");
    let mut main = web(8080);
    main.run.argv = vec!["/bin/httpd".into(), "-f".into()];
    main.run.mounts =
        vec![MountSpec::Volume { source: volume.path().into(), sub_path: None, path: "/bin".into(), read_only: false }];
    let fault = cause(vec![main], "web", |_| true).await;
    assert!(
        matches!(&fault, Fault::VolumeHidesFiles { path, mount, .. } if path == "/bin/httpd" && mount == "/bin"),
        "{fault:?}"
    );
}

#[tokio::test]
async fn an_essential_sidecars_end_is_the_instances_end() {
    let mut vital = waiting("vital", "while [ ! -e /die ]; do sleep 0.01; done; exit 9");
    vital.essential = true;
    let world = World::started(vec![web(8080), vital]);
    world.until_ready().await;
    world.exec("vital", "touch /die").await;
    let (status, _) = world
        .until(|s| {
            matches!(s.phase, InstancePhase::Failed { .. }) && matches!(container(s, "web").phase, ContainerPhase::Stopped)
        })
        .await;
    let InstancePhase::Failed { diagnosis } = &status.phase else { unreachable!() };
    assert_eq!(diagnosis.container.as_deref(), Some("vital"));
    assert!(matches!(diagnosis.fault, Fault::Exited { exit: Exit::Code { code: 9 }, .. }));
    world.stop().await;
}
