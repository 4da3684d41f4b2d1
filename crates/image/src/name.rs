//! The name of an image in a registry: host, repository, tag or digest.

use std::{fmt, net::IpAddr, str::FromStr};

use oci_client::Reference;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// A parsed image name, written in full (`docker.io/library/redis:7`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(Reference);

/// A text that is not an image name, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an image name: {reason}")]
pub struct NameInvalid {
    pub name: String,
    pub reason: String,
}

impl ImageName {
    /// Returns the registry's `host[:port]` as written; `docker.io` where none was.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// Returns the digest the name pins, if it pins one.
    pub fn digest(&self) -> Option<Digest> {
        // Checked by `from_str`.
        self.0.digest().and_then(|digest| digest.parse().ok())
    }

    /// Returns the same repository pinned to `digest`.
    pub(crate) fn pinned(&self, digest: &Digest) -> Reference {
        self.0.clone_with_digest(digest.to_string())
    }

    pub(crate) fn wire(&self) -> &Reference {
        &self.0
    }

    /// Returns true if the registry is this host itself, where plain HTTP is the rule.
    pub fn registry_is_loopback(&self) -> bool {
        is_loopback(self.registry())
    }
}

/// Returns true for `localhost`, 127.0.0.0/8 and ::1, with or without a port.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl FromStr for ImageName {
    type Err = NameInvalid;

    fn from_str(text: &str) -> Result<ImageName, NameInvalid> {
        let refuse = |reason: &str| NameInvalid { name: text.to_owned(), reason: reason.to_owned() };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if let Some(scheme) = ["https://", "http://", "docker://", "oci://"].into_iter().find(|scheme| text.starts_with(scheme)) {
            return Err(refuse(&format!("leave out `{scheme}`")));
        }
        if text.contains(char::is_whitespace) {
            return Err(refuse("it contains a blank"));
        }
        // The host may have capitals; the parser takes a first part that cannot be a host for the repository's, too.
        let (first, rest) = text.split_once('/').unwrap_or(("", text));
        let repository = if first.contains(['.', ':']) || first == "localhost" { rest } else { text };
        if repository.split([':', '@']).next().is_some_and(|repository| repository.contains(char::is_uppercase)) {
            return Err(refuse("a repository's name is written in lowercase"));
        }
        let reference: Reference = text.parse().map_err(|error: oci_client::ParseError| refuse(&error.to_string()))?;
        if let Some(digest) = reference.digest() {
            digest.parse::<Digest>().map_err(|error| refuse(&error.to_string()))?;
        }
        Ok(ImageName(reference))
    }
}

impl TryFrom<String> for ImageName {
    type Error = NameInvalid;

    fn try_from(text: String) -> Result<ImageName, NameInvalid> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> String {
        name.to_string()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ImageName {
        text.parse().expect("a valid name")
    }

    #[test]
    fn a_short_name_is_the_one_of_docker_hub() {
        assert_eq!(name("redis").to_string(), "docker.io/library/redis:latest");
        assert_eq!(name("redis:7").tag(), Some("7"));
        assert_eq!(name("redis").registry(), "docker.io");
    }

    #[test]
    fn registry_port_tag_and_digest_are_told_apart() {
        let digest = Digest::of(b"x");
        let pinned = name(&format!("127.0.0.1:5000/shop/web:1.4@{digest}"));
        assert_eq!((pinned.registry(), pinned.repository()), ("127.0.0.1:5000", "shop/web"));
        assert_eq!((pinned.tag(), pinned.digest()), (Some("1.4"), Some(digest)));
    }

    #[test]
    fn a_name_that_is_none_says_why() {
        for (text, reason) in [
            ("", "empty"),
            ("https://a.example/b", "leave out"),
            ("Shop/Web", "lowercase"),
            ("a b", "blank"),
            ("web:", "invalid"),
        ] {
            let error = text.parse::<ImageName>().expect_err(text);
            assert!(error.reason.contains(reason), "{text}: {}", error.reason);
        }
    }

    #[test]
    fn only_this_host_counts_as_loopback() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1", "127.8.0.1:80", "[::1]:5000"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["docker.io", "localhost.example:5000", "10.0.0.1:5000", "127.0.0.1.example"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
