//! What the API calls: the control plane, and the two services that only the composition root can give.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use pillion_control::Control;
use pillion_fault::Diagnosis;
use pillion_identity::Identity;
use pillion_model::AppName;

use crate::{
    Failure,
    wire::{EndpointInfo, ImageSummary, Pruned, PullLine, PullRequest, Reloaded, StopRequest, SystemInfo},
};

/// Everything behind the API; cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub control: Control,
    pub identity: Identity,
    pub images: Arc<dyn Images>,
    pub system: Arc<dyn System>,
}

/// The images on this machine.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    async fn list(&self) -> Result<Vec<ImageSummary>, Diagnosis>;

    /// Pulls; the last line says how it ended.
    async fn pull(&self, request: PullRequest) -> BoxStream<'static, PullLine>;

    /// Forgets a name; false if there is none such.
    async fn remove(&self, image: &str) -> Result<bool, Diagnosis>;

    async fn prune(&self) -> Result<Pruned, Diagnosis>;
}

/// The server and its machine.
#[async_trait]
pub trait System: Send + Sync + 'static {
    async fn info(&self) -> Result<SystemInfo, Failure>;

    async fn prune(&self) -> Result<Pruned, Failure>;

    /// Where the TLS endpoint is and what to trust; a failure where it is switched off or could not be opened.
    async fn endpoint(&self) -> Result<EndpointInfo, Failure>;

    /// Whether the server is on its way out, and takes no wishes any more.
    fn is_stopping(&self) -> bool {
        false
    }

    async fn reload(&self) -> Result<Reloaded, Failure>;

    /// Ends every instance of an app at once, without the courtesy of stop signals; for after `stop` was asked.
    async fn kill(&self, app: &AppName) -> Result<(), Failure>;

    /// Begins to stop the server; returns when every app that is to stop has stopped.
    async fn stop(&self, request: StopRequest) -> Result<(), Failure>;
}
