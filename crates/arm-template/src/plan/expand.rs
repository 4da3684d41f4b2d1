//! Unfolds a template's resources: copies, children, conditions, names.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Core, Directory, Kind, Plan, Planned, dependency, order};
use crate::{
    budget::{Budget, Limit, MAX_RESOURCES},
    error::{Error, Result},
    evaluate::{Asking, Evaluator, Loop, LoopKind},
    function::{id_of, member},
    parameters::Resolved,
    path::Path,
    scope::Scope,
    template,
};

/// A resource whose dependencies are not resolved yet.
pub(super) struct Draft {
    pub(super) planned: Planned,
    pub(super) loops: Vec<Loop>,
    /// What `dependsOn` says.
    pub(super) depends_on: Vec<(Path, String)>,
    /// How many of its copy loop are deployed at a time.
    pub(super) batch: Option<usize>,
}

/// Makes a plan of a template whose parameters and variables are known.
pub(crate) fn expand(scope: Scope, parameters: Vec<Resolved>, budget: &mut Budget) -> Result<Plan> {
    let source = Arc::clone(&scope.source);
    let mut expansion = Expansion { scope: &scope, budget, drafts: Vec::new(), loops: Vec::new() };
    for (place, symbol, raw) in source.resources() {
        expansion.copies(raw, &place, symbol, None, &[])?;
    }
    let Expansion { drafts, loops: loop_names, .. } = expansion;
    refuse_duplicates(&drafts)?;
    let (mut resources, mut loops, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        resources.push(draft.planned);
        loops.push(draft.loops);
        waits.push((draft.depends_on, draft.batch));
    }
    let directory = Directory::of(&resources, loop_names);
    let edges = dependency::edges(&scope, &resources, &loops, &waits, &directory, budget)?;
    let ordered = order::ordered(&resources, edges)?;
    for (resource, depends_on) in resources.iter_mut().zip(ordered) {
        resource.depends_on = depends_on;
    }
    Ok(Plan { core: Arc::new(Core { scope, resources, loops, directory, parameters }) })
}

/// A resource that others are written in.
struct Parent<'p> {
    resource_type: &'p str,
    name: &'p str,
    scope: &'p str,
}

struct Expansion<'s, 'b> {
    scope: &'s Scope,
    budget: &'b mut Budget,
    drafts: Vec<Draft>,
    /// The names of the copy loops.
    loops: Vec<String>,
}

impl Expansion<'_, '_> {
    fn evaluator<'e>(&'e mut self, loops: &[Loop]) -> Evaluator<'e> {
        Evaluator::new(self.scope, Asking::Forbidden("outside of a resource's properties"), self.budget)
            .with_loops(loops.to_vec())
    }

    /// Unfolds a resource's copy loop, if it has one.
    fn copies(
        &mut self,
        raw: &Value,
        place: &Path,
        symbol: Option<&str>,
        parent: Option<&Parent<'_>>,
        outer: &[Loop],
    ) -> Result<()> {
        let Value::Object(parts) = raw else { return Ok(()) };
        let Some(copy) = member(parts, "copy").filter(|copy| !copy.is_null()) else {
            return self.one(parts, place, symbol.map(str::to_owned), parent, outer, None);
        };
        let path = place.key("copy");
        let refuse = |message: &str| Error::template(message).at(&path);
        let Value::Object(copy) = copy else { return Err(refuse("A resource's 'copy' must be an object")) };
        let name = member(copy, "name").and_then(Value::as_str).or(symbol);
        let name = name.ok_or_else(|| refuse("The copy loop has no 'name'"))?;
        let count = member(copy, "count").ok_or_else(|| refuse("The copy loop has no 'count'"))?;
        let count = self.evaluator(outer).count(count, &path.key("count"))?;
        if count > MAX_RESOURCES {
            return Err(Limit::Resources.error().at(&path.key("count")));
        }
        let is_serial = match member(copy, "mode").map(|mode| mode.as_str().unwrap_or_default().to_lowercase()).as_deref() {
            None | Some("parallel") => false,
            Some("serial") => true,
            Some(_) => return Err(refuse("The copy loop's 'mode' must be 'serial' or 'parallel'")),
        };
        let batch = match member(copy, "batchSize") {
            None => is_serial.then_some(1),
            Some(size) => {
                let size = self.evaluator(outer).count(size, &path.key("batchSize"))?;
                if size == 0 {
                    return Err(refuse("The copy loop's 'batchSize' must be at least 1"));
                }
                is_serial.then_some(size)
            }
        };
        self.loops.extend(symbol.into_iter().chain([name]).map(str::to_owned));
        for index in 0..count {
            let mut loops = outer.to_vec();
            loops.push(Loop { name: name.to_owned(), index, kind: LoopKind::Whole });
            let symbol = symbol.map(|symbol| format!("{symbol}[{index}]"));
            self.one(parts, place, symbol, parent, &loops, Some((name.to_owned(), index, batch)))?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        parts: &Map<String, Value>,
        place: &Path,
        symbolic_name: Option<String>,
        parent: Option<&Parent<'_>>,
        loops: &[Loop],
        copy: Option<(String, usize, Option<usize>)>,
    ) -> Result<()> {
        if self.drafts.len() == MAX_RESOURCES {
            return Err(Limit::Resources.error().at(place));
        }
        let source = Arc::clone(&self.scope.source);
        let active = self.condition(parts, place, loops)?;
        let mut text = |name: &str| self.text(parts, name, place, loops);
        let needed = |text: Option<String>| text.filter(|text| !text.is_empty());
        let missing = |name: &str| Error::template(format!("The resource's '{name}' is empty")).at(&place.key(name));
        let own_type = needed(text("type")?).ok_or_else(|| missing("type"))?;
        let own_name = needed(text("name")?).ok_or_else(|| missing("name"))?;
        let of_the_profile = || source.profile_version().filter(|version| !version.is_empty()).map(str::to_owned);
        let api_version = needed(text("apiVersion")?).or_else(of_the_profile).ok_or_else(|| missing("apiVersion"))?;
        let (scope, subscription, group) =
            (needed(text("scope")?), needed(text("subscriptionId")?), needed(text("resourceGroup")?));
        let (resource_type, name) = match parent {
            None => (own_type, own_name),
            Some(parent) => (format!("{}/{own_type}", parent.resource_type), format!("{}/{own_name}", parent.name)),
        };
        let names: Vec<&str> = name.split('/').collect();
        let scope = match parent {
            Some(parent) => parent.scope.to_owned(),
            None => self.scope_of(scope, subscription, group, place)?,
        };
        let id = id_of(&scope, &resource_type, &names).filter(|_| resource_type.contains('/')).ok_or_else(|| {
            let message = format!(
                "The template resource '{name}' for type '{resource_type}' has incorrect segment lengths. A nested resource type must have \
                 identical number of segments as its resource name. A root resource type must have segment length one greater than its \
                 resource name"
            );
            Error::template(message).at(&place.key("name"))
        })?;
        let is_existing = member(parts, "existing") == Some(&Value::Bool(true));
        let kind = match resource_type.eq_ignore_ascii_case("Microsoft.Resources/deployments") {
            _ if is_existing => Kind::Existing,
            true => Kind::Deployment,
            false => Kind::Resource,
        };
        let depends_on = self.depends_on(parts, place, loops)?;
        let planned = Planned {
            id,
            resource_type: resource_type.clone(),
            name: name.clone(),
            api_version,
            symbolic_name,
            kind,
            active,
            depends_on: Vec::new(),
            copy: copy.as_ref().map(|(name, index, _)| (name.clone(), *index)),
            place: place.clone(),
            index: self.drafts.len(),
        };
        let batch = copy.and_then(|(_, _, batch)| batch);
        self.drafts.push(Draft { planned, loops: loops.to_vec(), depends_on, batch });
        if let Some(children) = member(parts, "resources") {
            let parent = Parent { resource_type: &resource_type, name: &name, scope: &scope };
            for (place, symbol, child) in template::members(&place.key("resources"), children) {
                self.copies(child, &place, symbol, Some(&parent), loops)?;
            }
        }
        Ok(())
    }

    fn condition(&mut self, parts: &Map<String, Value>, place: &Path, loops: &[Loop]) -> Result<bool> {
        let path = place.key("condition");
        match member(parts, "condition") {
            None | Some(Value::Null) => Ok(true),
            Some(raw) => self.evaluator(loops).condition(raw, &path),
        }
    }

    /// Evaluates one of the texts that say what and where a resource is.
    fn text(&mut self, parts: &Map<String, Value>, name: &str, place: &Path, loops: &[Loop]) -> Result<Option<String>> {
        let path = place.key(name);
        let raw = match member(parts, name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(raw)) => raw,
            Some(_) => return Err(Error::template(format!("The resource's '{name}' must be a text")).at(&path)),
        };
        let mut evaluator = self.evaluator(loops);
        let value = evaluator.text(raw, &path)?;
        if evaluator.secure {
            // It becomes a part of the resource's id, which is shown everywhere.
            return Err(Error::template(format!("The resource's '{name}' must not be made of a secure value")).at(&path));
        }
        match &*value {
            Value::String(text) => Ok(Some(text.clone())),
            Value::Null => Ok(None),
            other => {
                Err(Error::template(format!("The resource's '{name}' must be a text, it is '{}'", evaluator.show(other)))
                    .at(&path))
            }
        }
    }

    fn depends_on(&mut self, parts: &Map<String, Value>, place: &Path, loops: &[Loop]) -> Result<Vec<(Path, String)>> {
        let path = place.key("dependsOn");
        let raw = match member(parts, "dependsOn") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(raw) => raw,
        };
        let mut all = Vec::new();
        let mut walk = crate::evaluate::Walk::at(&path);
        let value = self.evaluator(loops).tree(raw, &mut walk)?;
        if !walk.secure.is_empty() {
            return Err(Error::template("'dependsOn' must not be made of a secure value").at(&path));
        }
        let Value::Array(items) = value else {
            return Err(Error::template("'dependsOn' must be an array").at(&path));
        };
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) if text.is_empty() => {}
                Value::Null => {}
                Value::String(text) => all.push((path.index(index), text)),
                _ => return Err(Error::template("'dependsOn' holds names and ids of resources").at(&path.index(index))),
            }
        }
        Ok(all)
    }

    /// Returns the id that the resource's id begins with.
    fn scope_of(
        &self,
        scope: Option<String>,
        subscription: Option<String>,
        group: Option<String>,
        place: &Path,
    ) -> Result<String> {
        let surroundings = &self.scope.surroundings;
        match (scope, subscription.or_else(|| surroundings.subscription_id().map(str::to_owned)), group) {
            (Some(scope), _, _) if scope.starts_with('/') => Ok(scope.trim_end_matches('/').to_owned()),
            (Some(scope), _, _) if scope.to_lowercase().starts_with("microsoft.management/") => Ok(format!("/providers/{scope}")),
            (Some(scope), _, _) => Ok(format!("{}/providers/{scope}", surroundings.scope_id())),
            (None, Some(subscription), Some(group)) => Ok(format!("/subscriptions/{subscription}/resourceGroups/{group}")),
            (None, None, Some(_)) => Err(Error::template("The resource has a 'resourceGroup', and there is no subscription")
                .at(&place.key("resourceGroup"))),
            (None, Some(subscription), None)
                if !surroundings.subscription_id().is_some_and(|own| own.eq_ignore_ascii_case(&subscription)) =>
            {
                Ok(format!("/subscriptions/{subscription}"))
            }
            (None, _, None) => Ok(surroundings.scope_id()),
        }
    }
}

/// Two active resources can't have one id.
fn refuse_duplicates(drafts: &[Draft]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for Draft { planned, .. } in drafts.iter().filter(|draft| draft.planned.active && draft.planned.kind != Kind::Existing) {
        if let Some(first) = seen.insert(planned.id.to_lowercase(), &planned.place) {
            let message = format!("The resource '{}' is defined multiple times in the template, first at '{first}'", planned.id);
            return Err(Error::template(message).at(&planned.place));
        }
    }
    Ok(())
}
