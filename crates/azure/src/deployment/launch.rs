//! The beginning and the end of a run: accepted, driven, stored; and taken up again after the server was away.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use pillion_store::StoreError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    live::Live,
    moment::now_ms,
    prepare::{self, Prepared},
    record::{Record, Source, State},
    rollback::{Fallback, note, was_going_back},
    run::{Ending, Run, Together},
    service::{Inner, active, lost},
    shelf::Deed,
};

/// How often progress is stored. A crash loses no more than what is shown of it: the run begins anew and finds what it wrote.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// Starts of the server that take a deployment up again. One that ends every server that runs it must not go on for ever.
const MOST_RESUMED: u32 = 5;

/// Accepts a deployment, and begins it once that is on disk. Returns whether its name is new.
///
/// # Errors
/// 409 where a deployment of that name is under way, or was made to another location.
pub(crate) async fn begin(inner: &Arc<Inner>, caller: &Caller, prepared: Prepared) -> Result<(Arc<Live>, bool), ArmError> {
    let live = Arc::new(Live::new(prepared.record, CancellationToken::new()));
    let created = inner.accept(&live, &prepared.source, caller).await?;
    let together =
        Together::new(live.look(|record| record.correlation.clone()), caller.clone(), prepared.worker, inner.settings.parallel);
    let run = Run {
        inner: inner.clone(),
        together: Arc::new(together),
        live: live.clone(),
        plan: prepared.plan,
        surroundings: prepared.surroundings,
        depth: 0,
    };
    let fallback = prepared.source.secret.and_then(|secret| secret.fallback);
    inner.tasks.spawn(drive(run, prepared.source.template, fallback, None));
    Ok((live, created))
}

/// Takes up what was under way when the server went: from the beginning, as writing the same again changes nothing.
///
/// # Errors
/// The store cannot be written.
pub(crate) async fn resume(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let open: Vec<Arc<Live>> =
        inner.table().values().filter(|live| !live.look(|record| record.state.is_over())).cloned().collect();
    // Those nested in others, and those that others went back to, are begun again by them.
    let is_root = |record: &Record| record.parent.is_none() && record.rolls_back.is_none();
    let (roots, nested): (Vec<_>, Vec<_>) = open.into_iter().partition(|live| live.look(is_root));
    for live in &nested {
        live.change(|record| record.end(&Ending::Failed(interrupted("The server was restarted."))));
    }
    inner.save(&nested).await?;
    for live in roots {
        let id = live.look(|record| record.id.clone());
        let (failed, correlation) = live.look(|record| (was_going_back(record), record.correlation.clone()));
        let written = inner.written_by(&correlation);
        let resumed = live.change(|record| {
            record.resumed += 1;
            record.operations.clear();
            record.output_resources.clear();
            record.resumed
        });
        let source = inner.shelf.source(id.clone()).await?.unwrap_or(Source { template: String::new(), secret: None });
        let again = match resumed {
            0..=MOST_RESUMED => prepare::again(inner, &source).await,
            more => Err(interrupted(&format!("The server ended {more} times while it was under way."))),
        };
        inner.save(std::slice::from_ref(&live)).await?;
        match again {
            Ok((plan, worker, secret)) => {
                tracing::info!(deployment = %id, "goes on with a deployment that was under way");
                // Before anybody follows: half of a template is not to take effect.
                for id in written {
                    inner.resources.keep_back(&id, &correlation);
                }
                let together = Together::new(correlation, Caller::from(secret.asker), worker, inner.settings.parallel);
                let together = Arc::new(together);
                let run = Run { inner: inner.clone(), together, live, plan, surroundings: secret.surroundings, depth: 0 };
                inner.tasks.spawn(drive(run, source.template, secret.fallback, failed));
            }
            Err(error) => {
                tracing::warn!(deployment = %id, %error, "cannot go on with a deployment that was under way");
                if failed.is_some() {
                    note(&live, State::Failed);
                }
                live.change(|record| record.end(&Ending::Failed(error)));
                inner.shelf.finish(vec![live.record()], &id, source.template).await?;
            }
        }
    }
    Ok(())
}

impl Inner {
    /// Gives a deployment its name, on disk. Returns whether the name is new.
    ///
    /// # Errors
    /// As [`begin`].
    pub(crate) async fn accept(&self, live: &Arc<Live>, source: &Source, caller: &Caller) -> Result<bool, ArmError> {
        let record = live.record();
        let _accepting = self.accepting.lock().await;
        let earlier = self.find(&record.id).map(|earlier| earlier.record());
        if let Some(earlier) = &earlier {
            if !earlier.state.is_over() {
                return Err(active(&record.id));
            }
            if let (Some(before), Some(now)) = (&earlier.location, &record.location)
                && !before.eq_ignore_ascii_case(now)
            {
                let message = format!(
                    "Invalid deployment location '{now}'. The deployment '{}' already exists in location '{before}'.",
                    record.id.name()
                );
                return Err(ArmError::new(409, "InvalidDeploymentLocation", message));
            }
        }
        self.prune(&record.scope).await?;
        let status = if earlier.is_some() { 200 } else { 201 };
        let deed = Deed { caller, action: "write", id: &record.id, status, correlation: &record.correlation };
        self.shelf.accept(&record, source, deed).await.map_err(|error| lost(&error))?;
        self.table().insert(record.id.key().to_owned(), live.clone());
        Ok(earlier.is_none())
    }
}

impl Record {
    /// Notes how the deployment ended.
    pub(crate) fn end(&mut self, ending: &Ending) {
        self.ended_ms = Some(now_ms());
        match ending {
            Ending::Succeeded { outputs } => {
                self.state = State::Succeeded;
                self.outputs = Some(outputs.clone());
            }
            Ending::Failed(error) => {
                self.state = State::Failed;
                self.error = Some(error.to_arm());
            }
            Ending::Canceled => {
                self.state = State::Canceled;
                let message = format!("The deployment '{}' was canceled.", self.id.name());
                self.error = Some(ArmError::new(409, "DeploymentCanceled", message).to_arm());
            }
        }
    }
}

/// Runs a deployment to its end, storing how far it is. One that had `failed` before goes on going back.
async fn drive(run: Run, template: String, fallback: Option<Fallback>, failed: Option<ArmError>) {
    let inner = run.inner.clone();
    let began = Instant::now();
    let ending = {
        let mut going = pin!(to_the_end(&run, fallback.as_ref(), failed));
        let mut tick = tokio::time::interval(SAVED_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both futures keep their place when the other one wins.
            tokio::select! {
                biased;
                // The next server begins it anew.
                () = inner.stop.cancelled() => return,
                ending = &mut going => break ending,
                _ = tick.tick() => {
                    if let Err(error) = inner.save(&inner.of_run(&run.together.holder)).await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the progress of a deployment cannot be stored");
                    }
                }
            }
        }
    };
    inner.resources.release(&run.together.holder).await;
    run.ended(&ending);
    let records: Vec<Record> = inner.of_run(&run.together.holder).iter().filter_map(|live| live.unsaved()).collect();
    let (id, state) = run.live.look(|record| (record.id.clone(), record.state));
    // A name that was forgotten meanwhile, with its group, stays forgotten.
    if inner.find(&id).is_some_and(|found| Arc::ptr_eq(&found, &run.live))
        && let Err(error) = inner.shelf.finish(records, &id, template).await
    {
        tracing::error!(deployment = %id, error = &error as &dyn std::error::Error, "the ending of a deployment cannot be stored");
    }
    tracing::info!(deployment = %id, state = state.word(), took_ms = began.elapsed().as_millis() as u64, "a deployment ended");
}

/// Runs a deployment, and where it fails the one to go back to.
async fn to_the_end(run: &Run, fallback: Option<&Fallback>, failed: Option<ArmError>) -> Ending {
    let ending = match failed {
        Some(error) => Ending::Failed(error),
        None => run.go().await,
    };
    match (ending, fallback) {
        (Ending::Failed(error), Some(fallback)) if !run.live.cancel.is_cancelled() => {
            Ending::Failed(fallback.go_back(run, error).await)
        }
        (ending, _) => ending,
    }
}

impl Inner {
    /// What a deployment, those nested in it and the one that it goes back to have written.
    fn written_by(&self, correlation: &str) -> Vec<ResourceId> {
        let targets = |live: Arc<Live>| {
            live.look(|record| record.operations.iter().filter_map(|operation| operation.target.clone()).collect::<Vec<_>>())
        };
        self.of_run(correlation).into_iter().flat_map(targets).collect()
    }

    /// A deployment that is under way and those nested in it.
    fn of_run(&self, correlation: &str) -> Vec<Arc<Live>> {
        self.table().values().filter(|live| live.look(|record| record.correlation == correlation)).cloned().collect()
    }
}

fn interrupted(why: &str) -> ArmError {
    ArmError::new(409, "DeploymentInterrupted", format!("The deployment was interrupted and does not go on: {why}"))
}
