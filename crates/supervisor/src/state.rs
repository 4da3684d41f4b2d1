//! The instance's state machine: pure; `step(input, now, chance)` returns what to do, and does nothing itself.
//!
//! One container:
//!
//! ```text
//!            deps hold                started            every gate open
//! Waiting ───────────▶ Launching ───────────▶ Running{Starting} ─────────▶ Running{Up}
//!    ▲  ▲ (created                               │ ▲                        │  probe fails: ready ⇄ unready
//!    │  │  meanwhile)                            │ └── restarts ◀───────────┘  liveness fails: Stopping
//!    │  └────────── BackOff ◀── ended unasked ───┤
//!    │                                           │ leaving, and nothing that depends on it is left
//!    └── asked to start again ◀── Stopping ◀─────┘
//!                                    │ ended
//!                                    ▼
//!                   Stopped · Completed (run once, exit 0) · Failed (cannot start, or its end is final)
//! ```
//!
//! The instance: `Run` → (an essential container's end) `Ended` → (Stop) `Stopping`. Deadlines live inside phases,
//! so a timer cannot outlive the process that it was set for; facts carry the incarnation that they speak of, and
//! those of an earlier one are ignored.
//!
//! What ends an instance: main, or an essential sidecar, that cannot be started at all; main that completed; an
//! essential sidecar's unasked end once it was ready; and, as long as the instance has never been ready, any container
//! that died [`GIVE_UP_AFTER`] times in a row or cannot be started. Otherwise containers restart in place, because
//! most early deaths heal (a database not there yet).
//!
//! An instance becomes ready when every container is ready (or completed); after that it is as ready as main is, so
//! a sidecar that crashes or is replaced takes no traffic away.

mod fate;
mod gates;
mod pace;
#[cfg(test)]
mod property;
mod settle;
mod view;

use std::rc::Rc;

use pillion_fault::{Diagnosis, Exit, Fault, Listener};

use crate::{
    diagnosis::EndFacts,
    spec::{ContainerSpec, InstanceSpec, SpecError},
    status::EventKind,
};
pub use pace::{BACK_OFF_BASE, BACK_OFF_MAX, back_off};

/// Milliseconds since the epoch, taken from a clock that never jumps.
pub type Ms = u64;

/// Deaths in a row, nothing having been ready, after which an instance is given up (about three seconds of back-off).
pub const GIVE_UP_AFTER: u32 = 6;
/// A container that was ready this long starts with a fresh back-off.
pub const PROVEN_AFTER: Ms = 10_000;
/// How long something may stay away before the status says why.
pub const PATIENCE: Ms = 3_000;
/// How long a dependency may stay away before the status says so.
pub const DEPENDENCY_PATIENCE: Ms = 10_000;

/// One start of one container; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What can happen.
#[derive(Debug, Clone)]
pub enum Input {
    /// A deadline passed.
    Tick,
    Created {
        of: Incarnation,
    },
    Discarded {
        of: Incarnation,
    },
    Started {
        of: Incarnation,
        pid: i32,
    },
    LaunchFailed {
        of: Incarnation,
        fault: Fault,
    },
    Ended {
        of: Incarnation,
        exit: Exit,
        facts: EndFacts,
    },
    Probed {
        of: Incarnation,
        gate: Gate,
        result: Result<(), Fault>,
    },
    /// What listens in the instance, looked up for a container that waits for its port.
    Seen {
        of: Incarnation,
        listeners: Vec<Listener>,
    },
    Update {
        spec: Box<InstanceSpec>,
    },
    Restart {
        container: Option<String>,
    },
    StopContainer {
        container: String,
    },
    StartContainer {
        container: String,
    },
    Stop,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make everything ready but run nothing.
    Create {
        of: Incarnation,
        spec: Rc<ContainerSpec>,
    },
    Start {
        of: Incarnation,
    },
    /// Undo a `Create`, whether it is done or under way.
    Discard {
        of: Incarnation,
    },
    Signal {
        of: Incarnation,
        signal: i32,
    },
    /// SIGKILL to everything in the container.
    Kill {
        of: Incarnation,
    },
    Probe {
        of: Incarnation,
        gate: Gate,
        port: Option<u16>,
    },
    Look {
        of: Incarnation,
    },
    Note {
        container: Option<String>,
        what: EventKind,
    },
    /// Everything has stopped as asked.
    Finished,
}

/// What stands between a running process and readiness, and what is watched after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    Port,
    Startup,
    Readiness,
    Liveness,
}

/// A request that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no container is named `{name}`")]
    NoSuchContainer { name: String },
    #[error("the instance is being stopped")]
    Stopping,
    #[error("generation {got} is not newer than {have}")]
    OldGeneration { have: u64, got: u64 },
    #[error("the spec cannot be run")]
    Spec(#[from] SpecError),
}

/// An instance: what it is to be and where it stands.
#[derive(Debug)]
pub struct Instance {
    spec: InstanceSpec,
    containers: Vec<Container>,
    intent: Intent,
    was_ready: bool,
    finished: bool,
    next: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Intent {
    Run,
    Ended { diagnosis: Box<Diagnosis> },
    Stopping,
}

#[derive(Debug)]
struct Container {
    /// What it is to be; a process may still run as an earlier one.
    spec: Rc<ContainerSpec>,
    wish: Wish,
    /// Its process must end and start again.
    recycle: Option<Recycle>,
    phase: Phase,
    restarts: u32,
    /// Deaths in a row; the exponent of the back-off.
    streak: u32,
    ever_ready: bool,
    last_exit: Option<Exit>,
    diagnosis: Option<Box<Diagnosis>>,
    listeners: Vec<Listener>,
    port: Option<u16>,
    started_at: Option<Ms>,
    /// Noted when its next process starts.
    replaced_by: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run,
    Halt,
    /// Not in the spec any more.
    Gone,
}

#[derive(Debug, Clone, PartialEq)]
enum Recycle {
    Replaced,
    Asked,
    Unhealthy { because: Fault },
}

#[derive(Debug)]
enum Phase {
    Waiting {
        since: Ms,
        prepared: Prepared,
    },
    /// Being undone before it ran.
    Discarding {
        of: Incarnation,
    },
    Launching {
        life: Life,
    },
    Running {
        life: Life,
        pid: i32,
        health: Health,
    },
    Stopping {
        life: Life,
        pid: i32,
        since: Ms,
        kill_at: Option<Ms>,
    },
    BackOff {
        until: Ms,
    },
    Completed,
    Failed,
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Prepared {
    No,
    Underway(Incarnation),
    Ready(Incarnation),
}

/// One process: which, under which spec, since when.
#[derive(Debug, Clone)]
struct Life {
    of: Incarnation,
    spec: Rc<ContainerSpec>,
    since: Ms,
}

#[derive(Debug)]
enum Health {
    /// `gate` must open next.
    Starting {
        gate: Gate,
        pulse: Pulse,
    },
    Up {
        ready_since: Option<Ms>,
        readiness: Option<Pulse>,
        liveness: Option<Pulse>,
    },
}

/// The rhythm of one check.
#[derive(Debug, Clone)]
struct Pulse {
    /// None while a check is under way.
    due: Option<Ms>,
    round: u32,
    failures: u32,
    /// Since when main's one listener has been the only one.
    alone_since: Option<Ms>,
}

/// Collects the commands of one step.
type Effects = Vec<Command>;

impl Instance {
    /// Takes a spec; nothing happens until the first step.
    ///
    /// # Errors
    /// A spec that could never run: no main, unknown or circular dependencies, a name twice.
    pub fn new(spec: InstanceSpec, now: Ms) -> Result<Self, SpecError> {
        spec.validate()?;
        let containers = spec.containers.iter().map(|c| Container::new(Rc::new(c.clone()), now)).collect();
        Ok(Self { spec, containers, intent: Intent::Run, was_ready: false, finished: false, next: 1 })
    }

    /// Takes what happened and returns what to do. `chance` is any random number.
    ///
    /// # Errors
    /// Only requests are refused, and then nothing has changed.
    pub fn step(&mut self, input: Input, now: Ms, chance: u64) -> Result<Vec<Command>, Refusal> {
        let mut fx = Effects::new();
        match input {
            Input::Tick => {}
            Input::Created { of } => self.created(of),
            Input::Discarded { of } => self.discarded(of, now),
            Input::Started { of, pid } => self.started(of, pid, now, &mut fx),
            Input::LaunchFailed { of, fault } => self.launch_failed(of, fault, now, chance, &mut fx),
            Input::Ended { of, exit, facts } => self.ended(of, exit, facts, now, chance, &mut fx),
            Input::Probed { of, gate, result } => self.probed(of, gate, result, now, &mut fx),
            Input::Seen { of, listeners } => self.seen(of, listeners, now, &mut fx),
            Input::Update { spec } => self.update(*spec, now)?,
            Input::Restart { container } => self.restart(container.as_deref(), now)?,
            Input::StopContainer { container } => self.wish(&container, Wish::Halt, now)?,
            Input::StartContainer { container } => self.wish(&container, Wish::Run, now)?,
            Input::Stop => self.stop(&mut fx),
        }
        self.beat(now, &mut fx);
        self.settle(now, &mut fx);
        Ok(fx)
    }

    /// Whether an `Update` to this spec would be taken.
    ///
    /// # Errors
    /// Why not.
    pub fn accepts(&self, spec: &InstanceSpec) -> Result<(), Refusal> {
        if self.intent == Intent::Stopping {
            return Err(Refusal::Stopping);
        }
        if spec.generation <= self.spec.generation {
            return Err(Refusal::OldGeneration { have: self.spec.generation, got: spec.generation });
        }
        Ok(spec.validate()?)
    }

    pub fn spec(&self) -> &InstanceSpec {
        &self.spec
    }

    fn update(&mut self, spec: InstanceSpec, now: Ms) -> Result<(), Refusal> {
        self.accepts(&spec)?;
        for c in &mut self.containers {
            if !spec.containers.iter().any(|new| new.run.name == c.name()) {
                c.wish = Wish::Gone;
            }
        }
        for new in &spec.containers {
            match self.containers.iter_mut().find(|c| c.name() == new.run.name) {
                None => {
                    let mut added = Container::new(Rc::new(new.clone()), now);
                    added.replaced_by = Some(spec.generation);
                    self.containers.push(added);
                }
                Some(c) => {
                    let came_back = c.wish == Wish::Gone;
                    if came_back {
                        c.wish = Wish::Run;
                    }
                    if *c.spec != *new || came_back {
                        c.spec = Rc::new(new.clone());
                        c.recycle = Some(Recycle::Replaced);
                        c.replaced_by = Some(spec.generation);
                        c.ever_ready = false;
                    }
                }
            }
        }
        let place = |c: &Container| spec.containers.iter().position(|s| s.run.name == c.name()).unwrap_or(usize::MAX);
        self.containers.sort_by_key(place);
        self.spec = spec;
        self.revive();
        Ok(())
    }

    /// An instance that ended runs again; what had failed gets a new chance.
    fn revive(&mut self) {
        if !matches!(self.intent, Intent::Ended { .. }) {
            return;
        }
        self.intent = Intent::Run;
        for c in &mut self.containers {
            if c.recycle.is_none() && !matches!(c.phase, Phase::Completed) {
                c.recycle = Some(Recycle::Asked);
            }
        }
    }

    fn restart(&mut self, name: Option<&str>, now: Ms) -> Result<(), Refusal> {
        if self.intent == Intent::Stopping {
            return Err(Refusal::Stopping);
        }
        match name {
            Some(name) => {
                let at = self.find_name(name)?;
                self.containers[at].ask_again(now);
            }
            // Run-once containers that are done stay done: once per instance.
            None => {
                for c in &mut self.containers {
                    if c.wish == Wish::Run && !matches!(c.phase, Phase::Completed) {
                        c.ask_again(now);
                    }
                }
            }
        }
        self.revive();
        Ok(())
    }

    fn wish(&mut self, name: &str, wish: Wish, now: Ms) -> Result<(), Refusal> {
        if self.intent == Intent::Stopping {
            return Err(Refusal::Stopping);
        }
        let at = self.find_name(name)?;
        let c = &mut self.containers[at];
        if wish == Wish::Run && !c.alive() {
            c.ask_again(now);
        }
        c.wish = wish;
        if wish == Wish::Run {
            self.revive();
        }
        Ok(())
    }

    fn stop(&mut self, fx: &mut Effects) {
        if self.intent != Intent::Stopping {
            self.intent = Intent::Stopping;
            fx.push(Command::Note { container: None, what: EventKind::StopRequested });
        }
    }

    fn find_name(&self, name: &str) -> Result<usize, Refusal> {
        self.containers
            .iter()
            .position(|c| c.name() == name && c.wish != Wish::Gone)
            .ok_or_else(|| Refusal::NoSuchContainer { name: name.into() })
    }

    /// The container whose current incarnation is `of`; none for facts about an earlier one.
    fn find(&self, of: Incarnation) -> Option<usize> {
        self.containers.iter().position(|c| c.incarnation() == Some(of))
    }

    fn end(&mut self, diagnosis: Box<Diagnosis>, fx: &mut Effects) {
        if self.intent == Intent::Run {
            fx.push(Command::Note { container: None, what: EventKind::Failed { diagnosis: diagnosis.clone() } });
            self.intent = Intent::Ended { diagnosis };
        }
    }

    fn wants_run(&self, c: &Container) -> bool {
        self.intent == Intent::Run && c.wish == Wish::Run
    }
}

impl Container {
    fn new(spec: Rc<ContainerSpec>, now: Ms) -> Self {
        Self {
            spec,
            wish: Wish::Run,
            recycle: None,
            phase: Phase::Waiting { since: now, prepared: Prepared::No },
            restarts: 0,
            streak: 0,
            ever_ready: false,
            last_exit: None,
            diagnosis: None,
            listeners: Vec::new(),
            port: None,
            started_at: None,
            replaced_by: None,
        }
    }

    fn name(&self) -> &str {
        &self.spec.run.name
    }

    fn ask_again(&mut self, now: Ms) {
        self.streak = 0;
        match self.phase {
            Phase::Waiting { .. } => {}
            Phase::BackOff { .. } => self.phase = Phase::Waiting { since: now, prepared: Prepared::No },
            Phase::Discarding { .. }
            | Phase::Launching { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => {
                if self.recycle != Some(Recycle::Replaced) {
                    self.recycle = Some(Recycle::Asked);
                }
            }
        }
    }

    /// Returns true while a process of it exists or may come to exist.
    fn alive(&self) -> bool {
        matches!(self.phase, Phase::Launching { .. } | Phase::Running { .. } | Phase::Stopping { .. })
    }

    fn incarnation(&self) -> Option<Incarnation> {
        match &self.phase {
            Phase::Waiting { prepared: Prepared::Underway(of) | Prepared::Ready(of), .. } => Some(*of),
            Phase::Discarding { of } => Some(*of),
            Phase::Launching { life } | Phase::Running { life, .. } | Phase::Stopping { life, .. } => Some(life.of),
            Phase::Waiting { prepared: Prepared::No, .. }
            | Phase::BackOff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => None,
        }
    }

    fn life(&self) -> Option<&Life> {
        match &self.phase {
            Phase::Launching { life } | Phase::Running { life, .. } | Phase::Stopping { life, .. } => Some(life),
            Phase::Waiting { .. }
            | Phase::Discarding { .. }
            | Phase::BackOff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => None,
        }
    }

    fn ready_since(&self) -> Option<Ms> {
        match &self.phase {
            Phase::Running { health: Health::Up { ready_since, .. }, .. } => *ready_since,
            Phase::Running { health: Health::Starting { .. }, .. }
            | Phase::Waiting { .. }
            | Phase::Discarding { .. }
            | Phase::Launching { .. }
            | Phase::Stopping { .. }
            | Phase::BackOff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => None,
        }
    }

    fn diagnose(&mut self, fault: Fault, log_tail: Vec<String>) -> Box<Diagnosis> {
        let diagnosis = Box::new(Diagnosis { container: Some(self.name().into()), fault, log_tail });
        self.diagnosis = Some(diagnosis.clone());
        diagnosis
    }
}
