//! One instance as the gateway knows it: how many requests it has, whether it takes new ones, its connections.
//!
//! ```text
//! serving ──(draining, or gone from the table)──▶ leaving ──(no request left)──▶ left
//!    ▲───────────────(back in the table, not draining)──────┘                      │
//!    └──────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use crate::{
    gate::{Family, Gate},
    state::Drained,
    upstream::Sender,
    workers,
};

const SERVING: u8 = 0;
const LEAVING: u8 = 1;
const LEFT: u8 = 2;

pub struct Instance {
    pub name: Arc<str>,
    pub port: u16,
    pub gate: Arc<Gate>,
    path: PathBuf,
    phase: AtomicU8,
    active: AtomicUsize,
    /// Another object with this name took over, so its end is nobody's news.
    replaced: AtomicBool,
    /// What the last connect succeeded with: many programs listen on one family only.
    pub prefers_v6: AtomicBool,
    /// One part a worker: a connection lives on the worker that opened it.
    idle: [Mutex<Vec<Idle>>; workers::MOST],
    most_idle: usize,
    drained: Arc<Drained>,
    refiller: AbortHandle,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

impl Instance {
    /// Makes a serving instance and starts filling its stock of sockets.
    pub fn new(name: &str, gate: &Path, port: u16, most_idle: usize, drained: Arc<Drained>) -> Arc<Self> {
        let path = gate.to_owned();
        let gate = Arc::new(Gate::new(path.clone()));
        let refiller = tokio::spawn(gate.clone().refill()).abort_handle();
        Arc::new(Self {
            name: name.into(),
            port,
            gate,
            path,
            phase: AtomicU8::new(SERVING),
            active: AtomicUsize::new(0),
            replaced: AtomicBool::new(false),
            prefers_v6: AtomicBool::new(false),
            idle: [const { Mutex::new(Vec::new()) }; workers::MOST],
            most_idle,
            drained,
            refiller,
        })
    }

    /// Returns whether connections of this instance reach that address.
    pub fn is_at(&self, gate: &Path, port: u16) -> bool {
        self.path == gate && self.port == port
    }

    pub fn active(&self) -> usize {
        self.active.load(SeqCst)
    }

    /// Counts a request in; none if the instance takes no new ones.
    pub fn lease(self: &Arc<Self>) -> Option<Lease> {
        // Count first, look second; `leave` sets first and counts second: one of the two sees the other.
        self.active.fetch_add(1, SeqCst);
        let lease = Lease { instance: self.clone() };
        (self.phase.load(SeqCst) == SERVING).then_some(lease)
    }

    /// Takes new requests (again).
    pub fn serve(&self) {
        self.phase.store(SERVING, SeqCst);
    }

    /// Takes no new requests; reported as drained when those under way have ended, at once if there are none.
    pub fn leave(&self) {
        // A repeated order is answered again: whoever gives it may not have heard the first answer.
        self.phase.store(LEAVING, SeqCst);
        self.clear_idle();
        self.report_if_done();
    }

    /// Leaves without a report, because another object bears the name now.
    pub fn leave_silently(&self) {
        self.replaced.store(true, SeqCst);
        self.leave();
    }

    /// Takes an unused connection that has been idle for less than `younger`.
    pub fn take_idle(&self, younger: Duration, now: Instant) -> Option<Sender> {
        let mut idle = self.own_idle();
        while let Some(Idle { sender, since }) = idle.pop() {
            if sender.is_ready() {
                if now.saturating_duration_since(since) < younger {
                    return Some(sender);
                }
                // The newest is too old for this request, so all are; another request may still like them.
                idle.push(Idle { sender, since });
                return None;
            }
        }
        None
    }

    /// Keeps a connection whose response was read to its end.
    pub fn give_back(&self, sender: Sender, now: Instant) {
        if self.phase.load(SeqCst) != SERVING {
            return;
        }
        {
            let mut idle = self.own_idle();
            if idle.len() < self.most_idle {
                idle.push(Idle { sender, since: now });
            }
        }
        if self.phase.load(SeqCst) != SERVING {
            self.clear_idle();
        }
    }

    /// Closes connections unused for longer than `limit`.
    pub fn close_idle(&self, limit: Duration) {
        for part in &self.idle {
            lock(part).retain(|idle| idle.since.elapsed() < limit && !idle.sender.is_closed());
        }
    }

    pub fn family_order(&self) -> [Family; 2] {
        if self.prefers_v6.load(SeqCst) { [Family::V6, Family::V4] } else { [Family::V4, Family::V6] }
    }

    fn release(&self) {
        if self.active.fetch_sub(1, SeqCst) == 1 {
            self.report_if_done();
        }
    }

    fn report_if_done(&self) {
        if self.active.load(SeqCst) == 0
            && self.phase.compare_exchange(LEAVING, LEFT, SeqCst, SeqCst).is_ok()
            && !self.replaced.load(SeqCst)
        {
            self.drained.push(self.name.to_string());
        }
    }

    fn clear_idle(&self) {
        for part in &self.idle {
            lock(part).clear();
        }
    }

    fn own_idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        lock(&self.idle[workers::current()])
    }
}

fn lock(part: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.refiller.abort();
    }
}

/// One request under way in an instance.
pub struct Lease {
    pub instance: Arc<Instance>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.instance.release();
    }
}
