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

/// What several containers may share: the image as written, and the digest that was proven for it before.
type Wish<'a> = (&'a str, Option<&'a String>);

/// Pulls every image, all at once and each once however many containers want it; the store sees to it that shared
/// layers come once.
///
/// The first failure is returned; the other pulls are dropped, and what they finished is kept for the next attempt.
pub(crate) async fn prepare(
    store: &Arc<Store>,
    what: &Prepare,
    progress: &mpsc::Sender<Progress>,
) -> Result<Prepared, Diagnosis> {
    let credentials = registry_credentials(&what.credentials);
    let mut wishes: BTreeMap<Wish<'_>, Vec<&ContainerName>> = BTreeMap::new();
    for (name, container) in &what.definition.containers {
        let proven = what.proven.as_ref().and_then(|proven| proven.images.get(name));
        wishes.entry((&container.image, proven)).or_default().push(name);
    }
    let mut pulls: FuturesUnordered<_> =
        wishes.iter().map(|(wish, containers)| pull_one(store, *wish, containers, &credentials, progress)).collect();
    let mut images = BTreeMap::new();
    while let Some(pulled) = pulls.next().await {
        let (containers, pinned) = pulled?;
        images.extend(containers.iter().map(|name| ((*name).clone(), pinned.clone())));
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

async fn pull_one<'a>(
    store: &Arc<Store>,
    (image, proven): Wish<'_>,
    containers: &'a [&'a ContainerName],
    credentials: &Credentials,
    progress: &mpsc::Sender<Progress>,
) -> Result<(&'a [&'a ContainerName], String), Diagnosis> {
    // A cause that several containers share is told of the first.
    let first = containers.first().map(ToString::to_string);
    let diagnose = |fault| Diagnosis { container: first.clone(), fault, log_tail: Vec::new() };
    let name: ImageName = image.parse().map_err(|error: pillion_image::NameInvalid| diagnose(Fault::from(error)))?;
    let tell = |what: &dyn Fn(ContainerName) -> Progress| {
        for container in containers {
            // Progress is for people: a reader that is too slow misses steps, it does not slow the pull.
            let _ = progress.try_send(what((*container).clone()));
        }
    };
    tell(&|container| Progress::Resolving { container, image: image.to_owned() });
    let policy = match proven.and_then(|pinned| digest_of(pinned)) {
        Some(digest) => PullPolicy::Proven(digest),
        None => PullPolicy::CheckRegistry,
    };
    let began = Instant::now();
    let meter = meter(containers.iter().map(|container| (*container).clone()).collect(), progress.clone());
    let pulled = store
        .pull(&name, credentials.get(name.registry()), policy, meter)
        .await
        .map_err(|error| diagnose(Fault::from(&error)))?;
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tell(&|container| Progress::Pulled { container, digest: pulled.digest.to_string(), millis });
    Ok((containers, format!("{name}@{}", pulled.digest)))
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
fn meter(containers: Vec<ContainerName>, progress: mpsc::Sender<Progress>) -> pillion_image::Progress {
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
        for container in &containers {
            let _ = progress.try_send(Progress::Pulling { container: container.clone(), done, total });
        }
    })
}
