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

mod container;
mod exchange;
mod fate;
mod gates;
mod pace;
#[cfg(test)]
mod property;
mod request;
mod settle;
mod view;

use std::rc::Rc;

use pillion_fault::Diagnosis;

use self::container::{Container, Health, Life, Phase, Prepared, Pulse, Recycle, Wish};
pub use self::{
    exchange::{Command, Gate, Input, Refusal},
    pace::{BACK_OFF_BASE, BACK_OFF_MAX, back_off},
};
use crate::{
    spec::{InstanceSpec, SpecError},
    status::EventKind,
};

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
