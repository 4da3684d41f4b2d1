//! Fields of a body: null is not given, names are found in any case, and a refusal names the field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::ArmError;

/// One object of a body, with the path that leads to it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) at: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>, at: &'a str) -> Self {
        Self { map, at }
    }

    /// Returns a field's path for refusals.
    pub(super) fn path(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        find(self.map, name)
    }

    fn wrong(&self, name: &str, wanted: &str) -> ArmError {
        let path = self.path(name);
        let message = format!("The parameter {path} has an invalid value: it must be {wanted}.");
        ArmError::bad_request(path, message)
    }

    /// Text; numbers and booleans are taken as they are written.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ArmError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => scalar(value).map(Some).ok_or_else(|| self.wrong(name, "text")),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<String, ArmError> {
        let path = self.path(name);
        match self.text(name)?.filter(|text| !text.trim().is_empty()) {
            Some(text) => Ok(text),
            None => Err(ArmError::bad_request(path.clone(), format!("The parameter {path} is required and may not be empty."))),
        }
    }

    /// True or false; text of either is taken, as templates write it.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ArmError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A whole number within bounds; text of one is taken.
    pub(super) fn number(&self, name: &str, low: i64, high: i64) -> Result<Option<i64>, ArmError> {
        let wanted = || self.wrong(name, &format!("a whole number from {low} to {high}"));
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)).ok_or_else(wanted)?,
            Some(Value::String(text)) => text.trim().parse().map_err(|_| wanted())?,
            Some(_) => return Err(wanted()),
        };
        if (low..=high).contains(&number) { Ok(Some(number)) } else { Err(wanted()) }
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, ArmError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, ArmError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    /// One of a few words, in any case; returns the word as Azure writes it.
    pub(super) fn word(&self, name: &str, known: &[&'static str]) -> Result<Option<&'static str>, ArmError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match known.iter().find(|word| word.eq_ignore_ascii_case(text.trim())) {
            Some(word) => Ok(Some(word)),
            None => Err(self.wrong(name, &format!("one of {} (it is '{text}')", known.join(", ")))),
        }
    }
}

/// Finds a field: written exactly so, else in another case.
pub(super) fn find<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = map.get(name).or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// Removes a field in whatever case it is written, and returns it where it is not null.
pub(super) fn take(map: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let keys: Vec<String> = map.keys().filter(|key| key.eq_ignore_ascii_case(name)).cloned().collect();
    let mut found = None;
    for key in keys {
        found = map.shift_remove(&key).filter(|value| !value.is_null()).or(found);
    }
    found
}

/// Writes a field under its own spelling.
pub(super) fn set(map: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    take(map, name);
    map.insert(name.to_owned(), value.into());
}

/// Writes every field that is given over what is there; known names get their own spelling.
pub(super) fn overlay(onto: &mut Map<String, Value>, given: Map<String, Value>, known: &[&str]) {
    for (name, value) in given {
        if value.is_null() {
            continue;
        }
        let spelled = known.iter().find(|word| word.eq_ignore_ascii_case(&name)).map_or(name.as_str(), |word| word);
        onto.insert(spelled.to_owned(), value);
    }
}

/// Returns a scalar as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// Reads tags: at most fifty, of text.
pub(super) fn tags(value: &Value) -> Result<BTreeMap<String, String>, ArmError> {
    let refuse = |message: String| ArmError::new(400, "InvalidTags", message).at("tags");
    let Value::Object(map) = value else { return Err(refuse("The tags must be an object of names and values.".into())) };
    if map.len() > 50 {
        return Err(refuse(format!("A resource has at most 50 tags; {} are given.", map.len())));
    }
    let mut tags = BTreeMap::new();
    for (name, value) in map {
        if name.is_empty() || name.len() > 512 || name.contains(['<', '>', '%', '&', '\\', '?', '/']) {
            return Err(ArmError::new(
                400,
                "InvalidTagNameCharacters",
                format!("The tag name '{name}' is empty, longer than 512 characters or holds one of <, >, %, &, \\, ? and /."),
            )
            .at("tags"));
        }
        let text = if value.is_null() { Some(String::new()) } else { scalar(value) };
        match text.filter(|text| text.len() <= 256) {
            Some(text) => tags.insert(name.clone(), text),
            None => return Err(refuse(format!("The value of tag '{name}' must be text of at most 256 characters."))),
        };
    }
    Ok(tags)
}
