//! How a store behaves: limits, platform, patience. Everything has a default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What the caller asks of the registry before a stored image is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullPolicy {
    /// Ask the registry for the manifest with the caller's own credential; download what is missing.
    CheckRegistry,
    /// The caller has already proven that it may have this digest: use it from the store without asking,
    /// pull it by digest if the store does not have it.
    Proven(Digest),
}

/// Settings of a [`crate::Store`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Registries (`host[:port]`) that are spoken to by plain HTTP, beside those on loopback.
    pub plain_http: Vec<String>,
    /// Certificates (PEM) to trust beside the system's.
    pub extra_roots: Vec<String>,
    pub platform: Platform,
    pub limits: Limits,
    /// Layers downloaded and unpacked at once, over all pulls of the store.
    pub parallel: usize,
    pub retry: Retry,
}

/// Which image of a multi-platform index is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    pub os: String,
    /// As Go names it: `amd64`, `arm64`.
    pub architecture: String,
}

/// What a layer may cost at most; beyond it, it is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Bytes of file content one layer may unpack to.
    pub layer_bytes: u64,
    /// Entries in one layer.
    pub layer_entries: u64,
    /// Bytes of one path; Linux itself takes 4,096.
    pub path_bytes: usize,
    /// Bytes of all extended attributes of one entry.
    pub xattr_bytes: usize,
    pub layers: usize,
    /// Bytes of a manifest, index or config.
    pub document_bytes: u64,
}

/// Patience with a registry that stumbles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// Attempts in a row without a single byte of progress.
    pub attempts: u32,
    /// The first pause; doubles each time, with jitter.
    pub first: Duration,
    pub longest: Duration,
    pub connect_timeout: Duration,
    /// The longest silence in the middle of a transfer.
    pub read_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            plain_http: Vec::new(),
            extra_roots: Vec::new(),
            platform: Platform::default(),
            limits: Limits::default(),
            parallel: 4,
            retry: Retry::default(),
        }
    }
}

impl Default for Platform {
    /// The platform this program runs on.
    fn default() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Platform { os: "linux".to_owned(), architecture: architecture.to_owned() }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            layer_bytes: 32 << 30,
            layer_entries: 2_000_000,
            path_bytes: 4095,
            xattr_bytes: 64 << 10,
            layers: 127,
            document_bytes: 4 << 20,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 5,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        }
    }
}
