//! [`Drainer`]: who knows when the last request of an instance is done.

use async_trait::async_trait;
use pillion_model::InstanceId;

/// Waits until an instance has no request under way. The composition root implements it with the gateway.
#[async_trait]
pub trait Drainer: Send + Sync + 'static {
    /// Returns once routes of `generation` (or later), in which `instance` drains, are in force and its last request is
    /// done. It is dropped at the deadline, so it must be safe to cancel.
    async fn drained(&self, instance: &InstanceId, generation: u64);
}

/// For compositions without a gateway: nothing is ever under way.
pub struct NoGateway;

#[async_trait]
impl Drainer for NoGateway {
    async fn drained(&self, _instance: &InstanceId, _generation: u64) {}
}
