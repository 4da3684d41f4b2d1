//! Decides, from what is wanted and what is seen, which steps come next. No I/O, no clock, no chance.
//!
//! ```text
//! a revision:   applied ─▶ Prepare ─▶ rolling ─▶ Promote ─▶ current ─▶ (drained, stopped once a newer one is current)
//!                             │          │
//!                             └──────────┴─▶ FailRevision: what it started is stopped, what it changed in place is
//!                                            rolled back; the current one serves all the while
//! ```
//!
//! Rolling goes *in place* where only sidecars differ from the current revision (one instance after another, main and its
//! connections live on), *beside* otherwise (new instances prove themselves before one old one is touched). It is given up
//! before its deadline only when waiting is pointless: see [`crate::diagnosis::hopeless`].

mod ailing;
mod fates;
mod roll;
mod seen;
mod step;

use fates::Fates;
use pillion_engine::ObservedInstance;
use pillion_model::{InstancePhase, RevisionNumber};
use roll::{roll_beside, roll_in_place};

pub(crate) use self::ailing::DAY_MS;
pub use self::{
    roll::FAILED_ATTEMPTS,
    seen::{Desired, RolloutSeen, Seen, Target},
    step::{Because, Decision, Step},
};
use crate::{change::change, record::Intent};

/// Decides what to do next about one app.
pub fn decide(desired: &Desired, seen: &Seen<'_>, now: u64) -> Decision {
    let mut decision = Decision::default();
    if !seen.complete {
        return decision;
    }
    match desired.intent {
        Intent::Run => run(desired, seen, now, &mut decision),
        Intent::Stop => retire(seen, &seen.instances, Because::AppStopped, &mut decision),
        Intent::Delete if seen.instances.is_empty() && seen.starting.is_empty() => decision.steps.push(Step::Forget),
        Intent::Delete => retire(seen, &seen.instances, Because::AppDeleted, &mut decision),
    }
    decision
}

/// Returns true where an instance of `revision` may take the app's traffic while `current` does.
pub fn serves(desired: &Desired, revision: RevisionNumber) -> bool {
    match desired.current {
        None => desired.target.as_ref().is_some_and(|target| target.revision == revision),
        Some(current) => compatible(desired, revision, current),
    }
}

fn compatible(desired: &Desired, from: RevisionNumber, to: RevisionNumber) -> bool {
    from == to
        || match (desired.definitions.get(&from), desired.definitions.get(&to)) {
            (Some(from), Some(to)) => change(from, to).in_place(),
            (None, _) | (_, None) => false,
        }
}

fn run(desired: &Desired, seen: &Seen<'_>, now: u64, decision: &mut Decision) {
    let Some(target) = &desired.target else {
        match desired.current {
            Some(current) => maintain(desired, seen, current, None, now, decision),
            // The first revision failed; nothing else is there to serve.
            None => retire(seen, &seen.instances, Because::RevisionFailed, decision),
        }
        return;
    };
    if let Some(diagnosis) = &seen.rollout.refused {
        let diagnosis = Box::new(diagnosis.clone());
        decision.steps.push(Step::FailRevision { revision: target.revision, diagnosis });
    } else if !target.prepared {
        decision.steps.push(Step::Prepare { revision: target.revision });
    } else if let Some(current) = desired.current.filter(|current| compatible(desired, *current, target.revision)) {
        roll_in_place(desired, seen, current, target, now, decision);
        return;
    } else {
        roll_beside(desired, seen, target, now, decision);
    }
    match desired.current {
        Some(current) => maintain(desired, seen, current, Some(target.revision), now, decision),
        None => {
            let stale: Vec<_> = seen.instances.iter().copied().filter(|one| one.status.revision != target.revision).collect();
            retire(seen, &stale, Because::Replaced, decision);
        }
    }
}

/// Keeps the current revision as it should be, leaving instances of `rolling` to the rollout.
fn maintain(
    desired: &Desired,
    seen: &Seen<'_>,
    current: RevisionNumber,
    rolling: Option<RevisionNumber>,
    now: u64,
    decision: &mut Decision,
) {
    let mut fates = Fates::of(desired, seen, current, rolling);
    if rolling.is_none()
        && !fates.any_goes(Because::Unready)
        && let Some(one) = ailing::pick(desired, seen, current, &fates.live, now, decision)
    {
        fates.goes(one, Because::Unready);
    }
    retire(seen, &fates.dead, Because::InstanceFailed, decision);
    for (one, because) in &fates.going {
        retire(seen, &[one], *because, decision);
    }

    let coming = seen.starting.values().filter(|revision| **revision == current).count();
    let (have, wanted) = (fates.live.len() + coming, desired.scale as usize);
    if have < wanted {
        if now < seen.not_before {
            decision.wake(seen.not_before);
        } else if seen.unprepared {
            decision.steps.push(Step::Prepare { revision: current });
        } else {
            decision.steps.push(Step::StartInstances { revision: current, count: (wanted - have) as u32 });
        }
    } else if have > wanted {
        let leaving = surplus(fates.live.clone(), have - wanted);
        fates.live.retain(|one| leaving.iter().all(|gone| gone.status.id != one.status.id));
        retire(seen, &leaving, Because::TooMany, decision);
    }
    if seen.updating.is_empty()
        && let Some(one) = fates.live.iter().find(|one| one.status.revision != current)
    {
        decision.steps.push(Step::RollBackInPlace { instance: one.status.id.clone(), revision: current });
    }
}

/// Stops instances; those that may have requests under way are drained first. One whose end had begun goes for the reason it
/// began for, whatever came in between, unless it failed first.
fn retire(seen: &Seen<'_>, instances: &[&ObservedInstance], because: Because, decision: &mut Decision) {
    for one in instances {
        let instance = one.status.id.clone();
        let because = seen.leaving(&instance).filter(|_| alive(one)).unwrap_or(because);
        let busy = match one.status.phase {
            InstancePhase::Ready | InstancePhase::Unready => !seen.drained.contains_key(&instance),
            InstancePhase::Pulling
            | InstancePhase::Starting
            | InstancePhase::Stopping
            | InstancePhase::Stopped
            | InstancePhase::Failed { .. } => false,
        };
        decision.steps.push(if busy { Step::Drain { instance, because } } else { Step::StopInstance { instance, because } });
    }
}

/// Picks which of too many go: those already on their way out, then the unready, then the newest.
fn surplus(mut instances: Vec<&ObservedInstance>, count: usize) -> Vec<&ObservedInstance> {
    let started = |one: &ObservedInstance| {
        one.status.containers.iter().filter_map(|container| container.started_at_ms).min().unwrap_or(u64::MAX)
    };
    instances.sort_by_key(|one| {
        (matches!(one.status.phase, InstancePhase::Ready), std::cmp::Reverse((started(one), one.status.id.clone())))
    });
    instances.truncate(count);
    instances
}

/// Returns true for an instance that is, or may still become, of use.
pub(crate) fn alive(one: &ObservedInstance) -> bool {
    match one.status.phase {
        InstancePhase::Pulling | InstancePhase::Starting | InstancePhase::Ready | InstancePhase::Unready => true,
        InstancePhase::Stopping | InstancePhase::Stopped | InstancePhase::Failed { .. } => false,
    }
}

#[cfg(test)]
mod tests;
