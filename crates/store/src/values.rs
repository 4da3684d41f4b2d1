//! The values that the store keeps and hands out.

use std::{collections::BTreeMap, fmt, str::FromStr};

use pillion_fault::Diagnosis;
use pillion_model::{App, AppName, ContainerName, InstanceId, RevisionNumber};
use serde::{Deserialize, Serialize};

/// The version of one document: rises with every write of it, never repeats for its kind and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Etag(pub(crate) u64);

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Text that no store of ours ever handed out as an etag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an etag")]
pub struct EtagError(String);

impl FromStr for Etag {
    type Err = EtagError;
    fn from_str(text: &str) -> Result<Self, EtagError> {
        text.trim().trim_matches('"').parse().map(Etag).map_err(|_| EtagError(text.to_owned()))
    }
}

impl TryFrom<String> for Etag {
    type Error = EtagError;
    fn try_from(text: String) -> Result<Self, EtagError> {
        text.parse()
    }
}

impl From<Etag> for String {
    fn from(etag: Etag) -> String {
        etag.to_string()
    }
}

/// Something that happened to an app, with its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Rises with every event of the store; never used twice.
    pub serial: u64,
    /// Milliseconds since the epoch. For people: nothing is ordered by it.
    pub at_ms: u64,
    pub app: AppName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// A stable word: `applied`, `deployed`, `failed`, `scaled`, `started`, `ready`, `unready`, `ended`, `restarting`, …
    pub kind: String,
    /// One sentence that says what happened and why.
    pub text: String,
}

/// An event about to be written; the store gives it its serial.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub at_ms: u64,
    pub app: AppName,
    pub revision: Option<RevisionNumber>,
    pub instance: Option<InstanceId>,
    pub container: Option<String>,
    pub kind: String,
    pub text: String,
    /// A number unique within the instance, where the event was observed there: written twice, it is kept once.
    pub source: Option<u64>,
}

/// What a document is about. Kinds whose bodies hold what nobody may read from the file are kept encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The record of one app: what it is to be, and how far that has come.
    App,
    /// One ARM resource, by its normalised id.
    Resource,
    /// Somebody who may log in: a service principal or a user.
    Principal,
    /// A login that can be renewed without the secret.
    Session,
    /// A key that tokens are signed with.
    SigningKey,
    /// The key with which the server recognises secrets and derives others.
    ServerKey,
    /// A long operation: what it is to do and how far it has come.
    Operation,
    /// A template deployment with its operations.
    Deployment,
    /// The template of a deployment, and what its run starts from.
    DeploymentSource,
    /// A mark that a site's resources changed and its app has not followed yet.
    Dirty,
    /// A loopback port kept for an app that may come later.
    Port,
    /// A value that the server made once for itself, such as its subscription id.
    Setting,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::App => "app",
            Kind::Resource => "resource",
            Kind::Principal => "principal",
            Kind::Session => "session",
            Kind::SigningKey => "signingKey",
            Kind::ServerKey => "serverKey",
            Kind::Operation => "operation",
            Kind::Deployment => "deployment",
            Kind::DeploymentSource => "deploymentSource",
            Kind::Dirty => "dirty",
            Kind::Port => "port",
            Kind::Setting => "setting",
        }
    }

    pub(crate) fn sealed(self) -> bool {
        match self {
            Kind::Resource | Kind::Principal | Kind::Session | Kind::SigningKey => true,
            Kind::ServerKey | Kind::Operation | Kind::Deployment | Kind::DeploymentSource => true,
            Kind::App | Kind::Dirty | Kind::Port | Kind::Setting => false,
        }
    }
}

/// Who did what to which thing, and what came of it. Written with the change itself, never changed after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Rises with every record; never used twice.
    pub serial: u64,
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// An audit record about to be written; the store gives it its serial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Milliseconds since the epoch. For people: nothing is ordered by it.
    pub at_ms: u64,
    /// The id of who did it; empty where nobody was known (a failed login).
    pub principal: String,
    /// The name to show for it.
    pub caller: String,
    /// `Microsoft.Web/sites/write`, `login`, …
    pub action: String,
    /// The normalised id of what it was done to; empty where there is none.
    pub target: String,
    /// The HTTP status that was answered.
    pub status: u16,
    /// Ties records of one request or deployment together.
    pub correlation: String,
    /// One sentence; never a secret.
    pub detail: String,
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<T> {
    pub key: String,
    pub etag: Etag,
    pub body: T,
}

/// An immutable definition, numbered; only `images` and `outcome` are filled in later, each once.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub app: AppName,
    pub number: RevisionNumber,
    pub definition: App,
    /// Each container's image as `name@sha256:…`; none until they were made present.
    pub images: Option<BTreeMap<ContainerName, String>>,
    pub outcome: Outcome,
    pub created_ms: u64,
}

/// How a revision ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome", rename_all_fields = "camelCase")]
pub enum Outcome {
    Pending,
    /// It proved itself and became current.
    Ready,
    Failed {
        diagnosis: Box<Diagnosis>,
    },
    /// A newer one took over before it was ready.
    Superseded {
        by: RevisionNumber,
    },
}
