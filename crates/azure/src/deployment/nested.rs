//! A deployment inside a deployment: where it goes, what it deploys, and how its ending becomes its parent's.

use std::sync::Arc;

use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::{Level, Nested, NestedSource, Parameters, Plan, Planned, Surroundings, Target, Template};
use sha2::{Digest, Sha256};

use super::{
    live::Live,
    prepare::{self, Place},
    record::{Mode, Source},
    request::refusal,
    run::{Ending, Run},
    service::Inner,
    worker::Worker,
};

/// Deployments inside one another; a linked template may link to itself.
const DEEPEST: usize = 16;

/// What a nested deployment comes to.
pub(crate) struct Unfolded {
    pub(crate) plan: Arc<Plan>,
    pub(crate) surroundings: Surroundings,
    pub(crate) scope: ResourceId,
    pub(crate) text: String,
    hash: String,
    link: Option<serde_json::Value>,
    location: Option<String>,
}

/// Deploys it to its end.
pub(crate) async fn deploy(parent: &Run, planned: &Planned) -> Result<u16, ArmError> {
    let (plan, item, lookup) = (parent.plan.clone(), planned.clone(), parent.lookup());
    let together = &parent.together;
    let nested = together.worker.run(move |budget| plan.nested(&item, &lookup, budget)).await?;
    let name = nested.name.clone();
    let unfolded =
        unfold(&parent.inner, &together.caller, &together.worker, &parent.surroundings, nested, parent.depth + 1).await?;
    let id = unfolded.scope.resource("Microsoft.Resources", "deployments", &name);
    let place = Place {
        location: unfolded.location,
        tags: None,
        link: unfolded.link.map(prepare::shown_link),
        parameters_link: None,
        parent: Some(parent.live.look(|record| record.id.clone())),
        correlation: together.holder.clone(),
    };
    let record = prepare::record(id.clone(), &unfolded.scope, Mode::Incremental, &unfolded.plan, unfolded.hash, place)?;
    let live = Arc::new(Live::new(record.clone(), parent.live.cancel.child_token()));
    let source = Source { template: unfolded.text, secret: None };
    let created = parent.inner.accept(&live, &source, &together.caller).await?;
    let run = Run {
        inner: parent.inner.clone(),
        together: together.clone(),
        live,
        plan: unfolded.plan,
        surroundings: unfolded.surroundings,
        depth: parent.depth + 1,
    };
    let ending = run.go().await;
    run.ended(&ending);
    match ending {
        Ending::Succeeded { .. } => Ok(if created { 201 } else { 200 }),
        Ending::Failed(error) => Err(error),
        Ending::Canceled => Err(ArmError::new(409, "DeploymentCanceled", format!("The deployment '{name}' was canceled."))),
    }
}

/// Finds out what a nested deployment deploys and where: its link fetched, its template expanded.
///
/// # Errors
/// It goes where nothing can be deployed; its template is wrong; its link may not or cannot be followed.
pub(crate) async fn unfold(
    inner: &Arc<Inner>,
    caller: &pillion_identity::Caller,
    worker: &Worker,
    around: &Surroundings,
    nested: Nested,
    depth: usize,
) -> Result<Unfolded, ArmError> {
    let wrong = |message: String| ArmError::new(400, "InvalidTemplate", message);
    let name = nested.name;
    let chance = entropy(around, &name);
    if depth > DEEPEST {
        return Err(wrong(format!("The deployment '{name}' lies inside more than {DEEPEST} others.")));
    }
    if Mode::parse(&nested.mode) == Some(Mode::Complete) {
        let message = format!("The nested deployment '{name}' has the mode Complete; only the outermost deployment can have it.");
        return Err(ArmError::new(400, "InvalidTemplateDeployment", message));
    }
    let scope = scope(inner, around, &nested.target, &name)?;
    inner.allowed(caller, pillion_identity::Access::Write, &scope, "write")?;
    let group = prepare::surroundings_of_group(inner, caller, &scope).await?;
    let parameters = match nested.parameters_link {
        None => nested.parameters,
        Some(link) if nested.parameters == Parameters::default() => {
            Parameters::from_request(&prepare::parameters(inner, &link).await?).map_err(refusal)?
        }
        Some(_) => {
            let message = format!("Give the nested deployment '{name}' either 'parameters' or 'parametersLink', not both.");
            return Err(ArmError::new(400, "InvalidTemplateDeployment", message));
        }
    };
    // An inline template that the parent evaluated may hold secrets: it is neither kept nor told by its hash.
    let (template, kept, link) = match nested.source {
        NestedSource::Inline(template) => (template, None, around.template_link.clone()),
        NestedSource::Linked(link) => {
            let fetched = prepare::template(inner, &link).await?;
            let template = worker.run(move |_| Template::parse(&fetched.document)).await?;
            let kept = (template.root().to_string(), template.hash());
            (template, Some(kept), fetched.link)
        }
    };
    let surroundings = Surroundings {
        level: if group.is_some() { Level::ResourceGroup } else { Level::Subscription },
        resource_group: group,
        deployment: name,
        deployment_location: nested.location.clone().or_else(|| around.deployment_location.clone()),
        template_link: link.clone(),
        mode: Mode::Incremental.word().to_owned(),
        entropy: chance,
        ..around.clone()
    };
    let known = surroundings.clone();
    let plan = worker.run(move |budget| template.expand(&parameters, &known, budget)).await?;
    let (text, hash) = kept.unwrap_or_default();
    Ok(Unfolded { plan: Arc::new(plan), surroundings, scope, text, hash, link, location: nested.location })
}

/// The group or subscription that a nested deployment goes to.
fn scope(inner: &Inner, around: &Surroundings, target: &Target, name: &str) -> Result<ResourceId, ArmError> {
    if target.tenant || target.management_group.is_some() {
        let message = format!("The deployment '{name}' goes to a tenant or a management group; there are none here.");
        return Err(ArmError::new(400, "InvalidDeploymentScope", message));
    }
    let here = inner.settings.subscription.as_str();
    if let Some(other) = target.subscription.as_deref().filter(|other| !other.eq_ignore_ascii_case(here)) {
        return Err(ArmError::new(404, "SubscriptionNotFound", format!("The subscription '{other}' could not be found.")));
    }
    let own = around.resource_group.as_ref().and_then(|group| group["name"].as_str());
    let group = match (target.whole_subscription, target.resource_group.as_deref()) {
        (true, _) => None,
        (false, Some(group)) => Some(group),
        (false, None) => own,
    };
    Ok(group.map_or_else(|| ResourceId::subscription(here), |group| ResourceId::group(here, group)))
}

/// Chance of its own for each nested deployment, the same again after a restart.
fn entropy(around: &Surroundings, name: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(around.entropy).chain_update(name.as_bytes()).finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}
