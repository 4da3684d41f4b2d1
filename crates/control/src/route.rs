//! The facts that a gateway needs: which host and port reach which app, and which instances answer for it.

use std::path::PathBuf;

use pillion_model::{AppName, InstanceId};

use crate::SiteFront;

/// The routes of all apps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Rises with every change of `apps`; 0 until the state and the engine have been looked at for the first time. Starts anew with the process: the composition root adds its own epoch where a
    /// gateway that outlived the process compares generations.
    pub generation: u64,
    pub apps: Vec<AppRoute>,
}

/// How one app is reached. Its name here is the public one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRoute {
    pub app: AppName,
    /// Lower-case host names without port; `<app>.localhost` first.
    pub hosts: Vec<String>,
    /// The loopback port that is this app's own, the same for as long as the app exists.
    pub port: u16,
    pub state: RouteState,
    pub instances: Vec<InstanceRoute>,
    /// How its requests are spread, for a site.
    pub site: Option<SiteFront>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteState {
    /// Requests go to the instances that do not drain; where there is none, they are held until one comes.
    Serving,
    /// Nothing answers and nothing is about to.
    Down { reason: String, hint: Option<String> },
    /// Stopped on purpose.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRoute {
    pub instance: InstanceId,
    /// The socket that hands out connections into the instance.
    pub gate: PathBuf,
    /// Main's port inside the instance.
    pub port: u16,
    /// No new requests; those under way go on.
    pub draining: bool,
}
