//! The types of parameters, outputs and functions' arguments: their constraints, and user-defined types.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::function::{ByName, member, same_value, show, type_name};

/// A type of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    SecureString,
    Int,
    Bool,
    Object,
    SecureObject,
    Array,
}

impl Kind {
    pub(crate) fn read(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "string" => Self::String,
            "securestring" => Self::SecureString,
            "int" => Self::Int,
            "bool" => Self::Bool,
            "object" => Self::Object,
            "secureobject" => Self::SecureObject,
            "array" => Self::Array,
            _ => return None,
        })
    }

    /// The name that deployments show.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::SecureString => "SecureString",
            Self::Int => "Int",
            Self::Bool => "Bool",
            Self::Object => "Object",
            Self::SecureObject => "SecureObject",
            Self::Array => "Array",
        }
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::SecureString | Self::SecureObject)
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::String | Self::SecureString => value.is_string(),
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Bool => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            // Resource Manager takes any JSON for a secure object.
            Self::SecureObject => value.is_object() || value.is_array(),
        }
    }
}

/// The longest chain of references between types.
const MAX_CHAIN: usize = 32;

/// Returns the type's own properties and those of the type that it refers to.
fn resolved<'s>(definitions: &'s Map<String, Value>, spec: &'s Value) -> Result<Cow<'s, Map<String, Value>>, String> {
    let mut own = match spec.as_object() {
        Some(spec) => Cow::Borrowed(spec),
        None => return Err("its type is not an object".to_owned()),
    };
    for _ in 0..MAX_CHAIN {
        let Some(reference) = own.get("$ref") else {
            return Ok(own);
        };
        let name = reference.as_str().and_then(|reference| reference.strip_prefix("#/definitions/"));
        let name = name
            .map(|name| name.replace("~1", "/").replace("~0", "~"))
            .ok_or_else(|| format!("the reference {reference} is none to a definition"))?;
        let target =
            member(definitions, &name).and_then(Value::as_object).ok_or_else(|| format!("there is no definition '{name}'"))?;
        let mut merged = target.clone();
        for (key, value) in own.iter().filter(|(key, _)| *key != "$ref") {
            merged.insert(key.clone(), value.clone());
        }
        own = Cow::Owned(merged);
    }
    Err("its type refers to itself".to_owned())
}

pub(crate) fn kind(definitions: &Map<String, Value>, spec: &Value) -> Option<Kind> {
    resolved(definitions, spec).ok()?.get("type")?.as_str().and_then(Kind::read)
}

pub(crate) fn is_nullable(definitions: &Map<String, Value>, spec: &Value) -> bool {
    resolved(definitions, spec).is_ok_and(|spec| spec.get("nullable") == Some(&Value::Bool(true)))
}

/// Checks that a type is one, as far as that can be said without a value.
pub(crate) fn check_type(definitions: &Map<String, Value>, spec: &Value) -> Result<Kind, String> {
    let own = resolved(definitions, spec)?;
    let name = own.get("type").ok_or("it has no 'type'")?;
    let kind = name.as_str().and_then(Kind::read);
    kind.ok_or_else(|| format!("its type {name} is not one of string, securestring, int, bool, object, secureobject and array"))
}

/// Checks a value against a type.
///
/// # Errors
/// A sentence's end that says what is wrong; it shows no value if `secure`.
pub(crate) fn check(definitions: &Map<String, Value>, spec: &Value, value: &Value, secure: bool) -> Result<(), String> {
    Check { definitions, secure }.value(spec, value, "")
}

struct Check<'d> {
    definitions: &'d Map<String, Value>,
    secure: bool,
}

impl Check<'_> {
    fn value(&self, spec: &Value, value: &Value, at: &str) -> Result<(), String> {
        let spec = resolved(self.definitions, spec)?;
        let here = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
        if value.is_null() && spec.get("nullable") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let kind = spec
            .get("type")
            .and_then(Value::as_str)
            .and_then(Kind::read)
            .ok_or_else(|| format!("its type{here} is not known"))?;
        let secure = self.secure || kind.is_secure();
        if !kind.takes(value) {
            return Err(format!(
                "expected a value of type '{}'{here}, but received one of type '{}'",
                kind.wire(),
                type_name(value)
            ));
        }
        if let Some(allowed) = spec.get("allowedValues").and_then(Value::as_array)
            && !is_allowed(allowed, value)
        {
            let allowed: Vec<String> = allowed.iter().map(|value| show(value, false)).collect();
            return Err(format!("'{}'{here} is not part of the allowed value(s) '{}'", show(value, secure), allowed.join(",")));
        }
        let bound = |name: &str| spec.get(name).and_then(Value::as_i64);
        let (measure, of, least, most) = match value {
            Value::Number(number) => (number.as_i64(), "the value", bound("minValue"), bound("maxValue")),
            Value::String(text) => {
                (i64::try_from(crate::function::utf16::length(text)).ok(), "the length", bound("minLength"), bound("maxLength"))
            }
            Value::Array(items) => {
                (i64::try_from(items.len()).ok(), "the number of elements", bound("minLength"), bound("maxLength"))
            }
            Value::Null | Value::Bool(_) | Value::Object(_) => (None, "", None, None),
        };
        if let Some(measure) = measure {
            let shown = if secure { "it".to_owned() } else { measure.to_string() };
            if let Some(least) = least.filter(|least| measure < *least) {
                return Err(format!("{of}{here} must be at least {least}, and {shown} is less"));
            }
            if let Some(most) = most.filter(|most| measure > *most) {
                return Err(format!("{of}{here} must be at most {most}, and {shown} is more"));
            }
        }
        match value {
            Value::Array(items) => self.items(&spec, items, at),
            Value::Object(members) => self.members(&spec, members, at),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn items(&self, spec: &Map<String, Value>, items: &[Value], at: &str) -> Result<(), String> {
        let first = spec.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if items.len() < first.len() {
            return Err(format!("the array has {} elements and needs {}", items.len(), first.len()));
        }
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}[{index}]");
            match (first.get(index), spec.get("items")) {
                (Some(own), _) => self.value(own, item, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("the element at '{at}' is one too many")),
                (None, Some(common @ Value::Object(_))) => self.value(common, item, &at)?,
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn members(&self, spec: &Map<String, Value>, members: &Map<String, Value>, at: &str) -> Result<(), String> {
        let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        if let Some(discriminator) = spec.get("discriminator") {
            let name = discriminator.get("propertyName").and_then(Value::as_str).unwrap_or_default();
            let mapping = discriminator.get("mapping").and_then(Value::as_object);
            let tag = member(members, name).and_then(Value::as_str);
            let chosen = tag.zip(mapping).and_then(|(tag, mapping)| mapping.get(tag));
            let chosen = chosen.ok_or_else(|| format!("the property '{}' names none of the type's variants", below(name)))?;
            return self.value(chosen, &Value::Object(members.clone()), at);
        }
        let properties = spec.get("properties").and_then(Value::as_object);
        let given = ByName::of(members);
        for (name, property) in properties.into_iter().flatten() {
            match given.get(name) {
                Some(value) => self.value(property, value, &below(name))?,
                None if is_nullable(self.definitions, property) => {}
                None => return Err(format!("the property '{}' is missing", below(name))),
            }
        }
        let own = properties.map(ByName::of);
        for (name, value) in members.iter().filter(|(name, _)| own.as_ref().is_none_or(|own| own.get(name).is_none())) {
            match spec.get("additionalProperties") {
                Some(Value::Bool(false)) => return Err(format!("the property '{}' is not one of the type's", below(name))),
                Some(other @ Value::Object(_)) => self.value(other, value, &below(name))?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A value is allowed if it is in the list; an array also if all of its elements are.
fn is_allowed(allowed: &[Value], value: &Value) -> bool {
    let is_in = |value: &Value| allowed.iter().any(|allowed| same_value(allowed, value));
    is_in(value) || value.as_array().is_some_and(|items| items.iter().all(is_in))
}
