//! Checked names. Each is a DNS label (RFC 1123): 1–63 characters a–z, 0–9 and inner hyphens.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a valid {what}: {rule}")]
pub struct NameError {
    pub what: &'static str,
    pub given: String,
    pub rule: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $ty:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $ty(String);

        impl $ty {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $ty {
            type Err = NameError;
            fn from_str(given: &str) -> Result<Self, NameError> {
                check($what, given).map(|()| Self(given.to_owned()))
            }
        }
        impl TryFrom<String> for $ty {
            type Error = NameError;
            fn try_from(given: String) -> Result<Self, NameError> {
                check($what, &given).map(|()| Self(given))
            }
        }
        impl From<$ty> for String {
            fn from(name: $ty) -> String {
                name.0
            }
        }
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $ty {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $ty {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of an app.
    AppName, "app name";
    /// The name of a container within its app; also its host name inside the instance.
    ContainerName, "container name";
    /// The name of a volume within its app.
    VolumeName, "volume name";
    /// The id of an instance: `<app>-<revision>-<6 letters or digits>`, unique on the machine for ever.
    InstanceId, "instance id";
}

fn check(what: &'static str, given: &str) -> Result<(), NameError> {
    let rule = "use 1 to 63 characters a-z, 0-9 and hyphens, with a letter or digit first and last";
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = given.as_bytes();
    let ok = (1..=63).contains(&bytes.len())
        && bytes.iter().all(|&b| inner(b) || b == b'-')
        && inner(bytes[0])
        && inner(bytes[bytes.len() - 1]);
    if ok { Ok(()) } else { Err(NameError { what, given: given.to_owned(), rule }) }
}
