//! Takes a template's sections apart and checks what must be where.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Named, Source, UserFunction, Variable, members};
use crate::{
    error::{Error, Result},
    evaluate::loops_of,
    path::Path,
    reader::Document,
    schema,
};

const SECTIONS: [&str; 14] = [
    "$schema",
    "contentVersion",
    "languageVersion",
    "apiProfile",
    "definitions",
    "metadata",
    "functions",
    "parameters",
    "variables",
    "resources",
    "outputs",
    "extensions",
    "imports",
    "asserts",
];

pub(super) fn read(document: &Document, secrets: HashSet<Path>) -> Result<Source> {
    let root = Path::root();
    let Value::Object(sections) = document.root() else {
        return Err(Error::template("A template is an object").at(&root));
    };
    if let Some(unknown) = sections.keys().find(|key| !SECTIONS.iter().any(|known| known.eq_ignore_ascii_case(key))) {
        let message = format!("A template has no member '{unknown}'; its members are '{}'", SECTIONS.join(", "));
        return Err(Error::template(message).at(&root.key(unknown)));
    }
    let section = |name: &str| {
        let found = sections.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or_else(|| (root.key(name), &Value::Null), |(key, value)| (root.key(key), value))
    };
    check_head(section("$schema"), section("contentVersion"))?;
    let (version_path, version) = section("languageVersion");
    let is_second = match version {
        Value::Null => false,
        Value::String(version) if is_language_version(version) => version.starts_with("2."),
        Value::String(version) => {
            let message = format!("The 'languageVersion' '{version}' is not supported; it is '1.0' or '2.0'");
            return Err(Error::template(message).at(&version_path));
        }
        _ => return Err(Error::template("The 'languageVersion' must be a text").at(&version_path)),
    };
    let (definitions_path, definitions) = section("definitions");
    let definitions = object(&definitions_path, definitions)?.cloned().unwrap_or_default();
    for (name, spec) in &definitions {
        schema::check_type(&definitions, spec)
            .map_err(|wrong| refused("definition", name, &wrong).at(&definitions_path.key(name)))?;
    }
    let parameters = parameters(section("parameters"), &definitions)?;
    let variables = variables(section("variables"))?;
    let functions = functions(section("functions"), &definitions)?;
    let (resources_path, resources) = section("resources");
    let versions = match section("apiProfile").1 {
        Value::String(profile) if !profile.is_empty() => Versions::OfTheProfile,
        _ => Versions::Needed,
    };
    check_resources(&resources_path, resources, is_second, versions)?;
    let (outputs_path, outputs) = section("outputs");
    for (name, output) in object(&outputs_path, outputs)?.into_iter().flatten() {
        let place = outputs_path.key(name);
        schema::check_type(&definitions, output).map_err(|wrong| refused("output", name, &wrong).at(&place))?;
        if output.get("value").is_none() && output.get("copy").is_none() {
            return Err(refused("output", name, "it has neither a 'value' nor a 'copy'").at(&place));
        }
    }
    Ok(Source { document: document.clone(), definitions, parameters, variables, functions, secrets })
}

fn refused(what: &str, name: &str, wrong: &str) -> Error {
    Error::template(format!("The {what} '{name}' is not valid: {wrong}"))
}

/// `1.0`, `2.0`, and what Bicep's experiments write: `2.1-experimental`.
fn is_language_version(version: &str) -> bool {
    let minor = version.strip_prefix("1.").or_else(|| version.strip_prefix("2."));
    minor.is_some_and(|minor| match minor.strip_suffix("-experimental") {
        Some(minor) => !minor.is_empty() && minor.bytes().all(|digit| digit.is_ascii_digit()),
        None => minor == "0",
    })
}

fn check_head((schema_path, schema): (Path, &Value), (version_path, version): (Path, &Value)) -> Result<()> {
    match schema {
        Value::String(text) if text.trim_end_matches('#').to_lowercase().ends_with("deploymenttemplate.json") => {}
        Value::String(_) => return Err(Error::template("The '$schema' is not that of a deployment template").at(&schema_path)),
        _ => return Err(Error::template("The required property '$schema' is not found").at(&Path::root())),
    }
    match version {
        Value::String(_) => Ok(()),
        Value::Null => Err(Error::template("The required property 'contentVersion' is not found").at(&Path::root())),
        _ => Err(Error::template("The 'contentVersion' must be a text such as '1.0.0.0'").at(&version_path)),
    }
}

fn object<'v>(path: &Path, value: &'v Value) -> Result<Option<&'v Map<String, Value>>> {
    match value {
        Value::Null => Ok(None),
        Value::Object(members) => Ok(Some(members)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::template(format!("'{path}' must be an object, not {}", crate::function::with_article(value))).at(path))
        }
    }
}

fn parameters((path, raw): (Path, &Value), definitions: &Map<String, Value>) -> Result<Named<Value>> {
    let mut all = Named::default();
    for (name, spec) in object(&path, raw)?.into_iter().flatten() {
        schema::check_type(definitions, spec).map_err(|wrong| refused("parameter", name, &wrong).at(&path.key(name)))?;
        all.insert(name, spec.clone());
    }
    Ok(all)
}

fn variables((path, raw): (Path, &Value)) -> Result<Named<Variable>> {
    let mut all = Named::default();
    for (name, value) in object(&path, raw)?.into_iter().flatten() {
        match loops_of(value).filter(|_| name.eq_ignore_ascii_case("copy")) {
            None => all.insert(name, Variable::Plain(value.clone())),
            Some(loops) => {
                for (index, (own, count, input)) in loops.into_iter().enumerate() {
                    let place = path.key(name).index(index);
                    all.insert(own, Variable::Copies { count: count.clone(), input: input.clone(), place });
                }
            }
        }
    }
    Ok(all)
}

fn functions((path, raw): (Path, &Value), definitions: &Map<String, Value>) -> Result<Vec<UserFunction>> {
    let spaces = match raw {
        Value::Null => return Ok(Vec::new()),
        Value::Array(spaces) => spaces,
        _ => return Err(Error::template("'functions' must be an array").at(&path)),
    };
    let mut all = Vec::new();
    for (index, space) in spaces.iter().enumerate() {
        let place = path.index(index);
        let namespace = space.get("namespace").and_then(Value::as_str);
        let namespace = namespace.ok_or_else(|| Error::template("A list of functions needs a 'namespace'").at(&place))?;
        let own = place.key("members");
        for (name, function) in object(&own, space.get("members").unwrap_or(&Value::Null))?.into_iter().flatten() {
            all.push(
                user_function(namespace, name, function, definitions)
                    .map_err(|wrong| refused("function", name, &wrong).at(&own.key(name)))?,
            );
            if let Some(last) = all.last_mut() {
                last.place = own.key(name).key("output").key("value");
            }
        }
    }
    Ok(all)
}

fn user_function(
    namespace: &str,
    name: &str,
    function: &Value,
    definitions: &Map<String, Value>,
) -> std::result::Result<UserFunction, String> {
    let output_type = function.get("output").ok_or("it has no 'output'")?;
    schema::check_type(definitions, output_type)?;
    let output = output_type.get("value").ok_or("its output has no 'value'")?;
    let mut parameters = Vec::new();
    for parameter in function.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let name = parameter.get("name").and_then(Value::as_str).ok_or("a parameter has no 'name'")?;
        schema::check_type(definitions, parameter).map_err(|wrong| format!("of the parameter '{name}', {wrong}"))?;
        parameters.push((name.to_owned(), parameter.clone()));
    }
    Ok(UserFunction {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        parameters,
        output: output.clone(),
        output_type: output_type.clone(),
        place: Path::root(),
    })
}

/// Where the versions of resources that name none come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Needed,
    OfTheProfile,
}

fn check_resources(path: &Path, raw: &Value, is_second: bool, versions: Versions) -> Result<()> {
    match raw {
        Value::Null => return Err(Error::template("The required property 'resources' is not found").at(&Path::root())),
        Value::Object(_) if !is_second => {
            return Err(Error::template("Resources have symbolic names only with the 'languageVersion' 2.0").at(path));
        }
        Value::Array(_) | Value::Object(_) => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(Error::template("'resources' must be an array").at(path));
        }
    }
    for (place, _, resource) in members(path, raw) {
        let Value::Object(parts) = resource else {
            return Err(Error::template("A resource is an object").at(&place));
        };
        for needed in ["type", "apiVersion", "name"] {
            match crate::function::member(parts, needed) {
                Some(Value::String(text)) if !text.is_empty() => {}
                Some(_) => {
                    return Err(Error::template(format!("The resource's '{needed}' must be a text that is not empty"))
                        .at(&place.key(needed)));
                }
                None if needed == "apiVersion" && versions == Versions::OfTheProfile => {}
                None => {
                    return Err(
                        Error::template(format!("The required property '{needed}' of the resource is not found")).at(&place)
                    );
                }
            }
        }
        if let Some(children) = parts.get("resources") {
            check_resources(&place.key("resources"), children, true, versions)?;
        }
    }
    Ok(())
}
