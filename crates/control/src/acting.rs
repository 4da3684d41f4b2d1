//! Acting on what runs: restarts and stops of containers, and waiting for what comes of it.

use std::time::Duration;

use pillion_engine::{Action, Observed, ObservedInstance};
use pillion_fault::Diagnosis;
use pillion_model::{AppName, ContainerName, ContainerPhase, ContainerStatus};
use pillion_store::Batch;

use crate::{
    Control, ControlError, decide,
    diagnosis::{complaints, most_telling},
    error::engine_error,
    service::STOP_WITHIN,
    shared::event,
};

/// How long what was asked of a container may take before the answer comes all the same: its status shows the rest.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

impl Control {
    /// Acts on each instance and waits for what comes of it; restarts go one instance after another.
    ///
    /// # Errors
    /// `Engine` with the cause where a container was started and ends or fails instead of running.
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
        let mut broken = None;
        for one in &running {
            let done = self.shared.engine.act(&one.status.id, container.map(ContainerName::as_str), action).await;
            done.map_err(engine_error)?;
            // The others serve while this one is away.
            if action == Action::Restart {
                broken = broken.or(self.settled(one, container, action).await);
            }
        }
        if action != Action::Restart {
            for one in &running {
                broken = broken.or(self.settled(one, container, action).await);
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
        broken.map_or(Ok(()), |diagnosis| Err(engine_error(diagnosis)))
    }

    /// Waits until each container asked about is as `action` wants it; returns what keeps one from it.
    async fn settled(&self, before: &ObservedInstance, container: Option<&ContainerName>, action: Action) -> Option<Diagnosis> {
        let mut facts = self.shared.engine.observe();
        let asked = |status: &&ContainerStatus| container.is_none_or(|name| status.name == *name);
        let outcome = |observed: &Observed| {
            // An instance that is gone has nothing to wait for.
            let now = observed.instances.get(&before.status.id).map(|one| one.status.containers.as_slice()).unwrap_or_default();
            now.iter().filter(asked).map(|status| outcome(before, status, action)).max().unwrap_or(Outcome::AsAsked)
        };
        let settled = facts.wait_for(|observed| outcome(observed) != Outcome::UnderWay);
        match tokio::time::timeout(SETTLES_WITHIN, settled).await {
            Ok(Ok(observed)) => match outcome(&observed) {
                Outcome::Broken => {
                    let now = observed.instances.get(&before.status.id);
                    now.and_then(|now| most_telling(complaints(now)))
                }
                Outcome::AsAsked | Outcome::UnderWay => None,
            },
            // Nobody observes any more, or it takes long: the status says how it went.
            Ok(Err(_)) | Err(_) => None,
        }
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

/// What came of an action on one container; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    AsAsked,
    Broken,
    UnderWay,
}

fn outcome(before: &ObservedInstance, now: &ContainerStatus, action: Action) -> Outcome {
    let earlier = before.status.containers.iter().find(|status| status.name == now.name);
    // Only what ran starts anew; its count of restarts tells the new process from the old one.
    let old = earlier.is_some_and(|earlier| now.restarts <= earlier.restarts);
    let ran = earlier.is_some_and(|earlier| matches!(earlier.phase, ContainerPhase::Running { .. }));
    match (action, &now.phase) {
        (Action::Stop, ContainerPhase::Stopped | ContainerPhase::Completed | ContainerPhase::Failed { .. }) => Outcome::AsAsked,
        (
            Action::Stop,
            ContainerPhase::Waiting { .. }
            | ContainerPhase::Starting
            | ContainerPhase::Running { .. }
            | ContainerPhase::BackOff { .. },
        ) => Outcome::UnderWay,
        (Action::Restart, _) if !ran => Outcome::AsAsked,
        (Action::Restart, _) if old => Outcome::UnderWay,
        (Action::Restart | Action::Start, ContainerPhase::Running { ready: true, .. } | ContainerPhase::Completed) => {
            Outcome::AsAsked
        }
        (Action::Restart | Action::Start, ContainerPhase::BackOff { .. } | ContainerPhase::Failed { .. }) => Outcome::Broken,
        (
            Action::Restart | Action::Start,
            ContainerPhase::Waiting { .. }
            | ContainerPhase::Starting
            | ContainerPhase::Running { ready: false, .. }
            | ContainerPhase::Stopped,
        ) => Outcome::UnderWay,
    }
}
