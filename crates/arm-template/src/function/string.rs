//! Functions of texts.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Arguments, Function, format, many, utf16, value};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] = &[
    value("base64", 1, 1, |args| Ok(Value::String(STANDARD.encode(args.text(0)?)))),
    value("base64ToString", 1, 1, |args| decode(args, args.text(0)?).map(Value::String)),
    value("base64ToJson", 1, 1, |args| {
        let text = decode(args, args.text(0)?)?;
        crate::reader::parse_text(&text).map_err(|_| args.refuse("is given what is not the base64 form of JSON"))
    }),
    value("dataUri", 1, 1, |args| {
        Ok(Value::String(format!("data:text/plain;charset=utf8;base64,{}", STANDARD.encode(args.text(0)?))))
    }),
    value("dataUriToString", 1, 1, data_uri_to_string),
    value("endsWith", 2, 2, |args| Ok(Value::Bool(args.text(0)?.to_lowercase().ends_with(&args.text(1)?.to_lowercase())))),
    value("startsWith", 2, 2, |args| Ok(Value::Bool(args.text(0)?.to_lowercase().starts_with(&args.text(1)?.to_lowercase())))),
    many("format", 1, format::format),
    value("join", 2, 2, join),
    value("padLeft", 2, 3, pad_left),
    value("replace", 3, 3, replace),
    value("split", 2, 2, split),
    value("string", 1, 1, |args| Ok(Value::String(to_text(args.any(0))))),
    value("substring", 2, 3, substring),
    value("toLower", 1, 1, |args| Ok(Value::String(args.text(0)?.to_lowercase()))),
    value("toUpper", 1, 1, |args| Ok(Value::String(args.text(0)?.to_uppercase()))),
    value("trim", 1, 1, |args| Ok(Value::String(args.text(0)?.trim().to_owned()))),
    value("fail", 1, 1, |args| Err(args.refuse(format!("stops the deployment: {}", args.show(args.any(0)))))),
];

/// The longest text that padding makes.
const MAX_PADDED: i64 = 131_072;

/// The most texts that another is split at.
const MAX_DELIMITERS: usize = 64;

/// Writes a value as a text, as .NET does: `True`, and objects as JSON.
pub(super) fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => super::number_format::plain(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

fn decode(args: &Arguments<'_>, text: &str) -> Result<String> {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| args.refuse(format!("is given '{}', which is not the base64 form of a text", args.show_text(text))))
}

fn data_uri_to_string(args: &Arguments<'_>) -> Result<Value> {
    let uri = args.text(0)?;
    let parts = uri.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let (kind, data) =
        parts.ok_or_else(|| args.refuse(format!("is given '{}', which is not a data URI", args.show_text(uri))))?;
    match kind.to_lowercase().ends_with(";base64") {
        true => decode(args, data).map(Value::String),
        false => super::uri::unescape(data).map(Value::String).ok_or_else(|| args.refuse("is given escapes that are not UTF-8")),
    }
}

fn join(args: &Arguments<'_>) -> Result<Value> {
    let (items, between) = (args.array(0)?, args.text(1)?);
    args.room(between.len().saturating_mul(items.len()))?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Array(_) | Value::Object(_) => {
                return Err(args.refuse(format!("joins texts, in the array is {}", super::with_article(item))));
            }
            scalar => texts.push(to_text(scalar)),
        }
    }
    Ok(Value::String(texts.join(between)))
}

fn pad_left(args: &Arguments<'_>) -> Result<Value> {
    let text = match args.any(0) {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(args.wrong(0, "a text or a whole number")),
    };
    let length = args.integer(1)?;
    if !(0..=MAX_PADDED).contains(&length) {
        return Err(args.refuse(format!("pads to a length between 0 and {MAX_PADDED}, {length} is asked for")));
    }
    let filler = match args.get(2) {
        None => ' ',
        Some(_) => {
            let mut chars = args.text(2)?.chars();
            match (chars.next(), chars.next()) {
                (Some(filler), None) => filler,
                _ => return Err(args.refuse("pads with one character")),
            }
        }
    };
    let missing = usize::try_from(length).unwrap_or(0).saturating_sub(utf16::length(&text));
    Ok(Value::String(std::iter::repeat_n(filler, missing).chain(text.chars()).collect()))
}

fn replace(args: &Arguments<'_>) -> Result<Value> {
    let (text, old, new) = (args.text(0)?, args.text(1)?, args.text(2)?);
    if old.is_empty() {
        return Err(args.refuse("can't replace an empty text"));
    }
    args.room(text.matches(old).count().saturating_mul(new.len()))?;
    Ok(Value::String(text.replace(old, new)))
}

fn split(args: &Arguments<'_>) -> Result<Value> {
    let text = args.text(0)?;
    let delimiters = match args.any(1) {
        Value::String(delimiter) => vec![delimiter.as_str()],
        Value::Array(delimiters) => delimiters
            .iter()
            .map(|delimiter| delimiter.as_str().ok_or_else(|| args.wrong(1, "a text or an array of texts")))
            .collect::<Result<_>>()?,
        _ => return Err(args.wrong(1, "a text or an array of texts")),
    };
    let delimiters: Vec<&str> = delimiters.into_iter().filter(|delimiter| !delimiter.is_empty()).collect();
    if delimiters.len() > MAX_DELIMITERS {
        return Err(args.refuse(format!("splits at {MAX_DELIMITERS} different texts at most")));
    }
    // Where each delimiter is found next; looked for again only when that is passed.
    let mut next: Vec<Option<usize>> = delimiters.iter().map(|delimiter| text.find(delimiter)).collect();
    let (mut parts, mut start) = (Vec::new(), 0);
    // Where several delimiters begin at once, the first in the list is taken, as .NET does.
    while let Some((at, order)) = next.iter().enumerate().filter_map(|(order, at)| at.map(|at| (at, order))).min() {
        parts.push(Value::from(&text[start..at]));
        args.room(parts.len().saturating_mul(64))?;
        start = at + delimiters[order].len();
        for (delimiter, found) in delimiters.iter().zip(&mut next) {
            if found.is_some_and(|found| found < start) {
                *found = text[start..].find(delimiter).map(|at| start + at);
            }
        }
    }
    parts.push(Value::from(&text[start..]));
    Ok(Value::Array(parts))
}

fn substring(args: &Arguments<'_>) -> Result<Value> {
    let text = args.text(0)?;
    let total = utf16::length(text);
    let outside = || args.refuse(format!("has a start or a length that is outside the text, which has {total} characters"));
    let start = usize::try_from(args.integer(1)?).ok().filter(|start| *start <= total).ok_or_else(outside)?;
    let length = match args.get(2) {
        None => total - start,
        Some(_) => usize::try_from(args.integer(2)?).ok().filter(|length| *length <= total - start).ok_or_else(outside)?,
    };
    Ok(Value::String(utf16::part(text, start, length)))
}
