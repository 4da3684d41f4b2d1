//! The store's records: which layers are whole, which images are complete, what names mean.

use std::{path::Path, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::place::read_json;
use crate::{Digest, StoreError, unpack::Applied};

/// Written into a layer's directory after its content; without it, or before it is trusted, the layer does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerRecord {
    pub(crate) diff_id: Digest,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) opaque_root: bool,
    /// The boot during which the layer was written; gone once it is known to be on disk. What was written during an
    /// earlier boot and not settled may have been cut off by a power failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsettled_since_boot: Option<String>,
}

impl LayerRecord {
    pub(crate) fn new(diff_id: &Digest, applied: Applied) -> LayerRecord {
        LayerRecord {
            diff_id: diff_id.clone(),
            bytes: applied.bytes,
            entries: applied.entries,
            opaque_root: applied.opaque_root,
            unsettled_since_boot: Some(boot_id().to_owned()),
        }
    }

    /// Reads the record of the layer in `dir`, if the layer is there and can be trusted.
    pub(crate) fn trusted(dir: &Path) -> Result<Option<LayerRecord>, StoreError> {
        let record: Option<LayerRecord> = read_json(&dir.join("layer.json"))?;
        Ok(record.filter(|record| record.unsettled_since_boot.as_deref().is_none_or(|boot| boot == boot_id())))
    }
}

/// A complete image: its manifest, config and layers are all in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageRecord {
    pub(crate) digest: Digest,
    pub(crate) config: Digest,
    /// Diff ids, lowest first.
    pub(crate) layers: Vec<Digest>,
    /// Bytes of file content in all layers.
    pub(crate) size: u64,
}

/// What a name meant when it was last pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NameRecord {
    pub(crate) name: crate::ImageName,
    pub(crate) digest: Digest,
    /// Seconds since 1970.
    pub(crate) pulled_at: u64,
}

/// The kernel's name for this boot.
fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) => text.trim().to_owned(),
        // Without one, unsettled layers are trusted by this process only.
        Err(_) => format!("process-{}", std::process::id()),
    })
}
