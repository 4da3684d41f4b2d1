//! An image in the store, ready to be run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageName, store::Lease};

/// An unpacked image; while a clone of it lives, the store keeps its files.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name it was asked by; for [`crate::Store::get`], any name the store knows for it.
    pub name: Option<ImageName>,
    /// The digest of the platform's manifest.
    pub digest: Digest,
    /// Overlay lower directories, lowest first. Owners are the image's own ids (0 is root); whiteouts are in overlayfs form.
    pub layers: Vec<PathBuf>,
    pub config: ImageConfig,
    /// Bytes of file content in all layers.
    pub size: u64,
    pub(crate) _lease: Arc<Lease>,
}

/// What an image says about how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Empty where the image names none.
    pub working_dir: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// `SIGTERM`, `15`; none where the image names none.
    pub stop_signal: Option<String>,
    pub exposed_ports: BTreeSet<ExposedPort>,
    pub volumes: BTreeSet<String>,
    pub labels: BTreeMap<String, String>,
}

/// A port an image says it listens on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExposedPort {
    pub port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

/// A line of `pillion image list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedImage {
    pub name: ImageName,
    pub digest: Digest,
    /// Bytes of file content in all layers, shared ones included.
    pub size: u64,
    /// Seconds since 1970 when the name was last pulled or imported.
    pub pulled_at: u64,
}
