//! An engine for tests: no process runs; instances do what a script says, and the n-th call fails where asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use pillion_fault::{Diagnosis, Exit, Fault};
use pillion_model::{
    App, AppName, Container, ContainerName, ContainerPhase, ContainerStatus, InstanceId, InstancePhase, InstanceStatus,
};
use tokio::sync::{mpsc, watch};

use crate::{
    Action, Engine, ExecInput, ExecOutput, ExecRequest, ExecSession, Instance, LogLine, LogQuery, Observed, ObservedEvent,
    ObservedInstance, Prepare, Prepared, Progress, Stream,
};

/// What a container does once it is started.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Becomes ready at once.
    Ready,
    /// Runs and never becomes ready.
    Hang,
    /// Ends with this fault at each start, until it is told otherwise.
    CrashLoop(Fault),
    /// Ends with 0 (a run-once container).
    Complete,
}

/// The engine's calls, for fault injection and for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Prepare,
    Start,
    Update,
    Act,
    Stop,
    Forget,
}

/// The scripted engine; cheap to clone, all clones are one engine.
#[derive(Clone)]
pub struct Scripted {
    shared: Arc<Mutex<State>>,
    facts: Arc<watch::Sender<Arc<Observed>>>,
}

#[derive(Default)]
struct State {
    /// By image text; the first that matches a container's image counts, others are `Ready`.
    behaviours: BTreeMap<String, Behaviour>,
    unpreparable: BTreeMap<String, Fault>,
    failures: BTreeMap<(Call, u32), Fault>,
    calls: BTreeMap<Call, u32>,
    history: Vec<String>,
    running: BTreeMap<InstanceId, Running>,
    forgotten: BTreeSet<AppName>,
    users: Vec<String>,
    next_pid: i32,
    next_event: u64,
    serial: u64,
    hidden: bool,
}

struct Running {
    instance: Instance,
    containers: BTreeMap<ContainerName, ContainerStatus>,
    events: Vec<ObservedEvent>,
    failed: Option<Diagnosis>,
    was_ready: bool,
}

impl Default for Scripted {
    fn default() -> Self {
        Scripted::new()
    }
}

impl Scripted {
    pub fn new() -> Scripted {
        let facts = watch::Sender::new(Arc::new(Observed { complete: true, ..Observed::default() }));
        Scripted { shared: Arc::default(), facts: Arc::new(facts) }
    }

    /// From now on, containers of `image` do this when they start; those that run already change to it, too.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        let mut state = self.lock();
        state.behaviours.insert(image.to_owned(), behaviour.clone());
        let State { running, next_pid, .. } = &mut *state;
        for one in running.values_mut() {
            for (name, container) in &one.instance.definition.containers {
                if container.image == image
                    && let Some(status) = one.containers.get_mut(name)
                {
                    apply_behaviour(status, &behaviour, next_pid);
                }
            }
        }
        self.publish(state);
    }

    /// `prepare` fails for definitions with `image`, or works again.
    pub fn unpreparable(&self, image: &str, fault: Option<Fault>) {
        let mut state = self.lock();
        match fault {
            Some(fault) => state.unpreparable.insert(image.to_owned(), fault),
            None => state.unpreparable.remove(image),
        };
    }

    /// The `nth` call from now (1 is the next) of this kind fails.
    pub fn fail(&self, call: Call, nth: u32, fault: Fault) {
        let mut state = self.lock();
        let at = state.calls.get(&call).copied().unwrap_or(0) + nth;
        state.failures.insert((call, at), fault);
    }

    /// The instance's supervisor is gone, and with it all containers.
    pub fn lose(&self, id: &InstanceId) {
        let mut state = self.lock();
        state.running.remove(id);
        self.publish(state);
    }

    /// The instance cannot go on.
    pub fn break_down(&self, id: &InstanceId, diagnosis: Diagnosis) {
        let mut state = self.lock();
        if let Some(one) = state.running.get_mut(id) {
            one.failed = Some(diagnosis);
        }
        self.publish(state);
    }

    /// While hidden, `complete` is false and nothing is shown, as before adoption.
    pub fn hide(&self, hidden: bool) {
        let mut state = self.lock();
        state.hidden = hidden;
        self.publish(state);
    }

    /// Returns how many calls of this kind were made.
    pub fn calls(&self, call: Call) -> u32 {
        self.lock().calls.get(&call).copied().unwrap_or(0)
    }

    /// Returns every call that succeeded, one line each, in order.
    pub fn history(&self) -> Vec<String> {
        self.lock().history.clone()
    }

    /// Returns the instances given to `start` and `update`, as they are now.
    pub fn instances(&self) -> Vec<Instance> {
        self.lock().running.values().map(|one| one.instance.clone()).collect()
    }

    /// Returns the user names that came with each `prepare`, in order.
    pub fn users_seen(&self) -> Vec<String> {
        self.lock().users.clone()
    }

    pub fn forgotten(&self, app: &AppName) -> bool {
        self.lock().forgotten.contains(app)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn called(&self, call: Call) -> Result<MutexGuard<'_, State>, Diagnosis> {
        let mut state = self.lock();
        let count = state.calls.entry(call).or_default();
        *count += 1;
        let count = *count;
        match state.failures.remove(&(call, count)) {
            Some(fault) => Err(plain(fault)),
            None => Ok(state),
        }
    }

    fn publish(&self, mut state: MutexGuard<'_, State>) {
        state.serial += 1;
        let instances = if state.hidden {
            BTreeMap::new()
        } else {
            state.running.iter_mut().map(|(id, one)| (id.clone(), one.observe())).collect()
        };
        let observed = Observed { serial: state.serial, complete: !state.hidden, instances };
        // Still under the lock, so that facts are published in the order in which they came about.
        self.facts.send_replace(Arc::new(observed));
        drop(state);
    }
}

impl Running {
    fn observe(&mut self) -> ObservedInstance {
        let main = self.instance.definition.containers.iter().find(|(_, container)| container.main);
        let ready = main
            .and_then(|(name, _)| self.containers.get(name))
            .is_some_and(|status| matches!(status.phase, ContainerPhase::Running { ready: true, .. }));
        self.was_ready |= ready;
        let phase = match &self.failed {
            Some(diagnosis) => InstancePhase::Failed { diagnosis: Box::new(diagnosis.clone()) },
            None if ready => InstancePhase::Ready,
            None if self.was_ready => InstancePhase::Unready,
            None => InstancePhase::Starting,
        };
        let diagnoses = self
            .containers
            .values()
            .filter_map(|status| match &status.phase {
                ContainerPhase::BackOff { last, .. } | ContainerPhase::Failed { last } => Some((**last).clone()),
                ContainerPhase::Waiting { .. }
                | ContainerPhase::Starting
                | ContainerPhase::Running { .. }
                | ContainerPhase::Completed
                | ContainerPhase::Stopped => None,
            })
            .collect();
        ObservedInstance {
            app: self.instance.app.clone(),
            status: InstanceStatus {
                id: self.instance.id.clone(),
                revision: self.instance.revision,
                phase,
                port: main.map(|(_, container)| container.port.unwrap_or(80)),
                containers: self.containers.values().cloned().collect(),
            },
            generation: self.instance.revision,
            gate: Some(PathBuf::from(format!("/scripted/{}/gate.sock", self.instance.id))),
            diagnoses,
            events: self.events.clone(),
        }
    }
}

impl State {
    fn start_container(&mut self, name: &ContainerName, container: &Container) -> ContainerStatus {
        let usual = if container.run_once { Behaviour::Complete } else { Behaviour::Ready };
        let behaviour = self.behaviours.get(&container.image).cloned().unwrap_or(usual);
        let mut status = ContainerStatus {
            name: name.clone(),
            phase: ContainerPhase::Starting,
            restarts: 0,
            last_exit: None,
            listeners: Vec::new(),
            memory_bytes: None,
            memory_limit_bytes: container.resources.memory.map(|bytes| bytes.0),
            cpu_usec: None,
            started_at_ms: Some(0),
        };
        apply_behaviour(&mut status, &behaviour, &mut self.next_pid);
        status
    }

    fn event(&mut self, id: &InstanceId, container: Option<&str>, kind: &str, text: String) {
        self.next_event += 1;
        let serial = self.next_event;
        if let Some(one) = self.running.get_mut(id) {
            one.events.push(ObservedEvent {
                serial,
                at_ms: serial,
                container: container.map(str::to_owned),
                kind: kind.to_owned(),
                text,
            });
        }
    }
}

#[async_trait]
impl Engine for Scripted {
    async fn prepare(&self, what: Prepare, progress: mpsc::Sender<Progress>) -> Result<Prepared, Diagnosis> {
        let mut prepared = Prepared::default();
        {
            let mut state = self.called(Call::Prepare)?;
            state.users.extend(what.credentials.values().map(|credential| credential.username.clone()));
            for (name, container) in &what.definition.containers {
                if let Some(fault) = state.unpreparable.get(&container.image) {
                    return Err(Diagnosis { container: Some(name.to_string()), fault: fault.clone(), log_tail: Vec::new() });
                }
                prepared.images.insert(name.clone(), format!("{}@sha256:{:064x}", container.image, digest(&container.image)));
            }
            state.history.push(format!("prepare {} {}", what.app, what.revision));
        }
        for (name, container) in &what.definition.containers {
            let news = Progress::Resolving { container: name.clone(), image: container.image.clone() };
            drop(progress.send(news).await);
            let digest = prepared.images.get(name).cloned().unwrap_or_default();
            drop(progress.send(Progress::Pulled { container: name.clone(), digest, millis: 1 }).await);
        }
        Ok(prepared)
    }

    async fn start(&self, instance: Instance) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Start)?;
        if !state.running.contains_key(&instance.id) {
            let id = instance.id.clone();
            let definition = instance.definition.clone();
            let containers = definition
                .containers
                .iter()
                .map(|(name, container)| (name.clone(), state.start_container(name, container)))
                .collect();
            state.history.push(format!("start {} {}", instance.app, instance.revision));
            state
                .running
                .insert(id.clone(), Running { instance, containers, events: Vec::new(), failed: None, was_ready: false });
            for name in definition.containers.keys() {
                state.event(&id, Some(name.as_str()), "started", format!("{name} started"));
            }
        }
        self.publish(state);
        Ok(())
    }

    async fn update(&self, instance: Instance) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Update)?;
        let id = instance.id.clone();
        let Some(mut one) = state.running.remove(&id) else {
            return Err(plain(Fault::SupervisorLost { reason: "there is no such instance".into() }));
        };
        let (old, new): (Arc<App>, Arc<App>) = (one.instance.definition.clone(), instance.definition.clone());
        let mut replaced = Vec::new();
        one.containers.retain(|name, _| new.containers.contains_key(name));
        for (name, container) in &new.containers {
            let same = old.containers.get(name) == Some(container) && one.instance.env.get(name) == instance.env.get(name);
            if !same {
                one.containers.insert(name.clone(), state.start_container(name, container));
                replaced.push(name.clone());
            }
        }
        state.history.push(format!("update {} {}->{}", instance.app, one.instance.revision, instance.revision));
        one.instance = instance;
        state.running.insert(id.clone(), one);
        for name in replaced {
            state.event(&id, Some(name.as_str()), "replaced", format!("{name} replaced"));
            let restarts = state.running.get(&id).and_then(|one| one.containers.get(&name)).map_or(0, |status| status.restarts);
            for _ in 0..restarts {
                state.event(&id, Some(name.as_str()), "restarting", format!("{name} restarts"));
            }
        }
        self.publish(state);
        Ok(())
    }

    async fn act(&self, id: &InstanceId, container: Option<&str>, action: Action) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Act)?;
        let Some(one) = state.running.get(id) else {
            return Err(plain(Fault::SupervisorLost { reason: "there is no such instance".into() }));
        };
        let definition = one.instance.definition.clone();
        let mut acted = 0;
        for (name, what) in definition.containers.iter().filter(|(name, _)| container.is_none_or(|only| only == name.as_str())) {
            acted += 1;
            let stopped = state
                .running
                .get(id)
                .and_then(|one| one.containers.get(name))
                .is_none_or(|status| matches!(status.phase, ContainerPhase::Stopped | ContainerPhase::Completed));
            let fresh = match action {
                Action::Restart => Some(state.start_container(name, what)),
                Action::Start if stopped => Some(state.start_container(name, what)),
                Action::Start => None,
                Action::Stop => {
                    let mut status = state.start_container(name, what);
                    status.phase = ContainerPhase::Stopped;
                    Some(status)
                }
            };
            if let (Some(fresh), Some(one)) = (fresh, state.running.get_mut(id)) {
                let restarts = one.containers.get(name).map_or(0, |status| status.restarts);
                let count = restarts + u32::from(action == Action::Restart);
                one.containers.insert(name.clone(), ContainerStatus { restarts: count, ..fresh });
                state.event(id, Some(name.as_str()), "asked", format!("{action:?} of {name}"));
            }
        }
        if acted == 0 {
            return Err(plain(Fault::Internal {
                doing: "act on a container".into(),
                reason: "there is no such container".into(),
            }));
        }
        self.publish(state);
        Ok(())
    }

    async fn stop(&self, id: &InstanceId) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Stop)?;
        if let Some(one) = state.running.remove(id) {
            state.history.push(format!("stop {} {}", one.instance.app, one.instance.revision));
        }
        self.publish(state);
        Ok(())
    }

    async fn forget(&self, app: &AppName) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Forget)?;
        state.history.push(format!("forget {app}"));
        state.forgotten.insert(app.clone());
        Ok(())
    }

    fn observe(&self) -> watch::Receiver<Arc<Observed>> {
        self.facts.subscribe()
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, Diagnosis> {
        let state = self.lock();
        let mut lines = Vec::new();
        for (id, one) in &state.running {
            let wanted = query.app.as_ref().is_none_or(|app| *app == one.instance.app)
                && query.instance.as_ref().is_none_or(|only| only == id);
            for name in
                one.containers.keys().filter(|name| wanted && query.container.as_deref().is_none_or(|only| only == name.as_str()))
            {
                lines.push(LogLine {
                    instance: id.clone(),
                    container: name.to_string(),
                    at_ms: 0,
                    stream: Stream::Stdout,
                    text: format!("hello from {name}"),
                });
            }
        }
        if let Some(tail) = query.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let kept = futures::stream::iter(lines);
        Ok(if query.follow { kept.chain(futures::stream::pending()).boxed() } else { kept.boxed() })
    }

    /// `echo WORDS` prints the words (`$NAME` from the request's environment) and ends with 0; `cat` repeats its input;
    /// everything else ends with 127.
    async fn exec(&self, id: &InstanceId, container: &str, exec: ExecRequest) -> Result<ExecSession, Diagnosis> {
        let known = self.lock().running.get(id).is_some_and(|one| one.containers.contains_key(container));
        if !known {
            return Err(plain(Fault::Internal { doing: "run a command".into(), reason: "there is no such container".into() }));
        }
        let (input, mut typed) = mpsc::channel(16);
        let (print, output) = mpsc::channel(16);
        tokio::spawn(async move {
            let code = match exec.argv.first().map(String::as_str) {
                Some("echo") => {
                    let variable = |word: &str| {
                        let name = word.strip_prefix('$')?;
                        exec.env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
                    };
                    let words: Vec<_> =
                        exec.argv[1..].iter().map(|word| variable(word).unwrap_or_else(|| word.clone())).collect();
                    let words = words.join(" ") + "\n";
                    drop(print.send(ExecOutput::Stdout(words.into())).await);
                    0
                }
                Some("cat") => {
                    while let Some(ExecInput::Data(bytes)) = typed.recv().await {
                        drop(print.send(ExecOutput::Stdout(bytes)).await);
                    }
                    0
                }
                Some(_) | None => 127,
            };
            drop(print.send(ExecOutput::Exit(Exit::Code { code })).await);
        });
        Ok(ExecSession { input, output })
    }
}

fn apply_behaviour(status: &mut ContainerStatus, behaviour: &Behaviour, next_pid: &mut i32) {
    let diagnosis = |fault: &Fault| {
        Box::new(Diagnosis { container: Some(status.name.to_string()), fault: fault.clone(), log_tail: Vec::new() })
    };
    let mut new_pid = || {
        *next_pid += 1;
        1000 + *next_pid
    };
    let (phase, restarts) = match behaviour {
        Behaviour::Ready => match status.phase {
            ContainerPhase::Running { pid, .. } => (ContainerPhase::Running { pid, ready: true }, status.restarts),
            ContainerPhase::Waiting { .. }
            | ContainerPhase::Starting
            | ContainerPhase::BackOff { .. }
            | ContainerPhase::Completed
            | ContainerPhase::Failed { .. }
            | ContainerPhase::Stopped => (ContainerPhase::Running { pid: new_pid(), ready: true }, status.restarts),
        },
        Behaviour::Hang => (ContainerPhase::Running { pid: new_pid(), ready: false }, status.restarts),
        // Several starts in a row have failed by the time anybody looks.
        Behaviour::CrashLoop(fault) => {
            (ContainerPhase::BackOff { until_ms: u64::MAX, last: diagnosis(fault) }, status.restarts + 6)
        }
        Behaviour::Complete => (ContainerPhase::Completed, status.restarts),
    };
    status.phase = phase;
    status.restarts = restarts;
}

fn plain(fault: Fault) -> Diagnosis {
    Diagnosis { container: None, fault, log_tail: Vec::new() }
}

/// FNV-1a: any stable number will do.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
