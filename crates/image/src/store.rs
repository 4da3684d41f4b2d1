//! The store: what is on disk under `<root>/images`, who may remove what, and when.
//!
//! ```text
//! lock                          shared while open, exclusive while sweeping or pruning
//! blobs/ALGORITHM/HEX           manifests and configs, as they came
//! layers/ALGORITHM/DIFF-ID/     layer.json (written last) and root/ (the unpacked layer)
//! images/ALGORITHM-HEX.json     an image is complete exactly while this is here
//! names/HEX.json                what a name meant when it was last pulled
//! staging/, trash/              on the way in, on the way out
//! ```

mod error;
mod import;
mod lease;
mod lock;
mod place;
mod pull;
mod record;
mod settle;
mod sweep;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use error::{ImportError, StoreError};
pub(crate) use lease::Lease;
use lease::Leases;
use lock::StoreLock;
use place::{Place, failed, list, read_json};
use record::{ImageRecord, LayerRecord, NameRecord};

use crate::{Digest, Image, ImageName, ListedImage, Settings, flight::Flights, manifest::Config, registry::Clients};

/// The images of one host; see the crate's head for how to use it.
#[derive(Debug)]
pub struct Store {
    place: Place,
    settings: Settings,
    lock: StoreLock,
    clients: Arc<Clients>,
    flights: Flights,
    slots: Arc<tokio::sync::Semaphore>,
    image_leases: Arc<Leases>,
    layer_leases: Arc<Leases>,
    /// Held while deciding what is unused, and while something becomes used.
    gate: Mutex<()>,
    unsettled: Mutex<BTreeSet<Digest>>,
    settling: Mutex<()>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    pub images: Vec<Digest>,
    pub layers: usize,
    /// Bytes of file content in the removed layers.
    pub bytes: u64,
}

impl Store {
    /// Opens the store under `<root>/images`, making it where missing, and removes what interrupted pulls left.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(root: &Path, settings: Settings) -> Result<Arc<Store>, StoreError> {
        let place = Place::make(root.join("images"))?;
        let lock = StoreLock::open(&place.lock())?;
        lock.alone(&place.lock(), || sweep::sweep(&place))?;
        Ok(Arc::new(Store {
            lock,
            clients: Arc::new(Clients::new(&settings)),
            flights: Flights::default(),
            slots: Arc::new(tokio::sync::Semaphore::new(settings.parallel.max(1))),
            image_leases: Arc::default(),
            layer_leases: Arc::default(),
            gate: Mutex::default(),
            unsettled: Mutex::default(),
            settling: Mutex::default(),
            settings,
            place,
        }))
    }

    /// Replaces which registries are spoken to by plain HTTP, and which certificates are trusted beside the system's.
    pub fn trust(&self, plain_http: Vec<String>, extra_roots: Vec<String>) {
        self.clients.trust(plain_http, extra_roots);
    }

    /// Returns a stored image by its digest.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Image>, StoreError> {
        let lease = {
            let _gate = self.gate();
            self.image_leases.take(digest)
        };
        let Some(record) = read_json::<ImageRecord>(&self.place.image(digest))? else { return Ok(None) };
        let Some(config) = self.blob(&record.config)? else { return Ok(None) };
        let path = self.place.blob(&record.config);
        let config = Config::parse(&config).map_err(|source| StoreError::Corrupt { path, source })?;
        let mut layers = Vec::with_capacity(record.layers.len());
        for diff_id in &record.layers {
            let dir = self.place.layer(diff_id);
            let Some(layer) = LayerRecord::trusted(&dir)? else { return Ok(None) };
            if layer.opaque_root {
                layers.clear();
            }
            layers.push(dir.join("root"));
        }
        let name = self.names()?.into_iter().find(|name| name.digest == *digest).map(|name| name.name);
        Ok(Some(Image { name, digest: record.digest, layers, config: config.run, size: record.size, _lease: Arc::new(lease) }))
    }

    /// Returns every name in the store, in order.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn list(&self) -> Result<Vec<ListedImage>, StoreError> {
        let mut listed = Vec::new();
        for NameRecord { name, digest, pulled_at } in self.names()? {
            if let Some(image) = read_json::<ImageRecord>(&self.place.image(&digest))? {
                listed.push(ListedImage { name, digest, size: image.size, pulled_at });
            }
        }
        listed.sort_by_key(|image| image.name.to_string());
        Ok(listed)
    }

    /// Forgets a name; returns false if there was none. Files go with the next [`Store::prune`].
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn remove(&self, name: &ImageName) -> Result<bool, StoreError> {
        let path = self.place.name(&name.to_string());
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }

    /// Removes every image that has no name, no lease and is not in `keep`, and every layer no image is left for.
    ///
    /// # Errors
    /// Files cannot be read or removed, or another process has the store open: what that one uses is not known here.
    pub fn prune(&self, keep: &BTreeSet<Digest>) -> Result<Pruned, StoreError> {
        let pruned = {
            let _gate = self.gate();
            self.lock.alone(&self.place.lock(), || self.discard_unused(keep))?
        };
        let pruned = pruned.ok_or_else(|| StoreError::InUse { path: self.place.root().to_owned() })?;
        self.place.empty_trash()?;
        Ok(pruned)
    }

    fn discard_unused(&self, keep: &BTreeSet<Digest>) -> Result<Pruned, StoreError> {
        let named: BTreeSet<Digest> = self.names()?.into_iter().map(|name| name.digest).collect();
        let needed = |digest: &Digest| keep.contains(digest) || named.contains(digest) || self.image_leases.holds(digest);
        let unused = sweep::unused(&self.place, needed, |diff_id| self.layer_leases.holds(diff_id))?;
        // Records first: if this is cut short, nothing names what is already gone.
        for image in &unused.images {
            self.place.discard(&self.place.image(&image.digest))?;
        }
        for layer in &unused.layers {
            self.place.discard(&self.place.layer(&layer.diff_id))?;
        }
        for blob in &unused.blobs {
            self.place.discard(blob)?;
        }
        Ok(Pruned {
            images: unused.images.into_iter().map(|image| image.digest).collect(),
            layers: unused.layers.len(),
            bytes: unused.layers.iter().map(|layer| layer.bytes).sum(),
        })
    }

    fn names(&self) -> Result<Vec<NameRecord>, StoreError> {
        let mut names = Vec::new();
        for path in list(&self.place.names())? {
            names.extend(read_json::<NameRecord>(&path)?);
        }
        Ok(names)
    }

    /// Reads a blob; none if it is missing or no longer what its digest says.
    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.place.blob(digest);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let mut hasher = digest.hasher();
        hasher.update(&bytes);
        Ok((hasher.finish() == *digest).then_some(bytes))
    }

    fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
