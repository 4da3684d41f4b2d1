//! The values that a deployment gives to a template's parameters.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Result};

/// The values given, by name; names are compared without case.
#[derive(Clone, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Given>);

#[derive(Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) value: Value,
    /// The value was made from a secure one, whatever the parameter's type says.
    pub(crate) secure: bool,
}

impl Parameters {
    /// Makes parameters of bare values.
    pub fn from_values<'a>(values: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in values {
            parameters.insert(name, value, false);
        }
        parameters
    }

    /// Reads `{"p": {"value": v}}`, as requests and parameter files have it; a whole parameter file is taken too.
    ///
    /// # Errors
    /// A parameter has no value, or names a key vault.
    pub fn from_request(request: &Value) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(Code::InvalidTemplateDeployment, message));
        let members = match request {
            Value::Null => return Ok(Self::default()),
            Value::Object(file) if file.contains_key("$schema") && file.get("parameters").is_some_and(Value::is_object) => {
                return Self::from_request(&file["parameters"]);
            }
            Value::Object(members) => members,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return refuse("The deployment's parameters are not an object".to_owned());
            }
        };
        let mut parameters = Self::default();
        for (name, given) in members {
            match given.get("value") {
                Some(value) => parameters.insert(name, value.clone(), false),
                None if given.get("reference").is_some() => {
                    return refuse(format!(
                        "The parameter '{name}' refers to a key vault; there is none here, so give its value as a secureString instead"
                    ));
                }
                // An empty object, or null, leaves the parameter to its default.
                None if given.is_null() || given.as_object().is_some_and(Map::is_empty) => {}
                None => return refuse(format!("The parameter '{name}' has no 'value'")),
            }
        }
        Ok(parameters)
    }

    pub(crate) fn insert(&mut self, name: &str, value: Value, secure: bool) {
        self.0.insert(name.to_lowercase(), Given { name: name.to_owned(), value, secure });
    }

    /// Marks the parameters whose values something secure went into.
    pub(crate) fn marked(mut self, is_secure: impl Fn(&str) -> bool) -> Self {
        for given in self.0.values_mut() {
            given.secure |= is_secure(&given.name);
        }
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(&name.to_lowercase())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Given> {
        self.0.values()
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Which of the values are secure is known to the template only.
        f.debug_set().entries(self.0.values().map(|given| &given.name)).finish()
    }
}

/// A parameter's value after defaults and checks.
#[derive(Clone, PartialEq)]
pub struct Resolved {
    pub name: String,
    /// The type as Resource Manager spells it on the wire: `String`, `SecureString`, `Int`, `Bool`, `Object`, `SecureObject`, `Array`.
    pub kind: &'static str,
    pub value: Value,
    pub secure: bool,
}

impl Resolved {
    /// Returns `{type, value}`, without the value if it is secure.
    pub fn to_wire(&self) -> Value {
        match self.secure {
            true => json!({ "type": self.kind }),
            false => json!({ "type": self.kind, "value": self.value }),
        }
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.to_wire())
    }
}
