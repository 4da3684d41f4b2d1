//! Settling: making what was unpacked survive a power failure, behind the callers' backs.
//!
//! Syncing a layer before it is used would make every pull wait for the disk. Instead a layer's record names the boot it
//! was written in; after a power failure the boot is another one, and an unsettled layer is removed and pulled again.

use std::{collections::BTreeSet, fs::File, sync::PoisonError};

use super::{
    Store, StoreError,
    place::{Durability, failed},
    record::LayerRecord,
};
use crate::Digest;

impl Store {
    /// Waits until everything in the store is on disk; blocks. A server calls it before it ends, others need not.
    ///
    /// # Errors
    /// The disk says so.
    pub fn settle(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = std::mem::take(&mut *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner));
        if layers.is_empty() {
            return Ok(());
        }
        let settled = self.settle_layers(&layers);
        if settled.is_err() {
            self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).extend(layers);
        }
        settled
    }

    fn settle_layers(&self, layers: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let root = self.place.root();
        let sync = || File::open(root).and_then(|root| Ok(rustix::fs::syncfs(root)?)).map_err(failed("sync", root));
        sync()?;
        for diff_id in layers {
            let dir = self.place.layer(diff_id);
            // Gone if it was pruned in the meantime.
            let Some(record) = LayerRecord::trusted(&dir)? else { continue };
            let settled = LayerRecord { unsettled_since_boot: None, ..record };
            let _no_prune_now = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            if dir.is_dir() {
                self.place.write_json(&dir.join("layer.json"), &settled, Durability::Later)?;
            }
        }
        sync()
    }
}
