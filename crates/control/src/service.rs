//! [`Control`]: the services that every surface (native API, ARM, portal) calls.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use pillion_engine::{Credential, Engine, ExecRequest, ExecSession, LogLine};
use pillion_model::{App, AppName, ContainerName, InstanceId, RevisionNumber};
use pillion_store::{Etag, Event, Store};
use tokio::sync::watch;

use crate::{AppDocument, AppStatus, AppSummary, ApplyOptions, ApplyOutcome, ControlError, RolloutEvent, Routes};

/// What the composition root decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where apps get their own loopback port from.
    pub app_ports: RangeInclusive<u16>,
    /// The gateway's shared port, for the URLs in `status`.
    pub gateway_port: u16,
    /// How long requests under way may hold up the stop of an instance.
    pub drain_within: Duration,
    pub max_instances: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { app_ports: 20000..=20999, gateway_port: 8080, drain_within: Duration::from_secs(30), max_instances: 30 }
    }
}

/// Waits until an instance has no request under way. The composition root implements it with the gateway.
#[async_trait]
pub trait Drainer: Send + Sync + 'static {
    /// Returns once routes of `generation` (or later), in which `instance` drains, are in force and its last request is
    /// done. It is dropped at the deadline, so it must be safe to cancel.
    async fn drained(&self, instance: &InstanceId, generation: u64);
}

/// For compositions without a gateway: nothing is ever under way.
pub struct NoGateway;

#[async_trait]
impl Drainer for NoGateway {
    async fn drained(&self, _instance: &InstanceId, _generation: u64) {}
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct LogSelection {
    pub container: Option<String>,
    pub instance: Option<InstanceId>,
    pub follow: bool,
    pub since: Option<std::time::SystemTime>,
    pub tail: Option<usize>,
}

/// The one door to the control plane; cheap to clone.
#[derive(Clone)]
pub struct Control {
    _inner: Arc<()>,
}

impl Control {
    /// Makes the service and the task that does its work; the caller spawns [`Reconciler::run`].
    pub async fn new(
        _store: Store,
        _engine: Arc<dyn Engine>,
        _drainer: Arc<dyn Drainer>,
        _settings: Settings,
    ) -> Result<(Control, Reconciler), ControlError> {
        unimplemented!()
    }

    /// Asks an app to be as `definition` says; creates it if there is none of that name. Returns once it is stored: progress
    /// and ending come from [`Control::wait`]. A definition equal to what the app already is gives zero steps and no new
    /// revision. `credentials` (by registry host) are kept, encrypted, with the app; those of hosts not given stay.
    ///
    /// # Errors
    /// `Invalid` with every problem found, `Conflict`, `BeingDeleted`, `PortsExhausted`, `Store`.
    pub async fn apply(
        &self,
        _definition: App,
        _credentials: BTreeMap<String, Credential>,
        _options: ApplyOptions,
    ) -> Result<ApplyOutcome, ControlError> {
        unimplemented!()
    }

    /// Follows a revision to its end: what is already known first, then news; see [`RolloutEvent`] for when it ends.
    ///
    /// # Errors
    /// `AppNotFound`, `RevisionNotFound`.
    pub async fn wait(&self, _app: &AppName, _revision: RevisionNumber) -> Result<BoxStream<'static, RolloutEvent>, ControlError> {
        unimplemented!()
    }

    /// Lists all apps by name.
    pub async fn list(&self) -> Result<Vec<AppSummary>, ControlError> {
        unimplemented!()
    }

    pub async fn show(&self, _app: &AppName) -> Result<AppDocument, ControlError> {
        unimplemented!()
    }

    pub async fn status(&self, _app: &AppName) -> Result<AppStatus, ControlError> {
        unimplemented!()
    }

    /// Sets how many instances run, over the definition's own number until the next apply that changes that.
    /// Returns once stored; `await_rest` waits.
    pub async fn scale(&self, _app: &AppName, _instances: u32) -> Result<Etag, ControlError> {
        unimplemented!()
    }

    /// Starts a stopped app (and returns once stored), or one container in each instance.
    pub async fn start(&self, _app: &AppName, _container: Option<&ContainerName>) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Stops an app: drains, stops in order, stays stopped over reboots; returns when nothing of it runs. With a
    /// container: stops only that in each instance, until `start` or the instance's end.
    pub async fn stop(&self, _app: &AppName, _container: Option<&ContainerName>) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Restarts one container, or all, in each instance, one instance after another.
    pub async fn restart(&self, _app: &AppName, _container: Option<&ContainerName>) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Removes an app and everything it keeps; returns when it is gone.
    pub async fn delete(&self, _app: &AppName, _if_match: Option<Etag>) -> Result<(), ControlError> {
        unimplemented!()
    }

    /// Waits until the app is at rest: every wanted instance ready and none too many (or stopped, or failed).
    pub async fn await_rest(&self, _app: &AppName, _within: Duration) -> Result<AppStatus, ControlError> {
        unimplemented!()
    }

    /// Gives an app's events, oldest first; with `follow`, the stream then waits for more.
    pub async fn events(&self, _app: &AppName, _follow: bool) -> Result<BoxStream<'static, Event>, ControlError> {
        unimplemented!()
    }

    pub async fn logs(&self, _app: &AppName, _which: LogSelection) -> Result<BoxStream<'static, LogLine>, ControlError> {
        unimplemented!()
    }

    /// Runs a command in a container (main where none is named) of an instance (a ready one where none is named).
    pub async fn exec(
        &self,
        _app: &AppName,
        _instance: Option<&InstanceId>,
        _container: Option<&ContainerName>,
        _exec: ExecRequest,
    ) -> Result<ExecSession, ControlError> {
        unimplemented!()
    }

    /// The routes as of now; every change wakes the receiver.
    pub fn routes(&self) -> watch::Receiver<Arc<Routes>> {
        unimplemented!()
    }
}

/// The task that makes apps so.
pub struct Reconciler {
    _inner: (),
}

impl Reconciler {
    /// Runs until `stop` turns true, then lets steps under way finish (5 s at most). Instances go on running.
    pub async fn run(self, _stop: watch::Receiver<bool>) {
        unimplemented!()
    }
}
