//! The loop on a scripted machine and a paused clock: what it asks for, when, and what it does when the n-th call fails.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    path::Path,
    rc::Rc,
    time::Duration,
};

use pillion_fault::{Exit, Fault, Listener};
use pillion_runtime::spec::ExecSpec;
use tokio::{
    sync::{Notify, oneshot},
    task::LocalSet,
    time::Instant,
};

use super::{Ask, Shared, Supervisor};
use crate::{
    machine::{Asked, Created, ExecStdio, Local, Machine, Output, Process, Usage},
    spec::{Condition, ContainerSpec},
    state::GIVE_UP_AFTER,
    status::{EventKind, InstancePhase},
    testing::{container, depends, instance, main_container},
};

#[derive(Default)]
struct Script {
    /// Calls of `create` that fail, counted from 1.
    failing: Vec<u32>,
    /// Containers that end by themselves so long after their start.
    dying: Vec<(&'static str, Duration)>,
    creates: Cell<u32>,
    said: RefCell<Vec<String>>,
    removed: Cell<bool>,
}

struct Scripted(Rc<Script>);

impl Machine for Scripted {
    fn create<'a>(&'a self, spec: &'a ContainerSpec, _: Output) -> Local<'a, Result<Box<dyn Created>, Fault>> {
        let script = &self.0;
        script.creates.set(script.creates.get() + 1);
        if script.failing.contains(&script.creates.get()) {
            return Box::pin(async { Err(Fault::StartFailed { doing: "making a container".into(), reason: "scripted".into() }) });
        }
        let made = Fake { script: Rc::clone(script), name: spec.run.name.clone(), ended: Notify::new() };
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Box::new(made) as Box<dyn Created>)
        })
    }

    fn listeners(&self, _: &[String]) -> Vec<Listener> {
        vec![Listener { address: ([127, 0, 0, 1], 8080).into(), container: Some("web".into()), process: None }]
    }

    fn check<'a>(&'a self, _: Rc<dyn Process>, _: Asked<'a>) -> Local<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn set_host_names(&self, _: &[String]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        self.0.removed.set(true);
        Ok(())
    }
}

struct Fake {
    script: Rc<Script>,
    name: String,
    ended: Notify,
}

impl Created for Fake {
    fn start(self: Box<Self>) -> Local<'static, Result<Box<dyn Process>, Fault>> {
        self.script.said.borrow_mut().push(format!("start {}", self.name));
        Box::pin(async { Ok(self as Box<dyn Process>) })
    }

    fn discard(self: Box<Self>) -> Local<'static, ()> {
        self.script.said.borrow_mut().push(format!("discard {}", self.name));
        Box::pin(async {})
    }
}

impl Process for Fake {
    fn pid(&self) -> i32 {
        1
    }

    fn take_terminal(&self) -> Option<OwnedFd> {
        None
    }

    fn wait(&self) -> Local<'_, Exit> {
        let dies = self.script.dying.iter().find(|(name, _)| *name == self.name).map(|(_, after)| *after);
        Box::pin(async move {
            match dies {
                Some(after) => {
                    tokio::time::sleep(after).await;
                    Exit::Code { code: 1 }
                }
                None => {
                    self.ended.notified().await;
                    Exit::Signal { signal: 15, core: false }
                }
            }
        })
    }

    fn signal(&self, signal: i32) {
        self.script.said.borrow_mut().push(format!("signal {signal} {}", self.name));
        self.ended.notify_one();
    }

    fn kill_all(&self) {
        self.signal(9);
    }

    fn remove(&self) -> Local<'_, ()> {
        self.script.said.borrow_mut().push(format!("remove {}", self.name));
        Box::pin(async {})
    }

    fn exec<'a>(&'a self, _: &'a ExecSpec, _: ExecStdio) -> Local<'a, Result<Box<dyn Process>, Fault>> {
        Box::pin(async { Err(Fault::StartFailed { doing: "exec".into(), reason: "scripted".into() }) })
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// Runs an instance on a script until its phase fits, then stops it; returns what was said and the events until then.
fn play(
    script: Script,
    containers: Vec<ContainerSpec>,
    fits: fn(&InstancePhase) -> bool,
) -> (Rc<Script>, Vec<EventKind>, Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("logs")).expect("a directory");
    let script = Rc::new(script);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let (events, took) = LocalSet::new().block_on(&runtime, lead(dir.path(), Rc::clone(&script), containers, fits));
    assert!(script.removed.get(), "the sandbox is left");
    (script, events, took)
}

async fn lead(
    dir: &Path,
    script: Rc<Script>,
    containers: Vec<ContainerSpec>,
    fits: fn(&InstancePhase) -> bool,
) -> (Vec<EventKind>, Duration) {
    let begun = Instant::now();
    let (supervisor, shared, asks) =
        Supervisor::new(dir.into(), instance(dir, containers), Rc::new(Scripted(script))).expect("a valid spec");
    let running = tokio::task::spawn_local(supervisor.run());
    until(&shared, fits).await;
    let took = begun.elapsed();
    let events = shared.board.events_after(0).into_iter().map(|e| e.what).collect();
    let (answer, answered) = oneshot::channel();
    assert!(asks.send(Ask::Stop { answer }).await.is_ok());
    answered.await.expect("an answer").expect("stopped");
    running.await.expect("it ends");
    (events, took)
}

async fn until(shared: &Shared, fits: fn(&InstancePhase) -> bool) {
    let mut news = shared.board.subscribe();
    while !fits(&shared.board.status().phase) {
        news.changed().await.expect("a loop that runs");
    }
}

fn ready(phase: &InstancePhase) -> bool {
    *phase == InstancePhase::Ready
}

fn failed(phase: &InstancePhase) -> bool {
    matches!(phase, InstancePhase::Failed { .. })
}

#[test]
fn dependents_start_after_and_stop_before_what_they_need() {
    let main = depends(main_container("web"), "cache", Condition::Healthy);
    let (script, ..) = play(Script::default(), vec![main, container("cache")], ready);
    let said = script.said.borrow();
    assert_eq!(*said, ["start cache", "start web", "signal 15 web", "remove web", "signal 15 cache", "remove cache"]);
}

#[test]
fn a_failure_of_any_one_create_heals_by_itself() {
    for nth in 1..=3 {
        let script = Script { failing: vec![nth], ..Script::default() };
        let (script, events, took) = play(script, vec![main_container("web"), container("a"), container("b")], ready);
        assert_eq!(script.creates.get(), 4);
        assert!(events.iter().any(|e| matches!(e, EventKind::Restarting { .. })));
        assert!(took < Duration::from_millis(400), "{took:?}");
    }
}

#[test]
fn a_main_that_always_dies_is_given_up_after_rising_pauses() {
    let script = Script { dying: vec![("web", Duration::ZERO)], ..Script::default() };
    let (script, events, took) = play(script, vec![main_container("web")], failed);
    assert_eq!(script.creates.get(), GIVE_UP_AFTER);
    let pauses: Vec<u64> =
        events.iter().filter_map(|e| if let EventKind::Restarting { in_ms, .. } = e { Some(*in_ms) } else { None }).collect();
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    assert!((Duration::from_secs(3)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[test]
fn independent_containers_start_side_by_side() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut containers: Vec<_> = names.map(container).into();
    containers.push(main_container("web"));
    let (.., took) = play(Script::default(), containers, ready);
    assert!(took < Duration::from_millis(30), "ten creates of 10 ms took {took:?}");
}
