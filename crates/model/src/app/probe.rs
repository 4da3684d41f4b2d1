//! Probes: how a container is asked whether it is well.

use std::fmt;

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    quantity,
    scalar::{Text, Words},
};

/// A probe; in files `none`, or one of `http`, `tcp` and `exec` with the timings beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    #[serde(flatten)]
    pub check: Check,
    /// Seconds between two checks once it has passed; 10 where absent. Before that, checks start 5 ms apart and back off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// Seconds one check may take; 1 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Failures in a row that count as failed; 3 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Seconds a startup may take before it counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// `http: /path` on the container's port, or `{ path, port, statuses: "200-399" }`.
    Http(HttpCheck),
    Tcp(u16),
    Exec(Vec<String>),
    /// No probe at all: running is ready.
    None(bool),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `200-399` where absent; `any` accepts every answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
}

/// Text that names no statuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} names no HTTP statuses; write `any`, or statuses and ranges from 100 to 599 such as \"200-399,401\"")]
pub struct StatusesError {
    given: String,
}

impl HttpCheck {
    /// Returns the good answers as inclusive ranges; an empty list accepts every answer.
    ///
    /// # Errors
    /// [`StatusesError`] where `statuses` has another form.
    pub fn status_ranges(&self) -> Result<Vec<(u16, u16)>, StatusesError> {
        let given = self.statuses.as_deref().unwrap_or("200-399");
        if given.trim() == "any" {
            return Ok(Vec::new());
        }
        let error = || StatusesError { given: given.to_owned() };
        let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(error);
        given
            .split(',')
            .map(|part| {
                let (low, high) = part.split_once('-').unwrap_or((part, part));
                let (low, high) = (status(low)?, status(high)?);
                if low <= high { Ok((low, high)) } else { Err(error()) }
            })
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProbeKeys {
    http: Option<HttpForm>,
    tcp: Option<u16>,
    exec: Option<Words>,
    none: Option<bool>,
    #[serde(default, deserialize_with = "quantity::optional_seconds")]
    interval: Option<f64>,
    #[serde(default, deserialize_with = "quantity::optional_seconds")]
    timeout: Option<f64>,
    failures: Option<u32>,
    #[serde(default, deserialize_with = "quantity::optional_seconds")]
    within: Option<f64>,
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProbeVisitor)
    }
}

struct ProbeVisitor;

impl<'de> Visitor<'de> for ProbeVisitor {
    type Value = Probe;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`none`, or one of { http: PATH }, { tcp: PORT } and { exec: COMMAND }")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Probe, E> {
        if text == "none" {
            return Ok(Probe { check: Check::None(true), interval: None, timeout: None, failures: None, within: None });
        }
        Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Probe, A::Error> {
        let keys = ProbeKeys::deserialize(MapAccessDeserializer::new(map))?;
        let check = match (keys.http, keys.tcp, keys.exec, keys.none) {
            (Some(http), None, None, None) => Check::Http(http.0),
            (None, Some(port), None, None) => Check::Tcp(port),
            (None, None, Some(words), None) => Check::Exec(words.0),
            (None, None, None, Some(true)) => Check::None(true),
            (None, None, None, Some(false)) => {
                return Err(A::Error::custom("`none: false` says nothing; write `none`, `http`, `tcp` or `exec`"));
            }
            (None, None, None, None) => {
                return Err(A::Error::custom("a probe needs one of `http`, `tcp`, `exec` and `none`"));
            }
            (_, _, _, _) => return Err(A::Error::custom("a probe has only one of `http`, `tcp`, `exec` and `none`")),
        };
        let ProbeKeys { interval, timeout, failures, within, .. } = keys;
        Ok(Probe { check, interval, timeout, failures, within })
    }
}

/// `/path`, or the keys.
struct HttpForm(HttpCheck);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpKeys {
    path: String,
    port: Option<u16>,
    statuses: Option<Text>,
    #[serde(default)]
    headers: IndexMap<String, Text>,
}

impl<'de> Deserialize<'de> for HttpForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HttpVisitor).map(HttpForm)
    }
}

struct HttpVisitor;

impl<'de> Visitor<'de> for HttpVisitor {
    type Value = HttpCheck;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path such as /healthz, or { path: PATH, port: PORT, statuses: \"200-399\" }")
    }
    fn visit_str<E: Error>(self, path: &str) -> Result<HttpCheck, E> {
        Ok(HttpCheck { path: path.to_owned(), port: None, statuses: None, headers: IndexMap::new() })
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HttpCheck, A::Error> {
        let HttpKeys { path, port, statuses, headers } = HttpKeys::deserialize(MapAccessDeserializer::new(map))?;
        let headers = headers.into_iter().map(|(name, Text(value))| (name, value)).collect();
        Ok(HttpCheck { path, port, statuses: statuses.map(|text| text.0), headers })
    }
}

impl<'de> Deserialize<'de> for HttpCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HttpForm::deserialize(deserializer).map(|form| form.0)
    }
}
