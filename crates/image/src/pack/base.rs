//! The few files that programs expect of any Linux: users, groups, name lookup, temporary directories.

use std::path::Path;

use super::{
    PackError,
    tree::{Entry, Tree},
};

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";
/// Without it glibc asks services that no image has.
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n";

/// Where distributions keep the bundle, and where most programs look for it.
const BUNDLES: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Adds what the tree does not have yet.
pub(super) fn add(tree: &mut Tree, ca_certificates: bool) -> Result<(), PackError> {
    for (path, content) in [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/nsswitch.conf", NSSWITCH)] {
        tree.put_missing(Path::new(path), Entry::Inline { content: content.into(), mode: 0o644 })?;
    }
    for (path, mode) in [
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
        ("/root", 0o700),
        ("/run", 0o755),
        ("/dev", 0o755),
        ("/proc", 0o555),
        ("/sys", 0o555),
    ] {
        tree.put_missing(Path::new(path), Entry::Directory { mode })?;
    }
    if ca_certificates {
        let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file()).ok_or_else(|| PackError::Unfit {
            path: BUNDLES[0].into(),
            reason: "this host has no certificate authorities there; install ca-certificates",
        })?;
        let source = std::fs::canonicalize(bundle).map_err(|source| PackError::Read { path: bundle.to_owned(), source })?;
        tree.put_missing(Path::new(BUNDLES[0]), Entry::File { source, mode: 0o644 })?;
    }
    Ok(())
}
