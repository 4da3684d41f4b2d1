//! The contract: what every engine must do, as one suite. Each engine's tests call [`run_all`]; each check has an app of its
//! own, so checks may fail or run alone without harming others, and leaves nothing behind.
//!
//! Beyond the trait's words it pins down when facts are seen: once `start` has returned, `observe` shows the instance; once a
//! status names a revision, no container that this revision replaces is shown ready with its former process; once `stop` has
//! returned, the instance is gone.

mod bench;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture};
use pillion_model::{Check, Container, ContainerPhase, EnvValue};

use self::bench::{Bench, container, exec, name, pid, revision, well};
use crate::{Action, Engine, LogQuery, ObservedInstance, Progress};

/// What differs from engine to engine. Programs are argument lists that replace the image's entrypoint and command.
#[derive(Clone)]
pub struct Given {
    /// An image in which the programs below can be run.
    pub image: String,
    /// A second reference or tag with the same programs, so that a container can change its image.
    pub other_image: String,
    /// Listens on TCP port `port` and goes on until it is asked to stop; prints `hello` at its start.
    pub server: Vec<String>,
    pub port: u16,
    /// Goes on until it is asked to stop, listens nowhere; prints `hello` at its start.
    pub idle: Vec<String>,
    /// Ends with 0 at once.
    pub ends_well: Vec<String>,
    /// Prints its environment variable `GREETING` to stdout and ends with 0; run by `exec`.
    pub echo: Vec<String>,
    /// What `echo` prints, without surrounding white space.
    pub echoed: String,
    /// Repeats its standard input until that ends; run by `exec`.
    pub cat: Vec<String>,
    /// An image that cannot be had.
    pub absent_image: String,
    /// A prefix for names of apps, unique to this run.
    pub prefix: String,
    /// How long one awaited fact may take.
    pub patience: Duration,
}

/// Opens an engine on the same state each time: the second call must adopt what the first one started.
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn Engine>> + Send + Sync>;

/// Runs every check, one after another.
///
/// # Panics
/// At the first promise that is not kept, naming it.
pub async fn run_all(open: Open, given: Given) {
    prepare_resolves_every_image(&open, &given).await;
    prepare_names_the_container_whose_image_is_absent(&open, &given).await;
    an_instance_becomes_ready_and_is_seen_at_once(&open, &given).await;
    asking_again_changes_nothing(&open, &given).await;
    an_update_keeps_untouched_processes(&open, &given).await;
    acts_on_one_container_leave_the_others_alone(&open, &given).await;
    a_run_once_container_completes(&open, &given).await;
    stop_leaves_nothing(&open, &given).await;
    exec_speaks_both_ways_and_tells_the_exit(&open, &given).await;
    a_check_tells_whether_a_container_answers(&open, &given).await;
    logs_hold_what_was_printed(&open, &given).await;
    a_new_engine_adopts_what_runs(&open, &given).await;
}

pub async fn prepare_resolves_every_image(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "prep").await;
    let (prepared, news) = bench.prepare(bench.app()).await.expect("prepare succeeds");
    for name in bench.app().containers.keys() {
        let image = prepared.images.get(name).unwrap_or_else(|| panic!("{name} has no prepared image"));
        assert!(image.contains("@sha256:"), "{name} is not resolved to a digest: {image}");
        let told = |news: &Progress| matches!(news, Progress::Pulled { container, .. } if container == name);
        assert!(news.iter().any(told), "no progress tells that the image of {name} is there");
    }
    bench.close().await;
}

pub async fn prepare_names_the_container_whose_image_is_absent(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "absent").await;
    let mut app = bench.app();
    app.containers[&name("cache")].image = given.absent_image.clone();
    let refused = bench.prepare(app).await.expect_err("an absent image cannot be prepared");
    assert_eq!(refused.container.as_deref(), Some("cache"), "{refused:?}");
    bench.close().await;
}

pub async fn an_instance_becomes_ready_and_is_seen_at_once(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "start").await;
    let id = bench.start(bench.app(), 1).await;
    let seen = bench.seen(&id).expect("once start has returned, the instance is seen");
    assert_eq!((seen.app, seen.status.revision), (bench.name.clone(), 1));
    let ready = bench.ready(&id, 1).await;
    assert_eq!(ready.status.port, Some(given.port), "main's port");
    assert_eq!(ready.status.containers.len(), 2);
    assert!(pid(&ready, "web").is_some() && pid(&ready, "cache").is_some(), "{ready:?}");
    bench.close().await;
}

pub async fn asking_again_changes_nothing(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "again").await;
    let id = bench.start(bench.app(), 1).await;
    let before = bench.ready(&id, 1).await;
    let instance = bench.instance(&id, bench.app(), 1).await;
    bench.engine.start(instance.clone()).await.expect("start again is Ok");
    bench.engine.update(instance).await.expect("an update to what it is, is Ok");
    let after = bench.ready(&id, 1).await;
    assert_eq!((pid(&before, "web"), pid(&before, "cache")), (pid(&after, "web"), pid(&after, "cache")));
    bench.engine.stop(&id).await.expect("stop succeeds");
    bench.engine.stop(&id).await.expect("stop again is Ok");
    bench.engine.stop(&"never-1-abcdef".parse().expect("an id")).await.expect("stop of what never was is Ok");
    bench.close().await;
}

pub async fn an_update_keeps_untouched_processes(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "update").await;
    let id = bench.start(bench.app(), 1).await;
    let before = bench.ready(&id, 1).await;
    let old = pid(&before, "cache");

    // A changed environment, then a changed image, then one more container, then one less.
    let mut second = bench.app();
    second.containers[&name("cache")].env.insert("CHANGED".into(), EnvValue::Literal("yes".into()));
    let mut facts = bench.engine.observe();
    bench.update(&id, second.clone(), 2).await;
    let first_seen = facts.wait_for(|observed| revision(observed, &id) == Some(2));
    let first_seen =
        tokio::time::timeout(given.patience, first_seen).await.expect("the update is seen").expect("the engine lives").clone();
    let stale = first_seen.instances[&id].status.containers.iter().any(|one| {
        one.name.as_str() == "cache" && matches!(one.phase, ContainerPhase::Running { pid, ready: true } if Some(pid) == old)
    });
    assert!(!stale, "revision 2 is shown with the process of revision 1 as ready");
    let after = bench.ready(&id, 2).await;
    assert_eq!(pid(&before, "web"), pid(&after, "web"), "main keeps its process");
    assert_ne!(old, pid(&after, "cache"), "the changed container has a new one");

    let mut third = second.clone();
    third.containers[&name("cache")].image = given.other_image.clone();
    bench.update(&id, third.clone(), 3).await;
    let after = bench.ready(&id, 3).await;
    assert_eq!(pid(&before, "web"), pid(&after, "web"));

    let cache = pid(&after, "cache");
    let mut fourth = third.clone();
    fourth.containers.insert(name("extra"), container(given, &given.idle));
    bench.update(&id, fourth, 4).await;
    let after = bench.ready(&id, 4).await;
    assert_eq!((pid(&before, "web"), cache), (pid(&after, "web"), pid(&after, "cache")));
    assert!(pid(&after, "extra").is_some());

    bench.update(&id, third, 5).await;
    let after = bench.ready(&id, 5).await;
    assert_eq!((pid(&before, "web"), cache), (pid(&after, "web"), pid(&after, "cache")));
    assert_eq!(after.status.containers.len(), 2, "the removed container is gone");
    bench.close().await;
}

pub async fn acts_on_one_container_leave_the_others_alone(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "act").await;
    let id = bench.start(bench.app(), 1).await;
    let before = bench.ready(&id, 1).await;
    let (web, cache) = (pid(&before, "web"), pid(&before, "cache"));
    bench.engine.act(&id, Some("cache"), Action::Restart).await.expect("restart succeeds");
    let after = bench.until(&id, "the restarted container runs", |one| well(one) && pid(one, "cache") != cache).await;
    assert_eq!(pid(&after, "web"), web);

    bench.engine.act(&id, Some("cache"), Action::Stop).await.expect("stop succeeds");
    let is = |one: &ObservedInstance, wanted: &dyn Fn(&ContainerPhase) -> bool| {
        one.status.containers.iter().any(|status| status.name.as_str() == "cache" && wanted(&status.phase))
    };
    bench.until(&id, "the container is stopped", |one| is(one, &|phase| matches!(phase, ContainerPhase::Stopped))).await;
    bench.engine.act(&id, Some("cache"), Action::Start).await.expect("start succeeds");
    let after = bench.until(&id, "the container runs again", well).await;
    assert_eq!(pid(&after, "web"), web);

    bench.engine.act(&id, None, Action::Restart).await.expect("restart of all succeeds");
    let after = bench.until(&id, "all are restarted", |one| well(one) && pid(one, "web") != web).await;
    assert_ne!(pid(&after, "cache"), cache);
    bench.engine.act(&id, Some("nobody"), Action::Restart).await.expect_err("there is no such container");
    bench.close().await;
}

pub async fn a_run_once_container_completes(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "once").await;
    let mut app = bench.app();
    app.containers.insert(name("setup"), Container { run_once: true, ..container(given, &given.ends_well) });
    app.containers[&name("web")].depends_on.insert(name("setup"), pillion_model::Condition::Completed);
    let id = bench.start(app, 1).await;
    let done = |one: &ObservedInstance| {
        one.status
            .containers
            .iter()
            .any(|status| status.name.as_str() == "setup" && matches!(status.phase, ContainerPhase::Completed))
    };
    bench.until(&id, "the run-once container completes", done).await;
    bench.ready(&id, 1).await;
    bench.close().await;
}

pub async fn stop_leaves_nothing(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "stop").await;
    let id = bench.start(bench.app(), 1).await;
    let ready = bench.ready(&id, 1).await;
    bench.engine.stop(&id).await.expect("stop succeeds");
    assert!(bench.seen(&id).is_none(), "once stop has returned, the instance is gone");
    bench.engine.exec(&id, "web", exec(&given.echo)).await.err().expect("nothing can be run in it");
    if let Some(gate) = ready.gate.filter(|gate| gate.exists()) {
        panic!("{} is still there", gate.display());
    }
    bench.close().await;
}

pub async fn exec_speaks_both_ways_and_tells_the_exit(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "exec").await;
    let id = bench.start(bench.app(), 1).await;
    bench.ready(&id, 1).await;
    let mut request = exec(&given.echo);
    request.env.push("GREETING=good day".into());
    let (said, code) = bench.run(&id, request, None).await;
    assert_eq!((said.trim(), code), (given.echoed.as_str(), 0));
    let (said, code) = bench.run(&id, exec(&given.cat), Some("one\ntwo\n")).await;
    assert_eq!((said.as_str(), code), ("one\ntwo\n", 0));
    bench.close().await;
}

pub async fn a_check_tells_whether_a_container_answers(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "check").await;
    let id = bench.start(bench.app(), 1).await;
    bench.ready(&id, 1).await;
    let check = Check::Tcp(given.port);
    bench.engine.check(&id, "web", &check, given.patience).await.expect("it listens");
    bench.engine.check(&id, "nobody", &check, given.patience).await.expect_err("there is no such container");
    bench.engine.stop(&id).await.expect("it stops");
    bench.engine.check(&id, "web", &check, given.patience).await.expect_err("nothing runs");
    bench.close().await;
}

pub async fn logs_hold_what_was_printed(open: &Open, given: &Given) {
    let bench = Bench::new(open, given, "logs").await;
    let id = bench.start(bench.app(), 1).await;
    bench.ready(&id, 1).await;
    let query = LogQuery { app: Some(bench.name.clone()), container: Some("cache".into()), follow: true, ..LogQuery::default() };
    let mut lines = bench.engine.logs(query).await.expect("logs are given");
    let found = async {
        while let Some(line) = lines.next().await {
            assert_eq!((&line.instance, line.container.as_str()), (&id, "cache"));
            if line.text.contains("hello") {
                return true;
            }
        }
        false
    };
    assert!(
        tokio::time::timeout(given.patience, found).await.expect("the line comes in time"),
        "following ended without the line"
    );
    bench.close().await;
}

pub async fn a_new_engine_adopts_what_runs(open: &Open, given: &Given) {
    let mut bench = Bench::new(open, given, "adopt").await;
    let id = bench.start(bench.app(), 1).await;
    let before = bench.ready(&id, 1).await;
    bench.engine = open().await;
    bench.until_all("the engine has found everything", |observed| observed.complete).await;
    let after = bench.ready(&id, 1).await;
    assert_eq!((pid(&before, "web"), pid(&before, "cache")), (pid(&after, "web"), pid(&after, "cache")));
    let mut app = bench.app();
    app.containers[&name("cache")].env.insert("CHANGED".into(), EnvValue::Literal("yes".into()));
    bench.update(&id, app, 2).await;
    let updated = bench.ready(&id, 2).await;
    assert_eq!(pid(&before, "web"), pid(&updated, "web"), "an adopted instance can be changed in place");
    bench.close().await;
}
