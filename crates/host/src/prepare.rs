//! Making a definition's images present.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures::{StreamExt, stream::FuturesUnordered};
use pillion_engine::{Credential, Prepare, Prepared, Progress};
use pillion_fault::{Diagnosis, Fault};
use pillion_image::{Credential as RegistryCredential, Credentials, Digest, Image, ImageName, PullEvent, PullPolicy, Store};
use pillion_model::ContainerName;
use tokio::sync::mpsc;

/// Pulls every container's image, all at once; the store sees to it that shared layers come once.
///
/// The first failure is returned; the other pulls are dropped, and what they finished is kept for the next attempt.
pub(crate) async fn prepare(
    store: &Arc<Store>,
    what: &Prepare,
    progress: &mpsc::Sender<Progress>,
) -> Result<Prepared, Diagnosis> {
    let credentials = registry_credentials(&what.credentials);
    let mut pulls: FuturesUnordered<_> = what
        .definition
        .containers
        .iter()
        .map(|(name, container)| {
            let proven = what.proven.as_ref().and_then(|proven| proven.images.get(name));
            pull_one(store, name, &container.image, &credentials, proven, progress)
        })
        .collect();
    let mut images = BTreeMap::new();
    while let Some(pulled) = pulls.next().await {
        let (name, pinned) = pulled?;
        images.insert(name, pinned);
    }
    Ok(Prepared { images })
}

/// Returns the digest in `name@sha256:…`.
pub(crate) fn digest_of(pinned: &str) -> Option<Digest> {
    pinned.rsplit_once('@')?.1.parse().ok()
}

/// Returns a prepared container's image; it must be in the store.
pub(crate) fn prepared_image(store: &Store, prepared: &Prepared, container: &ContainerName) -> Result<Image, Fault> {
    let missing = |reason: String| Fault::Internal { doing: format!("finding the image of `{container}`"), reason };
    let pinned = prepared.images.get(container).ok_or_else(|| missing("it was never prepared".to_owned()))?;
    let digest = digest_of(pinned).ok_or_else(|| missing(format!("`{pinned}` has no digest")))?;
    let found = store.get(&digest).map_err(|error| missing(error.to_string()))?;
    found.ok_or_else(|| missing(format!("`{pinned}` is not in the store any more")))
}

async fn pull_one(
    store: &Arc<Store>,
    container: &ContainerName,
    image: &str,
    credentials: &Credentials,
    proven: Option<&String>,
    progress: &mpsc::Sender<Progress>,
) -> Result<(ContainerName, String), Diagnosis> {
    let diagnose = |fault| Diagnosis { container: Some(container.to_string()), fault, log_tail: Vec::new() };
    let name: ImageName = image.parse().map_err(|error: pillion_image::NameInvalid| diagnose(Fault::from(error)))?;
    // Progress is for people: a reader that is too slow misses steps, it does not slow the pull.
    let _ = progress.try_send(Progress::Resolving { container: container.clone(), image: image.to_owned() });
    let policy = match proven.and_then(|pinned| digest_of(pinned)) {
        Some(digest) => PullPolicy::Proven(digest),
        None => PullPolicy::CheckRegistry,
    };
    let began = Instant::now();
    let pulled = store
        .pull(&name, credentials.get(name.registry()), policy, meter(container.clone(), progress.clone()))
        .await
        .map_err(|error| diagnose(Fault::from(&error)))?;
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let _ = progress.try_send(Progress::Pulled { container: container.clone(), digest: pulled.digest.to_string(), millis });
    Ok((container.clone(), format!("{name}@{}", pulled.digest)))
}

fn registry_credentials(given: &BTreeMap<String, Credential>) -> Credentials {
    let mut credentials = Credentials::default();
    for (registry, credential) in given {
        let credential =
            RegistryCredential::Password { user: credential.username.clone(), password: credential.password.clone() };
        credentials.insert(registry, credential);
    }
    credentials
}

/// Adds up the layers of one pull.
fn meter(container: ContainerName, progress: mpsc::Sender<Progress>) -> pillion_image::Progress {
    let layers: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::default();
    Arc::new(move |event| {
        let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            PullEvent::Resolved { layers: all, .. } => {
                layers.extend(all.into_iter().map(|(digest, size)| (digest.to_string(), (0, size))));
            }
            PullEvent::LayerBytes { layer, received, total } => {
                layers.insert(layer.to_string(), (received, total));
            }
            PullEvent::LayerPresent { layer } => {
                // What is here already is not part of what has to come.
                layers.remove(&layer.to_string());
            }
            PullEvent::LayerDone { layer } => {
                if let Some((done, total)) = layers.get_mut(&layer.to_string()) {
                    *done = *total;
                }
            }
            PullEvent::Retrying { .. } => return,
        }
        let (done, total) = layers.values().fold((0, 0), |(done, total), (d, t)| (done + d, total + t));
        let _ = progress.try_send(Progress::Pulling { container: container.clone(), done, total });
    })
}
