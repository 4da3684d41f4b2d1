//! Picks the most telling cause among all that was observed of an instance, and says when waiting for it is pointless.

use pillion_engine::ObservedInstance;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{ContainerName, ContainerPhase, ContainerStatus, InstancePhase};

/// Starts of one container that must fail in a row before a rollout is given up for a cause that might pass by itself: with
/// the supervisor's back-off some three seconds, enough for what only waits for a neighbour to come up.
pub const FAILED_STARTS: u32 = 5;

/// Returns the most telling of some; of equals the newest, which comes last.
pub fn most_telling(found: impl IntoIterator<Item = Diagnosis>) -> Option<Diagnosis> {
    found.into_iter().max_by_key(|diagnosis| diagnosis.fault.weight())
}

/// Returns everything that is known to be wrong with an instance now.
pub fn complaints(seen: &ObservedInstance) -> Vec<Diagnosis> {
    // What a container said before it was well again is history.
    let past = |diagnosis: &&Diagnosis| {
        seen.status
            .containers
            .iter()
            .any(|status| well(&status.phase) && Some(status.name.as_str()) == diagnosis.container.as_deref())
    };
    let mut found: Vec<_> = seen.diagnoses.iter().filter(|diagnosis| !past(diagnosis)).cloned().collect();
    for status in &seen.status.containers {
        match &status.phase {
            ContainerPhase::BackOff { last, .. } | ContainerPhase::Failed { last } => found.push((**last).clone()),
            ContainerPhase::Waiting { .. }
            | ContainerPhase::Starting
            | ContainerPhase::Running { .. }
            | ContainerPhase::Completed
            | ContainerPhase::Stopped => {}
        }
    }
    if let InstancePhase::Failed { diagnosis } = &seen.status.phase {
        found.push((**diagnosis).clone());
    }
    found
}

/// Returns why waiting longer for this instance is pointless, if it is: a container that ended for good, one that ended
/// for a certain cause, or one whose last [`FAILED_STARTS`] starts failed. `only` narrows it to some containers.
pub fn hopeless(seen: &ObservedInstance, only: Option<&[ContainerName]>) -> Option<Diagnosis> {
    if let InstancePhase::Failed { diagnosis } = &seen.status.phase
        && !matches!(diagnosis.fault, Fault::SupervisorLost { .. })
    {
        return most_telling(complaints(seen));
    }
    let found = seen.status.containers.iter().filter(|status| only.is_none_or(|names| names.contains(&status.name))).filter_map(
        |status| match &status.phase {
            ContainerPhase::Failed { last } => Some((**last).clone()),
            ContainerPhase::BackOff { last, .. } if last.fault.is_certain() || failed_starts(seen, status) >= FAILED_STARTS => {
                Some((**last).clone())
            }
            ContainerPhase::BackOff { .. }
            | ContainerPhase::Waiting { .. }
            | ContainerPhase::Starting
            | ContainerPhase::Running { .. }
            | ContainerPhase::Completed
            | ContainerPhase::Stopped => None,
        },
    );
    // A container's newest diagnosis may say more than how it ended: "wants port 6379, `cache` has it".
    let found: Vec<_> = found.collect();
    let names: Vec<_> = found.iter().filter_map(|diagnosis| diagnosis.container.clone()).collect();
    if found.is_empty() {
        return None;
    }
    let more =
        seen.diagnoses.iter().filter(|diagnosis| diagnosis.container.as_ref().is_some_and(|name| names.contains(name))).cloned();
    most_telling(found.into_iter().chain(more))
}

/// Counts a container's restarts since it was last replaced. Where the events of that time are gone, all count.
pub fn failed_starts(seen: &ObservedInstance, status: &ContainerStatus) -> u32 {
    let own = seen.events.iter().rev().filter(|event| event.container.as_deref() == Some(status.name.as_str()));
    let mut count = 0;
    for event in own {
        match event.kind.as_str() {
            "restarting" => count += 1,
            "replaced" => return count,
            _ => {}
        }
    }
    count.max(status.restarts)
}

/// Returns true where main takes traffic and every container asked about (each of `only`, or all) is there and well.
pub fn proven(seen: &ObservedInstance, only: Option<&[ContainerName]>) -> bool {
    let containers = &seen.status.containers;
    matches!(seen.status.phase, InstancePhase::Ready)
        && match only {
            Some(names) => names.iter().all(|name| containers.iter().any(|status| status.name == *name && well(&status.phase))),
            None => !containers.is_empty() && containers.iter().all(|status| well(&status.phase)),
        }
}

/// Returns the first container (of `only`, or of all) that is there and not well.
pub fn unwell(seen: &ObservedInstance, only: Option<&[ContainerName]>) -> Option<String> {
    let asked = |status: &&ContainerStatus| only.is_none_or(|names| names.contains(&status.name));
    let found = seen.status.containers.iter().filter(asked).find(|status| !well(&status.phase));
    found.map(|status| status.name.to_string())
}

fn well(phase: &ContainerPhase) -> bool {
    match phase {
        ContainerPhase::Running { ready, .. } => *ready,
        ContainerPhase::Completed => true,
        ContainerPhase::Waiting { .. }
        | ContainerPhase::Starting
        | ContainerPhase::BackOff { .. }
        | ContainerPhase::Failed { .. }
        | ContainerPhase::Stopped => false,
    }
}
