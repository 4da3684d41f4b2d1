//! What lists, `show` and `status` give out.

use pillion_fault::{Diagnosis, Words};
use pillion_model::{App, AppName, InstanceStatus, RevisionNumber};
use pillion_store::Etag;
use serde::{Deserialize, Serialize};

/// Where an app stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AppState {
    /// Its first instance is on its way.
    Starting,
    /// A wanted number of instances is ready.
    Running,
    /// It serves while a newer revision is on its way.
    Updating,
    /// It serves, though with fewer ready instances than wanted, or a container is unwell.
    Degraded,
    /// Nothing answers; the diagnosis says why.
    Failed,
    Stopping,
    Stopped,
    Deleting,
}

/// One line of the list of apps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppSummary {
    pub name: AppName,
    pub state: AppState,
    /// The revision that serves; none if none ever did.
    pub revision: Option<RevisionNumber>,
    pub ready: u32,
    pub wanted: u32,
    /// Main's image as written in the definition.
    pub image: String,
    pub sidecars: u32,
    pub host: String,
    pub port: u16,
}

/// An app as it was asked to be: the newest definition, defaults spelled out, secrets as [`crate::REDACTED`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppDocument {
    pub etag: Etag,
    /// The revision of this definition.
    pub revision: RevisionNumber,
    /// Applying this gives zero steps. `scale` is the number in force, so an override by `scale` is in it.
    pub definition: App,
}

/// An app as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    pub name: AppName,
    /// The resource that alone changes it; none for an app of an app file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub etag: Etag,
    pub state: AppState,
    /// The revision that serves.
    pub current: Option<RevisionNumber>,
    /// The newest revision applied; equal to `current` when the app has come to rest.
    pub target: RevisionNumber,
    pub ready: u32,
    pub wanted: u32,
    /// Why the newest revision failed or the app is unwell; the most telling cause.
    pub diagnosis: Option<Diagnosis>,
    /// `http://<app>.localhost:8080/` and the loopback port; the gateway's ports come from the settings.
    pub urls: Vec<String>,
    pub instances: Vec<InstanceView>,
}

impl AppStatus {
    /// What the people who see to the app describe it in.
    pub fn words(&self) -> Words {
        if self.owner.is_some() { Words::AppService } else { Words::AppFile }
    }
}

/// One instance with its containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    #[serde(flatten)]
    pub status: InstanceStatus,
    /// It gets no new requests and will stop.
    pub draining: bool,
    /// The newest diagnosis per container.
    pub diagnoses: Vec<Diagnosis>,
}
