//! Apps on the wire: applying, listing, status, roll-out, events and logs. What the control plane gives out travels as it is.

use std::collections::BTreeMap;

use pillion_fault::{Diagnosis, Words};
use serde::{Deserialize, Serialize};

pub use pillion_control::{
    AppDocument, AppState, AppStatus, AppSummary, ApplyOutcome, ContainerProgress, Event, InstanceView, PreviewStep, REDACTED,
    RolloutEvent,
};
pub use pillion_engine::{Credential, LogLine, Stream};

/// The body of `PUT /v1/apps/{app}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRequest {
    /// The app file as JSON.
    pub definition: serde_json::Value,
    /// By registry host, only those that the file names; kept encrypted for later pulls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, Credential>,
}

/// A diagnosis with its sentence and hint spelled out, for clients that do not know the faults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultView {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub diagnosis: Diagnosis,
}

impl FaultView {
    /// Spells a diagnosis out in these words.
    pub fn new(diagnosis: Diagnosis, words: Words) -> Self {
        Self { message: diagnosis.to_string(), hint: diagnosis.hint_in(words), diagnosis }
    }
}

impl From<Diagnosis> for FaultView {
    fn from(diagnosis: Diagnosis) -> Self {
        Self::new(diagnosis, Words::AppFile)
    }
}

/// The answer to `GET /v1/apps/{app}/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAnswer {
    #[serde(flatten)]
    pub status: AppStatus,
    /// The app's own diagnosis, as sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<FaultView>>,
}

/// The body of `POST /v1/apps/{app}/scale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleRequest {
    pub count: u32,
}

/// The body of `POST /v1/apps/{app}/start`, `stop` and `restart`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRequest {
    /// Only this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// The answer to what returns nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {}
