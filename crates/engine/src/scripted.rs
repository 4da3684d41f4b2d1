//! An engine for tests: no process runs; instances do what a script says, and the n-th call fails where asked.

mod calls;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use pillion_fault::{Diagnosis, Fault};
use pillion_model::{
    AppName, Container, ContainerName, ContainerPhase, ContainerStatus, InstanceId, InstancePhase, InstanceStatus,
};
use tokio::sync::watch;

use crate::{Instance, Observed, ObservedEvent, ObservedInstance};

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
    Check,
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
