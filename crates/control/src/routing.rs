//! Computes one app's route from what is wanted and what is seen.

use pillion_engine::{Observed, ObservedInstance};
use pillion_fault::Words;
use pillion_model::{App, AppName, ContainerPhase, InstanceId, InstancePhase};

use crate::{
    AppRoute, InstanceRoute, RouteState, SiteFront,
    decide::{Desired, Seen, serves},
    diagnosis::{complaints, hopeless, most_telling},
    record::Intent,
};

/// What the route needs beyond what `decide` needs.
pub(crate) struct Facts<'a> {
    /// The public name.
    pub(crate) app: &'a AppName,
    pub(crate) site: Option<&'a SiteFront>,
    pub(crate) port: u16,
    /// The definition in force for host names.
    pub(crate) definition: &'a App,
    /// Why nothing can come: the first revision failed, or starts are refused.
    pub(crate) down: Option<(String, Option<String>)>,
}

pub(crate) fn route(facts: &Facts<'_>, desired: &Desired, seen: &Seen<'_>) -> AppRoute {
    let own = format!("{}.localhost", facts.app);
    let others = facts.definition.hosts.iter().map(|host| host.to_ascii_lowercase()).filter(|host| *host != own);
    let hosts: Vec<_> = [own.clone()].into_iter().chain(others).collect();
    let mut instances = Vec::new();
    let kept = kept(facts.definition.unhealthy_limit, desired, seen);
    for one in &seen.instances {
        let draining = leaves(seen, one);
        let ready = matches!(one.status.phase, InstancePhase::Ready) || kept.contains(&&one.status.id);
        // An instance that drains stays in the table, whatever its phase: requests may be under way.
        let listed = draining || (ready && serves(desired, one.status.revision));
        if let (true, Some(gate), Some(port)) = (listed, &one.gate, one.status.port) {
            instances.push(InstanceRoute { instance: one.status.id.clone(), gate: gate.clone(), port, draining });
        }
    }
    let serving = instances.iter().any(|one| !one.draining);
    let state = match desired.intent {
        Intent::Stop | Intent::Delete => RouteState::Stopped,
        Intent::Run if serving => RouteState::Serving,
        Intent::Run => match down(facts, desired, seen) {
            Some((reason, hint)) => RouteState::Down { reason, hint },
            None => RouteState::Serving,
        },
    };
    AppRoute { app: facts.app.clone(), hosts, port: facts.port, state, instances, site: facts.site.cloned() }
}

fn leaves(seen: &Seen<'_>, one: &ObservedInstance) -> bool {
    seen.leaving(&one.status.id).is_some()
}

/// Returns the instances that keep their traffic although their readiness probe fails: no more than `limit` percent may be
/// without. Where all fail the probe says little, so all keep it. Only those whose main runs: the others answer nothing.
fn kept<'a>(limit: u32, desired: &Desired, seen: &'a Seen<'_>) -> Vec<&'a InstanceId> {
    if limit >= 100 {
        return Vec::new();
    }
    let serving: Vec<_> =
        seen.instances.iter().filter(|one| serves(desired, one.status.revision) && !leaves(seen, one)).collect();
    let ready = serving.iter().filter(|one| matches!(one.status.phase, InstancePhase::Ready)).count();
    let main = desired.current.and_then(|current| desired.definitions.get(&current)).and_then(|app| app.main());
    let main = main.map(|(name, _)| name.as_str());
    let runs = |one: &ObservedInstance| {
        one.status
            .containers
            .iter()
            .any(|status| Some(status.name.as_str()) == main && matches!(status.phase, ContainerPhase::Running { .. }))
    };
    let unwell = serving.iter().filter(|one| matches!(one.status.phase, InstancePhase::Unready) && runs(one));
    let unwell: Vec<_> = unwell.map(|one| &one.status.id).collect();
    // The oldest ids stay: which one it is must not change from look to look.
    let mut unwell = unwell;
    unwell.sort();
    unwell.truncate(staying(ready, unwell.len(), limit));
    unwell
}

/// Returns how many of the unwell keep their traffic.
fn staying(ready: usize, unwell: usize, limit: u32) -> usize {
    if ready == 0 {
        return unwell;
    }
    unwell.saturating_sub((ready + unwell) * limit as usize / 100)
}

/// What the people who see to the app describe it in.
pub(crate) fn words(site: Option<&SiteFront>) -> Words {
    if site.is_some() { Words::AppService } else { Words::AppFile }
}

/// Nothing is ready: says why nothing will be, or none where something may still come.
fn down(facts: &Facts<'_>, desired: &Desired, seen: &Seen<'_>) -> Option<(String, Option<String>)> {
    if desired.current.is_none() && desired.target.is_none() {
        return Some(facts.down.clone().unwrap_or_else(|| ("its first revision failed".into(), None)));
    }
    let serving: Vec<_> = seen.instances.iter().filter(|one| serves(desired, one.status.revision)).collect();
    let hopeless_all = !serving.is_empty() && serving.iter().all(|one| hopeless(one, None).is_some());
    if hopeless_all {
        let found = most_telling(serving.iter().flat_map(|one| complaints(one)))?;
        let who = found.container.as_deref().map(|name| format!("container {name}: ")).unwrap_or_default();
        return Some((format!("{who}{}", found.fault), found.fault.hint_in(words(facts.site))));
    }
    if serving.is_empty() { facts.down.clone() } else { None }
}

/// Returns the instances that belong to no app of ours.
pub(crate) fn orphans<'a>(
    observed: &'a Observed,
    known: impl Fn(&AppName) -> bool + 'a,
) -> impl Iterator<Item = &'a ObservedInstance> {
    observed.instances.values().filter(move |one| observed.complete && !known(&one.app))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_go_without_traffic_and_never_all() {
        // Ready, unwell and the limit in percent; how many of the unwell stay.
        for (ready, unwell, limit, stay) in [
            (0, 1, 50, 1),
            (1, 1, 50, 0),
            (1, 3, 50, 1),
            (2, 2, 50, 0),
            (0, 4, 99, 4),
            (9, 1, 1, 1),
            (99, 1, 1, 0),
            (1, 9, 99, 0),
            (3, 0, 50, 0),
        ] {
            assert_eq!(staying(ready, unwell, limit), stay, "{ready} ready, {unwell} unwell, {limit} %");
        }
    }
}
