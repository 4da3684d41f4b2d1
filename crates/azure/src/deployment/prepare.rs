//! From a request to a plan: links fetched, surroundings gathered, the template expanded.

use std::sync::Arc;

use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_arm_template::{Document, Level, Link, Parameters, Plan, Surroundings, Template, read};
use pillion_identity::Caller;
use serde_json::{Value, json};

use super::{
    guid, link,
    moment::now_ms,
    record::{Asker, Dependency, Mode, OnFailure, Record, Secret, Source, State},
    request::{Given, Request, refusal},
    rollback::Fallback,
    service::Inner,
    worker::Worker,
};

/// A deployment that could begin.
pub(crate) struct Prepared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) worker: Worker,
    pub(crate) surroundings: Surroundings,
    pub(crate) record: Record,
    pub(crate) source: Source,
    pub(crate) ids_only: bool,
}

/// A template in hand, and where it came from.
pub(crate) struct Fetched {
    pub(crate) document: Document,
    pub(crate) link: Option<Value>,
}

/// Prepares what a client asks for.
///
/// # Errors
/// What is wrong with the request, the template or its parameters.
pub(crate) async fn request(
    inner: &Arc<Inner>,
    caller: &Caller,
    scope: &ResourceId,
    name: &str,
    body: Vec<u8>,
) -> Result<Prepared, ArmError> {
    let group = surroundings_of_group(inner, caller, scope).await?;
    let worker = Worker::new(&inner.benches);
    let asked = worker.run(move |_| Ok(Request::read(&body))).await??;
    if group.is_none() && asked.location.is_none() {
        let message = format!("The deployment '{name}' to the subscription has no 'location'.");
        return Err(ArmError::new(400, "LocationRequired", message).at("location"));
    }
    if group.is_none() && asked.mode == Mode::Complete {
        let message =
            "Specified deployment mode 'Complete' is not supported for deployment at the current scope: a subscription.";
        return Err(ArmError::new(400, "InvalidDeployment", message).at("properties.mode"));
    }
    let (on_failure, fallback) = match &asked.on_error {
        None => (None, None),
        Some(on_error) => {
            let fallback = Fallback::find(inner, scope, name, on_error).await?;
            (Some(OnFailure { back: on_error.back(), deployment: fallback.name.clone(), state: None }), Some(fallback))
        }
    };
    let fetched = match asked.template {
        Given::Inline(document) => Fetched { document, link: None },
        Given::Linked(link) => template(inner, &link).await?,
    };
    let more = match &asked.parameters.link {
        Some(link) => Some(parameters(inner, link).await?),
        None => None,
    };
    let surroundings = Surroundings {
        level: if group.is_some() { Level::ResourceGroup } else { Level::Subscription },
        resource_group: group,
        deployment: name.to_owned(),
        deployment_location: asked.location.clone(),
        template_link: fetched.link.clone(),
        mode: asked.mode.word().to_owned(),
        deployer: json!({ "objectId": caller.principal, "tenantId": inner.settings.tenant, "userPrincipalName": caller.display_name }),
        entropy: guid::random(),
        ..inner.surroundings()
    };
    fits(surroundings.level, &fetched.document)?;
    let given = merged(more, asked.parameters.given)?;
    let document = fetched.document;
    let known = (surroundings.clone(), given.clone());
    let (plan, text, hash) = worker
        .run(move |budget| {
            let template = Template::parse(&document)?;
            let plan = template.expand(&Parameters::from_request(&known.1)?, &known.0, budget)?;
            Ok((plan, document.root().to_string(), template.hash()))
        })
        .await?;
    let id = scope.resource("Microsoft.Resources", "deployments", name);
    let place = Place {
        location: asked.location,
        tags: asked.tags,
        link: fetched.link.map(shown_link),
        parameters_link: asked.parameters.link.as_ref().map(|link| shown_link(json!({ "uri": link.uri }))),
        parent: None,
        correlation: crate::fresh_uuid(),
    };
    let record = Record { on_failure, ..record(id, scope, asked.mode, &plan, hash, place)? };
    let secret = Secret { parameters: given, surroundings: surroundings.clone(), asker: Asker::from(caller), fallback };
    let source = Source { template: text, secret: Some(secret) };
    Ok(Prepared { plan: Arc::new(plan), worker, surroundings, record, source, ids_only: asked.ids_only })
}

/// Refuses a template for a larger scope than a group in a deployment to one: its resources would not be where they belong.
fn fits(level: Level, template: &Document) -> Result<(), ArmError> {
    let schema = template.root().get("$schema").and_then(Value::as_str).unwrap_or_default();
    let file = schema.trim_end_matches('#').rsplit('/').next().unwrap_or_default();
    let is_larger = ["subscription", "managementGroup", "tenant"]
        .iter()
        .any(|scope| file.eq_ignore_ascii_case(&format!("{scope}DeploymentTemplate.json")));
    match level {
        Level::ResourceGroup if is_larger => {
            let message = format!(
                "Deployment template validation failed: 'The template schema '{schema}' is not that of a deployment to a resource group; that \
                 is '…/deploymentTemplate.json#'' (at '$schema')."
            );
            Err(ArmError::new(400, "InvalidTemplate", message).at("properties.template.$schema"))
        }
        Level::ResourceGroup | Level::Subscription | Level::ManagementGroup | Level::Tenant => Ok(()),
    }
}

/// Prepares a stored deployment once more, as it was.
///
/// # Errors
/// The template no longer expands: this program is not the one that accepted it.
pub(crate) async fn again(inner: &Arc<Inner>, source: &Source) -> Result<(Arc<Plan>, Worker, Secret), ArmError> {
    let lost = || ArmError::new(500, "DeploymentLost", "What the deployment needs to go on was not found.");
    let secret = source.secret.clone().ok_or_else(lost)?;
    let worker = Worker::new(&inner.benches);
    let (text, known) = (source.template.clone(), secret.clone());
    let plan = worker
        .run(move |budget| {
            let document = read(text.as_bytes())?;
            Template::parse(&document)?.expand(&Parameters::from_request(&known.parameters)?, &known.surroundings, budget)
        })
        .await?;
    Ok((Arc::new(plan), worker, secret))
}

/// What a record takes from elsewhere than its plan.
pub(crate) struct Place {
    pub(crate) location: Option<String>,
    pub(crate) tags: Option<Value>,
    pub(crate) link: Option<Value>,
    pub(crate) parameters_link: Option<Value>,
    pub(crate) parent: Option<ResourceId>,
    pub(crate) correlation: String,
}

/// Makes the record of a deployment that was not begun yet.
///
/// # Errors
/// An id of the plan is none.
pub(crate) fn record(
    id: ResourceId,
    scope: &ResourceId,
    mode: Mode,
    plan: &Plan,
    hash: String,
    place: Place,
) -> Result<Record, ArmError> {
    let mut dependencies = Vec::new();
    let mut types: Vec<(String, String)> = Vec::new();
    for planned in plan.resources().iter().filter(|planned| planned.active) {
        let id = resource_id(&planned.id)?;
        let kind = id.type_name();
        if !types.iter().any(|(known, _)| known.eq_ignore_ascii_case(&kind)) {
            types.push((kind, place.location.clone().unwrap_or_default()));
        }
        if !planned.depends_on.is_empty() {
            let on = planned.depends_on.iter().map(|id| resource_id(id)).collect::<Result<_, _>>()?;
            dependencies.push(Dependency { id, on });
        }
    }
    Ok(Record {
        id,
        scope: scope.clone(),
        parent: place.parent,
        rolls_back: None,
        on_failure: None,
        location: place.location,
        tags: place.tags,
        mode,
        state: State::Accepted,
        correlation: place.correlation,
        run: guid::operation(),
        accepted_ms: now_ms(),
        ended_ms: None,
        template_hash: hash,
        template_link: place.link,
        parameters_link: place.parameters_link,
        parameters: plan
            .parameters()
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.to_wire()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        outputs: None,
        output_resources: Vec::new(),
        dependencies,
        types,
        operations: Vec::new(),
        error: None,
        cancel_asked: false,
        resumed: 0,
    })
}

/// Fetches a linked template and reads it.
///
/// # Errors
/// `InvalidContentLink` where it may not or cannot be fetched; what the reader says of it.
pub(crate) async fn template(inner: &Arc<Inner>, link: &Link) -> Result<Fetched, ArmError> {
    let (document, uri) = fetched(inner, link).await?;
    let version = document.root().get("contentVersion").and_then(Value::as_str);
    if let (Some(wanted), Some(found)) = (link.content_version.as_deref(), version)
        && wanted != found
    {
        let message = format!("The linked template has the content version '{found}', not '{wanted}'.");
        return Err(ArmError::new(400, "InvalidContentLink", message));
    }
    Ok(Fetched { document, link: Some(json!({ "uri": uri, "contentVersion": link.content_version })) })
}

/// Fetches a linked parameter file.
///
/// # Errors
/// As [`template`].
pub(crate) async fn parameters(inner: &Arc<Inner>, link: &Link) -> Result<Value, ArmError> {
    let (document, _) = fetched(inner, link).await?;
    let root = document.root();
    Ok(root.get("parameters").filter(|_| root.get("$schema").is_some()).unwrap_or(root).clone())
}

/// Returns a link as it is shown: its query may hold an access token.
pub(crate) fn shown_link(mut link: Value) -> Value {
    if let Some(bare) = link["uri"].as_str().and_then(|uri| uri.split(['?', '#']).next()).map(str::to_owned) {
        link["uri"] = Value::String(bare);
    }
    if let Some(members) = link.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    link
}

/// Returns what `resourceGroup()` says in a deployment to a group; none of a subscription.
///
/// # Errors
/// There is no such group.
pub(crate) async fn surroundings_of_group(inner: &Inner, caller: &Caller, scope: &ResourceId) -> Result<Option<Value>, ArmError> {
    match scope.kind() {
        ResourceKind::Group => {
            let mut group = inner.resources.get(caller, scope).await?;
            // A template may ask for a tag of any group.
            if group["tags"].is_null() {
                group["tags"] = json!({});
            }
            Ok(Some(group))
        }
        ResourceKind::Subscription => Ok(None),
        ResourceKind::Plan
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteConfig(_)
        | ResourceKind::SiteContainer
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => {
            Err(ArmError::new(400, "InvalidDeploymentScope", format!("Nothing can be deployed to '{scope}'.")))
        }
    }
}

/// Reads an id as expressions make it: `resourceId()` writes a group's like that of a resource of a provider.
pub(crate) fn resource_id(id: &str) -> Result<ResourceId, ArmError> {
    let read = id.parse().map(|id: ResourceId| match (id.kind(), id.subscription_name()) {
        (ResourceKind::Unknown(kind), Some(subscription)) if kind == "microsoft.resources/resourcegroups" => {
            ResourceId::group(subscription, id.name())
        }
        (_, _) => id,
    });
    read.map_err(|error: pillion_arm::IdError| ArmError::new(400, "InvalidTemplate", error.to_string()))
}

async fn fetched(inner: &Inner, link: &Link) -> Result<(Document, String), ArmError> {
    let refused = |message: String| ArmError::new(400, "InvalidContentLink", message);
    let Some(uri) = &link.uri else {
        return Err(refused("Template specs are not available here; link to the template by its 'uri'.".into()));
    };
    let uri = match &link.query {
        Some(query) => format!("{uri}{}{}", if uri.contains('?') { '&' } else { '?' }, query.trim_start_matches(['?', '&'])),
        None => uri.clone(),
    };
    let text = link::fetch(&uri, &inner.settings.links).await.map_err(|error| refused(format!("{error}.")))?;
    let document = tokio::task::spawn_blocking(move || read(&text)).await;
    let document = document.map_err(|_| ArmError::new(500, "InternalServerError", "The reader ended unexpectedly."))?;
    Ok((document.map_err(refusal)?, uri))
}

/// The values of a parameter file, and over them those of the request.
fn merged(file: Option<Value>, given: Value) -> Result<Value, ArmError> {
    let Some(mut file) = file else { return Ok(given) };
    match (file.as_object_mut(), given) {
        (Some(_), Value::Null) => Ok(file),
        (Some(values), Value::Object(given)) => {
            values.extend(given);
            Ok(file)
        }
        (None, _) => Err(ArmError::new(400, "InvalidContentLink", "The linked parameter file holds no object.")),
        (Some(_), _) => Err(ArmError::content("The deployment's parameters are not an object.").at("properties.parameters")),
    }
}
