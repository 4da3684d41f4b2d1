//! A request as the resource manager reads it: the resource it names, what comes after, the query, the body.

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method},
};
use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use serde_json::Value;

/// The largest body: a template's.
const MAX_BODY: usize = 4 * 1024 * 1024 + 64 * 1024;
/// Deepest nesting of a JSON body that is looked at; serde_json has its own limit of 128.
const MOST_PARAMETERS: usize = 64;

pub(crate) struct Call {
    pub(crate) method: Method,
    /// The longest id that the path begins with; none at the tenant.
    pub(crate) id: Option<ResourceId>,
    /// What comes after it, lower-case.
    pub(crate) rest: Vec<String>,
    /// As written.
    pub(crate) rest_as_given: Vec<String>,
    /// Names in lower case; decoded twice where they were encoded twice.
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) caller: Caller,
    pub(crate) body: Bytes,
    /// `https://host:port/path` without query, for links to the next page.
    pub(crate) address: String,
}

impl Call {
    pub(crate) async fn read(request: Request<Body>) -> Result<Call, ArmError> {
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| {
            ArmError::new(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        })?;
        let origin = parts.extensions.get::<crate::front::Origin>().map(|origin| origin.0.clone()).unwrap_or_default();
        let path = decoded_path(parts.uri.path())?;
        let (id, rest_as_given) =
            ResourceId::split(&path).map_err(|wrong| ArmError::new(400, "InvalidResourceId", wrong.to_string()))?;
        let rest = rest_as_given.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let query = query(parts.uri.query().unwrap_or_default());
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
            ArmError::new(413, "RequestContentTooLarge", "The request's content is larger than 4 MB or was cut off.")
        })?;
        Ok(Call {
            address: format!("{origin}{}", parts.uri.path()),
            method: parts.method,
            id,
            rest,
            rest_as_given,
            query,
            headers: parts.headers,
            caller,
            body,
        })
    }

    /// Gives what comes after the id as one can match on it.
    pub(crate) fn rest(&self) -> Vec<&str> {
        self.rest.iter().map(String::as_str).collect()
    }

    /// Reads the body as JSON; an empty one is an empty object.
    ///
    /// # Errors
    /// 400 saying where it stops being JSON.
    pub(crate) fn json(&self) -> Result<Value, ArmError> {
        let text = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_slice(text).map_err(|wrong| {
            ArmError::content(format!("The request content was invalid and could not be deserialized: {wrong}."))
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// 405 for a path that does not take this method.
    pub(crate) fn method_not_allowed(&self) -> ArmError {
        ArmError::new(405, "MethodNotAllowed", format!("The path does not support the HTTP method '{}'.", self.method))
    }

    /// 404 for a path that names nothing.
    pub(crate) fn no_such_path(&self) -> ArmError {
        let shown: Vec<&str> = self.rest_as_given.iter().map(String::as_str).collect();
        let what = match &self.id {
            Some(id) if shown.is_empty() => id.type_name(),
            Some(id) => format!("{} with '{}'", id.type_name(), shown.join("/")),
            None => format!("'/{}'", shown.join("/")),
        };
        ArmError::new(404, "InvalidResourceType", format!("There is no resource type or action {what} here."))
    }
}

/// Decodes each segment once. A slash may not hide in one: it would name another resource than it seems to.
fn decoded_path(path: &str) -> Result<String, ArmError> {
    let refused = |why: &str| ArmError::new(400, "InvalidResourceId", format!("The path holds {why}."));
    let mut decoded = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let plain = decode(segment).ok_or_else(|| refused("bytes that are no text"))?;
        if plain.contains('/') {
            return Err(refused("an encoded slash"));
        }
        if plain.contains('%') {
            return Err(refused("a percent sign"));
        }
        decoded.push('/');
        decoded.push_str(&plain);
    }
    Ok(decoded)
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST_PARAMETERS);
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(&name.replace('+', " "))?.to_ascii_lowercase();
            let once = decode(&value.replace('+', " "))?;
            // az encodes a timespan twice.
            let value = if name == "timespan" { decode(&once).unwrap_or(once) } else { once };
            Some((name, value))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok())
            .flatten()
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match hex {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_hides_no_slash() {
        assert_eq!(decoded_path("//subscriptions/s//x%20y/").as_deref(), Ok("/subscriptions/s/x y"));
        for wrong in ["/a%2fb", "/a%252fb", "/%ff"] {
            assert!(decoded_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_read_in_any_case_and_a_timespan_twice() {
        let read = query("API-Version=2024-01-01&$filter=name+eq+'a%20b'&timespan=2026%252F01&broken=%zz&alone");
        assert_eq!(read["api-version"], "2024-01-01");
        assert_eq!(read["$filter"], "name eq 'a b'");
        assert_eq!(read["timespan"], "2026/01");
        assert_eq!(read["broken"], "%zz");
        assert_eq!(read["alone"], "");
    }
}
