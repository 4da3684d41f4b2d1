//! Acting on what runs: restarts and stops of containers, and waiting for what comes of it.

use std::time::Duration;

use pillion_engine::{Action, ObservedInstance};
use pillion_model::{AppName, ContainerName, ContainerPhase, InstanceId, InstancePhase};
use pillion_store::Batch;

use crate::{Control, ControlError, decide, error::engine_error, service::STOP_WITHIN, shared::event};

/// How long a restarted instance may take to be ready before the next one is restarted all the same.
const RESTART_WITHIN: Duration = Duration::from_secs(60);

impl Control {
    /// Acts on each instance, one after another; after a restart the next waits until this one is ready again.
    pub(crate) async fn act(&self, app: &AppName, container: Option<&ContainerName>, action: Action) -> Result<(), ControlError> {
        let document = self.record(app).await?;
        if let Some(container) = container {
            self.knows_container(app, &document, container.as_str()).await?;
        }
        let has =
            |one: &ObservedInstance| container.is_none_or(|name| one.status.containers.iter().any(|status| status.name == *name));
        let running: Vec<_> = self.instances(app).into_iter().filter(|one| decide::alive(one) && has(one)).collect();
        if running.is_empty() {
            return Err(ControlError::NothingRuns { app: app.clone() });
        }
        for one in &running {
            let id = &one.status.id;
            let done = self.shared.engine.act(id, container.map(ContainerName::as_str), action).await;
            done.map_err(engine_error)?;
            if action == Action::Restart && running.len() > 1 {
                self.ready_again(id, container).await;
            }
        }
        let what = container.map_or_else(|| "all containers".to_owned(), |name| format!("container {name}"));
        let verb = match action {
            Action::Restart => "restartRequested",
            Action::Stop => "stopRequested",
            Action::Start => "startRequested",
        };
        let mut news = event(app, document.body.current, verb, format!("{what}: {action:?} by request").to_lowercase());
        news.container = container.map(ToString::to_string);
        self.shared.store.commit(Batch::new().event(news)).await?;
        Ok(())
    }

    async fn ready_again(&self, id: &InstanceId, container: Option<&ContainerName>) {
        let mut facts = self.shared.engine.observe();
        let ready = facts.wait_for(|observed| {
            observed.instances.get(id).is_none_or(|one| {
                matches!(one.status.phase, InstancePhase::Ready)
                    && one.status.containers.iter().filter(|status| container.is_none_or(|name| status.name == *name)).all(
                        |status| matches!(status.phase, ContainerPhase::Running { ready: true, .. } | ContainerPhase::Completed),
                    )
            })
        });
        // Whether it came back in time shows in the status; the others are still to be restarted.
        drop(tokio::time::timeout(RESTART_WITHIN, ready).await);
    }

    pub(crate) async fn until_nothing_runs(&self, app: &AppName) -> Result<(), ControlError> {
        let within = self.shared.settings().drain_within + STOP_WITHIN;
        let mut facts = self.shared.engine.observe();
        let nothing = facts.wait_for(|observed| observed.complete && observed.instances.values().all(|one| one.app != *app));
        match tokio::time::timeout(within, nothing).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ControlError::NotInTime { app: app.clone(), waited_s: within.as_secs() }),
        }
    }
}
