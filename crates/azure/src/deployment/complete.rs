//! The end of a deployment in Complete mode: what the group has and the template has not is deleted, users before what they use.

use std::collections::HashSet;

use pillion_arm::{ArmError, ResourceId, ResourceKind};

use super::{
    record::{Doing, Record},
    run::Run,
    service::Inner,
};

/// Deletes what the template does not have. Goes on after a failure, as the rest does not depend on it, but leaves what others
/// still use.
pub(crate) async fn clear(run: &Run) -> Vec<ArmError> {
    let record = run.live.record();
    let (scope, written) = (record.scope.clone(), written(&run.inner, &record));
    if scope.kind() != ResourceKind::Group {
        return Vec::new();
    }
    let there = match run.inner.resources.within(&run.together.caller, &scope).await {
        Ok(there) => there,
        Err(error) => return vec![error],
    };
    let mut failures = Vec::new();
    for id in doomed(there, &written) {
        if run.live.cancel.is_cancelled() {
            break;
        }
        let operation = run.live.begins(Doing::Delete, Some(&id), None);
        let ending = run.inner.resources.delete(&run.together.caller, &id).await;
        run.live.ends(operation, ending.as_ref().map(|()| 200));
        if let Err(error) = ending {
            failures.push(ArmError { target: Some(id.to_string()), ..error });
        }
    }
    failures
}

/// Returns what is to be deleted, in order: autoscale settings, slots, sites, identities, plans; of one kind the deeper first.
pub(crate) fn doomed(there: Vec<ResourceId>, written: &HashSet<ResourceId>) -> Vec<ResourceId> {
    // A resource stays as well where only something in it was written.
    let stays = |id: &ResourceId| written.iter().any(|kept| kept.within(id));
    let mut doomed: Vec<ResourceId> = there.into_iter().filter(|id| !stays(id)).collect();
    doomed.sort_by_key(|id| (rank(&id.kind()), std::cmp::Reverse(id.key().matches('/').count()), id.key().to_owned()));
    doomed
}

/// Everything that a deployment and those nested in it wrote.
fn written(inner: &Inner, record: &Record) -> HashSet<ResourceId> {
    let mut written: HashSet<ResourceId> = record.output_resources.iter().cloned().collect();
    let mut parents = vec![record.id.clone()];
    while let Some(parent) = parents.pop() {
        // Those of an earlier run under the same name wrote nothing for this one.
        for child in inner.nested_in(&parent).into_iter().filter(|child| child.correlation == record.correlation) {
            written.extend(child.output_resources);
            parents.push(child.id);
        }
    }
    written
}

fn rank(kind: &ResourceKind) -> u8 {
    match kind {
        ResourceKind::Autoscale => 0,
        ResourceKind::SiteContainer | ResourceKind::SiteConfig(_) | ResourceKind::PublishingPolicy | ResourceKind::Unknown(_) => {
            1
        }
        ResourceKind::Slot => 2,
        ResourceKind::Site => 3,
        ResourceKind::UserIdentity => 4,
        ResourceKind::Plan => 5,
        ResourceKind::Deployment | ResourceKind::Group | ResourceKind::Subscription => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_before_what_they_use_and_what_holds_something_written_stays() {
        let group = ResourceId::group("s", "g");
        let site = |name: &str| group.resource("Microsoft.Web", "sites", name);
        let plan = group.resource("Microsoft.Web", "serverfarms", "p");
        let there = vec![plan.clone(), site("old"), site("kept"), site("old").child("slots", "staging"), site("half")];
        let written = HashSet::from([site("KEPT"), site("half").child("config", "web")]);
        assert_eq!(doomed(there, &written), [site("old").child("slots", "staging"), site("old"), plan]);
    }
}
