//! Functions of objects, and the set functions of objects and arrays.

use serde_json::{Map, Value, json};

use super::{Arguments, Function, comparison::equal, many, member, same_name, value};
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
    let mut members = Map::new();
    for at in (0..args.len()).step_by(2) {
        put(&mut members, args.text(at)?, args.any(at + 1).clone());
    }
    Ok(Value::Object(members))
}

/// Sets a member in the place of one whose name differs by case at most.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(there) = members.get_mut(name) {
        *there = value;
        return;
    }
    let same = members.keys().find(|key| same_name(key, name)).cloned();
    members.insert(same.unwrap_or_else(|| name.to_owned()), value);
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
            let other = args.object(at)?;
            kept.retain(|key, value| member(other, key).is_some_and(|theirs| equal(value, theirs)));
        }
        return Ok(Value::Object(kept));
    }
    let mut kept = distinct(args.array(0)?.iter());
    for at in 1..args.len() {
        let other = args.array(at)?;
        kept.retain(|item| other.iter().any(|theirs| equal(item, theirs)));
    }
    Ok(kept.into_iter().cloned().collect())
}

fn distinct<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    let mut seen: Vec<&Value> = Vec::new();
    let mut texts = std::collections::HashSet::new();
    for item in items {
        let is_new = match item {
            Value::String(text) => texts.insert(text.as_str()),
            _ => !seen.iter().any(|known| equal(known, item)),
        };
        if is_new {
            seen.push(item);
        }
    }
    seen
}

/// Objects are merged, those within them too; of arrays every element is kept once.
fn union(args: &Arguments<'_>) -> Result<Value> {
    if args.any(0).is_object() {
        let mut merged = args.object(0)?.clone();
        for at in 1..args.len() {
            merge(&mut merged, args.object(at)?);
        }
        return Ok(Value::Object(merged));
    }
    let arrays = (0..args.len()).map(|at| args.array(at)).collect::<Result<Vec<_>>>()?;
    Ok(distinct(arrays.into_iter().flatten()).into_iter().cloned().collect())
}

fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        let same = into.keys().find(|known| same_name(known, key)).cloned();
        match (same.as_ref().and_then(|same| into.get_mut(same)), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => merge(ours, theirs),
            _ => put(into, key, value.clone()),
        }
    }
}

fn shallow_merge(args: &Arguments<'_>) -> Result<Value> {
    let mut merged = Map::new();
    for item in args.array(0)? {
        let Value::Object(members) = item else {
            return Err(args.refuse(format!("expects an array of objects, in it is {}", super::with_article(item))));
        };
        for (key, value) in members {
            put(&mut merged, key, value.clone());
        }
    }
    Ok(Value::Object(merged))
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
