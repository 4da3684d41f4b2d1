//! What a plain scalar means: YAML 1.2's core schema (spec §10.3.2), nothing older (`no` and `off` are text).

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

pub(super) fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let based = |prefix, radix| {
        text.strip_prefix(prefix)
            .filter(|digits: &&str| digits.starts_with(|c: char| c.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Scalar::Unsigned(number);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.bytes().any(|b| b.is_ascii_digit()) {
        return Scalar::Text(text);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Scalar::Unsigned(number);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Scalar::Signed(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Scalar::Float(number),
        Ok(_) | Err(_) => Scalar::Text(text),
    }
}
