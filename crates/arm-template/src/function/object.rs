//! Functions of objects, and the set functions of objects and arrays.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{
    Arguments, ByName, Function,
    comparison::{canonical, equal},
    many, value,
};
use crate::{error::Result, evaluate, reader};

pub(super) const FUNCTIONS: &[Function] = &[
    many("createObject", 0, create),
    many("intersection", 1, intersection),
    many("union", 1, union),
    value("items", 1, 1, |args| {
        Ok(sorted(args.object(0)?).into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect())
    }),
    value("objectKeys", 1, 1, |args| {
        Ok(sorted(args.object(0)?).into_iter().map(|(key, _)| Value::String(key.clone())).collect())
    }),
    value("json", 1, 1, parsed),
    value("parseJson", 1, 1, parsed),
    value("null", 0, 0, |_| Ok(Value::Null)),
    value("shallowMerge", 1, 1, shallow_merge),
    many("tryGet", 2, try_get),
];

fn create(args: &Arguments<'_>) -> Result<Value> {
    if !args.len().is_multiple_of(2) {
        return Err(args.refuse("expects a value for each name"));
    }
    let mut made = Merged::default();
    for at in (0..args.len()).step_by(2) {
        made.put(args.text(at)?, args.any(at + 1).clone());
    }
    Ok(Value::Object(made.members))
}

/// An object in the making, in which names that differ by case at most are one.
#[derive(Default)]
struct Merged {
    members: Map<String, Value>,
    /// The names as they are, by the names in lower case.
    names: HashMap<String, String>,
}

impl Merged {
    fn of(members: Map<String, Value>) -> Self {
        let names = members.keys().map(|key| (key.to_lowercase(), key.clone())).collect();
        Self { members, names }
    }

    fn put(&mut self, name: &str, value: Value) {
        let own = self.names.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
        self.members.insert(own.clone(), value);
    }

    /// Adds an object's members; objects that both have are merged in turn.
    fn merge(&mut self, from: &Map<String, Value>) {
        for (key, value) in from {
            let ours = self.names.get(&key.to_lowercase()).and_then(|own| self.members.get_mut(own));
            match (ours, value) {
                (Some(Value::Object(ours)), Value::Object(theirs)) => {
                    let mut inner = Self::of(std::mem::take(ours));
                    inner.merge(theirs);
                    *ours = inner.members;
                }
                _ => self.put(key, value.clone()),
            }
        }
    }
}

fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = members.iter().collect();
    all.sort_by_cached_key(|(key, _)| (key.to_lowercase(), (*key).clone()));
    all
}

fn intersection(args: &Arguments<'_>) -> Result<Value> {
    if args.any(0).is_object() {
        let mut kept = args.object(0)?.clone();
        for at in 1..args.len() {
            let other = ByName::of(args.object(at)?);
            kept.retain(|key, value| other.get(key).is_some_and(|theirs| equal(value, theirs)));
        }
        return Ok(Value::Object(kept));
    }
    let mut kept = distinct(args.array(0)?.iter());
    for at in 1..args.len() {
        let other: HashSet<String> = args.array(at)?.iter().map(canonical).collect();
        kept.retain(|item| other.contains(&canonical(item)));
    }
    Ok(kept.into_iter().cloned().collect())
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(canonical(item))).collect()
}

/// Objects are merged, those within them too; of arrays every element is kept once.
fn union(args: &Arguments<'_>) -> Result<Value> {
    if args.any(0).is_object() {
        let mut merged = Merged::of(args.object(0)?.clone());
        for at in 1..args.len() {
            merged.merge(args.object(at)?);
        }
        return Ok(Value::Object(merged.members));
    }
    let arrays = (0..args.len()).map(|at| args.array(at)).collect::<Result<Vec<_>>>()?;
    Ok(distinct(arrays.into_iter().flatten()).into_iter().cloned().collect())
}

fn shallow_merge(args: &Arguments<'_>) -> Result<Value> {
    let mut merged = Merged::default();
    for item in args.array(0)? {
        let Value::Object(members) = item else {
            return Err(args.refuse(format!("expects an array of objects, in it is {}", super::with_article(item))));
        };
        for (key, value) in members {
            merged.put(key, value.clone());
        }
    }
    Ok(Value::Object(merged.members))
}

fn parsed(args: &Arguments<'_>) -> Result<Value> {
    reader::parse_text(args.text(0)?).map_err(|wrong| match args.secure {
        true => args.refuse("is given a text that is not JSON"),
        false => args.refuse(format!("is given a text that is not JSON: {}", wrong.reason())),
    })
}

/// Follows names and indices; what is not there is null.
fn try_get(args: &Arguments<'_>) -> Result<Value> {
    let mut current = args.any(0);
    for at in 1..args.len() {
        let key = args.any(at);
        if !(key.is_string() || key.is_i64()) {
            return Err(args.wrong(at, "a name or an index"));
        }
        match evaluate::find(current, key) {
            Some(found) => current = found,
            None => return Ok(Value::Null),
        }
    }
    Ok(current.clone())
}
