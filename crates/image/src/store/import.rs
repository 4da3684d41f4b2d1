//! Importing an OCI layout directory, as `pack` and other tools write it.

use std::{path::Path, sync::Arc};

use super::{ImportError, Store};
use crate::{
    Image, ImageName, Progress,
    source::{Layout, Source},
};

impl Store {
    /// Puts the image of an OCI layout directory into the store under `name`, without a registry.
    ///
    /// # Errors
    /// The layout is incomplete, does not match its digests, or holds no image for this platform.
    pub async fn import_oci_layout(
        self: &Arc<Self>,
        layout: &Path,
        name: &ImageName,
        progress: Progress,
    ) -> Result<Image, ImportError> {
        let index = layout.join("index.json");
        tokio::fs::metadata(&index).await.map_err(|source| ImportError::Layout { path: index, source })?;
        let source = Source::Layout(Layout { dir: Arc::new(layout.to_owned()), image: name.to_string() });
        Ok(self.bring(&source, name, None, &progress).await?)
    }
}
