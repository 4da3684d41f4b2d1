//! [`Control`]: the services that every surface (native API, ARM, portal) calls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::stream::BoxStream;
use pillion_engine::{Action, Credential, Engine};
use pillion_model::{App, AppName, ContainerName, RevisionNumber};
use pillion_store::{Etag, Event, Kind, Store, StoreError};
use tokio::sync::watch;

use crate::{
    AppDocument, AppState, AppStatus, AppSummary, ApplyOptions, ApplyOutcome, ControlError, Drainer, Reconciler, RolloutEvent,
    Routes, Settings, applying, following,
    front::Fronts,
    record::{Intent, Record},
    shared::{Shared, event},
    viewing,
};

/// How long a stop or a deletion may take beyond the time to drain.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(120);

/// The one door to the control plane; cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

impl Control {
    /// Makes the service and the task that does its work; the caller spawns [`Reconciler::run`].
    ///
    /// # Errors
    /// `Store`.
    pub async fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        drainer: Arc<dyn Drainer>,
        settings: Settings,
    ) -> Result<(Control, Reconciler), ControlError> {
        let fronts = Fronts::read(&store).await?;
        let shared = Arc::new(Shared {
            store,
            engine,
            drainer,
            settings: std::sync::Mutex::new(settings),
            routes: watch::Sender::default(),
            pulls: watch::Sender::default(),
            draining: watch::Sender::default(),
            refusals: watch::Sender::default(),
            fronts,
            began: std::time::Instant::now(),
            ports: tokio::sync::Mutex::new(()),
        });
        Ok((Control { shared: shared.clone() }, Reconciler::new(shared)))
    }

    /// Makes changed settings hold from now on; the range of the apps' ports stays as it was at the start.
    pub fn tune(&self, max_instances: u32, drain_within: Duration, gateway_port: u16) {
        let mut settings = self.shared.settings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (settings.max_instances, settings.drain_within, settings.gateway_port) = (max_instances, drain_within, gateway_port);
    }

    /// Asks an app to be as `definition` says; creates it if there is none of that name. Returns once it is stored: progress
    /// and ending come from [`Control::wait`]. A definition equal to what the app already is gives zero steps and no new
    /// revision; equal to one that failed, it is tried again as a new revision. `credentials` (by registry host) are kept,
    /// encrypted, with the app; those of hosts not given stay. A stopped app stays stopped.
    ///
    /// # Errors
    /// `Invalid` with every problem found, `Conflict`, `BeingDeleted`, `PortsExhausted`, `Store`.
    pub async fn apply(
        &self,
        definition: App,
        credentials: BTreeMap<String, Credential>,
        options: ApplyOptions,
    ) -> Result<ApplyOutcome, ControlError> {
        applying::apply(&self.shared, definition, credentials, options).await
    }

    /// Follows a revision to its end: what is already known first, then news; see [`RolloutEvent`] for when it ends.
    ///
    /// # Errors
    /// `AppNotFound`, `RevisionNotFound`.
    pub async fn wait(&self, app: &AppName, revision: RevisionNumber) -> Result<BoxStream<'static, RolloutEvent>, ControlError> {
        self.record(app).await?;
        if self.shared.store.revision(app, revision).await?.is_none() {
            return Err(ControlError::RevisionNotFound { app: app.clone(), revision });
        }
        Ok(following::rollout(self.shared.clone(), app.clone(), revision))
    }

    /// Lists all apps by name.
    pub async fn list(&self) -> Result<Vec<AppSummary>, ControlError> {
        let mut all = Vec::new();
        for document in self.shared.store.documents::<Record>(Kind::App).await? {
            let Ok(app) = AppName::try_from(document.key.clone()) else { continue };
            if let Some(summary) = viewing::summary(&self.shared, &app, &document).await? {
                all.push(summary);
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Gives the newest definition, whether it is current, on its way or failed.
    pub async fn show(&self, app: &AppName) -> Result<AppDocument, ControlError> {
        let document = self.record(app).await?;
        viewing::document(&self.shared, app, &document).await
    }

    /// Has the engine look again at what an app's instances use and listen on; for a status that a person asked for.
    pub async fn refresh(&self, app: &AppName) {
        self.shared.engine.refresh(app).await;
    }

    pub async fn status(&self, app: &AppName) -> Result<AppStatus, ControlError> {
        let document = self.record(app).await?;
        viewing::status(&self.shared, app, &document).await
    }

    /// Sets how many instances run, over the definition's own number until an apply changes that. Returns once stored;
    /// [`Control::await_rest`] waits.
    ///
    /// # Errors
    /// `ScaleOutOfRange`, `AppNotFound`, `BeingDeleted`.
    pub async fn scale(&self, app: &AppName, instances: u32) -> Result<Etag, ControlError> {
        let max = self.shared.settings().max_instances;
        if !(1..=max).contains(&instances) {
            return Err(ControlError::ScaleOutOfRange { asked: instances, max });
        }
        let text = format!("scaled to {instances} by request");
        self.change(app, |record| {
            let changed = record.scale != Some(instances);
            record.scale = Some(instances);
            changed.then(|| event(app, record.current, "scaled", text.clone()))
        })
        .await
    }

    /// Starts a stopped app (and returns once stored), or one container in each instance.
    pub async fn start(&self, app: &AppName, container: Option<&ContainerName>) -> Result<(), ControlError> {
        if let Some(container) = container {
            return self.act(app, Some(container), Action::Start).await;
        }
        self.intend(app, Intent::Run, "startRequested", "started by request").await.map(drop)
    }

    /// Stops an app: drains, stops in order, stays stopped over reboots; returns when nothing of it runs. With a
    /// container: stops only that in each instance, until `start` or the instance's end.
    pub async fn stop(&self, app: &AppName, container: Option<&ContainerName>) -> Result<(), ControlError> {
        if let Some(container) = container {
            return self.act(app, Some(container), Action::Stop).await;
        }
        self.intend(app, Intent::Stop, "stopRequested", "stopped by request").await?;
        self.until_nothing_runs(app).await
    }

    /// Asks an app to stop or to start, and returns once that is stored.
    ///
    /// # Errors
    /// `AppNotFound`, `BeingDeleted`.
    pub async fn ask(&self, app: &AppName, running: bool) -> Result<(), ControlError> {
        if running {
            self.intend(app, Intent::Run, "startRequested", "started by request").await.map(drop)
        } else {
            self.intend(app, Intent::Stop, "stopRequested", "stopped by request").await.map(drop)
        }
    }

    /// Whether there is an app of this name that an app file made.
    pub async fn is_of_file(&self, name: &AppName) -> Result<bool, ControlError> {
        let found = self.shared.store.document::<Record>(Kind::App, name.as_str()).await?;
        Ok(found.is_some_and(|document| document.body.owner.is_none()))
    }

    /// Lists the apps that have an owner, with it: those that app files made have none.
    pub async fn owners(&self) -> Result<BTreeMap<AppName, Option<String>>, ControlError> {
        let all = self.shared.store.documents::<Record>(Kind::App).await?;
        Ok(all.into_iter().filter_map(|document| Some((AppName::try_from(document.key).ok()?, document.body.owner))).collect())
    }

    /// Restarts one container, or all, in each instance, one instance after another.
    pub async fn restart(&self, app: &AppName, container: Option<&ContainerName>) -> Result<(), ControlError> {
        if matches!(self.record(app).await?.body.intent, Intent::Stop) {
            return Err(ControlError::Stopped { app: app.clone() });
        }
        self.act(app, container, Action::Restart).await
    }

    /// Removes an app and everything it keeps; returns when it is gone.
    ///
    /// # Errors
    /// `AppNotFound`, `Conflict`, `NotInTime` (it goes on all the same).
    pub async fn delete(&self, app: &AppName, if_match: Option<Etag>) -> Result<(), ControlError> {
        let document = self.record(app).await?;
        if let Some(expected) = if_match.filter(|expected| *expected != document.etag) {
            return Err(ControlError::Conflict { app: app.clone(), expected, found: Some(document.etag) });
        }
        let mut changes = self.shared.store.changes();
        self.change_any(app, |record| {
            record.intent = Intent::Delete;
            Some(event(app, record.current, "deleteRequested", "deletion was requested".into()))
        })
        .await?;
        let within = self.shared.settings().drain_within + STOP_WITHIN;
        let gone = async {
            while self.shared.store.document::<Record>(Kind::App, app.as_str()).await?.is_some() {
                if changes.changed().await.is_err() {
                    return Err(StoreError::Closed);
                }
            }
            Ok(())
        };
        match tokio::time::timeout(within, gone).await {
            Ok(gone) => Ok(gone?),
            Err(_) => Err(ControlError::NotInTime { app: app.clone(), waited_s: within.as_secs() }),
        }
    }

    /// Waits until the app is at rest: every wanted instance ready and none too many (or stopped, or failed).
    ///
    /// # Errors
    /// `NotInTime`.
    pub async fn await_rest(&self, app: &AppName, within: Duration) -> Result<AppStatus, ControlError> {
        let mut changes = self.shared.store.changes();
        let mut facts = self.shared.engine.observe();
        let mut draining = self.shared.draining.subscribe();
        let rest = async {
            loop {
                let status = self.status(app).await?;
                let settled = match status.state {
                    AppState::Running => status.instances.len() == status.wanted as usize,
                    AppState::Stopped | AppState::Failed => status.instances.is_empty() || status.current.is_some(),
                    AppState::Starting | AppState::Updating | AppState::Degraded | AppState::Stopping | AppState::Deleting => {
                        false
                    }
                };
                if settled {
                    return Ok(status);
                }
                // All three keep what was not seen yet, so dropping a wait loses nothing.
                tokio::select! {
                    changed = changes.changed() => changed.map_err(|_| StoreError::Closed)?,
                    changed = facts.changed() => changed.map_err(|_| StoreError::Closed)?,
                    changed = draining.changed() => changed.map_err(|_| StoreError::Closed)?,
                }
            }
        };
        let late = || ControlError::NotInTime { app: app.clone(), waited_s: within.as_secs() };
        tokio::time::timeout(within, rest).await.map_err(|_| late())?
    }

    /// Gives an app's events, oldest first; with `follow`, the stream then waits for more.
    pub async fn events(&self, app: &AppName, follow: bool) -> Result<BoxStream<'static, Event>, ControlError> {
        self.record(app).await?;
        Ok(following::events(self.shared.clone(), app.clone(), follow))
    }

    /// The routes as of now; every change wakes the receiver.
    pub fn routes(&self) -> watch::Receiver<Arc<Routes>> {
        self.shared.routes.subscribe()
    }
}
