//! One container in the machine: what it is to be, where it stands, and the life of its process.

use std::rc::Rc;

use pillion_fault::{Diagnosis, Exit, Fault, Listener};

use super::{Gate, Incarnation, Ms};
use crate::spec::ContainerSpec;

#[derive(Debug)]
pub(super) struct Container {
    /// What it is to be; a process may still run as an earlier one.
    pub(super) spec: Rc<ContainerSpec>,
    pub(super) wish: Wish,
    /// Its process must end and start again.
    pub(super) recycle: Option<Recycle>,
    pub(super) phase: Phase,
    pub(super) restarts: u32,
    /// Deaths in a row; the exponent of the back-off.
    pub(super) streak: u32,
    pub(super) ever_ready: bool,
    pub(super) last_exit: Option<Exit>,
    pub(super) diagnosis: Option<Box<Diagnosis>>,
    pub(super) listeners: Vec<Listener>,
    pub(super) port: Option<u16>,
    pub(super) started_at: Option<Ms>,
    /// Noted when its next process starts.
    pub(super) replaced_by: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Run,
    Halt,
    /// Not in the spec any more.
    Gone,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recycle {
    Replaced,
    Asked,
    Unhealthy { because: Fault },
}

#[derive(Debug)]
pub(super) enum Phase {
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
pub(super) enum Prepared {
    No,
    Underway(Incarnation),
    Ready(Incarnation),
}

/// One process: which, under which spec, since when.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) of: Incarnation,
    pub(super) spec: Rc<ContainerSpec>,
    pub(super) since: Ms,
}

#[derive(Debug)]
pub(super) enum Health {
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
pub(super) struct Pulse {
    /// None while a check is under way.
    pub(super) due: Option<Ms>,
    pub(super) round: u32,
    pub(super) failures: u32,
    /// Since when main's one listener has been the only one.
    pub(super) alone_since: Option<Ms>,
}

impl Container {
    pub(super) fn new(spec: Rc<ContainerSpec>, now: Ms) -> Self {
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

    pub(super) fn name(&self) -> &str {
        &self.spec.run.name
    }

    pub(super) fn ask_again(&mut self, now: Ms) {
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
    pub(super) fn alive(&self) -> bool {
        matches!(self.phase, Phase::Launching { .. } | Phase::Running { .. } | Phase::Stopping { .. })
    }

    pub(super) fn incarnation(&self) -> Option<Incarnation> {
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

    pub(super) fn life(&self) -> Option<&Life> {
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

    pub(super) fn ready_since(&self) -> Option<Ms> {
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

    pub(super) fn diagnose(&mut self, fault: Fault, log_tail: Vec<String>) -> Box<Diagnosis> {
        let diagnosis = Box::new(Diagnosis { container: Some(self.name().into()), fault, log_tail });
        self.diagnosis = Some(diagnosis.clone());
        diagnosis
    }
}
