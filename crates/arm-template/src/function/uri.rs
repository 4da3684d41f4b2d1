//! Functions of addresses.

use serde_json::{Value, json};

use super::{Arguments, Function, value};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] = &[
    value("uri", 2, 2, |args| {
        let (base, relative) = (args.text(0)?, args.text(1)?);
        resolve(base, relative)
            .map(Value::String)
            .ok_or_else(|| args.refuse(format!("is given '{}', which is not an absolute address", args.show_text(base))))
    }),
    value("uriComponent", 1, 1, |args| Ok(Value::String(escape(args.text(0)?)))),
    value("uriComponentToString", 1, 1, |args| {
        unescape(args.text(0)?).map(Value::String).ok_or_else(|| args.refuse("is given escapes that are not UTF-8"))
    }),
    value("parseUri", 1, 1, parse),
    value("buildUri", 1, 1, build),
];

/// Escapes everything but letters, digits and `-_.~`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// Undoes escapes; what is no escape stays as it is.
pub(super) fn unescape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = escaped
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).ok()
}

/// An address in its parts; the path begins with a slash or is empty.
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

fn parts(address: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = address.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let rest = rest.split('#').next().unwrap_or_default();
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = before.find('/').map_or((before, ""), |at| before.split_at(at));
    (is_scheme && !authority.is_empty()).then_some(Parts { scheme, authority, path, query })
}

/// Resolves an address against another, as browsers do.
pub(crate) fn resolve(base: &str, relative: &str) -> Option<String> {
    let base = parts(base)?;
    if parts(relative).is_some() {
        return Some(relative.to_owned());
    }
    if let Some(rest) = relative.strip_prefix("//") {
        return Some(format!("{}://{rest}", base.scheme));
    }
    let (path, tail) = relative.find(['?', '#']).map_or((relative, ""), |at| relative.split_at(at));
    let joined = match path {
        "" => base.path.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        path => format!("{}/{path}", base.path.rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    Some(format!("{}://{}{}{tail}", base.scheme, base.authority, without_dots(&joined)))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn parse(args: &Arguments<'_>) -> Result<Value> {
    let address = args.text(0)?;
    let parts = parts(address)
        .ok_or_else(|| args.refuse(format!("is given '{}', which is not an absolute address", args.show_text(address))))?;
    let host = parts.authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    let path = if parts.path.is_empty() { "/" } else { parts.path };
    let query = if parts.query.is_empty() { String::new() } else { format!("?{}", parts.query) };
    Ok(json!({ "scheme": parts.scheme.to_lowercase(), "host": host.to_lowercase(), "port": port, "path": path, "query": query }))
}

fn build(args: &Arguments<'_>) -> Result<Value> {
    let given = args.object(0)?;
    let part = |name: &str| super::member(given, name).and_then(Value::as_str).unwrap_or_default();
    let (scheme, host) = (part("scheme"), part("host"));
    if scheme.is_empty() || host.is_empty() {
        return Err(args.refuse("needs a 'scheme' and a 'host'"));
    }
    let port = super::member(given, "port").and_then(Value::as_u64).map(|port| format!(":{port}")).unwrap_or_default();
    let (path, query) = (part("path"), part("query").trim_start_matches('?'));
    let slash = if path.starts_with('/') { "" } else { "/" };
    let question = if query.is_empty() { "" } else { "?" };
    Ok(Value::String(format!("{scheme}://{host}{port}{slash}{path}{question}{query}")))
}
