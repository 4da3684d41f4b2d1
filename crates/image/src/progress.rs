//! What a pull tells while it runs.

use std::sync::Arc;

use crate::Digest;

/// Receives a pull's events; called from several threads, so it must be quick and never block.
pub type Progress = Arc<dyn Fn(PullEvent) + Send + Sync>;

/// Returns a progress that nobody watches.
pub fn silent() -> Progress {
    Arc::new(|_| {})
}

/// One thing that happened during a pull; layers are named by the digest in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The name stands for this manifest; `layers` are all its layers, lowest first, with compressed sizes in bytes.
    Resolved { digest: Digest, layers: Vec<(Digest, u64)> },
    /// The store has this layer already.
    LayerPresent { layer: Digest },
    /// So many compressed bytes of the layer have arrived (never decreasing, except after a retry from scratch).
    LayerBytes { layer: Digest, received: u64, total: u64 },
    /// A connection broke or the registry stumbled; the request is made again after a pause.
    Retrying { what: String, attempt: u32, reason: String },
    /// Downloaded, verified, unpacked.
    LayerDone { layer: Digest },
}
