//! One flight for each layer: of all the pulls that want it at the same time, one works and the others watch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::Digest;

/// The layers being unpacked by this process right now, with the compressed bytes received of each.
#[derive(Debug, Default, Clone)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Digest, watch::Receiver<u64>>>>);

/// What a pull is to a layer it wants.
pub(crate) enum Role {
    Leader(Leader),
    /// Sees the bytes received; closed when the leader is done, whatever came of it.
    Follower(watch::Receiver<u64>),
}

/// The right to unpack a layer; dropping it ends the flight.
pub(crate) struct Leader {
    flights: Flights,
    diff_id: Digest,
    received: watch::Sender<u64>,
}

impl Flights {
    pub(crate) fn board(&self, diff_id: &Digest) -> Role {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flights.get(diff_id) {
            return Role::Follower(receiver.clone());
        }
        let (received, receiver) = watch::channel(0);
        flights.insert(diff_id.clone(), receiver);
        Role::Leader(Leader { flights: self.clone(), diff_id: diff_id.clone(), received })
    }
}

impl Leader {
    pub(crate) fn received(&self, bytes: u64) {
        self.received.send_replace(bytes);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.diff_id);
    }
}
