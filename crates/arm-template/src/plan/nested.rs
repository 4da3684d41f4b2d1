//! Deployments within a deployment.

use std::{collections::HashSet, fmt};

use serde_json::{Map, Value};

use super::{
    Core, Kind, Planned,
    body::{self, Strictness, template_path},
};
use crate::{
    budget::Budget,
    error::{Error, Result},
    function::{member, resolve_uri},
    parameters::Parameters,
    path::Path,
    reader::Document,
    references::References,
    surroundings::Level,
    template::{Template, is_inner_deployment},
};

/// A nested deployment, ready to be expanded with surroundings of its own.
#[derive(Debug, Clone)]
pub struct Nested {
    pub name: String,
    pub location: Option<String>,
    /// `Incremental` or `Complete`.
    pub mode: String,
    pub target: Target,
    pub source: NestedSource,
    pub parameters: Parameters,
    /// A parameter file to be fetched instead of `parameters`, which are empty then.
    pub parameters_link: Option<Link>,
}

/// Where a nested deployment goes: what is `None` is the same as the parent's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    pub subscription: Option<String>,
    pub resource_group: Option<String>,
    pub management_group: Option<String>,
    /// To the subscription as a whole, not to a group in it.
    pub whole_subscription: bool,
    /// To the tenant.
    pub tenant: bool,
}

/// What a nested deployment deploys.
#[derive(Debug, Clone)]
pub enum NestedSource {
    Inline(Template),
    /// The engine fetches it, by its own rules of what may be fetched.
    Linked(Link),
}

/// A template or parameter file elsewhere. Its `Debug` leaves out queries, which carry access tokens.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The absolute address; a relative path is already resolved against the parent's link.
    pub uri: Option<String>,
    /// The id of a template spec.
    pub id: Option<String>,
    pub content_version: Option<String>,
    /// To be appended to the address.
    pub query: Option<String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.uri.as_deref().map(|uri| uri.split('?').next().unwrap_or_default());
        f.debug_struct("Link").field("uri", &uri).field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn nested(core: &Core, resource: &Planned, references: &dyn References, budget: &mut Budget) -> Result<Nested> {
    if resource.kind != Kind::Deployment {
        return Err(Error::template(format!("The resource '{}' is no deployment", resource.id)));
    }
    let raw = core.scope.source.at(&resource.place);
    let parts = raw.as_object().cloned().unwrap_or_default();
    let body = body::evaluate(core, resource, references, budget, Strictness::Whole)?;
    let refuse = |message: String| Error::template(message).at(&resource.place.key("properties"));
    let nothing = Map::new();
    let value = body.value().as_object().unwrap_or(&nothing);
    let properties = member(value, "properties")
        .and_then(Value::as_object)
        .ok_or_else(|| refuse("The deployment has no 'properties'".to_owned()))?;
    let mode = member(properties, "mode").and_then(Value::as_str).unwrap_or("Incremental");
    let mode = ["Incremental", "Complete"].into_iter().find(|known| known.eq_ignore_ascii_case(mode));
    let mode = mode.ok_or_else(|| refuse("The deployment's 'mode' must be 'Incremental' or 'Complete'".to_owned()))?;
    if member(properties, "onErrorDeployment").is_some_and(|given| !given.is_null()) {
        return Err(refuse("Only the outermost deployment can have an 'onErrorDeployment'".to_owned()));
    }
    let template = member(properties, "template").filter(|template| !template.is_null());
    let link = member(properties, "templateLink").filter(|link| !link.is_null());
    let source = match (template, link) {
        (Some(template), None) => NestedSource::Inline(inline(core, resource, &parts, template, body.secure_paths())?),
        (None, Some(link)) => {
            NestedSource::Linked(read_link(core, link).map_err(|wrong| refuse(format!("Of the 'templateLink', {wrong}")))?)
        }
        (Some(_), Some(_)) => return Err(refuse("The deployment has both a 'template' and a 'templateLink'".to_owned())),
        (None, None) => return Err(refuse("The deployment has neither a 'template' nor a 'templateLink'".to_owned())),
    };
    let parameters_link = member(properties, "parametersLink")
        .filter(|link| !link.is_null())
        .map(|link| read_link(core, link).map_err(|wrong| refuse(format!("Of the 'parametersLink', {wrong}"))))
        .transpose()?;
    let given = parts_parameters(properties);
    if parameters_link.is_some() && given.as_object().is_some_and(|given| !given.is_empty()) {
        return Err(refuse("The deployment has both 'parameters' and a 'parametersLink'".to_owned()));
    }
    let secure: HashSet<String> = secure_parameters(body.secure_paths());
    Ok(Nested {
        name: resource.name.clone(),
        location: member(value, "location").and_then(Value::as_str).map(str::to_owned),
        mode: mode.to_owned(),
        target: target(core, resource, &parts),
        source,
        parameters: Parameters::from_request(given)?.marked(|name| secure.contains(&name.to_lowercase())),
        parameters_link,
    })
}

fn parts_parameters(properties: &Map<String, Value>) -> &Value {
    member(properties, "parameters").unwrap_or(&Value::Null)
}

/// The parameters that something secure went into, in lower case.
fn secure_parameters(paths: &[Path]) -> HashSet<String> {
    use crate::path::Segment;
    let of_parameter = |path: &Path| match path.segments() {
        [Segment::Key(properties), Segment::Key(parameters), Segment::Key(name), ..]
            if properties.eq_ignore_ascii_case("properties") && parameters.eq_ignore_ascii_case("parameters") =>
        {
            Some(name.to_lowercase())
        }
        _ => None,
    };
    paths.iter().filter_map(of_parameter).collect()
}

fn inline(core: &Core, resource: &Planned, parts: &Map<String, Value>, template: &Value, secure: &[Path]) -> Result<Template> {
    let Some(path) = template_path(parts) else {
        return Template::parse(&Document::from_value(template.clone()));
    };
    let head = resource.place.join(&path);
    let source = &core.scope.source;
    let is_written = core.scope.source.at(&head).is_object();
    let parsed = if is_inner_deployment(parts) && is_written {
        Template::parse_with(&source.document.inner(&head), source.secrets_below(&head))
    } else {
        let secrets = secure.iter().filter_map(|secret| secret.below(&path)).collect();
        Template::parse_with(&Document::from_value(template.clone()), secrets)
    };
    parsed.map_err(|error| error.under(&head))
}

fn read_link(core: &Core, link: &Value) -> std::result::Result<Link, String> {
    let text = |name: &str| link.as_object().and_then(|link| member(link, name)).and_then(Value::as_str).map(str::to_owned);
    let uri = match (text("uri"), text("relativePath")) {
        (Some(uri), None) => Some(uri),
        (None, Some(relative)) => {
            let parent = core.scope.surroundings.template_link.as_ref().and_then(|link| link.get("uri")).and_then(Value::as_str);
            let parent = parent.ok_or("the 'relativePath' can't be resolved: the parent template is not linked itself")?;
            Some(resolve_uri(parent, &relative).ok_or_else(|| format!("the 'relativePath' '{relative}' can't be resolved"))?)
        }
        (Some(_), Some(_)) => return Err("there are both a 'uri' and a 'relativePath'".to_owned()),
        (None, None) => None,
    };
    let id = text("id");
    if uri.is_none() && id.is_none() {
        return Err("there is neither a 'uri' nor a 'relativePath' nor an 'id'".to_owned());
    }
    Ok(Link { uri, id, content_version: text("contentVersion"), query: text("queryString") })
}

/// Reads where a deployment goes out of its id, which was made of that.
fn target(core: &Core, resource: &Planned, parts: &Map<String, Value>) -> Target {
    let surroundings = &core.scope.surroundings;
    let segments: Vec<&str> = resource.id.trim_start_matches('/').split('/').collect();
    let is = |at: usize, name: &str| segments.get(at).is_some_and(|segment| segment.eq_ignore_ascii_case(name));
    let mut target = Target::default();
    if is(0, "subscriptions") {
        let subscription = segments.get(1).copied().unwrap_or_default();
        if !surroundings.subscription_id().is_some_and(|own| own.eq_ignore_ascii_case(subscription)) {
            target.subscription = Some(subscription.to_owned());
        }
        if is(2, "resourceGroups") {
            let group = segments.get(3).copied().unwrap_or_default();
            let is_own = surroundings.level == Level::ResourceGroup
                && surroundings.group_name().is_some_and(|own| own.eq_ignore_ascii_case(group));
            // A subscription that is named without a group is meant as a whole.
            let is_whole = member(parts, "subscriptionId").is_some()
                && member(parts, "resourceGroup").is_none()
                && member(parts, "scope").is_none();
            target.whole_subscription = is_whole;
            if !is_own && !is_whole {
                target.resource_group = Some(group.to_owned());
            }
        } else {
            target.whole_subscription = true;
        }
    } else if is(0, "providers") && is(2, "managementGroups") {
        target.management_group = segments.get(3).map(|group| (*group).to_owned());
    } else {
        target.tenant = true;
    }
    target
}
