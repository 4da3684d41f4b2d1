//! The task that makes apps so: it looks, asks [`decide`], and sees to the steps. It holds no policy.

mod known;
mod publish;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};

use pillion_engine::Observed;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{AppName, InstanceId};
use pillion_store::{Kind, StoreError};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use self::known::Known;
pub(crate) use self::known::Stored;
use crate::{
    decide::{Because, Desired, Step, decide},
    diagnosis::{complaints, most_telling},
    memory::Key,
    record::Record,
    shared::{Shared, chance, fresh_id},
    steps,
};

/// The task that makes apps so. One runs beside each [`crate::Control`].
pub struct Reconciler {
    shared: Arc<Shared>,
    apps: BTreeMap<AppName, Known>,
    work: JoinSet<Result<(), Diagnosis>>,
    names: HashMap<Id, (AppName, Key)>,
    /// Instances of no app, being removed.
    orphaned: BTreeSet<InstanceId>,
    /// When the store could not be read or written, it is tried again after this.
    store_failures: u32,
    settle: Duration,
}

/// How long a sidecar without a probe must run on before a new revision may rely on it.
const SETTLE: Duration = Duration::from_secs(1);

impl Reconciler {
    pub(crate) fn new(shared: Arc<Shared>) -> Reconciler {
        Reconciler {
            shared,
            apps: BTreeMap::new(),
            work: JoinSet::new(),
            names: HashMap::new(),
            orphaned: BTreeSet::new(),
            store_failures: 0,
            settle: SETTLE,
        }
    }

    /// Sets how long a sidecar without a probe must run on before a new revision may rely on it; a second otherwise.
    pub fn settling(mut self, settle: Duration) -> Reconciler {
        self.settle = settle;
        self
    }

    /// Runs until `stop` turns true (or its sender is gone), then lets steps under way finish for 5 s at most. Instances go on running.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changes = self.shared.store.changes();
        let mut facts = self.shared.engine.observe();
        let mut reload = true;
        loop {
            // Before every look, not only when woken by it: a step that just ended has committed before, and what it wrote must
            // be known before the next is decided.
            reload |= changes.has_changed().unwrap_or(false);
            changes.mark_unchanged();
            if reload {
                match self.reload().await {
                    Ok(()) => (self.store_failures, reload) = (0, false),
                    Err(wrong) => {
                        self.store_failures += 1;
                        tracing::error!(error = &wrong as &dyn std::error::Error, "cannot read the state; trying again");
                    }
                }
            }
            let observed = facts.borrow_and_update().clone();
            let wake_at = self.pass(&observed).await;
            let pause = match (wake_at, self.store_failures) {
                (_, failures @ 1..) => Duration::from_millis(100 << failures.min(6)),
                (Some(at), 0) => Duration::from_millis(at.saturating_sub(self.shared.now()).max(1)),
                (None, 0) => Duration::from_secs(3600),
            };
            // Every arm is cancel-safe: watch receivers keep what they have not shown, a JoinSet keeps its tasks.
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                changed = changes.changed() => {
                    if changed.is_err() { break }
                    reload = true;
                }
                changed = facts.changed() => if changed.is_err() { break },
                Some(done) = self.work.join_next_with_id() => self.finish(done),
                () = tokio::time::sleep(pause) => {}
            }
            while let Some(done) = self.work.try_join_next_with_id() {
                self.finish(done);
            }
        }
        self.wind_up().await;
    }

    async fn wind_up(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, self.work.join_next()).await {}
        if !self.work.is_empty() {
            tracing::warn!(steps = self.work.len(), "steps were cut off; the next start goes on with them");
        }
        self.work.shutdown().await;
    }

    /// Reads what changed in the store.
    async fn reload(&mut self) -> Result<(), StoreError> {
        let documents = self.shared.store.documents::<Record>(Kind::App).await?;
        let mut apps = BTreeMap::new();
        for document in documents {
            let Ok(app) = AppName::try_from(document.key) else { continue };
            let former = self.apps.remove(&app);
            if former.as_ref().is_some_and(|known| known.etag == document.etag && known.at_rest()) {
                apps.extend(former.map(|known| (app, known)));
                continue;
            }
            let revisions = self.shared.store.revisions(&app).await?;
            let mut kept = former.as_ref().map(|known| known.revisions.clone()).unwrap_or_default();
            let memory = former.map(|known| known.memory).unwrap_or_default();
            let revisions = revisions.into_iter().map(|revision| {
                let number = revision.number;
                (number, Stored::of(revision, kept.remove(&number)))
            });
            apps.insert(app, Known { record: document.body, etag: document.etag, revisions: revisions.collect(), memory });
        }
        self.apps = apps;
        Ok(())
    }

    /// Looks at every app once and starts the steps that are due; returns when to look again at the latest.
    async fn pass(&mut self, observed: &Arc<Observed>) -> Option<u64> {
        let now = self.shared.now();
        let settle_ms = self.settle_ms();
        let mut wake_at: Option<u64> = None;
        let mut drains = Vec::new();
        let names: Vec<_> = self.apps.keys().cloned().collect();
        for app in names {
            let Some(known) = self.apps.get_mut(&app) else { continue };
            let desired = known.desired(settle_ms);
            known.memory.look(&app, &desired, observed, now, chance());
            let decision = decide(&desired, &known.memory.seen(&app, observed), now);
            let due =
                decision.steps.into_iter().filter_map(|step| self.begin(&app, &desired, observed, step, now, &mut drains)).min();
            let forgotten = self.apps.get(&app).and_then(|known| known.memory.wake_at());
            wake_at = [wake_at, decision.wake_at, due, forgotten].into_iter().flatten().min();
        }
        self.remove_orphans(observed);
        let generation = self.publish(observed);
        for (app, instance) in drains {
            self.spawn(&app, Key::Drain(instance.clone()), steps::drain(self.shared.clone(), instance, generation));
        }
        // Last: nobody waits for the log, and its commit takes as long as the disk does.
        self.store_events(observed).await;
        wake_at
    }

    /// Starts one step unless it is under way; returns when it may be tried again if it waits for that.
    fn begin(
        &mut self,
        app: &AppName,
        desired: &Desired,
        observed: &Observed,
        step: Step,
        now: u64,
        drains: &mut Vec<(AppName, InstanceId)>,
    ) -> Option<u64> {
        let shared = self.shared.clone();
        let known = self.apps.get_mut(app)?;
        let key = match &step {
            Step::Prepare { revision } => Some(Key::Prepare(*revision)),
            Step::UpdateInPlace { instance, .. } | Step::RollBackInPlace { instance, .. } => Some(Key::Update(instance.clone())),
            Step::Drain { instance, .. } => Some(Key::Drain(instance.clone())),
            Step::StopInstance { instance, .. } => Some(Key::Stop(instance.clone())),
            Step::Promote { revision } | Step::FailRevision { revision, .. } => Some(Key::Verdict(*revision)),
            Step::Forget => Some(Key::Forget),
            Step::StartInstances { .. } => None,
        };
        if let Some(key) = &key
            && let Err(until) = known.memory.may(key, now)
        {
            return until;
        }
        tracing::debug!(%app, ?step, "step");
        match (step, key) {
            (Step::StartInstances { revision, count }, _) => {
                let stored = known.revisions.get(&revision)?.clone();
                for _ in 0..count {
                    let id = match fresh_id(app, revision) {
                        Ok(id) => id,
                        Err(wrong) => {
                            tracing::error!(%app, fault = %wrong.fault, "cannot start an instance");
                            return Some(now + 1000);
                        }
                    };
                    let known = self.apps.get_mut(app)?;
                    let place = known.memory.starts(&id, revision);
                    let start = steps::start(shared.clone(), id.clone(), revision, place, stored.clone());
                    self.spawn(app, Key::Start(id), start);
                }
            }
            (Step::UpdateInPlace { instance, revision, .. } | Step::RollBackInPlace { instance, revision }, Some(key)) => {
                let stored = known.revisions.get(&revision)?.clone();
                let place = known.memory.updates(&instance, revision);
                self.spawn(app, key, steps::update(shared, instance, revision, place, stored));
            }
            (Step::Prepare { revision }, Some(key)) => {
                let stored = known.revisions.get(&revision)?.clone();
                let current = known.record.current.and_then(|current| known.revisions.get(&current)).cloned();
                let hosts = known.record.registries.clone();
                self.spawn(app, key, steps::prepare(shared, app.clone(), revision, stored, current, hosts));
            }
            (Step::Drain { instance, because }, Some(key)) => {
                known.memory.drains(&instance, because);
                known.memory.underway.insert(key);
                drains.push((app.clone(), instance));
            }
            (Step::StopInstance { instance, because }, Some(key)) => {
                known.memory.stops(&instance);
                let revision = observed.instances.get(&instance).map(|one| one.status.revision);
                if let (Because::InstanceFailed, Some(revision)) = (because, revision) {
                    known.memory.broke(revision, desired, now, chance());
                }
                if because == Because::Unready {
                    known.memory.replaced(now);
                }
                let cause = observed.instances.get(&instance).and_then(|one| most_telling(complaints(one)));
                self.spawn(app, key, steps::stop(shared, app.clone(), instance, revision, because, cause));
            }
            (Step::Promote { revision }, Some(key)) => self.spawn(app, key, steps::promote(shared, app.clone(), revision)),
            (Step::FailRevision { revision, diagnosis }, Some(key)) => {
                self.spawn(app, key, steps::fail(shared, app.clone(), revision, *diagnosis))
            }
            (Step::Forget, Some(key)) => self.spawn(app, key, steps::forget(shared, app.clone())),
            (_, None) => {}
        }
        None
    }

    fn settle_ms(&self) -> u64 {
        self.settle.as_millis() as u64
    }

    fn spawn(&mut self, app: &AppName, key: Key, step: impl Future<Output = Result<(), Diagnosis>> + Send + 'static) {
        if let Some(known) = self.apps.get_mut(app) {
            known.memory.underway.insert(key.clone());
        }
        let id = self.work.spawn(step).id();
        self.names.insert(id, (app.clone(), key));
    }

    fn finish(&mut self, done: Result<(Id, Result<(), Diagnosis>), JoinError>) {
        let (id, result) = match done {
            Ok(done) => done,
            Err(broken) => {
                let fault = Fault::Internal { doing: "carrying out a step".into(), reason: broken.to_string() };
                (broken.id(), Err(Diagnosis { container: None, fault, log_tail: Vec::new() }))
            }
        };
        let Some((app, key)) = self.names.remove(&id) else { return };
        if let Err(diagnosis) = &result {
            tracing::warn!(%app, step = ?key, fault = %diagnosis.fault, "a step failed");
        }
        if let Key::Stop(instance) = &key {
            self.orphaned.remove(instance);
        }
        let now = self.shared.now();
        if let Some(known) = self.apps.get_mut(&app) {
            known.memory.done(key, result, now, chance());
        }
    }
}
