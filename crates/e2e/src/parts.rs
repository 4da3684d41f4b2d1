//! Where the real components are: programs of the system, of the Python index, and our own that were built.

use std::path::{Path, PathBuf};

/// A component that Pillion is tested with; `cargo xtask` installs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Debian's `docker-registry`.
    Registry,
    /// Debian's `redis-server`.
    Redis,
    /// Debian's `nginx`, as the proxy that has the TLS.
    Nginx,
    /// Debian's `htpasswd`, of `apache2-utils`.
    Htpasswd,
    /// The OTLP collector `rotel` of the Python index.
    Rotel,
    /// The Azure CLI of the Python index, in an environment of its own; the SDK's `azure-mgmt-web` comes with it.
    Az,
    /// The Python of that environment.
    AzPython,
}

impl Part {
    /// Returns where it is expected.
    pub fn path(self) -> PathBuf {
        match self {
            Part::Registry => "/usr/bin/docker-registry".into(),
            Part::Redis => "/usr/bin/redis-server".into(),
            Part::Nginx => "/usr/sbin/nginx".into(),
            Part::Htpasswd => "/usr/bin/htpasswd".into(),
            Part::Rotel => workspace().join("target/parts/rotel/rotel/rotel-agent"),
            Part::Az => workspace().join("target/parts/az/bin/az"),
            Part::AzPython => workspace().join("target/parts/az/bin/python"),
        }
    }
}

/// Returns a component's program.
///
/// # Panics
/// It is not installed.
pub fn part(part: Part) -> PathBuf {
    let path = part.path();
    assert!(path.exists(), "{} is missing; `cargo xtask setup` installs it", path.display());
    path
}

/// Returns one of our own programs, built in the same profile as the one that runs.
///
/// # Panics
/// It was not built.
pub fn built(program: &str) -> PathBuf {
    // A test is in target/<profile>/deps, xtask itself in target/<profile>.
    let own = std::env::current_exe().expect("a running program has a path");
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not built beside {}; `cargo build --workspace --bins` does it", own.display()))
}

/// Returns the root of the checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/"))
}
