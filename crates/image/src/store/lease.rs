//! Leases: what this process is using, whatever the records say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Digest;

/// Counts, per manifest digest, the leases alive in this process.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<Digest, usize>>);

/// Keeps one image's files from being pruned until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    digest: Digest,
}

impl Leases {
    pub(crate) fn take(self: &Arc<Self>, digest: &Digest) -> Lease {
        *self.lock().entry(digest.clone()).or_default() += 1;
        Lease { leases: Arc::clone(self), digest: digest.clone() }
    }

    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, usize>> {
        // A count is valid after every statement, so a panic elsewhere cannot have broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.lock();
        if let Some(count) = counts.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.digest);
            }
        }
    }
}
