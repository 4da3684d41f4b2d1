//! The files of `/etc` that all containers of a sandbox share: `hosts`, `resolv.conf`, `hostname`.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{Doing, SandboxError};
use crate::spec::{NetworkSpec, SandboxSpec};

pub(super) fn dir(sandbox: &Path) -> PathBuf {
    sandbox.join("etc")
}

/// Refuses values that would break out of their line in a file.
pub(super) fn check(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let plain =
        |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte));
    let refuse = |what, value: &String| Err(SandboxError::Invalid { what, value: value.clone() });
    if !plain(&spec.hostname) || spec.hostname.len() > 64 {
        return refuse("host name", &spec.hostname);
    }
    if let Some(name) = spec.host_names.iter().find(|name| !plain(name)) {
        return refuse("host name", name);
    }
    match &spec.network {
        NetworkSpec::None => Ok(()),
        NetworkSpec::Bridged { nameservers, search, .. } => match nameservers.iter().chain(search).find(|name| !plain(name)) {
            Some(name) => refuse("name server or search domain", name),
            None => Ok(()),
        },
    }
}

pub(super) fn write(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let dir = dir(&spec.dir);
    fs::create_dir_all(&dir).doing("make the directory", &dir)?;
    // Containers' root is another user outside, and must be able to read.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).doing("set the mode of", &dir)?;
    write_hosts(spec)?;
    rewrite(&dir.join("hostname"), &format!("{}\n", spec.hostname))?;
    rewrite(&dir.join("resolv.conf"), &resolv_conf(&spec.network))
}

pub(super) fn write_hosts(spec: &SandboxSpec) -> Result<(), SandboxError> {
    rewrite(&dir(&spec.dir).join("hosts"), &hosts(spec))
}

fn hosts(spec: &SandboxSpec) -> String {
    let mut names: Vec<&str> = vec![&spec.hostname];
    for name in &spec.host_names {
        if name != "localhost" && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    // A line each: the C library takes the first name of a line for the canonical one.
    for address in ["127.0.0.1", "::1"] {
        for name in &names {
            text.push_str(&format!("{address} {name}\n"));
        }
    }
    text
}

fn resolv_conf(network: &NetworkSpec) -> String {
    match network {
        NetworkSpec::None => String::new(),
        NetworkSpec::Bridged { nameservers, search, .. } => {
            let mut text = String::new();
            if !search.is_empty() {
                text.push_str(&format!("search {}\n", search.join(" ")));
            }
            for server in nameservers {
                text.push_str(&format!("nameserver {server}\n"));
            }
            text
        }
    }
}

/// Writes a file in place: containers have this inode mounted. Cut only after writing, so that a reader never finds
/// it empty.
fn rewrite(path: &Path, text: &str) -> Result<(), SandboxError> {
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))
    };
    write().doing("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            dir: "/nonexistent".into(),
            hostname: "shop".into(),
            ids: None,
            network: NetworkSpec::Bridged {
                bridge: "b0".into(),
                address: [10, 0, 0, 2].into(),
                prefix: 24,
                gateway: [10, 0, 0, 1].into(),
                nameservers: vec!["192.0.2.53".into()],
                search: vec!["corp.example".into(), "lan".into()],
            },
            cgroup: "x".into(),
            host_names: vec!["web".into(), "cache".into(), "web".into(), "localhost".into()],
        }
    }

    #[test]
    fn every_name_resolves_to_both_loopback_addresses_once() {
        assert_eq!(
            hosts(&spec()),
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
             127.0.0.1 shop\n127.0.0.1 web\n127.0.0.1 cache\n::1 shop\n::1 web\n::1 cache\n"
        );
    }

    #[test]
    fn resolv_conf_names_the_search_list_and_the_servers() {
        assert_eq!(resolv_conf(&spec().network), "search corp.example lan\nnameserver 192.0.2.53\n");
        assert_eq!(resolv_conf(&NetworkSpec::None), "");
    }

    #[test]
    fn a_name_that_would_add_a_line_is_refused() {
        let spec = SandboxSpec { host_names: vec!["web\n192.0.2.1 bank".into()], ..spec() };
        assert!(matches!(check(&spec), Err(SandboxError::Invalid { what: "host name", .. })));
    }
}
