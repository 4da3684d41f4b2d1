//! Start order, readiness, stop, and what is left.

use pillion_supervisor::{
    protocol::Request,
    spec::{Check, Condition, Probe, RestartPolicy},
    status::{ContainerPhase, EventKind, InstancePhase},
};

use crate::world::{World, container, pid, shell, waiting, web};

fn at<'a>(
    events: &'a [pillion_supervisor::status::Event],
    name: &str,
    what: impl Fn(&EventKind) -> bool,
) -> &'a pillion_supervisor::status::Event {
    events.iter().find(|e| e.container.as_deref() == Some(name) && what(&e.what)).expect("such an event")
}

#[tokio::test]
async fn an_instance_starts_in_order_serves_and_leaves_nothing() {
    let mut migrate = shell("migrate", "sleep 0.05; echo migrated");
    migrate.restart = RestartPolicy::OnFailure;
    let cache = waiting("cache", "nc -ll -p 6379 -e cat &");
    let mut main = web(8080);
    main.depends_on = vec![("migrate".into(), Condition::Completed), ("cache".into(), Condition::Started)];
    main.readiness = Some(Probe {
        check: Check::Http { port: None, path: "/".into(), headers: vec![], statuses: vec![(200, 399)] },
        interval_ms: 1_000,
        timeout_ms: 1_000,
        failures: 3,
        within_ms: 0,
    });
    let world = World::started(vec![main, cache, migrate]);
    let (status, events) = world.until(|s| s.phase == InstancePhase::Ready).await;
    assert_eq!(status.port, Some(8080));
    assert_eq!(container(&status, "migrate").phase, ContainerPhase::Completed);
    assert!(container(&status, "web").memory_bytes.is_none_or(|bytes| bytes > 0));
    let done = at(&events, "migrate", |e| matches!(e, EventKind::Ended { .. }));
    let begun = at(&events, "web", |e| matches!(e, EventKind::Started { .. }));
    assert!(done.serial < begun.serial, "{events:#?}");
    world.stop().await;
}

#[tokio::test]
async fn mains_port_is_detected_where_none_is_declared() {
    let mut main = web(8080);
    main.port = None;
    main.run.argv[2] = "mkdir /www; httpd -p 9999 -h /www; sleep 0.05; exec httpd -f -p 8080 -h /www".into();
    let world = World::started(vec![main]);
    let status = world.until_ready().await;
    assert_eq!(status.port, Some(8080));
    world.stop().await;

    let mut main = web(5005);
    main.port = None;
    let world = World::started(vec![main]);
    let (status, events) = world.until(|s| s.phase == InstancePhase::Ready).await;
    assert_eq!(status.port, Some(5005));
    at(&events, "web", |e| *e == EventKind::PortDetected { port: 5005 });
    world.stop().await;
}

#[tokio::test]
async fn what_ignores_the_stop_signal_is_killed_after_its_grace() {
    let mut deaf = shell("deaf", "trap '' TERM; while :; do sleep 1; done");
    deaf.stop_grace_ms = 100;
    let world = World::started(vec![web(8080), deaf]);
    world.until_ready().await;
    let mut watch = world.client().await.watch(0).await.expect("a watch");
    let stopping = tokio::spawn({
        let client = world.client().await;
        async move { client.request(&Request::Stop).await }
    });
    let mut events = Vec::new();
    while let Ok(Some((status, news))) = watch.next().await {
        events.extend(news);
        if status.phase == InstancePhase::Stopped {
            break;
        }
    }
    drop(watch);
    stopping.await.expect("asked").expect("stopped");
    at(&events, "deaf", |e| matches!(e, EventKind::Killed { .. }));
    assert!(!events.iter().any(|e| e.container.as_deref() == Some("web") && matches!(e.what, EventKind::Killed { .. })));
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_killed_sidecar_comes_back_alone() {
    let world = World::started(vec![web(8080), waiting("side", "")]);
    let before = world.until_ready().await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid(&before, "side")).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("killed");
    let (after, _) = world
        .until(|s| {
            container(s, "side").restarts == 1
                && matches!(container(s, "side").phase, ContainerPhase::Running { ready: true, .. })
        })
        .await;
    assert_eq!(pid(&after, "web"), pid(&before, "web"));
    assert_eq!(after.phase, InstancePhase::Ready);
    assert_eq!(container(&after, "side").last_exit, Some(pillion_fault::Exit::Signal { signal: 9, core: false }));
    world.stop().await;
}

#[tokio::test]
async fn kill_ends_everything_at_once() {
    let mut deaf = shell("deaf", "trap '' TERM; while :; do sleep 1; done");
    deaf.stop_grace_ms = 60_000;
    let world = World::started(vec![web(8080), deaf]);
    world.until_ready().await;
    let begun = std::time::Instant::now();
    world.request(Request::Kill).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    world.assert_nothing_left();
}

#[tokio::test]
async fn no_container_outlives_its_supervisor() {
    let mut world = World::started(vec![web(8080), waiting("side", "")]);
    world.until_ready().await;
    assert!(!world.pids().is_empty());
    world.kill_supervisor();
    let deadline = std::time::Instant::now() + crate::world::PATIENCE;
    while !world.pids().is_empty() {
        assert!(std::time::Instant::now() < deadline, "containers live on: {:?}", world.pids());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn liveness_restarts_with_its_cause() {
    let mut main = web(8080);
    main.liveness = Some(Probe {
        check: Check::Exec { argv: vec!["sh".into(), "-c".into(), "if [ -e /sick ]; then echo feverish; exit 3; fi".into()] },
        interval_ms: 50,
        timeout_ms: 5_000,
        failures: 2,
        within_ms: 0,
    });
    let mut sick = waiting("sick", "");
    sick.depends_on = Vec::new();
    let world = World::started(vec![main, sick]);
    let before = world.until_ready().await;
    world.exec("web", "touch /sick").await;
    let (_, events) = world.until(|s| container(s, "web").restarts >= 1).await;
    let unwell = at(&events, "web", |e| matches!(e, EventKind::Unready { .. }));
    let EventKind::Unready { diagnosis } = &unwell.what else { unreachable!() };
    let pillion_fault::Fault::ProbeExec { exit, output, .. } = &diagnosis.fault else { panic!("{diagnosis:?}") };
    assert_eq!((exit.shell_code(), output.as_str()), (3, "feverish"));
    assert_eq!(pid(&before, "sick"), pid(&world.until(|_| true).await.0, "sick"));
    world.stop().await;
}
