//! Requests made from an OpenAPI document: each operation with values of its schemas.

use pillion_e2e::Dice;
use serde_json::{Map, Value, json};

use crate::wrong::{TEXTS, anything};

/// An operation of the document.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: String,
    pub path: String,
    parameters: Vec<Value>,
    body: Option<Value>,
}

pub struct Document {
    whole: Value,
    pub operations: Vec<Operation>,
}

impl Document {
    /// Reads a document; `left_out` names operations that would end the test itself.
    pub fn new(whole: Value, left_out: &[&str]) -> Document {
        let paths = whole["paths"].as_object().cloned().unwrap_or_default();
        let mut operations = Vec::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().cloned().unwrap_or_default() {
                let Some(method) = ["get", "put", "post", "patch", "delete", "head"].iter().find(|known| **known == method)
                else {
                    continue;
                };
                if left_out.contains(&path.as_str()) {
                    continue;
                }
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    parameters: operation["parameters"].as_array().cloned().unwrap_or_default(),
                    body: operation["requestBody"]["content"]["application/json"].get("schema").cloned(),
                });
            }
        }
        Document { whole, operations }
    }

    /// Makes the operation's path and query, with names taken from `names` or absurd.
    pub fn target(&self, operation: &Operation, names: &[&str], dice: &mut Dice) -> String {
        let mut target = operation.path.clone();
        let mut query = Vec::new();
        for parameter in &operation.parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let value = match dice.below(4) {
                0 => text(&anything(dice)),
                1 => (*dice.one(TEXTS)).to_owned(),
                _ if parameter["in"] == "path" => (*dice.one(names)).to_owned(),
                _ => text(&self.value(&parameter["schema"], dice)),
            };
            match parameter["in"].as_str() {
                Some("path") => target = target.replace(&format!("{{{name}}}"), &encoded(&value)),
                Some("query") if dice.below(2) == 0 => query.push(format!("{name}={}", encoded(&value))),
                _ => {}
            }
        }
        if query.is_empty() { target } else { format!("{target}?{}", query.join("&")) }
    }

    /// Makes the operation's headers.
    pub fn headers(&self, operation: &Operation, dice: &mut Dice) -> Vec<(String, String)> {
        let headers = operation.parameters.iter().filter(|parameter| parameter["in"] == "header");
        let chosen: Vec<_> = headers.filter_map(|parameter| parameter["name"].as_str()).collect();
        let mut made = Vec::new();
        for name in chosen {
            if dice.below(3) == 0 {
                let value: String = dice.one(TEXTS).chars().filter(|c| !c.is_control()).collect();
                made.push((name.to_owned(), value));
            }
        }
        made
    }

    /// Makes a body as its schema wants it; none where the operation takes none.
    pub fn body(&self, operation: &Operation, dice: &mut Dice) -> Option<Value> {
        operation.body.as_ref().map(|schema| self.value(schema, dice))
    }

    fn value(&self, schema: &Value, dice: &mut Dice) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.value(&self.whole["components"]["schemas"][name], dice);
        }
        if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.is_empty()) {
            return dice.one(choices).clone();
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).filter(|choices| !choices.is_empty()) {
            return self.value(&dice.one(choices).clone(), dice);
        }
        match schema["type"].as_str() {
            Some("object") => {
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let mut map = Map::new();
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    if required.iter().any(|one| one == name) || dice.below(2) == 0 {
                        map.insert(name.clone(), self.value(property, dice));
                    }
                }
                Value::Object(map)
            }
            Some("array") => Value::Array((0..dice.below(3)).map(|_| self.value(&schema["items"], dice)).collect()),
            Some("integer" | "number") => json!(dice.below(5)),
            Some("boolean") => json!(dice.below(2) == 0),
            Some("string") => json!(dice.one(TEXTS)),
            _ => anything(dice),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().take(2_000).map(one).collect()
}
