//! Functions of arrays, and those that take a text as well.

use serde_json::Value;

use super::{Arguments, Function, comparison::equal, many, member, string::to_text, utf16, value};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] = &[
    value("array", 1, 1, |args| {
        Ok(match args.any(0) {
            Value::Array(items) => Value::Array(items.clone()),
            other => Value::Array(vec![other.clone()]),
        })
    }),
    many("concat", 1, concat),
    value("contains", 2, 2, contains),
    many("createArray", 0, |args| Ok(args.values.iter().map(|value| (**value).clone()).collect())),
    value("empty", 1, 1, |args| is_empty(args).map(Value::Bool)),
    value("first", 1, 1, |args| end(args, |items| items.first(), |_| 0)),
    value("last", 1, 1, |args| end(args, |items| items.last(), |length| length.saturating_sub(1))),
    value("flatten", 1, 1, flatten),
    value("indexFromEnd", 2, 2, |args| {
        from_end(args)?.cloned().ok_or_else(|| args.refuse("has an index that is out of the array's bounds"))
    }),
    value("tryIndexFromEnd", 2, 2, |args| Ok(from_end(args)?.cloned().unwrap_or_default())),
    value("indexOf", 2, 2, |args| index_of(args, |items, wanted| items.iter().position(wanted), |text, part| text.find(part))),
    value("lastIndexOf", 2, 2, |args| {
        index_of(args, |items, wanted| items.iter().rposition(wanted), |text, part| text.rfind(part))
    }),
    value("length", 1, 1, length),
    value("range", 2, 2, range),
    value("skip", 2, 2, |args| {
        let count = count(args)?;
        part(args, |items| items.get(count..).unwrap_or_default(), |text| utf16::part(text, count, usize::MAX))
    }),
    value("take", 2, 2, |args| {
        let count = count(args)?;
        part(args, |items| items.get(..count).unwrap_or(items), |text| utf16::part(text, 0, count))
    }),
];

/// The most elements of a range, as Resource Manager has it.
const MAX_RANGE: i64 = 10_000;

fn concat(args: &Arguments<'_>) -> Result<Value> {
    if args.any(0).is_array() {
        let mut all = Vec::new();
        for at in 0..args.len() {
            all.extend_from_slice(args.array(at)?);
        }
        return Ok(Value::Array(all));
    }
    let mut text = String::new();
    for at in 0..args.len() {
        match args.any(at) {
            Value::Array(_) | Value::Object(_) => return Err(args.wrong(at, "a text, as the first one is")),
            Value::Null => {}
            scalar => text.push_str(&to_text(scalar)),
        }
    }
    Ok(Value::String(text))
}

fn contains(args: &Arguments<'_>) -> Result<Value> {
    let is_there = match (args.any(0), args.any(1)) {
        (Value::Array(items), wanted) => items.iter().any(|item| equal(item, wanted)),
        (Value::Object(members), Value::String(name)) => member(members, name).is_some(),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::String(text), Value::Number(number)) => text.contains(&number.to_string()),
        (Value::Object(_) | Value::String(_), _) => return Err(args.wrong(1, "a text")),
        (Value::Null | Value::Bool(_) | Value::Number(_), _) => return Err(args.wrong(0, "an array, an object or a text")),
    };
    Ok(Value::Bool(is_there))
}

pub(super) fn is_empty(args: &Arguments<'_>) -> Result<bool> {
    match args.any(0) {
        Value::Null => Ok(true),
        Value::Array(items) => Ok(items.is_empty()),
        Value::Object(members) => Ok(members.is_empty()),
        Value::String(text) => Ok(text.is_empty()),
        Value::Bool(_) | Value::Number(_) => Err(args.wrong(0, "an array, an object or a text")),
    }
}

/// The element or character at one end; `place` says where in a text of so many units it begins.
fn end(args: &Arguments<'_>, of_array: fn(&[Value]) -> Option<&Value>, place: fn(usize) -> usize) -> Result<Value> {
    match args.any(0) {
        Value::Array(items) => Ok(of_array(items).cloned().unwrap_or_default()),
        Value::String(text) => Ok(Value::String(utf16::part(text, place(utf16::length(text)), 1))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(args.wrong(0, "an array or a text")),
    }
}

fn flatten(args: &Arguments<'_>) -> Result<Value> {
    let mut all = Vec::new();
    for item in args.array(0)? {
        match item {
            Value::Array(items) => all.extend_from_slice(items),
            other => return Err(args.refuse(format!("expects an array of arrays, in it is {}", super::with_article(other)))),
        }
    }
    Ok(Value::Array(all))
}

/// The last element has the index 1.
fn from_end<'a>(args: &Arguments<'a>) -> Result<Option<&'a Value>> {
    let (items, index) = (args.array(0)?, args.integer(1)?);
    Ok(usize::try_from(index)
        .ok()
        .filter(|index| *index > 0)
        .and_then(|index| items.len().checked_sub(index))
        .and_then(|at| items.get(at)))
}

/// Says whether an element is the one that is looked for.
type Wanted<'w> = dyn Fn(&Value) -> bool + 'w;

/// Where an element stands, or a text within a text; texts within a text are compared without case.
fn index_of(
    args: &Arguments<'_>,
    of_array: fn(&[Value], &Wanted<'_>) -> Option<usize>,
    of_text: fn(&str, &str) -> Option<usize>,
) -> Result<Value> {
    let index = match args.any(0) {
        Value::Array(items) => of_array(items, &|item| equal(item, args.any(1))),
        Value::String(text) => {
            let (text, part) = (text.to_lowercase(), args.text(1)?.to_lowercase());
            of_text(&text, &part).map(|at| utf16::length(&text[..at]))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(args.wrong(0, "an array or a text")),
    };
    Ok(Value::from(index.map_or(-1, |index| i64::try_from(index).unwrap_or(i64::MAX))))
}

fn length(args: &Arguments<'_>) -> Result<Value> {
    match args.any(0) {
        Value::Array(items) => Ok(Value::from(items.len())),
        Value::Object(members) => Ok(Value::from(members.len())),
        Value::String(text) => Ok(Value::from(utf16::length(text))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Err(args.wrong(0, "an array, an object or a text")),
    }
}

fn range(args: &Arguments<'_>) -> Result<Value> {
    let (start, count) = (args.integer(0)?, args.integer(1)?);
    if !(0..=MAX_RANGE).contains(&count) {
        return Err(args.refuse(format!("makes between 0 and {MAX_RANGE} numbers, {count} are asked for")));
    }
    let end = start.checked_add(count).filter(|end| *end <= i64::from(i32::MAX) + 1);
    let end = end.ok_or_else(|| args.refuse(format!("makes no number above {}", i32::MAX)))?;
    Ok((start..end).map(Value::from).collect())
}

/// How many to skip or to take; none if negative.
fn count(args: &Arguments<'_>) -> Result<usize> {
    Ok(usize::try_from(args.integer(1)?).unwrap_or(0))
}

fn part(args: &Arguments<'_>, of_array: impl Fn(&[Value]) -> &[Value], of_text: impl Fn(&str) -> String) -> Result<Value> {
    match args.any(0) {
        Value::Array(items) => Ok(Value::Array(of_array(items).to_vec())),
        Value::String(text) => Ok(Value::String(of_text(text))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(args.wrong(0, "an array or a text")),
    }
}
