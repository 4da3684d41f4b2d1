//! A site and everything that belongs to it, made into the app that runs.

use std::{collections::BTreeMap, sync::Arc};

use pillion_fault::Fault;
use pillion_model::{App, AppName};

use crate::Resource;

/// Everything that belongs to a site or a slot. Config documents that nobody wrote are none.
#[derive(Debug, Clone)]
pub struct SiteParts {
    /// The control plane's app behind the site; after a swap it is not the site's own name.
    pub app: AppName,
    pub site: Arc<Resource>,
    pub web: Option<Arc<Resource>>,
    pub settings: Option<Arc<Resource>>,
    pub connections: Option<Arc<Resource>>,
    pub storage: Option<Arc<Resource>>,
    pub containers: Vec<Arc<Resource>>,
    pub plan: Option<Arc<Resource>>,
    /// User-assigned identities attached to the site, to name them in problems.
    pub identities: Vec<Arc<Resource>>,
    /// `host[:port]` by which clients reach the site at the gateway: `WEBSITE_HOSTNAME`.
    pub host_name: String,
    /// Registry passwords may be names of settings that live elsewhere; no more instances than this.
    pub max_instances: u32,
}

/// A site as an app.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub app: App,
    /// By registry host.
    pub credentials: BTreeMap<String, RegistryCredential>,
    /// What the site asks for and does not get, for people to read.
    pub warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct RegistryCredential {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryCredential({}, ***)", self.username)
    }
}

/// Why a site cannot become an app as it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SiteProblem {
    /// More writes are to come: there is no main container yet. Nothing has failed.
    #[error("the site has no main container yet")]
    NotYet,
    /// A revision of it fails, for this reason.
    #[error("{fault}")]
    Fails { container: Option<String>, fault: Fault },
}

/// Makes the app of a site. Equal to the app that a native file gives which spells out the same.
///
/// # Errors
/// Every reason why there is none.
pub fn compile(site: &SiteParts) -> Result<Compiled, Vec<SiteProblem>> {
    let _ = site;
    Err(vec![SiteProblem::NotYet])
}

/// Returns an app setting's text as containers get it.
pub fn setting_text(settings: Option<&Resource>, name: &str) -> Option<String> {
    let properties = &settings?.properties;
    let found = properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str().map(str::to_owned))
}
