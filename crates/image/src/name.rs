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

/// Docker Hub, whose images need no registry in their names.
const HUB: &str = "docker.io";
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || matches!(byte, b'.' | b'-');
    text.len() <= TAG_MAX && text.bytes().next().is_some_and(word) && text.bytes().all(rest)
}

/// `name[:port]`, the name's parts without a hyphen at either end.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let part = |part: &str| !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-');
    name.split('.').all(part) && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower-case words, joined by one dot, one or two underscores, or any hyphens.
fn is_component(text: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let joint = |joint: &[u8]| matches!(joint, b"" | b"." | b"_" | b"__") || joint.iter().all(|byte| *byte == b'-');
    word(first) && word(last) && bytes.split(word).all(joint)
}

impl FromStr for ImageName {
    type Err = NameInvalid;

    // Not by `Reference`'s own parser: compiling its regular expression takes a process 45 ms, which is half a start.
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
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse::<Digest>().map_err(|error| refuse(&error.to_string()))?)),
            None => (text, None),
        };
        // A colon before the last slash is a registry's port.
        let last = named.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match named[last..].split_once(':') {
            Some((component, tag)) => (&named[..last + component.len()], Some(tag)),
            None => (named, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse("its tag is invalid"));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            Some(_) | None => (HUB, path),
        };
        let registry = if registry == "index.docker.io" { HUB } else { registry };
        if !is_host(registry) {
            return Err(refuse(&format!("`{registry}` is an invalid host")));
        }
        if repository.contains(char::is_uppercase) {
            return Err(refuse("a repository's name is written in lowercase"));
        }
        if repository.len() > REPOSITORY_MAX || !repository.split('/').all(is_component) {
            return Err(refuse("its repository is invalid"));
        }
        let official = if registry == HUB && !repository.contains('/') { "library/" } else { "" };
        let (registry, repository) = (registry.to_owned(), format!("{official}{repository}"));
        let reference = match (tag, digest) {
            (None, None) => Reference::with_tag(registry, repository, "latest".to_owned()),
            (Some(tag), None) => Reference::with_tag(registry, repository, tag.to_owned()),
            (None, Some(digest)) => Reference::with_digest(registry, repository, digest.to_string()),
            (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag.to_owned(), digest.to_string()),
        };
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
    fn names_are_read_as_the_specification_reads_them() {
        let digest = Digest::of(b"x");
        let pinned = format!("localhost/a@{digest}");
        for text in [
            "busybox",
            "test.com:tag",
            "test.com:5000",
            "test.com/repo:tag",
            "test:5000/repo",
            "test:5000/repo:tag",
            "lowercase:Upper",
            "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
            "xn--n3h.com/myimage:xn--n3h.com",
            "foo_bar.com:8080",
            "a__b/c.d/e---f:_x",
            "index.docker.io/redis",
            "docker.io/redis",
            "docker.io/a/b",
            "HOST.example/a",
            "opensuse/leap:15.3",
            pinned.as_str(),
        ] {
            let theirs: Reference = text.parse().expect(text);
            assert_eq!(name(text).to_string(), theirs.whole());
            assert_eq!(name(text).registry(), theirs.registry());
        }
        for text in [
            ":x",
            "a//b",
            "/a",
            "a/",
            "a___b",
            "a..b",
            "-a",
            "a-",
            "a._b",
            "a:-x",
            "a:b:c",
            "a:x/b",
            "-a.example/b",
            "a.example:/b",
            "a.example:x/b",
            "a@sha256:12",
            "a@",
            "a.b-/c:d@e",
            "ä",
            "a:ä-\u{1F433}",
        ] {
            assert!(text.parse::<Reference>().is_err() && text.parse::<ImageName>().is_err(), "{text}");
        }
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
