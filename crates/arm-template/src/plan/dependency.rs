//! What each resource waits for: what it says, what its expressions refer to, its parent, and its turn in a serial loop.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    Directory, Planned,
    order::{Edges, Waiting},
};
use crate::{
    budget::Budget,
    error::{Error, Result},
    evaluate::{Asking, Evaluator, Loop},
    expression::{Call, Expr, Text, classify, parse},
    path::Path,
    scope::Scope,
    template::is_inner_deployment,
};

/// What a resource's `dependsOn` says, and its loop's batch size.
type Wait = (Vec<(Path, String)>, Option<usize>);

pub(super) fn edges(
    scope: &Scope,
    resources: &[Planned],
    loops: &[Vec<Loop>],
    waits: &[Wait],
    directory: &Directory,
    budget: &mut Budget,
) -> Result<Edges> {
    let scope_id = scope.surroundings.scope_id();
    let mut edges: Edges = vec![BTreeSet::new(); resources.len()];
    let mut guesses: Edges = vec![BTreeSet::new(); resources.len()];
    for (index, (explicit, batch)) in waits.iter().enumerate() {
        for (path, text) in explicit {
            let found = directory.find(text, &scope_id);
            let undefined = || Error::template(format!("The resource '{text}' is not defined in the template")).at(path);
            edges[index].extend(found.ok_or_else(undefined)?);
        }
        if let Some(batch) = batch {
            edges[index].extend(earlier_batch(&resources[index], *batch, directory, loops));
        }
        if !resources[index].active {
            continue;
        }
        let raw = scope.source.at(&resources[index].place);
        let mut scan = Scan {
            scope,
            loops: &loops[index],
            directory,
            scope_id: &scope_id,
            budget,
            found: BTreeSet::new(),
            guessed: BTreeSet::new(),
        };
        if let Value::Object(parts) = raw {
            scan.resource(parts, &resources[index].place)?;
        }
        edges[index].extend(scan.found);
        guesses[index] = scan.guessed;
    }
    // What is only guessed must not make a circle.
    let mut waiting = Waiting::of(&edges);
    for (index, guessed) in guesses.into_iter().enumerate().filter(|(_, guessed)| !guessed.is_empty()) {
        let waits = waiting.for_resource(index);
        for guess in guessed.into_iter().filter(|guess| !waits[*guess]) {
            if edges[index].insert(guess) {
                waiting.add(index, guess);
            }
        }
    }
    // A child is deployed after its parent even where the template does not say so, as long as that makes no circle.
    for (index, child) in resources.iter().enumerate() {
        if let Some(parent) = parent_id(child).and_then(|id| directory.index_of_id(&id)).filter(|parent| *parent != index)
            && resources[parent].active
            && !edges[index].contains(&parent)
            && !waiting.for_resource(index)[parent]
        {
            edges[index].insert(parent);
            waiting.add(index, parent);
        }
    }
    Ok(edges)
}

fn parent_id(child: &Planned) -> Option<String> {
    if child.resource_type.matches('/').count() < 2 {
        return None;
    }
    let (rest, _) = child.id.rsplit_once('/')?;
    rest.rsplit_once('/').map(|(parent, _)| parent.to_owned())
}

/// The members of the batch before this one's, within the same round of the loops around it.
fn earlier_batch<'d>(
    resource: &Planned,
    batch: usize,
    directory: &'d Directory,
    loops: &'d [Vec<Loop>],
) -> impl Iterator<Item = usize> + use<'d> {
    let (name, turn) = resource.copy.clone().unwrap_or_default();
    let outer: Vec<usize> = loops[resource.index].iter().rev().skip(1).map(|outer| outer.index).collect();
    let earlier = (turn / batch).checked_sub(1);
    directory.of_loop(&name).iter().copied().filter(move |other| {
        let theirs = &loops[*other];
        let is_same_round = theirs.iter().rev().skip(1).map(|outer| outer.index).eq(outer.iter().copied());
        is_same_round && theirs.last().map(|own| own.index / batch) == earlier && earlier.is_some()
    })
}

struct Scan<'a> {
    scope: &'a Scope,
    loops: &'a [Loop],
    directory: &'a Directory,
    scope_id: &'a str,
    budget: &'a mut Budget,
    found: BTreeSet<usize>,
    /// What may be meant as well.
    guessed: BTreeSet<usize>,
}

impl Scan<'_> {
    /// Looks through what belongs to the resource's body.
    fn resource(&mut self, parts: &Map<String, Value>, place: &Path) -> Result<()> {
        let is_inner = is_inner_deployment(parts);
        for (key, part) in parts {
            match key.to_lowercase().as_str() {
                "resources" | "dependson" | "condition" | "name" | "type" | "apiversion" | "copy" | "comments" | "metadata" => {}
                "properties" if is_inner => {
                    let path = place.key(key);
                    for (name, value) in
                        part.as_object().into_iter().flatten().filter(|(name, _)| !name.eq_ignore_ascii_case("template"))
                    {
                        self.value(value, &path.key(name))?;
                    }
                }
                _ => self.value(part, &place.key(key))?,
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, path: &Path) -> Result<()> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => self.text(text, path),
            Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| self.value(item, &path.index(index))),
            Value::Object(members) => members.iter().try_for_each(|(key, value)| self.value(value, &path.key(key))),
        }
    }

    fn text(&mut self, text: &str, path: &Path) -> Result<()> {
        let lower = text.to_ascii_lowercase();
        if classify(text) != Text::Expression || !(lower.contains("reference") || lower.contains("list")) {
            return Ok(());
        }
        let seen = parse(text).and_then(|expression| expression.calls(&mut |_, call| self.call(call)));
        seen.map_err(|error| error.expression(text).at(path))
    }

    fn call(&mut self, call: &Call) -> Result<()> {
        let name = call.name.to_lowercase();
        let asks = call.namespace.is_none() && (name == "reference" || name == "references" || name.starts_with("list"));
        let Some(argument) = call.arguments.first().filter(|_| asks) else {
            return Ok(());
        };
        let mut evaluator = Evaluator::new(self.scope, Asking::Forbidden("in the id that a reference asks for"), self.budget)
            .with_loops(self.loops.to_vec());
        match evaluator.expression(argument) {
            Ok(value) => {
                if let Value::String(text) = &*value {
                    self.found.extend(self.directory.find(text, self.scope_id).into_iter().flatten());
                }
            }
            Err(error) if matches!(error.cause(), crate::Cause::Limit(_)) => return Err(error),
            // It depends on what is known only later, such as a lambda's variable: wait for all that it may mean.
            Err(_) => self.guess(argument),
        }
        Ok(())
    }

    fn guess(&mut self, argument: &Expr) {
        let mut texts = Vec::new();
        // Collecting refuses nothing.
        let _: std::result::Result<(), std::convert::Infallible> = argument.calls(&mut |_, call| {
            texts.extend(call.arguments.iter().filter_map(Expr::literal).map(str::to_owned));
            Ok(())
        });
        for text in texts {
            self.guessed.extend(self.directory.of_type(&text));
            self.guessed.extend(self.directory.of_loop(text.split('[').next().unwrap_or_default()));
        }
    }
}
