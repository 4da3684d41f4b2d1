//! Long lists in pages: `$top` and `$skiptoken`, with an absolute link to the next one.

use pillion_arm::ArmError;
use serde_json::Value;

use super::{Answer, Call, answer::page};

/// Resources on one page.
const PAGE: usize = 1_000;

/// Gives the page that the call asks for.
///
/// # Errors
/// 400 for a token that this server never gave.
pub(crate) fn paged(call: &Call, all: Vec<Value>) -> Result<Answer, ArmError> {
    let number = |name: &str| match call.parameter(name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
            ArmError::new(400, "InvalidParameter", format!("The value '{text}' of '{name}' is not a number.")).at(name)
        }),
    };
    let from = number("$skiptoken")?.unwrap_or(0);
    let size = number("$top")?.unwrap_or(PAGE).clamp(1, PAGE);
    let total = all.len();
    let mut taken = all;
    let value: Vec<Value> = taken.drain(from.min(total)..from.saturating_add(size).min(total)).collect();
    let next = from.saturating_add(size);
    if next >= total {
        return Ok(page(value, None));
    }
    let mut link = format!("{}?$skiptoken={next}", call.address);
    for name in ["api-version", "$top", "$filter", "$expand", "detailed"] {
        if let Some(text) = call.parameter(name) {
            link.push_str(&format!("&{name}={}", encoded(text)));
        }
    }
    Ok(page(value, Some(link)))
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
