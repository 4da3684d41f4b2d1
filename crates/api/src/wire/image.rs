//! Images on the wire.

use serde::{Deserialize, Serialize};

use super::{Credential, FaultView};

/// One image on the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    /// The name it was pulled by.
    pub reference: String,
    pub digest: String,
    /// Bytes on disk, unpacked, counting layers it shares with others.
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_at_ms: Option<u64>,
    /// Whether an app's revision or instance needs it.
    pub in_use: bool,
}

/// The body of `POST /v1/images/pull`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// One line of the answer to a pull. The last is `pulled` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum PullLine {
    Pulling { done: u64, total: u64 },
    Pulled { digest: String },
    Failed { fault: Box<FaultView> },
}

/// The body of `POST /v1/images/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoveImageRequest {
    pub image: String,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Each thing removed, e.g. `cgroup pillion/shop-1-x7k2p9`.
    pub removed: Vec<String>,
    pub freed_bytes: u64,
}
