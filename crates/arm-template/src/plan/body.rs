//! Evaluates a resource's body.

use serde_json::{Map, Value};

use super::{Core, Kind, Planned};
use crate::{
    budget::Budget,
    error::Result,
    evaluate::{Asking, Evaluator, Walk},
    path::Path,
    references::References,
    secure::Body,
    template::is_inner_deployment,
};

/// Whether what is not deployed yet is an error.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Strictness {
    Whole,
    Known,
}

/// What of a resource is the template's, not the body's.
const TEMPLATE_ONLY: [&str; 13] = [
    "condition",
    "copy",
    "dependson",
    "resources",
    "comments",
    "metadata",
    "existing",
    "scope",
    "subscriptionid",
    "resourcegroup",
    "asserts",
    "import",
    "extension",
];

pub(super) fn evaluate(
    core: &Core,
    resource: &Planned,
    references: &dyn References,
    budget: &mut Budget,
    strictness: Strictness,
) -> Result<Body> {
    let mut body = Map::new();
    for (key, text) in [("type", &resource.resource_type), ("apiVersion", &resource.api_version), ("name", &resource.name)] {
        body.insert(key.to_owned(), Value::String(text.clone()));
    }
    let Value::Object(parts) = core.scope.source.at(&resource.place) else {
        return Ok(Body::new(Value::Object(body), Vec::new()));
    };
    let asking = Asking::Allowed { references, directory: &core.directory };
    let mut evaluator = Evaluator::new(&core.scope, asking, budget).with_loops(core.loops[resource.index].clone());
    let mut walk = Walk::at(&resource.place);
    walk.lenient = strictness == Strictness::Known;
    if resource.kind == Kind::Deployment {
        let template = template_path(parts);
        let is_written = template.as_ref().is_some_and(|path| core.scope.source.at(&resource.place.join(path)).is_object());
        match (is_inner_deployment(parts), is_written) {
            (true, true) => walk.verbatim = template,
            // A template that an expression makes is evaluated on its own, whatever the scope.
            (_, false) => {}
            (false, true) => walk.escaped = template,
        }
    }
    for (key, raw) in parts {
        let lower = key.to_lowercase();
        if TEMPLATE_ONLY.contains(&lower.as_str()) || matches!(lower.as_str(), "type" | "apiversion" | "name") {
            continue;
        }
        let value = evaluator.branch(key, raw, &mut walk)?;
        body.insert(key.clone(), value);
    }
    Ok(Body::new(Value::Object(body), walk.secure))
}

/// Where a deployment's template stands in its body.
pub(super) fn template_path(parts: &Map<String, Value>) -> Option<Path> {
    let (outer, properties) = parts.iter().find(|(key, _)| key.eq_ignore_ascii_case("properties"))?;
    let (inner, _) = properties.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case("template"))?;
    Some(Path::root().key(outer).key(inner))
}
