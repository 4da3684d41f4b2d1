//! Holds values against the schemas of the OpenAPI document: as much of JSON Schema as the document uses.

use serde_json::Value;

/// Insists that a value is what the document says, and that it has no field the document does not know.
///
/// # Panics
/// It is not; the message says where.
pub fn fits(schema: &str, value: &Value) {
    let document = pillion_api::openapi();
    let schema = &document["components"]["schemas"][schema];
    assert!(!schema.is_null(), "the document has no such schema");
    if let Err(why) = check(&document, schema, value, "") {
        panic!("{why}\nin {value:#}");
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).ok_or(format!("{at}: {reference} leads nowhere"))?;
        return check(document, target, value, at);
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(cases) = schema[several].as_array() {
            let results: Vec<_> = cases.iter().map(|case| check(document, case, value, at)).collect();
            let fitting = results.iter().filter(|result| result.is_ok()).count();
            if fitting == 0 || (several == "oneOf" && fitting > 1) {
                return Err(format!("{at}: {fitting} of the cases fit: {results:?}"));
            }
            return Ok(());
        }
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        return Err(format!("{at}: {value} is not {}", schema["const"]));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is none of {allowed:?}"));
    }
    match schema["type"].as_str() {
        None => Ok(()),
        Some("string") => {
            if value.is_string() {
                Ok(())
            } else {
                Err(format!("{at}: {value} is no string"))
            }
        }
        Some("boolean") => {
            if value.is_boolean() {
                Ok(())
            } else {
                Err(format!("{at}: {value} is no boolean"))
            }
        }
        Some("integer") => {
            if value.is_i64() || value.is_u64() {
                Ok(())
            } else {
                Err(format!("{at}: {value} is no integer"))
            }
        }
        Some("null") => {
            if value.is_null() {
                Ok(())
            } else {
                Err(format!("{at}: {value} is not null"))
            }
        }
        Some("array") => {
            let items = value.as_array().ok_or(format!("{at}: {value} is no array"))?;
            items.iter().enumerate().try_for_each(|(n, item)| check(document, &schema["items"], item, &format!("{at}[{n}]")))
        }
        Some("object") => object(document, schema, value, at),
        Some(other) => Err(format!("{at}: the document has an unknown type {other}")),
    }
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fields = value.as_object().ok_or(format!("{at}: {value} is no object"))?;
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            return Err(format!("{at}: `{required}` is missing"));
        }
    }
    // An object that is described in words, not by its fields, may have any.
    let open = schema["description"].is_string() || schema["properties"].is_null();
    for (name, field) in fields {
        match &schema["properties"][name] {
            Value::Null if open => {}
            Value::Null => return Err(format!("{at}: the document does not know `{name}`")),
            known => check(document, known, field, &format!("{at}.{name}"))?,
        }
    }
    Ok(())
}
