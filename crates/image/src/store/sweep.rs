//! Sweeping: what may not stay when a store is opened.

use std::collections::BTreeSet;

use super::{
    StoreError,
    place::{Place, empty, list, read_json},
    record::{ImageRecord, LayerRecord, NameRecord},
};
use crate::Digest;

/// Removes what interrupted pulls left, layers that cannot be trusted, and records that lead nowhere. Nobody else may use the store.
pub(super) fn sweep(place: &Place) -> Result<(), StoreError> {
    empty(&place.staging())?;
    let mut layers = BTreeSet::new();
    for algorithm in list(&place.layers())? {
        for dir in list(&algorithm)? {
            match LayerRecord::trusted(&dir)? {
                Some(record) if place.layer(&record.diff_id) == dir => {
                    layers.insert(record.diff_id);
                }
                Some(_) | None => place.discard(&dir)?,
            }
        }
    }
    let mut images: BTreeSet<Digest> = BTreeSet::new();
    for path in list(&place.images())? {
        match read_json::<ImageRecord>(&path)? {
            Some(image) if image.layers.iter().all(|layer| layers.contains(layer)) => {
                images.insert(image.digest);
            }
            Some(_) | None => place.discard(&path)?,
        }
    }
    for path in list(&place.names())? {
        if read_json::<NameRecord>(&path)?.is_none_or(|name| !images.contains(&name.digest)) {
            place.discard(&path)?;
        }
    }
    place.empty_trash()
}

/// What is left of the store's files after `keep` and `leased` are taken out of account.
pub(super) struct Unused {
    pub(super) images: Vec<ImageRecord>,
    pub(super) layers: Vec<LayerRecord>,
    pub(super) blobs: Vec<std::path::PathBuf>,
}

/// Finds what nobody needs: images that `needed` does not name, and layers and blobs that no other image has.
pub(super) fn unused(
    place: &Place,
    needed: impl Fn(&Digest) -> bool,
    layer_needed: impl Fn(&Digest) -> bool,
) -> Result<Unused, StoreError> {
    let mut kept_layers = BTreeSet::new();
    let mut kept_blobs = BTreeSet::new();
    let mut images = Vec::new();
    for path in list(&place.images())? {
        match read_json::<ImageRecord>(&path)? {
            Some(image) if needed(&image.digest) => {
                kept_blobs.extend([place.blob(&image.digest), place.blob(&image.config)]);
                kept_layers.extend(image.layers);
            }
            Some(image) => images.push(image),
            None => place.discard(&path)?,
        }
    }
    let mut layers = Vec::new();
    for algorithm in list(&place.layers())? {
        for dir in list(&algorithm)? {
            match LayerRecord::trusted(&dir)? {
                Some(layer) if kept_layers.contains(&layer.diff_id) || layer_needed(&layer.diff_id) => {}
                Some(layer) => layers.push(layer),
                None => {}
            }
        }
    }
    let mut blobs = Vec::new();
    for algorithm in list(&place.blobs())? {
        blobs.extend(list(&algorithm)?.into_iter().filter(|path| !kept_blobs.contains(path)));
    }
    Ok(Unused { images, layers, blobs })
}
