//! Principals, their logins, the audit log and the TLS endpoint on the wire.

use serde::{Deserialize, Serialize};

/// A role at a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// `Owner`, `Contributor` or `Reader`.
    pub role: String,
    /// A resource id: the subscription, a group, or an app.
    pub scope: String,
}

/// Somebody who may log in. The names are those that `az` uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalView {
    pub app_id: String,
    pub display_name: String,
    /// `service` or `user`.
    pub kind: String,
    pub grants: Vec<GrantView>,
    pub created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
}

/// The body of `POST /v1/principals`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatePrincipal {
    /// Made up where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `service` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A user's; made by the server where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `Contributor` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The subscription where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Somebody just made; the secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalCreated {
    #[serde(flatten)]
    pub principal: PrincipalView,
    /// Absent where the caller chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    pub tenant: String,
    pub subscription: String,
}

/// The body of `POST /v1/principals/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokePrincipal {
    /// Id or name.
    pub principal: String,
}

/// The body of `POST /v1/principals/approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveLogin {
    /// What the waiting program shows.
    pub code: String,
    /// Who it is to be: id or name.
    pub principal: String,
}

/// Who did what to which thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    pub serial: u64,
    pub at_ms: u64,
    /// Empty where nobody was known.
    pub principal: String,
    pub caller: String,
    pub action: String,
    /// The normalised id of what it was done to; empty where there is none.
    pub target: String,
    /// The HTTP status that was answered.
    pub status: u16,
    pub correlation: String,
    pub detail: String,
}

/// Where the TLS endpoint is, and what to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointInfo {
    /// `https://127.0.0.1:8443`, without a slash at the end.
    pub url: String,
    pub tenant: String,
    pub subscription: String,
    /// A file with the authority's certificate (PEM) that everybody may read.
    pub ca_file: String,
    /// The same followed by the certificates that the system trusts, for programs that take one file only.
    pub bundle_file: String,
}
