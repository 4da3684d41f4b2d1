//! What a template's expressions can name: its parameters and variables with their values, and its surroundings.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use crate::{
    error::{Error, Result},
    evaluate::{Asking, Evaluator, Names, Walk},
    function::show,
    parameters::{Given, Parameters, Resolved},
    path::Path,
    schema,
    secure::HIDDEN,
    surroundings::{Level, Surroundings},
    template::{Source, Variable},
};

/// A value that was made, and whether anything secure went into it.
#[derive(Clone)]
pub(crate) struct Settled {
    pub(crate) value: Arc<Value>,
    pub(crate) secure: bool,
}

/// A template with its parameters, in its surroundings. Values are made when they are first asked for.
pub(crate) struct Scope {
    pub(crate) source: Arc<Source>,
    pub(crate) surroundings: Surroundings,
    given: Parameters,
    parameters: Vec<OnceLock<Settled>>,
    variables: Vec<OnceLock<Settled>>,
    deployment: OnceLock<Arc<Value>>,
}

impl Scope {
    /// # Errors
    /// A parameter is given that the template does not have.
    pub(crate) fn new(source: Arc<Source>, given: Parameters, surroundings: Surroundings) -> Result<Self> {
        let unknown: Vec<&str> =
            given.iter().map(|given| given.name.as_str()).filter(|name| source.parameters.get(name).is_none()).collect();
        if !unknown.is_empty() {
            let known: Vec<&str> = source.parameters.iter().map(|(name, _)| name).collect();
            return Err(Error::template(format!(
                "The template parameters '{}' are given, but the template does not have them; it has '{}'",
                unknown.join(", "),
                known.join(", ")
            )));
        }
        let (parameters, variables) = (source.parameters.len(), source.variables.len());
        Ok(Self {
            source,
            surroundings,
            given,
            parameters: (0..parameters).map(|_| OnceLock::new()).collect(),
            variables: (0..variables).map(|_| OnceLock::new()).collect(),
            deployment: OnceLock::new(),
        })
    }

    /// Makes every parameter and variable, so that what is wrong with them is found before anything is deployed.
    pub(crate) fn settle(&self, evaluator: &mut Evaluator<'_>) -> Result<Vec<Resolved>> {
        let mut resolved = Vec::new();
        for (name, spec) in self.source.parameters.iter() {
            let settled = self.parameter(evaluator, name)?;
            let kind = schema::kind(&self.source.definitions, spec).map_or("Object", schema::Kind::wire);
            resolved.push(Resolved { name: name.to_owned(), kind, value: (*settled.value).clone(), secure: settled.secure });
        }
        for (name, _) in self.source.variables.iter() {
            self.variable(evaluator, name)?;
        }
        Ok(resolved)
    }

    pub(crate) fn parameter(&self, evaluator: &mut Evaluator<'_>, name: &str) -> Result<Settled> {
        let Some((index, spec)) = self.source.parameters.find(name) else {
            return Err(self.source.unknown_parameter(name));
        };
        if let Some(settled) = self.parameters[index].get() {
            return Ok(settled.clone());
        }
        let name = self.source.parameters.name(index);
        let place = Path::root().key("parameters").key(name);
        let is_secure = schema::kind(&self.source.definitions, spec).is_some_and(schema::Kind::is_secure);
        let settled = match self.given.get(name).filter(|given| !self.falls_back(given, spec)) {
            Some(given) => Settled { value: Arc::new(given.value.clone()), secure: is_secure || given.secure },
            None => match spec.get("defaultValue") {
                Some(default) => {
                    let names = Names { is_default: true, ..Names::default() };
                    let place = place.key("defaultValue");
                    let made = self.make(
                        evaluator,
                        format!("parameters('{name}')"),
                        names,
                        "in the default value of a parameter",
                        |inner| inner.tree(default, &mut Walk::at(&place)),
                    )?;
                    Settled { secure: is_secure || made.secure, ..made }
                }
                None if schema::is_nullable(&self.source.definitions, spec) => {
                    Settled { value: Arc::new(Value::Null), secure: is_secure }
                }
                None => {
                    let message = format!("The value for the template parameter '{name}' is not provided");
                    return Err(Error::template(message).at(&place));
                }
            },
        };
        schema::check(&self.source.definitions, spec, &settled.value, settled.secure).map_err(|wrong| {
            let shown = if settled.secure { HIDDEN.to_owned() } else { show(&settled.value, false) };
            let message = format!("The provided value '{shown}' for the template parameter '{name}' is not valid: {wrong}");
            Error::template(message).at(&place)
        })?;
        Ok(self.parameters[index].get_or_init(|| settled).clone())
    }

    /// Whether a value that is given counts as none: null, where the parameter has a default and null is no value of it.
    fn falls_back(&self, given: &Given, spec: &Value) -> bool {
        given.value.is_null() && !schema::is_nullable(&self.source.definitions, spec)
    }

    pub(crate) fn variable(&self, evaluator: &mut Evaluator<'_>, name: &str) -> Result<Settled> {
        let Some((index, variable)) = self.source.variables.find(name) else {
            return Err(self.source.unknown_variable(name));
        };
        if let Some(settled) = self.variables[index].get() {
            return Ok(settled.clone());
        }
        let name = self.source.variables.name(index);
        let settled =
            self.make(evaluator, format!("variables('{name}')"), Names::default(), "in a variable", |inner| match variable {
                Variable::Plain(raw) => inner.tree(raw, &mut Walk::at(&Path::root().key("variables").key(name))),
                Variable::Copies { count, input, place } => inner.copies(name, count, input, &mut Walk::at(place)),
            })?;
        Ok(self.variables[index].get_or_init(|| settled).clone())
    }

    /// Makes a value apart from the expression that asks for it.
    fn make(
        &self,
        evaluator: &mut Evaluator<'_>,
        key: String,
        names: Names,
        place: &'static str,
        make: impl FnOnce(&mut Evaluator<'_>) -> Result<Value>,
    ) -> Result<Settled> {
        if let Some(at) = evaluator.settling.iter().position(|known| *known == key) {
            let circle = [&evaluator.settling[at..], &[key]].concat().join(" -> ");
            return Err(Error::template(format!("A circular reference was found: {circle}")));
        }
        evaluator.settling.push(key);
        let asking = std::mem::replace(&mut evaluator.asking, Asking::Forbidden(place));
        let (before, guids) = (std::mem::take(&mut evaluator.secure), std::mem::take(&mut evaluator.guids));
        let value = evaluator.apart(names, make);
        let secure = std::mem::replace(&mut evaluator.secure, before);
        evaluator.guids = guids;
        evaluator.asking = asking;
        evaluator.settling.pop();
        Ok(Settled { value: Arc::new(value?), secure })
    }

    /// What `deployment()` returns. Secure parameters are not in it.
    pub(crate) fn deployment(&self) -> Arc<Value> {
        Arc::clone(self.deployment.get_or_init(|| {
            let is_open = |given: &&Given| {
                let spec = self.source.parameters.get(&given.name);
                !given.secure
                    && spec.and_then(|spec| schema::kind(&self.source.definitions, spec)).is_some_and(|kind| !kind.is_secure())
            };
            let parameters: Map<String, Value> =
                self.given.iter().filter(is_open).map(|given| (given.name.clone(), json!({ "value": given.value }))).collect();
            let mut properties = Map::new();
            if let Some(link) = &self.surroundings.template_link {
                properties.insert("templateLink".to_owned(), link.clone());
            }
            if !self.source.has_secrets() {
                properties.insert("template".to_owned(), self.source.document.root().clone());
            }
            properties.insert("parameters".to_owned(), Value::Object(parameters));
            properties.insert("mode".to_owned(), Value::String(self.surroundings.mode.clone()));
            properties.insert("provisioningState".to_owned(), Value::String("Accepted".to_owned()));
            let mut deployment = Map::new();
            deployment.insert("name".to_owned(), Value::String(self.surroundings.deployment.clone()));
            if self.surroundings.level != Level::ResourceGroup
                && let Some(location) = &self.surroundings.deployment_location
            {
                deployment.insert("location".to_owned(), Value::String(location.clone()));
            }
            deployment.insert("properties".to_owned(), Value::Object(properties));
            Arc::new(Value::Object(deployment))
        }))
    }
}
