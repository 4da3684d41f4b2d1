//! Amounts with units: bytes (`128Mi`) and lengths of time (`500ms`).

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// A byte count; in files a number or text such as `128Mi`, `1.5Gi`, `500M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// Text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("{0:?} is no size; write bytes or a unit, such as 128Mi, 1.5Gi or 500M")]
    NoSize(String),
    #[error("{0:?} is more bytes than any machine has")]
    TooLarge(String),
    #[error("{0:?} is no length of time; write seconds or a unit, such as 500ms, 10s or 2m")]
    NoTime(String),
}

const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

const UNITS: [(&str, f64); 14] = [
    ("Ei", (1u64 << 60) as f64),
    ("Pi", (1u64 << 50) as f64),
    ("Ti", (1u64 << 40) as f64),
    ("Gi", (1u64 << 30) as f64),
    ("Mi", (1u64 << 20) as f64),
    ("Ki", (1u64 << 10) as f64),
    ("E", 1e18),
    ("P", 1e15),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("k", 1e3),
    ("K", 1e3),
    ("B", 1.0),
];

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if let Ok(bytes) = text.parse::<u64>() {
            return Ok(Self(bytes));
        }
        // "MiB" and "GB" are as common as "Mi" and "G".
        let short = text.strip_suffix('B').filter(|rest| rest.ends_with(|c: char| c.is_ascii_alphabetic())).unwrap_or(text);
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, factor)| short.strip_suffix(unit).map(|number| (number, *factor)))
            .ok_or_else(|| QuantityError::NoSize(text.to_owned()))?;
        let number = plain_number(number).ok_or_else(|| QuantityError::NoSize(text.to_owned()))?;
        let bytes = number * unit;
        if bytes >= u64::MAX as f64 {
            return Err(QuantityError::TooLarge(text.to_owned()));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = BINARY.iter().find(|(_, shift)| {
            // Beyond 2^53 units the text would lose bits when read back through a float.
            self.0 != 0 && self.0.trailing_zeros() >= *shift && (self.0 >> shift) < (1 << 53)
        });
        match exact {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        if text.ends_with('i') { serializer.serialize_str(&text) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 128Mi")
    }
    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        text.parse().map_err(E::custom)
    }
}

/// Reads a length of time, in seconds: `10`, `0.5`, `500ms`, `10s`, `2m`, `1h`, and sums such as `1m30s`.
///
/// # Errors
/// [`QuantityError::NoTime`] where it is none.
pub fn seconds(text: &str) -> Result<f64, QuantityError> {
    let error = || QuantityError::NoTime(text.to_owned());
    let trimmed = text.trim();
    if let Some(seconds) = plain_number(trimmed) {
        return Ok(seconds);
    }
    let mut sum = 0.0;
    let mut rest = trimmed;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_len);
        let number = plain_number(number).ok_or_else(error)?;
        sum += match unit {
            "ms" => number / 1000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(error()),
        };
        rest = next;
    }
    if trimmed.is_empty() { Err(error()) } else { Ok(sum) }
}

pub(super) fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<Seconds>::deserialize(deserializer).map(|seconds| seconds.map(|seconds| seconds.0))
}

/// Part of a second counts as a whole one: a deadline is never shortened.
pub(super) fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Seconds::deserialize(deserializer).map(|seconds| seconds.0.ceil() as u64)
}

struct Seconds(f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecondsVisitor).map(Seconds)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds, or a length of time such as 500ms")
    }
    fn visit_u64<E: Error>(self, seconds: u64) -> Result<f64, E> {
        Ok(seconds as f64)
    }
    fn visit_f64<E: Error>(self, seconds: f64) -> Result<f64, E> {
        if seconds.is_finite() && seconds >= 0.0 {
            Ok(seconds)
        } else {
            Err(E::custom(format_args!("{seconds} is no length of time")))
        }
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        seconds(text).map_err(E::custom)
    }
}

/// Reads digits with at most one point: no sign, no exponent, no `inf`.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.bytes().any(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_written_by_hand() {
        for (text, bytes) in [
            ("128Mi", 128 << 20),
            ("1.5Gi", 3 << 29),
            ("500M", 500_000_000),
            ("64k", 64_000),
            ("1MiB", 1 << 20),
            ("7", 7),
            ("7B", 7),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "Mi", "-1Mi", "1e3", "12 Mi", "lots", "nanMi", "99999999Ei", "1.2.3M"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_read_as_written_by_hand() {
        for (text, wanted) in [("500ms", 0.5), ("10s", 10.0), ("2m", 120.0), ("1h", 3600.0), ("1m30s", 90.0), ("0.25", 0.25)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "s", "-1s", "10 s", "1d", "5x", "1m30"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
