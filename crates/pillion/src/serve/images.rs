//! The images of this machine, for the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use pillion_api::{
    Images,
    wire::{ImageSummary, Pruned, PullLine, PullRequest},
};
use pillion_control::Control;
use pillion_fault::{Diagnosis, Fault};
use pillion_host::HostEngine;
use pillion_image::{Credential, Digest, ImageName, PullEvent, PullPolicy, Store};
use pillion_store::Store as State;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Lines that wait to be read; beyond it progress is dropped, for only the newest matters.
const LINES: usize = 32;

/// The host engine's image store.
pub struct HostImages {
    engine: Arc<HostEngine>,
    control: Control,
    state: State,
}

impl HostImages {
    pub fn new(engine: Arc<HostEngine>, control: Control, state: State) -> Self {
        Self { engine, control, state }
    }

    /// What kept revisions need and what instances run from: leases in the store tell only what this process took.
    async fn needed(&self) -> Result<BTreeSet<Digest>, Diagnosis> {
        let unknown = |reason: String| Diagnosis {
            container: None,
            fault: Fault::Internal { doing: "finding out which images are needed".into(), reason },
            log_tail: Vec::new(),
        };
        let mut needed = self.engine.images_in_use();
        for app in self.control.list().await.map_err(|error| unknown(error.to_string()))? {
            let revisions = self.state.revisions(&app.name).await.map_err(|error| unknown(error.to_string()))?;
            let pinned = revisions.iter().filter_map(|revision| revision.images.as_ref()).flat_map(|images| images.values());
            needed.extend(pinned.filter_map(|image| image.rsplit_once('@')?.1.parse::<Digest>().ok()));
        }
        Ok(needed)
    }
}

#[async_trait]
impl Images for HostImages {
    async fn list(&self) -> Result<Vec<ImageSummary>, Diagnosis> {
        let needed = self.needed().await?;
        let store = self.engine.images().clone();
        let listed = in_thread("listing images", move || store.list()).await?;
        let summary = |image: pillion_image::ListedImage| ImageSummary {
            in_use: needed.contains(&image.digest),
            reference: image.name.to_string(),
            digest: image.digest.to_string(),
            size_bytes: image.size,
            pulled_at_ms: Some(image.pulled_at * 1000),
        };
        Ok(listed.into_iter().map(summary).collect())
    }

    async fn pull(&self, request: PullRequest) -> BoxStream<'static, PullLine> {
        let (lines, receiver) = mpsc::channel(LINES);
        let store = self.engine.images().clone();
        // A client that goes away closes the channel, and the pull is dropped with it; what it fetched is kept.
        tokio::spawn(async move {
            let closed = lines.clone();
            tokio::select! {
                last = pull(store, request, lines.clone()) => drop(lines.send(last).await),
                () = closed.closed() => {}
            }
        });
        ReceiverStream::new(receiver).boxed()
    }

    async fn remove(&self, image: &str) -> Result<bool, Diagnosis> {
        let name = parsed(image)?;
        let store = self.engine.images().clone();
        in_thread("removing an image's name", move || store.remove(&name)).await
    }

    async fn prune(&self) -> Result<Pruned, Diagnosis> {
        let needed = self.needed().await?;
        let store = self.engine.images().clone();
        let pruned = in_thread("pruning images", move || store.prune(&needed)).await?;
        let mut removed: Vec<String> = pruned.images.iter().map(|digest| format!("image {digest}")).collect();
        if pruned.layers > 0 {
            removed.push(format!("{} layers", pruned.layers));
        }
        Ok(Pruned { removed, freed_bytes: pruned.bytes })
    }
}

async fn pull(store: Arc<Store>, request: PullRequest, lines: mpsc::Sender<PullLine>) -> PullLine {
    let failed = |diagnosis: Diagnosis| PullLine::Failed { fault: Box::new(diagnosis.into()) };
    let name = match parsed(&request.image) {
        Ok(name) => name,
        Err(diagnosis) => return failed(diagnosis),
    };
    let credential = request.credential.map(|c| Credential::Password { user: c.username, password: c.password });
    let pulled = store.pull(&name, credential.as_ref(), PullPolicy::CheckRegistry, meter(lines)).await;
    match pulled {
        Ok(image) => PullLine::Pulled { digest: image.digest.to_string() },
        Err(error) => failed(Diagnosis { container: None, fault: Fault::from(&error), log_tail: Vec::new() }),
    }
}

/// Adds up the layers' bytes.
fn meter(lines: mpsc::Sender<PullLine>) -> pillion_image::Progress {
    let layers: Mutex<BTreeMap<Digest, (u64, u64)>> = Mutex::default();
    Arc::new(move |event| {
        let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            PullEvent::Resolved { layers: all, .. } => {
                *layers = all.into_iter().map(|(digest, size)| (digest, (0, size))).collect();
            }
            PullEvent::LayerBytes { layer, received, total } => drop(layers.insert(layer, (received, total))),
            PullEvent::LayerPresent { layer } | PullEvent::LayerDone { layer } => {
                if let Some((done, total)) = layers.get_mut(&layer) {
                    *done = *total;
                }
            }
            PullEvent::Retrying { .. } => return,
        }
        let (done, total) = layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        // Full: the reader is slow, and the next line says more than this one.
        let _ = lines.try_send(PullLine::Pulling { done, total });
    })
}

fn parsed(image: &str) -> Result<ImageName, Diagnosis> {
    image.parse().map_err(|error: pillion_image::NameInvalid| {
        let fault = Fault::ImageNameInvalid { image: image.to_owned(), reason: error.reason };
        Diagnosis { container: None, fault, log_tail: Vec::new() }
    })
}

/// Runs what blocks on the disk in a thread meant for that.
async fn in_thread<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, pillion_image::StoreError> + Send + 'static,
) -> Result<T, Diagnosis> {
    let fault = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => Fault::from(&error),
        Err(panic) => Fault::Internal { doing: doing.to_owned(), reason: panic.to_string() },
    };
    Err(Diagnosis { container: None, fault, log_tail: Vec::new() })
}
