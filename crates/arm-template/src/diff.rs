//! How two bodies of a resource differ, in what-if's shape.

use serde_json::{Map, Value, json};

use crate::function::{ByName, member, same_value};

/// What happens to a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Create,
    Delete,
    Modify,
    /// Elements of the array change; the children say which.
    Array,
    /// The property differs, and nothing follows from it.
    NoEffect,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Modify => "Modify",
            Self::Array => "Array",
            Self::NoEffect => "NoEffect",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// The way to the property: `properties.siteConfig.appSettings`; of an array's element its index.
    pub path: String,
    pub kind: ChangeKind,
    pub before: Value,
    pub after: Value,
    pub children: Vec<Delta>,
}

impl Delta {
    /// Returns the difference as what-if has it on the wire.
    pub fn to_wire(&self) -> Value {
        let children: Vec<Value> = self.children.iter().map(Self::to_wire).collect();
        json!({
            "path": self.path,
            "propertyChangeType": self.kind.as_str(),
            "before": self.before,
            "after": self.after,
            "children": if children.is_empty() { Value::Null } else { Value::Array(children) },
        })
    }
}

/// Compares what is deployed with what would be. Null is the same as not there; the result is sorted by path.
pub fn diff(before: &Value, after: &Value) -> Vec<Delta> {
    diff_where(before, after, |_| true)
}

/// As [`diff()`], but a property of which `has_effect` says no is [`ChangeKind::NoEffect`]. It is asked with paths without indices:
/// `properties.siteConfig.appSettings.name`.
pub fn diff_where(before: &Value, after: &Value, has_effect: impl Fn(&str) -> bool) -> Vec<Delta> {
    let nothing = Map::new();
    let comparison = Comparison { has_effect: &has_effect };
    let mut deltas = Vec::new();
    comparison.members(before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing), "", "", &mut deltas);
    deltas
}

struct Comparison<'a> {
    has_effect: &'a dyn Fn(&str) -> bool,
}

impl Comparison<'_> {
    /// Compares objects; `path` is where they are from what contains them, `full` from the top.
    fn members(&self, before: &Map<String, Value>, after: &Map<String, Value>, path: &str, full: &str, deltas: &mut Vec<Delta>) {
        let (old, new) = (ByName::of(before), ByName::of(after));
        let mut names: Vec<&String> = before.keys().chain(after.keys().filter(|key| old.get(key).is_none())).collect();
        names.sort();
        for name in names {
            // A name of the resource, or how it is spoken to, is no property of it.
            if full.is_empty() && ["apiVersion", "id", "name", "type"].iter().any(|own| own.eq_ignore_ascii_case(name)) {
                continue;
            }
            let below = |head: &str| if head.is_empty() { name.clone() } else { format!("{head}.{name}") };
            let (left, right) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
            if full.is_empty() && name.eq_ignore_ascii_case("location") && is_same_location(left, right) {
                continue;
            }
            self.values(left, right, below(path), &below(full), deltas);
        }
    }

    fn values(&self, before: &Value, after: &Value, path: String, full: &str, deltas: &mut Vec<Delta>) {
        if same_value(before, after) {
            return;
        }
        let (kind, children) = match (before, after) {
            (Value::Object(before), Value::Object(after)) => return self.members(before, after, &path, full, deltas),
            (Value::Array(before), Value::Array(after)) => (ChangeKind::Array, self.elements(before, after, full)),
            (Value::Null, _) => (ChangeKind::Create, Vec::new()),
            (_, Value::Null) => (ChangeKind::Delete, Vec::new()),
            _ => (ChangeKind::Modify, Vec::new()),
        };
        if kind == ChangeKind::Array && children.is_empty() {
            return;
        }
        let kind = if (self.has_effect)(full) { kind } else { ChangeKind::NoEffect };
        deltas.push(Delta { path, kind, before: before.clone(), after: after.clone(), children });
    }

    /// Compares arrays: objects that carry a name are compared with those of the same name, everything else by its value.
    fn elements(&self, before: &[Value], after: &[Value], full: &str) -> Vec<Delta> {
        let mut partner: Vec<Option<usize>> = vec![None; after.len()];
        let mut left_over = Vec::new();
        for (index, old) in before.iter().enumerate() {
            let is_free = |at: &usize| partner[*at].is_none();
            let same = (0..after.len()).filter(is_free).find(|at| match (identity(old), identity(&after[*at])) {
                (Some(old), Some(new)) => old.eq_ignore_ascii_case(new),
                _ => same_value(old, &after[*at]),
            });
            match same {
                Some(at) => partner[at] = Some(index),
                None => left_over.push(index),
            }
        }
        let single = |index: usize, kind, before: &Value, after: &Value, children| Delta {
            path: index.to_string(),
            kind,
            before: before.clone(),
            after: after.clone(),
            children,
        };
        let mut deltas: Vec<(usize, Delta)> = left_over
            .iter()
            .map(|index| (*index, single(*index, ChangeKind::Delete, &before[*index], &Value::Null, Vec::new())))
            .collect();
        let moved =
            left_over.is_empty() && before.len() == after.len() && partner.iter().enumerate().any(|(at, old)| *old != Some(at));
        for (at, new) in after.iter().enumerate() {
            match partner[at].map(|old| (old, &before[old])) {
                None => deltas.push((at, single(at, ChangeKind::Create, &Value::Null, new, Vec::new()))),
                Some((_, old)) if !same_value(old, new) => {
                    let mut children = Vec::new();
                    if let (Value::Object(old), Value::Object(new)) = (old, new) {
                        self.members(old, new, "", full, &mut children);
                    }
                    if !children.is_empty() {
                        deltas.push((at, single(at, ChangeKind::Modify, old, new, children)));
                    }
                }
                // The order of objects that are found by name says nothing.
                Some((old, _)) if moved && old != at && identity(new).is_none() => {
                    deltas.push((at, single(at, ChangeKind::Delete, &before[at], &Value::Null, Vec::new())));
                    deltas.push((at, single(at, ChangeKind::Create, &Value::Null, new, Vec::new())));
                }
                Some(_) => {}
            }
        }
        deltas.sort_by_key(|(index, _)| *index);
        deltas.into_iter().map(|(_, delta)| delta).collect()
    }
}

fn identity(value: &Value) -> Option<&str> {
    let members = value.as_object()?;
    member(members, "name").or_else(|| member(members, "id"))?.as_str()
}

fn is_same_location(a: &Value, b: &Value) -> bool {
    let plain = |value: &Value| value.as_str().map(|text| text.replace(' ', "").to_lowercase());
    matches!((plain(a), plain(b)), (Some(a), Some(b)) if a == b)
}
