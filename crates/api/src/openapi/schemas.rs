//! The JSON schemas of the wire types.

use serde_json::{Value, json};

/// Returns every schema by name.
pub fn all() -> Value {
    json!({
        "Name": { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
        "Done": { "type": "object" },
        "ErrorBody": { "type": "object" },
    })
}
