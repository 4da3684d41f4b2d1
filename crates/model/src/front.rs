//! What the front end of a site asks of a request before an instance sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Cidr;

/// Who may send requests: the first rule that a request fits decides, else `others`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRules {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AccessRule>,
    #[serde(default)]
    pub others: Access,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    #[default]
    Allow,
    Deny,
}

/// Holds for requests from one of `from` that carry, for each of `headers`, one of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    pub from: Vec<Cidr>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<AccessHeader, Vec<String>>,
    pub then: Access,
}

/// The headers that a rule can ask for; what a value means depends on which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessHeader {
    /// `X-Forwarded-Host` as a trusted proxy passes it on: a host name.
    ForwardedHost,
    /// `X-Forwarded-For` as trusted proxies wrote it: a block of addresses that holds their client.
    ForwardedFor,
    /// `X-Azure-FDID`: the id of a Front Door.
    FrontDoorId,
    /// `X-FD-HealthProbe`: `1`.
    FrontDoorProbe,
}

/// Which pages of other origins may read a site's answers. It stands in for whatever the program itself says of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// `https://shop.example`; `*` is everybody.
    pub origins: Vec<String>,
    /// Browsers may send cookies along.
    #[serde(default)]
    pub credentials: bool,
}

impl Cors {
    /// Returns whether pages of this origin may read the answers.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
    }

    pub fn allows_everybody(&self) -> bool {
        self.origins.iter().any(|allowed| allowed == "*")
    }
}
