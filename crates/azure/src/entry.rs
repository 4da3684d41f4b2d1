//! A resource as the index holds it.

use std::sync::Arc;

use pillion_arm::Resource;
use pillion_store::Etag;

/// A resource with the etag of its document.
#[derive(Debug, Clone)]
pub struct Entry {
    pub resource: Arc<Resource>,
    pub etag: Etag,
}
