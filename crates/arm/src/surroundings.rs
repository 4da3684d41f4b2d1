//! What validation must look up beyond the body: other resources, names taken, the time.

use std::sync::Arc;

use crate::{Resource, ResourceId, ResourceKind};

/// The state around a write. Answers must be of one moment: the caller holds whatever keeps them so.
pub trait Surroundings {
    /// Returns a stored resource.
    fn find(&self, id: &ResourceId) -> Option<Arc<Resource>>;

    /// Returns the stored resources of a kind that lie directly or deeper below `scope`.
    fn below(&self, scope: &ResourceId, kind: &ResourceKind) -> Vec<Arc<Resource>>;

    /// Returns the site that has this name, in any group: names are the machine's.
    fn site_named(&self, name: &str) -> Option<ResourceId>;

    /// Returns the sites and slots that run on a plan.
    fn on_plan(&self, plan: &ResourceId) -> Vec<ResourceId>;

    /// Milliseconds since the epoch.
    fn now_ms(&self) -> u64;

    fn tenant_id(&self) -> &str;

    /// Returns how many instances an app may have.
    fn max_instances(&self) -> u32;
}
