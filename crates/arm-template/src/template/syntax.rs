//! Parses every expression of a template before anything is evaluated, so that mistakes show wherever they are.

use serde_json::{Map, Value};

use super::{Source, Template, members};
use crate::{
    error::{Error, Result},
    expression::{Call, Text, classify, parse},
    function,
    path::Path,
    reader::Document,
};

pub(super) fn check(source: &Source) -> Result<()> {
    let check = Check { source };
    let root = source.document.root();
    for (name, spec) in source.parameters.iter() {
        if let Some(default) = spec.get("defaultValue") {
            check.value(default, &mut Path::root().key("parameters").key(name).key("defaultValue"), Names::Template)?;
        }
    }
    for function in &source.functions {
        check.value(&function.output, &mut function.place.clone(), Names::Function(&function.parameters))?;
    }
    for (name, section) in root.as_object().into_iter().flatten() {
        let mut path = Path::root().key(name);
        match name.to_lowercase().as_str() {
            "variables" => check.value(section, &mut path, Names::Template)?,
            "outputs" => check.outputs(section, &path)?,
            "resources" => check.resources(section, &path)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whose parameters an expression means.
#[derive(Clone, Copy)]
enum Names<'a> {
    Template,
    Function(&'a [(String, Value)]),
}

struct Check<'a> {
    source: &'a Source,
}

impl Check<'_> {
    fn outputs(&self, section: &Value, path: &Path) -> Result<()> {
        for (name, output) in section.as_object().into_iter().flatten() {
            for part in ["condition", "value", "copy"] {
                if let Some(value) = output.get(part) {
                    self.value(value, &mut path.key(name).key(part), Names::Template)?;
                }
            }
        }
        Ok(())
    }

    fn resources(&self, section: &Value, path: &Path) -> Result<()> {
        for (place, _, resource) in members(path, section) {
            let Value::Object(parts) = resource else { continue };
            let template = is_inner_deployment(parts).then(|| inner_template(parts)).flatten();
            for (key, part) in parts {
                match key.to_lowercase().as_str() {
                    "comments" | "metadata" => {}
                    "resources" => self.resources(part, &place.key(key))?,
                    _ => self.part(part, &mut place.key(key), template)?,
                }
            }
            if let Some(template) = template {
                let head = place.key("properties").key("template");
                let secrets = self.source.secrets_below(&head);
                Template::parse_with(&Document::from_value(template.clone()), secrets).map_err(|error| error.under(&head))?;
            }
        }
        Ok(())
    }

    /// Checks a part of a resource, but not the template in it that is evaluated on its own.
    fn part(&self, value: &Value, path: &mut Path, except: Option<&Value>) -> Result<()> {
        match (value, except) {
            (Value::Object(members), Some(except)) => {
                for (key, member) in members.iter().filter(|(_, member)| !std::ptr::eq(*member, except)) {
                    path.push_key(key);
                    self.value(member, path, Names::Template)?;
                    path.pop();
                }
                Ok(())
            }
            (value, _) => self.value(value, path, Names::Template),
        }
    }

    fn value(&self, value: &Value, path: &mut Path, names: Names<'_>) -> Result<()> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.text(text, path, names)?,
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_index(index);
                    self.value(item, path, names)?;
                    path.pop();
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    path.push_key(key);
                    self.text(key, path, names)?;
                    self.value(member, path, names)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }

    fn text(&self, text: &str, path: &Path, names: Names<'_>) -> Result<()> {
        if classify(text) != Text::Expression {
            return Ok(());
        }
        let checked = parse(text).and_then(|expression| {
            expression.calls(&mut |part, call| self.call(call, names).map_err(|error| error.column(part.column)))
        });
        checked.map_err(|error| error.expression(text).at(path))
    }

    fn call(&self, call: &Call, names: Names<'_>) -> Result<()> {
        if let Some(namespace) = &call.namespace {
            let known = self.source.function(namespace, &call.name);
            return match known {
                Some(_) => Ok(()),
                None => Err(function::unknown(&format!("{namespace}.{}", call.name))),
            };
        }
        let found = function::find(&call.name).ok_or_else(|| function::unknown(&call.name))?;
        found.check_count(call.arguments.len())?;
        let Some(name) = call.arguments.first().and_then(crate::expression::Expr::literal) else {
            return Ok(());
        };
        match (found.name, names) {
            ("parameters", Names::Template) if self.source.parameters.get(name).is_none() => {
                Err(self.source.unknown_parameter(name))
            }
            ("parameters", Names::Function(known)) if !known.iter().any(|(known, _)| function::same_name(known, name)) => {
                Err(Error::template(format!("The function has no parameter '{name}'")))
            }
            ("variables", Names::Template) if self.source.variables.get(name).is_none() => {
                Err(self.source.unknown_variable(name))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a resource is a nested deployment whose template is evaluated on its own, with its own parameters.
pub(crate) fn is_inner_deployment(resource: &Map<String, Value>) -> bool {
    let kind = function::member(resource, "type").and_then(Value::as_str).unwrap_or_default();
    let scope = function::member(resource, "properties")
        .and_then(|properties| function::member(properties.as_object()?, "expressionEvaluationOptions"))
        .and_then(|options| function::member(options.as_object()?, "scope"));
    kind.eq_ignore_ascii_case("Microsoft.Resources/deployments")
        && scope.and_then(Value::as_str).is_some_and(|scope| scope.eq_ignore_ascii_case("inner"))
}

fn inner_template(resource: &Map<String, Value>) -> Option<&Value> {
    let properties = function::member(resource, "properties")?.as_object()?;
    function::member(properties, "template").filter(|template| template.is_object())
}
