//! Template deployments over HTTP.

use axum::http::Method;
use pillion_arm::{ArmError, Condition, Operator, ResourceId, ResourceKind, conditions};

use super::{Answer, Arm, Call, answer::page, paging::paged};

/// The version that links in answers carry; any is taken.
const VERSION: &str = "2025-04-01";

/// A path about deployments: where they are made, which one, and what follows its name.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    scope: ResourceId,
    name: Option<String>,
    tail: Vec<String>,
}

/// Answers what is about deployments; none where the path is about something else.
pub(crate) async fn answer(arm: &Arm, call: &Call) -> Option<Result<Answer, ArmError>> {
    let place = place(call.id.as_ref()?, &call.rest_as_given)?;
    let tail: Vec<String> = place.tail.iter().map(|part| part.to_ascii_lowercase()).collect();
    let tail: Vec<&str> = tail.iter().map(String::as_str).collect();
    Some(match &place.name {
        None => list(arm, call, &place.scope).await,
        Some(name) => one(arm, call, &place.scope, name, &tail).await,
    })
}

async fn list(arm: &Arm, call: &Call, scope: &ResourceId) -> Result<Answer, ArmError> {
    match call.method {
        Method::GET => {
            let states = states(call.parameter("$filter").unwrap_or_default())?;
            let mut all = arm.deployments.list(&call.caller, scope).await?;
            all.retain(|one| states.iter().all(|state| one["properties"]["provisioningState"] == *state));
            paged(call, all)
        }
        _ => Err(call.method_not_allowed()),
    }
}

/// The states that a list can be filtered by.
const STATES: [&str; 5] = ["Accepted", "Running", "Succeeded", "Failed", "Canceled"];

/// Reads `provisioningState eq 'Failed'`, the only filter that lists of deployments take.
fn states(filter: &str) -> Result<Vec<&'static str>, ArmError> {
    let state = |condition: Condition| {
        let of_the_state = condition.field == "provisioningstate" && condition.operator == Operator::Equal;
        let known = STATES.into_iter().find(|known| known.eq_ignore_ascii_case(&condition.value)).filter(|_| of_the_state);
        let which = || format!("deployments are filtered by provisioningState with eq, which is one of {}", STATES.join(", "));
        known.ok_or_else(|| condition.refused(&which()))
    };
    conditions(filter)?.into_iter().map(state).collect()
}

async fn one(arm: &Arm, call: &Call, scope: &ResourceId, name: &str, tail: &[&str]) -> Result<Answer, ArmError> {
    let (deployments, caller) = (&arm.deployments, &call.caller);
    let body = || call.body.to_vec();
    match (&call.method, tail) {
        (&Method::PUT, []) => {
            let begun = deployments.begin(caller, scope, name, body()).await?;
            let poll = format!("{}?api-version={VERSION}", begun.status_path);
            let status = if begun.created { 201 } else { 200 };
            Ok(Answer { async_operation: Some(poll), ..Answer::json(status, begun.body) })
        }
        (&Method::GET | &Method::HEAD, []) => deployments.show(caller, scope, name).map(Answer::ok),
        // Gone is gone, whether it was there or not.
        (&Method::DELETE, []) => deployments.delete(caller, scope, name).await.map(|_| Answer::empty(204)),
        (&Method::POST, ["validate"]) => deployments.validate(caller, scope, name, body()).await.map(Answer::ok),
        (&Method::POST, ["whatif"]) => deployments.what_if(caller, scope, name, body()).await.map(Answer::ok),
        (&Method::POST, ["exporttemplate"]) => deployments.export(caller, scope, name).await.map(Answer::ok),
        (&Method::POST, ["cancel"]) => deployments.cancel(caller, scope, name).await.map(|()| Answer::empty(204)),
        (&Method::GET, ["operations"]) => deployments.operations(caller, scope, name).map(|all| page(all, None)),
        (&Method::GET, ["operations", id]) => deployments.operation(caller, scope, name, id).map(Answer::ok),
        (&Method::GET, ["operationstatuses", run]) => {
            let status = deployments.status(caller, scope, name, run)?;
            // The header brings `Retry-After` along: without it az waits half a minute for its second question.
            let poll = format!("{}/operationStatuses/{run}?api-version={VERSION}", deployment(scope, name));
            Ok(Answer { async_operation: Some(poll), ..Answer::ok(status) })
        }
        (_, [] | ["validate" | "whatif" | "exporttemplate" | "cancel" | "operations"]) => Err(call.method_not_allowed()),
        (_, _) => Err(call.no_such_path()),
    }
}

fn deployment(scope: &ResourceId, name: &str) -> ResourceId {
    scope.resource("Microsoft.Resources", "deployments", name)
}

/// Reads the path in each of its forms: with the provider, without it (as az lists operations), with a name or without.
fn place(id: &ResourceId, rest: &[String]) -> Option<Place> {
    let is = |at: usize, word: &str| rest.get(at).is_some_and(|part| part.eq_ignore_ascii_case(word));
    match id.kind() {
        ResourceKind::Deployment => Some(Place { scope: id.parent()?, name: Some(id.name().to_owned()), tail: rest.to_vec() }),
        ResourceKind::Group | ResourceKind::Subscription => {
            let named = match rest.len() {
                _ if is(0, "providers") && is(1, "Microsoft.Resources") && is(2, "deployments") => &rest[3..],
                0 | 1 => return None,
                _ if is(0, "deployments") => &rest[1..],
                _ => return None,
            };
            let (name, tail) = match named {
                [] => (None, Vec::new()),
                [name, tail @ ..] => (Some(name.clone()), tail.to_vec()),
            };
            Some(Place { scope: id.clone(), name, tail })
        }
        ResourceKind::Unknown(kind) if kind.starts_with("microsoft.resources/deployments/") => {
            let deployment = id.parent().filter(|parent| parent.kind() == ResourceKind::Deployment)?;
            let word = kind.rsplit('/').next()?.to_owned();
            let tail = [word, id.name().to_owned()].into_iter().chain(rest.iter().cloned()).collect();
            Some(Place { scope: deployment.parent()?, name: Some(deployment.name().to_owned()), tail })
        }
        ResourceKind::Plan
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteConfig(_)
        | ResourceKind::SiteContainer
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_understood_or_refused() {
        assert_eq!(states("").as_deref(), Ok(&[][..]));
        assert_eq!(states("provisioningState eq 'Failed'").as_deref(), Ok(&["Failed"][..]));
        assert_eq!(states("PROVISIONINGSTATE  EQ 'running'").as_deref(), Ok(&["Running"][..]));
        for wrong in [
            "provisioningState eq Failed",
            "provisioningState ge 'Failed'",
            "provisioningState eq 'Broken'",
            "name eq 'Failed'",
            "provisioningState eq 'Failed' and name eq 'x'",
            "'",
        ] {
            let refused = states(wrong).expect_err(wrong);
            assert_eq!((refused.status, refused.code.as_ref()), (400, "InvalidFilterInQueryString"), "{wrong}");
        }
    }

    #[test]
    fn every_form_of_a_path_names_the_same_deployment() {
        let group = "/subscriptions/s/resourcegroups/Shop";
        let cases = [
            (format!("{group}/providers/Microsoft.Resources/deployments"), None, ""),
            (format!("{group}/providers/microsoft.resources/Deployments/"), None, ""),
            (format!("{group}/providers/Microsoft.Resources/deployments/Main"), Some("Main"), ""),
            (format!("{group}/providers/Microsoft.Resources/deployments/Main/whatIf"), Some("Main"), "whatIf"),
            (format!("{group}/deployments/Main/operations"), Some("Main"), "operations"),
            (format!("{group}/deployments/Main/operations/1A"), Some("Main"), "operations/1A"),
            (
                format!("{group}/providers/Microsoft.Resources/deployments/Main/operationStatuses/1A"),
                Some("Main"),
                "operationstatuses/1A",
            ),
            ("/subscriptions/s/providers/Microsoft.Resources/deployments/Main/operations".into(), Some("Main"), "operations"),
            ("/subscriptions/s/providers/Microsoft.Resources/deployments".into(), None, ""),
        ];
        for (path, name, tail) in cases {
            let (id, rest) = ResourceId::split(&path).expect("a path");
            let found = place(&id.expect("an id"), &rest).unwrap_or_else(|| panic!("{path} is about deployments"));
            assert_eq!(found.name.as_deref(), name, "{path}");
            assert_eq!(found.tail.join("/"), tail, "{path}");
            let here = if path.contains("Shop") { ResourceKind::Group } else { ResourceKind::Subscription };
            assert_eq!(found.scope.kind(), here, "{path}");
        }
        for other in
            ["/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/x/deployments", "/subscriptions/s/resources"]
        {
            let (id, rest) = ResourceId::split(other).expect("a path");
            assert_eq!(place(&id.expect("an id"), &rest), None, "{other}");
        }
    }
}
