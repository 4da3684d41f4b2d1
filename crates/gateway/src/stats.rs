//! Counters per app, kept over all tables for the life of the process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::Notify;

use crate::protocol::AppStats;

/// One app's counters and its waiting room.
pub struct AppCounters {
    pub app: Arc<str>,
    pub active: AtomicU64,
    by_class: [AtomicU64; 4],
    other: AtomicU64,
    response_usec: AtomicU64,
    /// Requests waiting for an instance.
    pub held: AtomicUsize,
    /// A new table says something new about this app.
    pub changed: Notify,
}

impl AppCounters {
    pub fn new(app: &str) -> Self {
        Self {
            app: app.into(),
            active: AtomicU64::new(0),
            by_class: Default::default(),
            other: AtomicU64::new(0),
            response_usec: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// Counts one finished exchange; status 0 is a client that left before it got one.
    pub fn finished(&self, status: u16, took_usec: u64) {
        let counter = match status / 100 {
            class @ 2..=5 => &self.by_class[usize::from(class) - 2],
            _ => &self.other,
        };
        counter.fetch_add(1, Relaxed);
        self.response_usec.fetch_add(took_usec, Relaxed);
    }

    pub fn snapshot(&self) -> AppStats {
        let [status_2xx, status_3xx, status_4xx, status_5xx] =
            [0, 1, 2, 3].map(|class: usize| self.by_class[class].load(Relaxed));
        AppStats {
            app: self.app.to_string(),
            requests: status_2xx + status_3xx + status_4xx + status_5xx + self.other.load(Relaxed),
            status_2xx,
            status_3xx,
            status_4xx,
            status_5xx,
            active: self.active.load(Relaxed),
            response_usec: self.response_usec.load(Relaxed),
        }
    }
}
