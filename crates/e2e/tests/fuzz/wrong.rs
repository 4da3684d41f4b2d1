//! Values turned wrong: one place of a JSON value is replaced, removed, doubled or made absurd.

use pillion_e2e::Dice;
use serde_json::{Map, Value, json};

/// Text that has broken programs before.
pub const TEXTS: &[&str] = &[
    "",
    " ",
    ".",
    "..",
    "../../etc/passwd",
    "/",
    "//",
    "a/b",
    "\u{0}",
    "\n",
    "\r\nX: y",
    "%00",
    "%2e%2e",
    "é",
    "\u{202e}",
    "💥",
    "NaN",
    "-0",
    "1e999",
    "18446744073709551616",
    "true",
    "null",
    "{}",
    "[]",
    "${HOME}",
    "[parameters('x')]",
    "'; DROP TABLE documents; --",
    "localhost",
    "web",
    "other",
    "cache",
    "shop",
    "main",
    "constructor",
    "__proto__",
    "0x10",
    "１２",
    "any",
    "1Gi",
    "-1Gi",
    "999999999Ti",
];

/// Makes one value out of nothing.
pub fn anything(dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(dice.below(70_000)),
        5 => json!(1.5e300),
        6 => json!([]),
        7 => json!({}),
        8 => json!("x".repeat(1 << dice.below(18))),
        _ => json!(dice.one(TEXTS)),
    }
}

/// Changes one place, chosen by chance.
pub fn change(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(map) if !map.is_empty() && dice.below(8) != 0 => change_object(map, dice),
        Value::Array(list) if !list.is_empty() && dice.below(6) != 0 => {
            let at = dice.below(list.len() as u64) as usize;
            match dice.below(5) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => change(&mut list[at], dice),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            *value = if dice.below(20) == 0 { deep(dice.below(300)) } else { anything(dice) };
        }
    }
}

fn change_object(map: &mut Map<String, Value>, dice: &mut Dice) {
    let keys: Vec<String> = map.keys().cloned().collect();
    let key = dice.one(&keys).clone();
    match dice.below(7) {
        0 => drop(map.remove(&key)),
        1 => drop(map.insert((*dice.one(TEXTS)).to_owned(), anything(dice))),
        2 => {
            let moved = map.remove(&key).unwrap_or_default();
            map.insert(key.to_uppercase(), moved);
        }
        3 => {
            let other = dice.one(&keys).clone();
            let copied = map[&other].clone();
            map.insert(key, copied);
        }
        _ => {
            if let Some(inner) = map.get_mut(&key) {
                change(inner, dice);
            }
        }
    }
}

fn deep(levels: u64) -> Value {
    (0..levels).fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
}
