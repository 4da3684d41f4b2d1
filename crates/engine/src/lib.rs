//! What runs instances: the trait, its values, a scripted engine and the contract every engine passes.

pub mod contract;
mod contract_values;
pub mod scripted;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};

pub use contract_values::*;
use pillion_fault::Diagnosis;
use pillion_model::InstanceId;

/// Runs instances somewhere. Calls are idempotent: asking again for what is already so is `Ok`.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Makes everything a definition needs present (images pulled and unpacked), reporting progress.
    /// Returns what to write into the instances: image references resolved to digests.
    async fn prepare(&self, what: Prepare, progress: mpsc::Sender<Progress>) -> Result<Prepared, Diagnosis>;

    /// Starts an instance; returns once it is under supervision, not when it is ready.
    async fn start(&self, instance: Instance) -> Result<(), Diagnosis>;

    /// Changes a running instance in place to `instance` (same id): only containers that differ are replaced.
    async fn update(&self, instance: Instance) -> Result<(), Diagnosis>;

    /// Acts on one container, or on all where `container` is none.
    async fn act(&self, id: &InstanceId, container: Option<&str>, action: Action) -> Result<(), Diagnosis>;

    /// Stops an instance in order and removes everything it had; returns when nothing is left of it.
    async fn stop(&self, id: &InstanceId) -> Result<(), Diagnosis>;

    /// Removes what an app keeps between instances: persistent volumes, logs, id range.
    async fn forget(&self, app: &pillion_model::AppName) -> Result<(), Diagnosis>;

    /// The facts: every instance this engine runs, as of now; changes wake the receiver.
    fn observe(&self) -> watch::Receiver<Arc<Observed>>;

    /// Returns once the facts about an app's instances are fresh: what they use and listen on is else looked at only now
    /// and then. An engine whose facts are always fresh has nothing to do.
    async fn refresh(&self, _app: &pillion_model::AppName) {}

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, Diagnosis>;

    /// Runs one check against a running container now, within this time, as its readiness probe would; a check over the
    /// network names its port.
    async fn check(
        &self,
        id: &InstanceId,
        container: &str,
        check: &pillion_model::Check,
        within: std::time::Duration,
    ) -> Result<(), Diagnosis>;

    async fn exec(&self, id: &InstanceId, container: &str, exec: ExecRequest) -> Result<ExecSession, Diagnosis>;
}
