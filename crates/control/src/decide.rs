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

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pillion_engine::ObservedInstance;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{App, Container, ContainerName, InstanceId, InstancePhase, RevisionNumber};

use crate::{
    change::change,
    diagnosis::{complaints, hopeless, most_telling, proven, unwell},
    record::Intent,
};

/// Failed attempts to get an instance going (refused by the engine, or its supervisor lost) that end a rollout.
pub const FAILED_ATTEMPTS: u32 = 3;

/// What is wanted of one app.
#[derive(Debug, Clone)]
pub struct Desired {
    pub intent: Intent,
    pub scale: u32,
    pub current: Option<RevisionNumber>,
    /// The revision on its way; none when the newest is current or has failed.
    pub target: Option<Target>,
    /// Definitions of every revision that may be running.
    pub definitions: BTreeMap<RevisionNumber, Arc<App>>,
    /// How long a container without a probe must run on before it counts as proven: running is all it can show, and one
    /// that ends at once runs, too.
    pub settle_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub revision: RevisionNumber,
    /// Its images are present.
    pub prepared: bool,
    pub ready_within_ms: u64,
}

/// What is seen of one app, and what the executor knows beyond that. Times are milliseconds of a monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    /// False before the engine has found what already ran; nothing is decided until then.
    pub complete: bool,
    pub instances: Vec<&'a ObservedInstance>,
    /// Asked for and not seen yet.
    pub starting: BTreeMap<InstanceId, RevisionNumber>,
    /// Being changed in place right now.
    pub updating: BTreeSet<InstanceId>,
    /// Out of the routes, with requests still under way.
    pub draining: BTreeSet<InstanceId>,
    /// Out of the routes, without requests under way.
    pub drained: BTreeSet<InstanceId>,
    /// Since when each instance has been well with the processes it has now.
    pub steady: BTreeMap<InstanceId, u64>,
    pub rollout: RolloutSeen,
    /// No instance of the current revision is started before this: the back-off after failures.
    pub not_before: u64,
    /// The engine refused to start the current revision: its images may have gone, so they are made present again first.
    pub unprepared: bool,
}

impl Seen<'_> {
    /// Returns true for an instance whose end has begun: it is not counted on any more.
    fn leaving(&self, instance: &InstanceId) -> bool {
        self.draining.contains(instance) || self.drained.contains(instance)
    }
}

/// What is known of the rollout to the target.
#[derive(Debug, Clone, Default)]
pub struct RolloutSeen {
    /// When it last came nearer to its end.
    pub since: Option<u64>,
    pub attempts: u32,
    pub not_before: u64,
    /// The images cannot be made present, or the engine refuses to start it.
    pub refused: Option<Diagnosis>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the revision's images present.
    Prepare {
        revision: RevisionNumber,
    },
    StartInstances {
        revision: RevisionNumber,
        count: u32,
    },
    /// Change an instance to the revision; only `containers` are replaced, others keep their process.
    UpdateInPlace {
        instance: InstanceId,
        revision: RevisionNumber,
        containers: Vec<ContainerName>,
    },
    /// Undo [`Step::UpdateInPlace`] after the revision failed.
    RollBackInPlace {
        instance: InstanceId,
        revision: RevisionNumber,
    },
    /// Take it out of the routes and let its requests finish.
    Drain {
        instance: InstanceId,
    },
    StopInstance {
        instance: InstanceId,
        because: Because,
    },
    Promote {
        revision: RevisionNumber,
    },
    FailRevision {
        revision: RevisionNumber,
        diagnosis: Box<Diagnosis>,
    },
    /// Nothing runs any more: remove what is kept, the record last.
    Forget,
}

/// Why an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    AppStopped,
    AppDeleted,
    TooMany,
    Replaced,
    RevisionFailed,
    InstanceFailed,
}

/// The steps to do now, and when to ask again even if nothing changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub steps: Vec<Step>,
    pub wake_at: Option<u64>,
}

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

fn roll_beside(desired: &Desired, seen: &Seen<'_>, target: &Target, now: u64, decision: &mut Decision) {
    let of_target: Vec<_> = seen.instances.iter().copied().filter(|one| one.status.revision == target.revision).collect();
    let (live, dead): (Vec<_>, Vec<_>) = of_target.into_iter().partition(|one| alive(one));
    if give_up(seen, target, live.iter().chain(&dead), None, now, decision) {
        return;
    }
    retire(seen, &dead, Because::InstanceFailed, decision);
    let proved = live.iter().filter(|one| settled(desired, seen, one, target.revision, None, now, decision)).count();
    if proved >= desired.scale as usize {
        decision.steps.push(Step::Promote { revision: target.revision });
        return;
    }
    let coming = seen.starting.values().filter(|revision| **revision == target.revision).count();
    let have = live.len() + coming;
    let wanted = desired.scale as usize;
    if have < wanted {
        if now < seen.rollout.not_before {
            wake(decision, seen.rollout.not_before);
        } else {
            decision.steps.push(Step::StartInstances { revision: target.revision, count: (wanted - have) as u32 });
        }
    } else if have > wanted {
        retire(seen, &surplus(live, have - wanted), Because::TooMany, decision);
    }
}

fn roll_in_place(
    desired: &Desired,
    seen: &Seen<'_>,
    current: RevisionNumber,
    target: &Target,
    now: u64,
    decision: &mut Decision,
) {
    let touched = match (desired.definitions.get(&current), desired.definitions.get(&target.revision)) {
        (Some(old), Some(new)) => change(old, new).touched(),
        (None, _) | (_, None) => Vec::new(),
    };
    let (fit, unfit): (Vec<_>, Vec<_>) = seen.instances.iter().copied().partition(|one| {
        alive(one) && !seen.leaving(&one.status.id) && compatible(desired, one.status.revision, target.revision)
    });
    let (done, rest): (Vec<_>, Vec<_>) = fit.into_iter().partition(|one| one.status.revision == target.revision);
    if give_up(seen, target, done.iter(), Some(&touched), now, decision) {
        return;
    }
    retire(seen, &unfit, Because::Replaced, decision);
    let all_done_proven = done.iter().all(|one| settled(desired, seen, one, target.revision, Some(&touched), now, decision));
    let (have, wanted) = (done.len() + rest.len() + seen.starting.len(), desired.scale as usize);
    if rest.is_empty() && seen.updating.is_empty() && all_done_proven && done.len() >= wanted {
        decision.steps.push(Step::Promote { revision: target.revision });
        return;
    }
    if have < wanted {
        if now < seen.rollout.not_before {
            wake(decision, seen.rollout.not_before);
        } else {
            decision.steps.push(Step::StartInstances { revision: target.revision, count: (wanted - have) as u32 });
        }
    }
    if !seen.updating.is_empty() || !all_done_proven {
        return;
    }
    // One that is unwell goes first: it has the least to lose.
    let next = rest.iter().min_by_key(|one| proven(one, None));
    if let Some(next) = next {
        let (id, revision) = (next.status.id.clone(), target.revision);
        decision.steps.push(Step::UpdateInPlace { instance: id, revision, containers: touched });
    }
}

/// Returns true for an instance that has proved itself; where only time is missing, asks to be woken when it has passed.
fn settled(
    desired: &Desired,
    seen: &Seen<'_>,
    one: &ObservedInstance,
    revision: RevisionNumber,
    only: Option<&[ContainerName]>,
    now: u64,
    decision: &mut Decision,
) -> bool {
    if !proven(one, only) {
        return false;
    }
    // A declared port is a proof too: such a container is not ready before it listens there.
    let probed = |container: &Container| {
        container.main
            || container.run_once
            || container.port.is_some()
            || container.probe.is_some()
            || container.startup.is_some()
    };
    let definition = desired.definitions.get(&revision);
    let all_probed = definition.is_some_and(|app| {
        app.containers
            .iter()
            .filter(|(name, _)| only.is_none_or(|names| names.contains(name)))
            .all(|(_, container)| probed(container))
    });
    let at = seen.steady.get(&one.status.id).copied().unwrap_or(now).saturating_add(desired.settle_ms);
    if all_probed || now >= at {
        return true;
    }
    wake(decision, at);
    false
}

/// Ends a rollout that cannot succeed any more; returns true if it did.
fn give_up<'a>(
    seen: &Seen<'_>,
    target: &Target,
    instances: impl Iterator<Item = &'a &'a ObservedInstance> + Clone,
    only: Option<&[ContainerName]>,
    now: u64,
    decision: &mut Decision,
) -> bool {
    let mut fail = |diagnosis: Diagnosis| {
        decision.steps.push(Step::FailRevision { revision: target.revision, diagnosis: Box::new(diagnosis) });
        true
    };
    if let Some(diagnosis) = most_telling(instances.clone().filter_map(|one| hopeless(one, only))) {
        return fail(diagnosis);
    }
    let known = || most_telling(instances.clone().flat_map(|one| complaints(one)));
    if seen.rollout.attempts >= FAILED_ATTEMPTS {
        let lost = Fault::SupervisorLost {
            reason: format!("{} instances in a row were lost before they were ready", seen.rollout.attempts),
        };
        return fail(known().unwrap_or(Diagnosis { container: None, fault: lost, log_tail: Vec::new() }));
    }
    let Some(since) = seen.rollout.since else { return false };
    let deadline = since.saturating_add(target.ready_within_ms);
    if now < deadline {
        wake(decision, deadline);
        return false;
    }
    let waited_ms = target.ready_within_ms;
    let late = || Diagnosis {
        container: instances.clone().find_map(|one| unwell(one, only)),
        fault: Fault::NotReadyInTime { waited_ms },
        log_tail: Vec::new(),
    };
    fail(known().map_or_else(late, |known| waited(known, waited_ms)))
}

/// Says of what was noticed early how long it was waited for in the end.
fn waited(mut known: Diagnosis, in_all_ms: u64) -> Diagnosis {
    if let Fault::PortNeverOpened { waited_ms, .. } | Fault::DependencyNeverReady { waited_ms, .. } = &mut known.fault {
        *waited_ms = (*waited_ms).max(in_all_ms);
    }
    known
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
    let mut live = Vec::new();
    let mut dead = Vec::new();
    let mut foreign = Vec::new();
    for one in seen.instances.iter().copied().filter(|one| Some(one.status.revision) != rolling) {
        if !alive(one) {
            dead.push(one);
        } else if compatible(desired, one.status.revision, current) && !seen.leaving(&one.status.id) {
            live.push(one);
        } else {
            foreign.push(one);
        }
    }
    retire(seen, &dead, Because::InstanceFailed, decision);
    retire(seen, &foreign, Because::Replaced, decision);

    let coming = seen.starting.values().filter(|revision| **revision == current).count();
    let (have, wanted) = (live.len() + coming, desired.scale as usize);
    if have < wanted {
        if now < seen.not_before {
            wake(decision, seen.not_before);
        } else if seen.unprepared {
            decision.steps.push(Step::Prepare { revision: current });
        } else {
            decision.steps.push(Step::StartInstances { revision: current, count: (wanted - have) as u32 });
        }
    } else if have > wanted {
        let leaving = surplus(live.clone(), have - wanted);
        live.retain(|one| leaving.iter().all(|gone| gone.status.id != one.status.id));
        retire(seen, &leaving, Because::TooMany, decision);
    }
    if seen.updating.is_empty()
        && let Some(one) = live.iter().find(|one| one.status.revision != current)
    {
        decision.steps.push(Step::RollBackInPlace { instance: one.status.id.clone(), revision: current });
    }
}

/// Stops instances; those that may have requests under way are drained first.
fn retire(seen: &Seen<'_>, instances: &[&ObservedInstance], because: Because, decision: &mut Decision) {
    for one in instances {
        let instance = one.status.id.clone();
        let busy = match one.status.phase {
            InstancePhase::Ready | InstancePhase::Unready => !seen.drained.contains(&instance),
            InstancePhase::Pulling
            | InstancePhase::Starting
            | InstancePhase::Stopping
            | InstancePhase::Stopped
            | InstancePhase::Failed { .. } => false,
        };
        decision.steps.push(if busy { Step::Drain { instance } } else { Step::StopInstance { instance, because } });
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

fn wake(decision: &mut Decision, at: u64) {
    decision.wake_at = Some(decision.wake_at.map_or(at, |other| other.min(at)));
}

#[cfg(test)]
mod tests;
