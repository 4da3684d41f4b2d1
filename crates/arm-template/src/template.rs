//! A template that was read and checked, before it meets its parameters.

mod form;
mod named;
mod syntax;

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    budget::Budget,
    error::{Error, Result},
    evaluate::{Asking, Evaluator},
    parameters::Parameters,
    path::{Path, Segment},
    plan::{self, Plan},
    reader::Document,
    scope::Scope,
    surroundings::Surroundings,
};
pub(crate) use named::Named;
pub(crate) use syntax::is_inner_deployment;

/// A template whose form is right: every expression can be parsed and calls functions that exist.
#[derive(Clone)]
pub struct Template {
    source: Arc<Source>,
}

/// The parts of a template.
pub(crate) struct Source {
    pub(crate) document: Document,
    pub(crate) definitions: Map<String, Value>,
    pub(crate) parameters: Named<Value>,
    pub(crate) variables: Named<Variable>,
    pub(crate) functions: Vec<UserFunction>,
    /// Where secure values were written into the template when a parent evaluated it.
    secrets: HashSet<Path>,
}

/// What a variable is made of.
#[derive(Debug)]
pub(crate) enum Variable {
    Plain(Value),
    Copies { count: Value, input: Value, place: Path },
}

/// A function that the template defines.
#[derive(Debug)]
pub(crate) struct UserFunction {
    namespace: String,
    name: String,
    /// Names and types, in order.
    pub(crate) parameters: Vec<(String, Value)>,
    pub(crate) output: Value,
    pub(crate) output_type: Value,
    pub(crate) place: Path,
}

impl Template {
    /// Checks a template's form.
    ///
    /// # Errors
    /// `InvalidTemplate` with path, line and column.
    pub fn parse(document: &Document) -> Result<Self> {
        Self::parse_with(document, HashSet::new())
    }

    /// Checks the form of a template that a parent evaluated, which has secure values in it.
    pub(crate) fn parse_with(document: &Document, secrets: HashSet<Path>) -> Result<Self> {
        let place = |error: Error| {
            let position = error.path().and_then(|path| document.position(path));
            error.positioned(position)
        };
        let source = form::read(document, secrets).map_err(place)?;
        syntax::check(&source).map_err(place)?;
        Ok(Self { source: Arc::new(source) })
    }

    /// Gives the template its parameters and unfolds copies, conditions, child resources and the order.
    ///
    /// # Errors
    /// A parameter is missing or against its constraints, an expression fails, resources depend on each other in a circle, a limit is
    /// passed.
    pub fn expand(&self, parameters: &Parameters, surroundings: &Surroundings, budget: &mut Budget) -> Result<Plan> {
        let mut expand = || {
            let scope = Scope::new(Arc::clone(&self.source), parameters.clone(), surroundings.clone())?;
            let resolved = scope.settle(&mut Evaluator::new(&scope, Asking::Forbidden("in a parameter or variable"), budget))?;
            plan::expand(scope, resolved, budget)
        };
        expand().map_err(|error| self.source.place(error))
    }

    /// Returns the template as a value. In one that an outer template evaluated, secure values stand in the open.
    pub fn root(&self) -> &Value {
        self.source.document.root()
    }

    /// Returns a number that is the same for the same template, as text: a deployment shows it as `templateHash`.
    pub fn hash(&self) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(self.root().to_string());
        digest[..8].iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte)).to_string()
    }

    /// Returns the types of the resources as they are written, and where: what a caller may refuse before it expands anything.
    pub fn resource_types(&self) -> Vec<(Path, String)> {
        self.source
            .resources()
            .into_iter()
            .map(|(path, _, raw)| (path, raw.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()))
            .collect()
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("document", &self.source.document).finish_non_exhaustive()
    }
}

impl Source {
    /// Adds the line and column to an error whose path is known.
    pub(crate) fn place(&self, error: Error) -> Error {
        let position = error.path().and_then(|path| self.document.position(path));
        error.positioned(position)
    }

    pub(crate) fn is_secure(&self, path: &Path) -> bool {
        !self.secrets.is_empty() && self.secrets.contains(path)
    }

    pub(crate) fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Returns the secrets below a place, as they are called from there.
    pub(crate) fn secrets_below(&self, head: &Path) -> HashSet<Path> {
        self.secrets.iter().filter_map(|path| path.below(head)).collect()
    }

    pub(crate) fn function(&self, namespace: &str, name: &str) -> Option<&UserFunction> {
        self.functions
            .iter()
            .rev()
            .find(|function| function.namespace.eq_ignore_ascii_case(namespace) && function.name.eq_ignore_ascii_case(name))
    }

    fn section(&self, name: &str) -> Option<(&str, &Value)> {
        let root = self.document.root().as_object()?;
        root.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(key, value)| (key.as_str(), value))
    }

    /// Returns the version of resources that name none: the day of the template's profile, such as `2020-09-01-hybrid`.
    pub(crate) fn profile_version(&self) -> Option<&str> {
        let profile = self.section("apiProfile")?.1.as_str()?;
        Some(profile.get(.."2020-09-01".len()).unwrap_or(profile))
    }

    /// Returns the resources at the top with their places and symbolic names.
    pub(crate) fn resources(&self) -> Vec<(Path, Option<&str>, &Value)> {
        self.section("resources").map(|(key, raw)| members(&Path::root().key(key), raw)).unwrap_or_default()
    }

    /// Returns the outputs with their places.
    pub(crate) fn outputs(&self) -> Vec<(Path, &str, &Value)> {
        let Some((key, Value::Object(outputs))) = self.section("outputs") else {
            return Vec::new();
        };
        outputs.iter().map(|(name, raw)| (Path::root().key(key).key(name), name.as_str(), raw)).collect()
    }

    pub(crate) fn unknown_parameter(&self, name: &str) -> Error {
        Error::template(format!("The template parameter '{name}' is not found"))
    }

    pub(crate) fn unknown_variable(&self, name: &str) -> Error {
        Error::template(format!("The template variable '{name}' is not found"))
    }

    /// Returns the value at a place.
    pub(crate) fn at(&self, path: &Path) -> &Value {
        path.segments()
            .iter()
            .try_fold(self.document.root(), |value, segment| match segment {
                Segment::Key(key) => value.get(key.as_str()),
                Segment::Index(index) => value.get(*index),
            })
            .unwrap_or(&Value::Null)
    }
}

/// Returns the resources of a section: an array's elements, or an object's members with their symbolic names.
pub(crate) fn members<'v>(place: &Path, raw: &'v Value) -> Vec<(Path, Option<&'v str>, &'v Value)> {
    match raw {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (place.index(index), None, item)).collect(),
        Value::Object(items) => items.iter().map(|(name, item)| (place.key(name), Some(name.as_str()), item)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
