//! Keeping secure values out of what is shown: messages of failed resources, and differences.

use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_arm_template::{Body, Segment};
use serde_json::Value;

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "(secure)";

/// Names of properties that hold a secret, lower-case.
const SECRET: [&str; 4] = ["passwordsecret", "password", "accesskey", "publishingpassword"];

/// Names of properties whose values may be secrets, lower-case.
const SETTINGS: [&str; 3] = ["appsettings", "connectionstrings", "metadata"];

/// Shorter texts are not searched for: they would be found everywhere, and are no secrets.
const SHORTEST: usize = 4;

/// The secure texts of a body.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn of(body: &Body) -> Secrets {
        let mut found = Vec::new();
        for path in body.secure_paths() {
            let place = path.segments().iter().try_fold(body.value(), |value, segment| match segment {
                Segment::Key(key) => value.get(key.as_str()),
                Segment::Index(index) => value.get(*index),
            });
            if let Some(value) = place {
                collect(value, &mut found);
            }
        }
        // Longest first: one secret may be a part of another.
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found.dedup();
        Secrets(found)
    }

    /// Takes the secrets out of an error that quotes what it was given.
    pub(crate) fn clean(&self, mut error: ArmError) -> ArmError {
        error.message = self.clean_text(&error.message);
        error.target = error.target.map(|target| self.clean_text(&target));
        error.details = error.details.into_iter().map(|detail| self.clean(detail)).collect();
        error
    }

    fn clean_text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), HIDDEN),
            false => text,
        })
    }

    /// Returns true where a secret stands in a value.
    pub(crate) fn within(&self, value: &Value) -> bool {
        let mut cleaned = value.clone();
        self.clean_value(&mut cleaned);
        cleaned != *value
    }

    /// Takes the secrets out of a value that is about to be shown.
    pub(crate) fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_value(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.clean_value(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Takes out of a resource's document what GET would not show.
pub(crate) fn mask(id: &ResourceId, document: &mut Value) {
    if let Some(properties) = document.get_mut("properties") {
        match is_listed(id) {
            true => hide_texts(properties),
            false => hide_named(properties),
        }
    }
}

/// Takes out of the value at `way` in a resource's document what GET would not show.
pub(crate) fn hide(id: &ResourceId, way: &str, value: &mut Value) {
    let mut names = way.split(['.', '[', ']']).filter(|name| !name.is_empty()).map(str::to_ascii_lowercase);
    if names.next().as_deref() != Some("properties") {
        return;
    }
    if is_listed(id) || names.any(|name| SECRET.contains(&name.as_str()) || SETTINGS.contains(&name.as_str())) {
        hide_texts(value);
    } else {
        hide_named(value);
    }
}

/// Returns true for documents all of whose values are secrets.
fn is_listed(id: &ResourceId) -> bool {
    match id.kind() {
        ResourceKind::SiteConfig(name) => name.listed(),
        ResourceKind::Subscription
        | ResourceKind::Group
        | ResourceKind::Plan
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteContainer
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => false,
    }
}

pub(crate) fn hide_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = HIDDEN.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(hide_texts),
        Value::Object(members) => members.values_mut().for_each(hide_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide_named(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_named),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match name.to_ascii_lowercase() {
                    name if SECRET.contains(&name.as_str()) && !member.is_null() => *member = Value::String(HIDDEN.to_owned()),
                    name if SETTINGS.contains(&name.as_str()) => hide_values(member),
                    _ => hide_named(member),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `[{name, value}]` keeps its names.
fn hide_values(pairs: &mut Value) {
    match pairs {
        Value::Array(items) => {
            for item in items {
                for field in ["value", "connectionString"] {
                    if let Some(value) = item.get_mut(field) {
                        *value = Value::String(HIDDEN.to_owned());
                    }
                }
            }
        }
        Value::Object(_) => hide_texts(pairs),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= SHORTEST => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
