//! Functions that make resource ids, and those that ask deployed resources.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Arguments, Function, value, world};
use crate::{
    error::{Cause, Code, Error, Result},
    evaluate::{Asking, Evaluator},
    plan::Directory,
    references::{Absent, Extent, References, Seen},
    surroundings::Level,
};

pub(super) const FUNCTIONS: &[Function] = &[
    world("resourceId", 2, None, resource_id),
    world("subscriptionResourceId", 2, None, subscription_resource_id),
    world("tenantResourceId", 2, None, |evaluator, args| {
        let texts = args.texts()?;
        finished(evaluator, joined(args, "", &texts)?)
    }),
    world("extensionResourceId", 3, None, |evaluator, args| {
        let texts = args.texts()?;
        finished(evaluator, joined(args, texts[0].trim_end_matches('/'), &texts[1..])?)
    }),
    world("managementGroupResourceId", 2, None, management_group_resource_id),
    world("reference", 1, Some(3), reference),
    world("references", 1, Some(2), references),
    world("resourceInfo", 1, Some(1), resource_info),
    world("providers", 1, Some(2), providers),
    value("pickZones", 3, 5, pick_zones),
    value("toLogicalZone", 3, 3, no_zone),
    value("toPhysicalZone", 3, 3, no_zone),
    value("toLogicalZones", 3, 3, no_zones),
    value("toPhysicalZones", 3, 3, no_zones),
];

/// Every function whose name begins with `list`.
pub(super) const LIST: Function = world("list*", 1, Some(3), list);

/// How many names a type asks for: `Microsoft.Web/sites/slots` two.
fn names_of(kind: &str) -> usize {
    kind.trim_end_matches('/').matches('/').count()
}

/// Joins a scope, a type and its names to an id. Published templates also write a type with a slash at its end.
pub(crate) fn id_of(scope: &str, kind: &str, names: &[&str]) -> Option<String> {
    let kind = kind.trim_end_matches('/');
    match (kind.to_lowercase().as_str(), names) {
        // What contains the others has an id of its own kind.
        ("microsoft.resources/resourcegroups", [name]) => {
            let mut segments = scope.split('/').skip(1);
            let is_subscription = segments.next().is_some_and(|first| first.eq_ignore_ascii_case("subscriptions"));
            let subscription = segments.next().filter(|_| is_subscription)?;
            return Some(format!("/subscriptions/{subscription}/resourceGroups/{name}"));
        }
        ("microsoft.resources/subscriptions", [name]) => return Some(format!("/subscriptions/{name}")),
        _ => {}
    }
    let mut types = kind.split('/');
    let namespace = types.next()?;
    let mut id = format!("{scope}/providers/{namespace}");
    let mut names = names.iter();
    for kind in types {
        id.push_str(&format!("/{kind}/{}", names.next()?));
    }
    names.next().is_none().then_some(id)
}

fn joined(args: &Arguments<'_>, scope: &str, texts: &[&str]) -> Result<String> {
    let (kind, names) = texts.split_first().ok_or_else(|| args.refuse("needs a resource type"))?;
    id_of(scope, kind, names).filter(|_| names_of(kind) > 0).ok_or_else(|| {
        args.refuse(format!(
            "is given the type '{}', which takes {} name(s), and {} name(s)",
            args.show_text(kind),
            names_of(kind),
            names.len()
        ))
    })
}

fn finished(evaluator: &mut Evaluator<'_>, id: String) -> Result<Arc<Value>> {
    evaluator.made(Value::String(id))
}

/// Finds the type among the first arguments: what is before it says where. The type is the one that takes as many names as follow.
fn split<'a>(args: &Arguments<'_>, texts: &'a [&'a str], most: usize) -> Result<(&'a [&'a str], &'a [&'a str])> {
    let at = (0..texts.len().min(most + 1)).find(|at| texts[*at].contains('/') && names_of(texts[*at]) == texts.len() - at - 1);
    at.map(|at| texts.split_at(at)).ok_or_else(|| {
        let kind = texts.iter().take(most + 1).find(|text| text.contains('/'));
        args.refuse(match kind {
            Some(kind) => format!(
                "is given the type '{}', which takes {} name(s); other than that are given",
                args.show_text(kind),
                names_of(kind)
            ),
            None => "is given no resource type such as 'Microsoft.Web/sites'".to_owned(),
        })
    })
}

fn subscription<'e>(evaluator: &'e Evaluator<'_>, args: &Arguments<'_>) -> Result<&'e str> {
    evaluator
        .scope
        .surroundings
        .subscription_id()
        .ok_or_else(|| args.refuse("needs the id of a subscription: the deployment goes to none"))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() })
}

/// `resourceId([subscription], [group], type, names…)`
fn resource_id(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let texts = args.texts()?;
    let (place, rest) = split(args, &texts, 2)?;
    let surroundings = &evaluator.scope.surroundings;
    let of_group = |subscription: &str, group: &str| format!("/subscriptions/{subscription}/resourceGroups/{group}");
    let scope = match place {
        [] => surroundings.scope_id(),
        [subscription] if surroundings.level == Level::Subscription && is_guid(subscription) => {
            format!("/subscriptions/{subscription}")
        }
        [group] => of_group(subscription(evaluator, args)?, group),
        [subscription, group, ..] => of_group(subscription, group),
    };
    let id = joined(args, &scope, rest)?;
    finished(evaluator, id)
}

fn subscription_resource_id(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let texts = args.texts()?;
    let (place, rest) = split(args, &texts, 1)?;
    let subscription = match place.first() {
        Some(subscription) => subscription,
        None => subscription(evaluator, args)?,
    };
    let id = joined(args, &format!("/subscriptions/{subscription}"), rest)?;
    finished(evaluator, id)
}

fn management_group_resource_id(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let texts = args.texts()?;
    let (place, rest) = split(args, &texts, 1)?;
    let scope = match place.first() {
        Some(group) => format!("/providers/Microsoft.Management/managementGroups/{group}"),
        None => {
            let id =
                evaluator.scope.surroundings.management_group.as_ref().and_then(|group| group.get("id")).and_then(Value::as_str);
            id.ok_or_else(|| args.refuse("needs the name of a management group: the deployment goes to none"))?.to_owned()
        }
    };
    let id = joined(args, &scope, rest)?;
    finished(evaluator, id)
}

fn asking<'a>(evaluator: &Evaluator<'a>, args: &Arguments<'_>) -> Result<(&'a dyn References, &'a Directory)> {
    match evaluator.asking {
        Asking::Allowed { references, directory } => Ok((references, directory)),
        Asking::Forbidden(place) => Err(Error::template(format!(
            "The template function '{}' is not expected at this location: {place}, where what is deployed is not known yet",
            args.name
        ))),
    }
}

fn extent(args: &Arguments<'_>, at: usize) -> Result<Extent> {
    match args.get(at) {
        None | Some(Value::Null) => Ok(Extent::Properties),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("Full") => Ok(Extent::Full),
        Some(Value::String(text)) if text.is_empty() || text.eq_ignore_ascii_case("Properties") => Ok(Extent::Properties),
        Some(_) => Err(args.wrong(at, "'Full'")),
    }
}

fn absent(args: &Arguments<'_>, directory: &Directory, id: &str, absent: Absent) -> Error {
    let id = id.to_owned();
    // What the template will make is not there yet, and that is no mistake.
    match if absent == Absent::NotFound && directory.will_deploy(&id) { Absent::NotDeployed } else { absent } {
        Absent::NotDeployed => Error::new(
            Code::InvalidTemplateDeployment,
            format!("'{}' needs the resource '{id}', which is not deployed yet", args.name),
        )
        .caused(Cause::NotDeployed { id }),
        Absent::NotFound => {
            Error::new(Code::ResourceNotFound, format!("The resource '{id}', which '{}' refers to, was not found", args.name))
                .caused(Cause::NotFound { id })
        }
        Absent::Refused(why) => {
            Error::new(Code::InvalidTemplateDeployment, format!("'{}' of the resource '{id}' is refused: {why}", args.name))
        }
    }
}

/// `reference(name or id, [api version], ['Full'])`
fn reference(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let (references, directory) = asking(evaluator, args)?;
    let (id, known_version) = directory.resolve(args.text(0)?, &evaluator.scope.surroundings)?;
    let version = match args.get(1) {
        Some(Value::String(version)) => Some(version.as_str()),
        None | Some(Value::Null) => known_version,
        Some(_) => return Err(args.wrong(1, "an API version")),
    };
    let seen = references.reference(&id, version, extent(args, 2)?).map_err(|why| absent(args, directory, &id, why))?;
    received(evaluator, seen)
}

fn received(evaluator: &mut Evaluator<'_>, seen: Seen) -> Result<Arc<Value>> {
    evaluator.secure |= seen.secure;
    evaluator.made(seen.value)
}

/// `references(symbolic name of a copy loop, ['Full'])`
fn references(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let (references, directory) = asking(evaluator, args)?;
    let name = args.text(0)?;
    let members =
        directory.members(name).ok_or_else(|| args.refuse(format!("is given '{name}', which is no copy loop of resources")))?;
    let extent = extent(args, 1)?;
    let mut all = Vec::new();
    for (id, version) in members {
        let seen = references.reference(id, Some(version), extent).map_err(|why| absent(args, directory, id, why))?;
        evaluator.secure |= seen.secure;
        all.push(seen.value);
    }
    evaluator.made(Value::Array(all))
}

/// `resourceInfo(symbolic name)`
fn resource_info(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let (_, directory) = asking(evaluator, args)?;
    let name = args.text(0)?;
    let info = directory.info(name).ok_or_else(|| args.refuse(format!("is given '{name}', which is no symbolic name")))?;
    evaluator.made(info)
}

/// `listKeys(name or id, api version, [body])`; what comes back is secure.
fn list(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let (references, directory) = asking(evaluator, args)?;
    let (id, known_version) = directory.resolve(args.text(0)?, &evaluator.scope.surroundings)?;
    let version = match args.get(1) {
        None => known_version.unwrap_or_default(),
        Some(_) => args.text(1)?,
    };
    let value = references.list(args.name, &id, version, args.get(2)).map_err(|why| absent(args, directory, &id, why))?;
    received(evaluator, Seen { value, secure: true })
}

/// `providers(namespace, [type])`
fn providers(evaluator: &mut Evaluator<'_>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    let namespace = args.text(0)?;
    let unknown = |what: &str| args.refuse(format!("is asked for '{}', which is not here", args.show_text(what)));
    let provider = super::member(&evaluator.scope.surroundings.providers, namespace).ok_or_else(|| unknown(namespace))?;
    let value = match args.get(1) {
        None => provider.clone(),
        Some(_) => {
            let kind = args.text(1)?;
            let types = provider.get("resourceTypes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let of_name =
                |one: &&Value| one.get("resourceType").and_then(Value::as_str).is_some_and(|name| super::same_name(name, kind));
            let found = types.iter().find(of_name).ok_or_else(|| unknown(&format!("{namespace}/{kind}")))?;
            json!({
                "resourceType": found.get("resourceType"),
                "locations": found.get("locations").cloned().unwrap_or_else(|| json!([])),
                "apiVersions": found.get("apiVersions").cloned().unwrap_or_else(|| json!([])),
            })
        }
    };
    evaluator.made(value)
}

/// Nothing here has zones, so there is none to pick.
fn pick_zones(args: &Arguments<'_>) -> Result<Value> {
    for at in 0..3 {
        args.text(at)?;
    }
    Ok(Value::Array(Vec::new()))
}

fn no_zone(args: &Arguments<'_>) -> Result<Value> {
    Err(args.refuse(format!(
        "is asked for the zone '{}', and the location '{}' has none",
        args.show_text(args.text(2)?),
        args.show_text(args.text(1)?)
    )))
}

fn no_zones(args: &Arguments<'_>) -> Result<Value> {
    match args.array(2)? {
        [] => Ok(Value::Array(Vec::new())),
        [..] => Err(args.refuse(format!("is asked for zones, and the location '{}' has none", args.show_text(args.text(1)?)))),
    }
}
