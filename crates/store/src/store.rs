//! The store's handle.

/// A handle on the state; cheap to clone.
#[derive(Clone)]
pub struct Store;
