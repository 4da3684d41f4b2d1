//! What goes into the machine and what comes out: inputs, commands, refusals.

use std::rc::Rc;

use pillion_fault::{Exit, Fault, Listener};

use super::Incarnation;
use crate::{
    diagnosis::EndFacts,
    spec::{ContainerSpec, InstanceSpec, SpecError},
    status::EventKind,
};

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
