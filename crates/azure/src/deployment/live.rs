//! A deployment in memory: its record, who may change it, and how it is told to stop.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use pillion_arm::{ArmError, ResourceId};
use tokio_util::sync::CancellationToken;

use super::{
    guid,
    moment::now_ms,
    record::{Doing, Operation, Record, State},
};

/// A deployment, shared by its run and by those who look at it.
#[derive(Debug)]
pub(crate) struct Live {
    record: Mutex<Record>,
    /// Set when somebody asks for it to be cancelled.
    pub(crate) cancel: CancellationToken,
    unsaved: AtomicBool,
}

impl Live {
    pub(crate) fn new(record: Record, cancel: CancellationToken) -> Live {
        if record.cancel_asked {
            cancel.cancel();
        }
        Live { record: Mutex::new(record), cancel, unsaved: AtomicBool::new(false) }
    }

    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let changed = change(&mut self.lock());
        self.unsaved.store(true, Ordering::Release);
        changed
    }

    /// Returns the record if it changed since the last time.
    pub(crate) fn unsaved(&self) -> Option<Record> {
        self.unsaved.swap(false, Ordering::AcqRel).then(|| self.record())
    }

    /// Notes that an operation begins; returns its place.
    pub(crate) fn begins(&self, doing: Doing, target: Option<&ResourceId>, symbolic_name: Option<String>) -> usize {
        self.change(|record| {
            record.operations.push(Operation {
                id: guid::operation(),
                doing,
                target: target.cloned(),
                symbolic_name,
                state: State::Running,
                status: None,
                error: None,
                started_ms: now_ms(),
                ended_ms: None,
            });
            record.operations.len() - 1
        })
    }

    /// Notes how an operation ended: with a status, or an error.
    pub(crate) fn ends(&self, operation: usize, ending: Result<u16, &ArmError>) {
        self.change(|record| {
            if let Some(operation) = record.operations.get_mut(operation) {
                match ending {
                    Ok(status) => operation.ends(State::Succeeded, status, None, now_ms()),
                    Err(error) => operation.ends(State::Failed, error.status, Some(error), now_ms()),
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
