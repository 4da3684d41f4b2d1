//! What is published: the newest state and the last thousand events, for however many watchers.

use std::{cell::RefCell, collections::VecDeque};

use tokio::sync::watch;

use crate::status::{Event, EventKind, InstanceStatus};

/// Events kept; a watcher that was away longer has missed some.
const EVENTS_KEPT: usize = 1_000;

/// A slow watcher costs nothing: it is told that something changed, and then takes the newest.
pub(crate) struct Board {
    inner: RefCell<Inner>,
    serial: watch::Sender<u64>,
}

struct Inner {
    status: InstanceStatus,
    events: VecDeque<Event>,
    last_event: u64,
    /// Events noted since the last publication.
    fresh: bool,
}

impl Board {
    pub(crate) fn new(status: InstanceStatus) -> Self {
        let serial = watch::Sender::new(status.serial);
        let inner = Inner { status, events: VecDeque::new(), last_event: 0, fresh: false };
        Self { inner: RefCell::new(inner), serial }
    }

    pub(crate) fn note(&self, at_ms: u64, container: Option<String>, what: EventKind) {
        let inner = &mut *self.inner.borrow_mut();
        inner.last_event += 1;
        inner.fresh = true;
        if inner.events.len() == EVENTS_KEPT {
            inner.events.pop_front();
        }
        inner.events.push_back(Event { serial: inner.last_event, at_ms, container, what });
    }

    /// Publishes `status` under the next serial, if it says anything new.
    pub(crate) fn publish(&self, mut status: InstanceStatus) {
        let inner = &mut *self.inner.borrow_mut();
        status.serial = inner.status.serial;
        if status == inner.status && !inner.fresh {
            return;
        }
        status.serial += 1;
        inner.fresh = false;
        let serial = status.serial;
        inner.status = status;
        self.serial.send_replace(serial);
    }

    pub(crate) fn status(&self) -> InstanceStatus {
        self.inner.borrow().status.clone()
    }

    pub(crate) fn events_after(&self, serial: u64) -> Vec<Event> {
        self.inner.borrow().events.iter().filter(|event| event.serial > serial).cloned().collect()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.serial.subscribe()
    }

    pub(crate) fn watched(&self) -> bool {
        self.serial.receiver_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::InstancePhase;

    fn board() -> Board {
        Board::new(InstanceStatus {
            id: "a".into(),
            generation: 1,
            serial: 0,
            labels: serde_json::Value::Null,
            supervisor_pid: 1,
            phase: InstancePhase::Starting,
            port: None,
            containers: Vec::new(),
        })
    }

    #[test]
    fn only_news_is_published() {
        let board = board();
        board.publish(board.status());
        assert_eq!(board.status().serial, 0);
        board.note(1, None, EventKind::StopRequested);
        board.publish(board.status());
        assert_eq!(board.status().serial, 1);
    }

    #[test]
    fn a_watcher_that_was_away_gets_what_it_missed_and_the_ring_is_bounded() {
        let board = board();
        for at in 0..1_500 {
            board.note(at, None, EventKind::StopRequested);
        }
        assert_eq!(board.events_after(0).len(), 1_000);
        assert_eq!(board.events_after(1_498).iter().map(|e| e.serial).collect::<Vec<_>>(), [1_499, 1_500]);
    }
}
