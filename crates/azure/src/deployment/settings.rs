//! What the composition root decides for deployments.

use std::time::Duration;

use super::link::LinkSettings;

/// What deployments are told about the server that they run in.
#[derive(Debug, Clone)]
pub struct Settings {
    pub subscription: String,
    pub tenant: String,
    /// Where clients reach the resource manager: `https://127.0.0.1:8443/`.
    pub endpoint: String,
    pub links: LinkSettings,
    /// Resources that one deployment writes at one time.
    pub parallel: usize,
    /// How long one step of evaluation may take.
    pub evaluate_within: Duration,
    /// Deployments kept of one group, the newest ones.
    pub kept: usize,
}

impl Settings {
    pub fn new(subscription: &str, tenant: &str, endpoint: &str) -> Settings {
        Settings {
            subscription: subscription.to_owned(),
            tenant: tenant.to_owned(),
            endpoint: endpoint.to_owned(),
            links: LinkSettings::default(),
            parallel: 8,
            evaluate_within: Duration::from_secs(20),
            kept: 800,
        }
    }
}
