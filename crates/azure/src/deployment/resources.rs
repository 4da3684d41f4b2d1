//! The resources that deployments write: the little that they need of the service behind ARM's routes.

use async_trait::async_trait;
use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use serde_json::Value;

/// What a PUT did.
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    pub created: bool,
    pub body: Value,
}

/// What a PUT would make of a resource: the documents, without what changes by itself (times, states). Secrets are in them.
#[derive(Clone, PartialEq)]
pub struct Foretold {
    pub id: ResourceId,
    pub before: Option<Value>,
    pub after: Value,
    /// Other documents that the same PUT would write.
    pub also: Vec<Foretold>,
}

/// Reads and writes resources for a caller, with the checks, the errors and the records of ARM's own routes.
#[async_trait]
pub trait Resources: Send + Sync + 'static {
    /// Shows a resource as GET does.
    async fn get(&self, caller: &Caller, id: &ResourceId) -> Result<Value, ArmError>;

    /// Writes a resource. What it means for running containers waits until [`Resources::release`] of the same holder.
    async fn put(&self, caller: &Caller, id: &ResourceId, body: Value, holder: &str) -> Result<Put, ArmError>;

    /// Has what is written to a resource wait for [`Resources::release`] of `holder`, as a put does, and what was written to it.
    fn keep_back(&self, id: &ResourceId, holder: &str);

    /// Makes what was written for `holder` take effect, at once and once for each site.
    async fn release(&self, holder: &str);

    /// Says what these writes, one after another, would do; nothing is stored. One answer for each.
    async fn foretell(&self, caller: &Caller, writes: Vec<(ResourceId, Value)>) -> Vec<Result<Foretold, ArmError>>;

    /// Removes a resource and returns when it is gone; one that is not there is gone already.
    async fn delete(&self, caller: &Caller, id: &ResourceId) -> Result<(), ArmError>;

    /// Lists the resources of a group that `az resource list` shows.
    async fn within(&self, caller: &Caller, group: &ResourceId) -> Result<Vec<ResourceId>, ArmError>;

    /// Answers a POST to a resource, such as `listKeys` or `list`.
    async fn act(&self, caller: &Caller, id: &ResourceId, verb: &str, body: Option<Value>) -> Result<Value, ArmError>;
}
