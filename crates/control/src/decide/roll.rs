//! Rolling a new revision out, beside the old instances or in place, until it is proven or given up.

use pillion_engine::ObservedInstance;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{Container, ContainerName, ContainerStatus, RevisionNumber};

use super::{Because, Decision, Desired, Seen, Step, Target, alive, compatible, retire, surplus};
use crate::{
    change::change,
    diagnosis::{complaints, failed_starts, hopeless, most_telling, proven, unwell},
};

/// Failed attempts to get an instance going (refused by the engine, or its supervisor lost) that end a rollout.
pub const FAILED_ATTEMPTS: u32 = 3;

pub(super) fn roll_beside(desired: &Desired, seen: &Seen<'_>, target: &Target, now: u64, decision: &mut Decision) {
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
            decision.wake(seen.rollout.not_before);
        } else {
            decision.steps.push(Step::StartInstances { revision: target.revision, count: (wanted - have) as u32 });
        }
    } else if have > wanted {
        retire(seen, &surplus(live, have - wanted), Because::TooMany, decision);
    }
}

pub(super) fn roll_in_place(
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
        alive(one) && seen.leaving(&one.status.id).is_none() && compatible(desired, one.status.revision, target.revision)
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
            decision.wake(seen.rollout.not_before);
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
    // One that opened its port and ended shortly after may do so again: it must run on like one without a probe.
    let asked = |status: &&ContainerStatus| only.is_none_or(|names| names.contains(&status.name));
    let never_ended = one.status.containers.iter().filter(asked).all(|status| failed_starts(one, status) == 0);
    let at = seen.steady.get(&one.status.id).copied().unwrap_or(now).saturating_add(desired.settle_ms);
    if (all_probed && never_ended) || now >= at {
        return true;
    }
    decision.wake(at);
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
        decision.wake(deadline);
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
