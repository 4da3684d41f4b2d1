//! Pulling: from a name to an image whose layers all lie unpacked in the store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Store, StoreError,
    lease::Lease,
    lock::LayerLock,
    place::{Durability, failed},
    record::{ImageRecord, LayerRecord, NameRecord},
};
use crate::{
    Credential, Digest, Image, ImageName, Progress, PullError, PullEvent, PullPolicy, UnpackError,
    flight::{Leader, Role},
    manifest::{Config, Descriptor, Manifest, check_layer, choose},
    pull_error::is_disk_full,
    registry::{Delivery, Session},
    source::Source,
    unpack::{self, Applied},
};

/// An index may name an index; two steps are more than any registry has been seen to need.
const INDEX_DEPTH: usize = 3;
/// Compressed bytes between two progress events of a layer.
const PROGRESS_STEP: u64 = 256 << 10;

impl Store {
    /// Brings the image into the store and returns it ready to be run.
    ///
    /// Safe to drop at any time: what was begun is removed, by the threads at work or by the next [`Store::open`].
    ///
    /// # Errors
    /// See [`PullError`]; nothing half done is left that a later pull would trust.
    pub async fn pull(
        self: &Arc<Self>,
        name: &ImageName,
        credential: Option<&Credential>,
        policy: PullPolicy,
        progress: Progress,
    ) -> Result<Image, PullError> {
        let proven = match policy {
            PullPolicy::CheckRegistry => None,
            PullPolicy::Proven(digest) => {
                if let Some(image) = self.get(&digest).map_err(|source| stored(name, source))? {
                    return Ok(image);
                }
                Some(digest)
            }
        };
        loop {
            let session = Session::open(&self.clients, name, credential, &self.settings.retry, &progress).await?;
            let reused = session.is_reused();
            match self.bring(&Source::Registry(Box::new(session)), name, proven.as_ref(), &progress).await {
                // A token may have been revoked, a registry may have begun to speak TLS: ask once more with a new client.
                Err(PullError::LoginRefused { .. } | PullError::Tls { .. } | PullError::Unreachable { .. })
                    if self.clients.forget(name.registry(), credential) && reused => {}
                done => return done,
            }
        }
    }

    /// Brings what `source` has under `name` (or `digest`) into the store.
    pub(super) async fn bring(
        self: &Arc<Self>,
        source: &Source,
        name: &ImageName,
        digest: Option<&Digest>,
        progress: &Progress,
    ) -> Result<Image, PullError> {
        let resolved = self.resolve(source, name, digest).await?;
        progress(PullEvent::Resolved {
            digest: resolved.digest.clone(),
            layers: resolved.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect(),
        });
        // Taken before anything is looked at, so that a prune in between leaves it alone.
        let _image_lease = {
            let _gate = self.gate();
            self.image_leases.take(&resolved.digest)
        };
        if let Some(image) = self.get(&resolved.digest).map_err(|source| stored(name, source))? {
            for layer in &resolved.layers {
                progress(PullEvent::LayerPresent { layer: layer.digest.clone() });
            }
            self.record_name(name, &resolved.digest).map_err(|source| stored(name, source))?;
            return Ok(Image { name: Some(name.clone()), ..image });
        }

        let image = name.to_string();
        let config_bytes = source.document(&resolved.config, self.settings.limits.document_bytes).await?;
        let config = Config::parse(&config_bytes).map_err(|error| PullError::Unsupported {
            image: image.clone(),
            reason: format!("its config cannot be read: {error}"),
        })?;
        config.check_platform(&image, &self.settings.platform)?;
        self.check_layers(&image, &resolved.layers, &config.diff_ids)?;

        let _layer_leases: Vec<Lease> = {
            let _gate = self.gate();
            config.diff_ids.iter().map(|diff_id| self.layer_leases.take(diff_id)).collect()
        };
        self.ensure_layers(source, &image, &resolved.layers, &config.diff_ids, progress).await?;
        self.record(name, &resolved, &config_bytes, &config).map_err(|source| stored(name, source))?;

        let settling = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = settling.settle() {
                tracing::warn!(error = &error as &dyn std::error::Error, "the image store could not be synced to disk");
            }
        });
        match self.get(&resolved.digest).map_err(|source| stored(name, source))? {
            Some(image) => Ok(Image { name: Some(name.clone()), ..image }),
            None => Err(stored(name, StoreError::Vanished { path: self.place.image(&resolved.digest) })),
        }
    }

    /// Follows indexes to the manifest of this platform.
    async fn resolve(&self, source: &Source, name: &ImageName, digest: Option<&Digest>) -> Result<Resolved, PullError> {
        let image = name.to_string();
        let mut entry: Option<Descriptor> = None;
        for _ in 0..INDEX_DEPTH {
            let (bytes, digest) = source.manifest(entry.as_ref(), digest, self.settings.limits.document_bytes).await?;
            if bytes.len() as u64 > self.settings.limits.document_bytes {
                return Err(PullError::Unsupported {
                    image,
                    reason: format!("its manifest is larger than {} bytes", self.settings.limits.document_bytes),
                });
            }
            match Manifest::parse(&image, &bytes)? {
                Manifest::Image { config, layers } => return Ok(Resolved { bytes, digest, config, layers }),
                Manifest::Index(entries) => entry = Some(choose(&image, &entries, &self.settings.platform)?.clone()),
            }
        }
        Err(PullError::Unsupported { image, reason: "its indexes are nested too deeply".to_owned() })
    }

    fn check_layers(&self, image: &str, layers: &[Descriptor], diff_ids: &[Digest]) -> Result<(), PullError> {
        let unsupported = |reason| Err(PullError::Unsupported { image: image.to_owned(), reason });
        if layers.len() != diff_ids.len() {
            return unsupported(format!("its manifest lists {} layers, its config {}", layers.len(), diff_ids.len()));
        }
        if layers.len() > self.settings.limits.layers {
            return unsupported(format!("it has {} layers, more than {}", layers.len(), self.settings.limits.layers));
        }
        layers.iter().try_for_each(|layer| check_layer(image, layer))
    }

    async fn ensure_layers(
        self: &Arc<Self>,
        source: &Source,
        image: &str,
        layers: &[Descriptor],
        diff_ids: &[Digest],
        progress: &Progress,
    ) -> Result<(), PullError> {
        // Dropping the set, on an error or with the whole pull, stops the layers still under way.
        let mut tasks = JoinSet::new();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let job = LayerJob {
                store: Arc::clone(self),
                source: source.clone(),
                image: image.to_owned(),
                layer: layer.clone(),
                diff_id: diff_id.clone(),
                progress: Arc::clone(progress),
            };
            tasks.spawn(job.run());
        }
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(done) => done?,
                Err(_) => {
                    return Err(PullError::Store {
                        image: image.to_owned(),
                        source: StoreError::Task { path: self.place.layers() },
                    });
                }
            }
        }
        Ok(())
    }

    fn record(&self, name: &ImageName, resolved: &Resolved, config_bytes: &[u8], config: &Config) -> Result<(), StoreError> {
        let mut size = 0;
        for diff_id in &config.diff_ids {
            let dir = self.place.layer(diff_id);
            size += LayerRecord::trusted(&dir)?.ok_or(StoreError::Vanished { path: dir })?.bytes;
        }
        let image = ImageRecord {
            digest: resolved.digest.clone(),
            config: resolved.config.digest.clone(),
            layers: config.diff_ids.clone(),
            size,
        };
        {
            let _gate = self.gate();
            self.place.write(&self.place.blob(&resolved.digest), &resolved.bytes, Durability::Later)?;
            self.place.write(&self.place.blob(&resolved.config.digest), config_bytes, Durability::Later)?;
            self.place.write_json(&self.place.image(&resolved.digest), &image, Durability::Later)?;
        }
        self.record_name(name, &resolved.digest)
    }

    fn record_name(&self, name: &ImageName, digest: &Digest) -> Result<(), StoreError> {
        let pulled_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let record = NameRecord { name: name.clone(), digest: digest.clone(), pulled_at };
        let _gate = self.gate();
        self.place.write_json(&self.place.name(&name.to_string()), &record, Durability::Later)
    }
}

/// The manifest a name stands for on this platform.
struct Resolved {
    bytes: Bytes,
    digest: Digest,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// One layer of one pull.
struct LayerJob {
    store: Arc<Store>,
    source: Source,
    image: String,
    layer: Descriptor,
    diff_id: Digest,
    progress: Progress,
}

impl LayerJob {
    async fn run(self) -> Result<(), PullError> {
        let mut watched = false;
        loop {
            if self.is_present()? {
                let layer = self.layer.digest.clone();
                (self.progress)(if watched { PullEvent::LayerDone { layer } } else { PullEvent::LayerPresent { layer } });
                return Ok(());
            }
            match self.store.flights.board(&self.diff_id) {
                Role::Leader(leader) => return self.lead(leader).await,
                Role::Follower(mut received) => {
                    watched = true;
                    // If the leader fails, this pull tries by itself: its credential may be the better one.
                    while received.changed().await.is_ok() {
                        let bytes = *received.borrow_and_update();
                        self.report(bytes);
                    }
                }
            }
        }
    }

    async fn lead(&self, leader: Leader) -> Result<(), PullError> {
        let place = &self.store.place;
        let lock_path = place.staging().join(format!("{}.lock", self.diff_id.hex()));
        let lock = LayerLock::acquire(&lock_path).await.map_err(|source| self.stored(source))?;
        // Another process may have been faster.
        if self.is_present()? {
            (self.progress)(PullEvent::LayerPresent { layer: self.layer.digest.clone() });
            return Ok(());
        }
        let Ok(_slot) = self.store.slots.acquire().await else {
            return Err(self.stored(StoreError::Task { path: place.layers() }));
        };
        let (sender, pieces) = mpsc::channel(16);
        let (store, diff_id) = (Arc::clone(&self.store), self.diff_id.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            // Kept to the end of the thread's work, even if the pull is given up before.
            let _lock = lock;
            store.unpack(pieces, &diff_id)
        });
        let reported = AtomicU64::new(0);
        let delivered = self
            .source
            .layer(&self.layer, &sender, &|bytes| {
                if bytes >= reported.load(Ordering::Relaxed) + PROGRESS_STEP || bytes == self.layer.size {
                    reported.store(bytes, Ordering::Relaxed);
                    leader.received(bytes);
                    self.report(bytes);
                }
            })
            .await;
        drop(sender);
        let unpacked = unpacking.await.map_err(|_| self.stored(StoreError::Task { path: place.layer(&self.diff_id) }))?;
        match (delivered, unpacked) {
            // The download's error is the cause; the unpacker only saw it end.
            (Err(error), _) => Err(error),
            (Ok(_), Err(LayerError::Unpack(source))) => Err(self.refused(source)),
            (Ok(_), Err(LayerError::Store(source))) => Err(self.stored(source)),
            (Ok(Delivery::Refused), Ok(())) => Err(self.refused(UnpackError::Interrupted)),
            (Ok(Delivery::Complete), Ok(())) => {
                (self.progress)(PullEvent::LayerDone { layer: self.layer.digest.clone() });
                Ok(())
            }
        }
    }

    fn is_present(&self) -> Result<bool, PullError> {
        LayerRecord::trusted(&self.store.place.layer(&self.diff_id))
            .map(|record| record.is_some())
            .map_err(|source| self.stored(source))
    }

    fn report(&self, received: u64) {
        (self.progress)(PullEvent::LayerBytes { layer: self.layer.digest.clone(), received, total: self.layer.size });
    }

    fn stored(&self, source: StoreError) -> PullError {
        PullError::Store { image: self.image.clone(), source }
    }

    fn refused(&self, source: UnpackError) -> PullError {
        let source = match source {
            // An entry's path is a place in the image; people need the one on the disk.
            UnpackError::Io { source, .. } if is_disk_full(&source) => {
                let path = self.store.place.root().to_owned();
                return self.stored(StoreError::Io { doing: "unpack a layer below", path, source });
            }
            source => source,
        };
        PullError::Unpack { image: self.image.clone(), layer: self.layer.digest.clone(), source }
    }
}

enum LayerError {
    Unpack(UnpackError),
    Store(StoreError),
}

impl Store {
    /// Unpacks one layer beside its place and moves it there; blocks.
    fn unpack(&self, pieces: mpsc::Receiver<unpack::Piece>, diff_id: &Digest) -> Result<(), LayerError> {
        let staged = self.place.fresh();
        let done = self.unpack_staged(pieces, diff_id, &staged);
        if done.is_err()
            && let Err(error) = std::fs::remove_dir_all(&staged)
        {
            // The next sweep tries again.
            tracing::debug!(%error, path = %staged.display(), "a layer that failed could not be removed");
        }
        done
    }

    fn unpack_staged(
        &self,
        pieces: mpsc::Receiver<unpack::Piece>,
        diff_id: &Digest,
        staged: &std::path::Path,
    ) -> Result<(), LayerError> {
        std::fs::create_dir(staged).map_err(|error| LayerError::Store(failed("create", staged)(error)))?;
        let applied: Applied =
            unpack::unpack(pieces, &staged.join("root"), diff_id, &self.settings.limits).map_err(LayerError::Unpack)?;
        let place = self.place.layer(diff_id);
        let finish = || -> Result<(), StoreError> {
            self.place.write_json(&staged.join("layer.json"), &LayerRecord::new(diff_id, applied), Durability::Later)?;
            let parent = place.parent().unwrap_or(self.place.root());
            std::fs::create_dir_all(parent).map_err(failed("create", parent))?;
            if place.exists() {
                // Left by an earlier boot and not trusted: a trusted one would have been used.
                self.place.discard(&place)?;
            }
            std::fs::rename(staged, &place).map_err(failed("rename to", &place))
        };
        finish().map_err(LayerError::Store)?;
        self.unsettled.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(diff_id.clone());
        Ok(())
    }
}

fn stored(name: &ImageName, source: StoreError) -> PullError {
    PullError::Store { image: name.to_string(), source }
}
