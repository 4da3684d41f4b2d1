//! Values with a short and a long form: environment values, settings, limits, dependencies.

use std::fmt;

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    Condition,
    scalar::{RAW_TEXT, Text},
};
use crate::ContainerName;

/// An environment value; in files text, a number, `true` or `false`, `{ fromSetting: NAME }` or `{ fromInstance: FACT }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EnvValue {
    Literal(String),
    #[serde(rename_all = "camelCase")]
    FromSetting {
        from_setting: String,
    },
    /// Known only when an instance starts.
    #[serde(rename_all = "camelCase")]
    FromInstance {
        from_instance: InstanceFact,
    },
}

/// What an instance knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceFact {
    /// The instance's id, unique for ever.
    Id,
    /// Its place among the app's instances, from 0.
    Index,
}

/// A setting; in files text, a number, `true` or `false`, or `{ secret: TEXT }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Setting {
    Plain(String),
    /// Encrypted at rest and never shown again.
    Secret {
        secret: String,
    },
}

/// A soft and a hard limit; in files one number where both are the same. `unlimited` is [`u64::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ulimit {
    pub soft: u64,
    pub hard: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FromKeys {
    from_setting: Option<String>,
    from_instance: Option<InstanceFact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretKey {
    secret: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UlimitKeys {
    soft: Limit,
    hard: Limit,
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "text, a number, true or false, { fromSetting: NAME } or { fromInstance: id }";
        let read = short_or_long(
            deserializer,
            expecting,
            |text| Ok(Self::Literal(text)),
            |long: FromKeys| match (long.from_setting, long.from_instance) {
                (Some(from_setting), None) => Ok(Self::FromSetting { from_setting }),
                (None, Some(from_instance)) => Ok(Self::FromInstance { from_instance }),
                (None, None) => Err("missing field `fromSetting`"),
                (Some(_), Some(_)) => Err("a value comes from a setting or from the instance, not from both"),
            },
        )?;
        read.map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "text, a number, true or false, or { secret: TEXT }";
        short_or_long(deserializer, expecting, Self::Plain, |long: SecretKey| Self::Secret { secret: long.secret.0 })
    }
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a number, `unlimited`, or { soft: NUMBER, hard: NUMBER }";
        let read = short_or_long(
            deserializer,
            expecting,
            |text| limit(&text).map(|n| Self { soft: n, hard: n }),
            |long: UlimitKeys| Ok(Self { soft: long.soft.0, hard: long.hard.0 }),
        )?;
        read.map_err(D::Error::custom)
    }
}

struct Limit(u64);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        limit(&text.0).map(Limit).map_err(D::Error::custom)
    }
}

fn limit(text: &str) -> Result<u64, String> {
    match text {
        "unlimited" | "-1" => Ok(u64::MAX),
        number => number.parse().map_err(|_| format!("{number:?} is no limit; write a whole number or `unlimited`")),
    }
}

/// Decodes `dependsOn`: names with conditions, or a list of names.
pub(super) fn depends_on<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<ContainerName, Condition>, D::Error> {
    deserializer.deserialize_any(DependsOnVisitor)
}

struct DependsOnVisitor;

impl<'de> Visitor<'de> for DependsOnVisitor {
    type Value = IndexMap<ContainerName, Condition>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names with conditions such as { cache: healthy }, or a list of names")
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(IndexMap::new())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = IndexMap::new();
        while let Some(name) = list.next_element::<ContainerName>()? {
            all.insert(name, Condition::Started);
        }
        Ok(all)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        IndexMap::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Decodes a scalar with `short`, or keys with `long`.
fn short_or_long<'de, D, T, L>(
    deserializer: D,
    expecting: &'static str,
    short: impl FnOnce(String) -> T,
    long: impl FnOnce(L) -> T,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    L: Deserialize<'de>,
{
    let form = deserializer.deserialize_newtype_struct(RAW_TEXT, FormVisitor { expecting, long: std::marker::PhantomData })?;
    Ok(match form {
        Form::Short(text) => short(text),
        Form::Long(keys) => long(keys),
    })
}

enum Form<L> {
    Short(String),
    Long(L),
}

struct FormVisitor<L> {
    expecting: &'static str,
    long: std::marker::PhantomData<L>,
}

impl<'de, L: Deserialize<'de>> Visitor<'de> for FormVisitor<L> {
    type Value = Form<L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Form::Short(text.to_owned()))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Form::Short(value.to_string()))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Form::Short(value.to_string()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Form::Short(value.to_string()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Form::Short(value.to_string()))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        L::deserialize(MapAccessDeserializer::new(map)).map(Form::Long)
    }
}
