//! Streams that follow: a rollout to its end, an app's events. Each holds only what it has told so far.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use pillion_engine::Observed;
use pillion_fault::Diagnosis;
use pillion_model::{AppName, ContainerName, ContainerPhase, ContainerStatus, InstanceId, RevisionNumber};
use pillion_store::{Event, Kind, Outcome};
use tokio::sync::watch;

use crate::{
    ContainerProgress, RolloutEvent,
    diagnosis::{most_telling, proven},
    record::{Intent, Record},
    shared::{PullProgress, Shared, wall_ms},
};

/// Events read from the store at a time.
const PAGE: u32 = 200;

struct Rollout {
    shared: Arc<Shared>,
    app: AppName,
    revision: RevisionNumber,
    changes: watch::Receiver<u64>,
    facts: watch::Receiver<Arc<Observed>>,
    pulls: watch::Receiver<PullProgress>,
    told: BTreeMap<(ContainerName, Option<InstanceId>), ContainerProgress>,
    told_count: Option<(u32, u32)>,
    queue: VecDeque<RolloutEvent>,
    over: bool,
}

pub(crate) fn rollout(shared: Arc<Shared>, app: AppName, revision: RevisionNumber) -> BoxStream<'static, RolloutEvent> {
    let rollout = Rollout {
        changes: shared.store.changes(),
        facts: shared.engine.observe(),
        pulls: shared.pulls.subscribe(),
        shared,
        app,
        revision,
        told: BTreeMap::new(),
        told_count: None,
        queue: VecDeque::new(),
        over: false,
    };
    stream::unfold(rollout, |mut rollout| async move { rollout.next().await.map(|event| (event, rollout)) }).boxed()
}

impl Rollout {
    async fn next(&mut self) -> Option<RolloutEvent> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.changes.mark_unchanged();
            let ending = self.ending().await;
            self.news();
            if let Some(ending) = ending {
                self.queue.push_back(ending);
                self.over = true;
            }
            if self.queue.is_empty() {
                // Each keeps what was not seen yet, so dropping a wait loses nothing.
                let open = tokio::select! {
                    changed = self.changes.changed() => changed,
                    changed = self.facts.changed() => changed,
                    changed = self.pulls.changed() => changed,
                };
                self.over = open.is_err();
            }
        }
    }

    async fn ending(&self) -> Option<RolloutEvent> {
        let store = &self.shared.store;
        let (app, revision) = (&self.app, self.revision);
        let record = match store.document::<Record>(Kind::App, app.as_str()).await {
            Ok(Some(document)) => document.body,
            Ok(None) => return Some(RolloutEvent::Deleted),
            // The store says more at the next change.
            Err(_) => return None,
        };
        let found = store.revision(app, revision).await.ok()?;
        match (found.as_ref().map(|found| &found.outcome), record.intent) {
            (_, Intent::Delete) => None,
            (Some(Outcome::Ready), Intent::Run) => {
                let since = found.as_ref().map_or(0, |found| found.created_ms);
                Some(RolloutEvent::Ready { revision, millis: wall_ms().saturating_sub(since) })
            }
            (Some(Outcome::Failed { diagnosis }), _) => {
                Some(RolloutEvent::Failed { revision, diagnosis: diagnosis.clone(), serving: record.current })
            }
            (Some(Outcome::Superseded { by }), _) => Some(RolloutEvent::Superseded { by: *by }),
            (None, _) => Some(RolloutEvent::Superseded { by: record.target }),
            (Some(Outcome::Pending | Outcome::Ready), Intent::Stop) => Some(RolloutEvent::Stopped),
            (Some(Outcome::Pending), Intent::Run) => None,
        }
    }

    /// Queues what has changed since it was last told.
    fn news(&mut self) {
        let mut now: Vec<(ContainerName, Option<InstanceId>, ContainerProgress)> = Vec::new();
        let pulls = self.pulls.borrow_and_update().get(&(self.app.clone(), self.revision)).cloned().unwrap_or_default();
        now.extend(pulls.into_iter().map(|(container, progress)| (container, None, progress)));
        let observed = self.facts.borrow_and_update().clone();
        let mut ready = 0;
        let mut seen = 0;
        for one in observed.instances.values().filter(|one| one.app == self.app && one.status.revision == self.revision) {
            seen += 1;
            ready += u32::from(proven(one, None));
            now.extend(
                one.status
                    .containers
                    .iter()
                    .map(|status| (status.name.clone(), Some(one.status.id.clone()), progress(status, &one.diagnoses))),
            );
        }
        for (container, instance, progress) in now {
            let key = (container, instance);
            if self.told.get(&key) != Some(&progress) {
                self.told.insert(key.clone(), progress.clone());
                self.queue.push_back(RolloutEvent::Container { container: key.0, instance: key.1, progress });
            }
        }
        if seen > 0 && self.told_count != Some((ready, seen)) {
            self.told_count = Some((ready, seen));
            self.queue.push_back(RolloutEvent::Instances { ready, wanted: seen });
        }
    }
}

fn progress(status: &ContainerStatus, known: &[Diagnosis]) -> ContainerProgress {
    match &status.phase {
        ContainerPhase::Waiting { on } => ContainerProgress::Waiting { on: on.clone() },
        ContainerPhase::Starting => ContainerProgress::Starting,
        ContainerPhase::Running { ready: false, .. } => {
            let own = known.iter().filter(|diagnosis| diagnosis.container.as_deref() == Some(status.name.as_str()));
            ContainerProgress::Running { diagnosis: most_telling(own.cloned()).map(Box::new) }
        }
        ContainerPhase::Running { ready: true, .. } => ContainerProgress::Ready,
        ContainerPhase::BackOff { last, .. } => ContainerProgress::BackOff { diagnosis: last.clone(), restarts: status.restarts },
        ContainerPhase::Completed => ContainerProgress::Completed,
        ContainerPhase::Failed { last } => ContainerProgress::Failed { diagnosis: last.clone() },
        ContainerPhase::Stopped => ContainerProgress::Stopped,
    }
}

struct Events {
    shared: Arc<Shared>,
    app: AppName,
    news: watch::Receiver<u64>,
    after: u64,
    page: VecDeque<Event>,
    follow: bool,
}

pub(crate) fn events(shared: Arc<Shared>, app: AppName, follow: bool) -> BoxStream<'static, Event> {
    let events = Events { news: shared.store.event_changes(), shared, app, after: 0, page: VecDeque::new(), follow };
    stream::unfold(events, |mut events| async move { events.next().await.map(|event| (event, events)) }).boxed()
}

impl Events {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.after = event.serial;
                return Some(event);
            }
            self.news.mark_unchanged();
            match self.shared.store.events(&self.app, self.after, PAGE).await {
                Ok(page) => self.page = page.into(),
                Err(wrong) => {
                    tracing::warn!(app = %self.app, error = &wrong as &dyn std::error::Error, "cannot read events");
                    return None;
                }
            }
            if self.page.is_empty() {
                if !self.follow {
                    return None;
                }
                self.news.changed().await.ok()?;
            }
        }
    }
}
