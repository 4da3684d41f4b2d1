//! From facts to a cause: what a container's end, or its failure to start, most likely means.

use std::path::Path;

use pillion_fault::{Exit, Fault, Listener};
use pillion_runtime::spec::MountSpec;

use crate::spec::ContainerSpec;

/// What was found around the end of a process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndFacts {
    /// The last lines it printed, newest last.
    pub log_tail: Vec<String>,
    /// It was refused a process by its own limit.
    pub pids_limit_hit: bool,
    /// What listens in the instance now.
    pub listeners: Vec<Listener>,
    /// A path that the log or the command names, which is in the image but under a volume: the path and the mount.
    pub hidden: Option<(String, String)>,
}

/// Returns true for a failed start that the same spec will meet again. A mount may fail for what the host lacks only now.
pub fn hopeless(fault: &Fault) -> bool {
    fault.is_certain() && !matches!(fault, Fault::MountFailed { .. })
}

/// Names the cause of an end that nobody asked for.
pub fn of_end(spec: &ContainerSpec, exit: Exit, after_ms: u64, facts: &EndFacts) -> Fault {
    match exit {
        Exit::Oom { .. } => return Fault::Exited { exit, after_ms },
        Exit::Code { code: 0 } => return Fault::Exited { exit, after_ms },
        Exit::Code { .. } | Exit::Signal { .. } => {}
    }
    if let (true, Some(limit)) = (facts.pids_limit_hit, spec.run.limits.pids) {
        return Fault::PidsLimit { limit };
    }
    if let Some(fault) = port_taken(spec, facts) {
        return fault;
    }
    if let Some(path) = read_only_write(spec, facts) {
        return Fault::ReadOnlyWrite { path };
    }
    if let Some(line) = find(facts, &["no space left on device", "enospc", "disk quota exceeded"]) {
        let path = paths(line).next().unwrap_or("/").to_owned();
        return Fault::DiskFull { path, doing: format!("writing in container {}", spec.run.name) };
    }
    if let (Exit::Code { .. }, Some(fault)) = (&exit, library_missing(spec, facts)) {
        return fault;
    }
    if let Some((path, mount)) = &facts.hidden {
        return Fault::VolumeHidesFiles { path: path.clone(), mount: mount.clone(), volume: volume_at(spec, mount) };
    }
    Fault::Exited { exit, after_ms }
}

/// A failed start seen again with the knowledge of which files the image has.
pub fn of_launch(spec: &ContainerSpec, fault: Fault) -> Fault {
    match &fault {
        Fault::CommandMissing { command, .. } => match hidden_by_mount(spec, command) {
            Some(mount) => Fault::VolumeHidesFiles { path: command.clone(), volume: volume_at(spec, &mount), mount },
            None => fault,
        },
        _ => fault,
    }
}

/// The first path in `lines` that the image has but a volume hides.
pub fn hidden_in(spec: &ContainerSpec, lines: &[String]) -> Option<(String, String)> {
    let missing = ["no such file", "cannot find", "not found", "enoent", "can't open file", "missing"];
    lines
        .iter()
        .rev()
        .filter(|line| missing.iter().any(|words| line.to_ascii_lowercase().contains(words)))
        .flat_map(|line| paths(line))
        .find_map(|path| hidden_by_mount(spec, path).map(|mount| (path.to_owned(), mount)))
}

fn hidden_by_mount(spec: &ContainerSpec, path: &str) -> Option<String> {
    let inside = Path::new(path).strip_prefix("/").ok()?;
    let mount = mounts(spec).find(|mount| Path::new(path).starts_with(mount) && *mount != Path::new("/"))?;
    // Layers are trees that containers write: never follow a link out of one, so only look, component by component.
    let in_image = spec.run.root.layers.iter().rev().any(|layer| present(layer, inside));
    in_image.then(|| mount.display().to_string())
}

fn present(layer: &Path, inside: &Path) -> bool {
    let mut at = layer.to_path_buf();
    for part in inside.components() {
        let std::path::Component::Normal(part) = part else { return false };
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => return at == layer.join(inside),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

fn mounts(spec: &ContainerSpec) -> impl Iterator<Item = &Path> {
    spec.run.mounts.iter().filter_map(|mount| match mount {
        MountSpec::Volume { path, .. } | MountSpec::Host { path, .. } => Some(path.as_path()),
        MountSpec::Tmpfs { path, .. } => Some(path.as_path()),
        MountSpec::File { .. } => None,
    })
}

/// The source's last component: the closest to a volume's name that is known here.
fn volume_at(spec: &ContainerSpec, at: &str) -> String {
    spec.run
        .mounts
        .iter()
        .find_map(|mount| match mount {
            MountSpec::Volume { source, path, .. } | MountSpec::Host { source, path, .. } if path == Path::new(at) => {
                Some(source.file_name()?.to_string_lossy().into_owned())
            }
            MountSpec::Tmpfs { path, .. } if path == Path::new(at) => Some("tmpfs".into()),
            MountSpec::Volume { .. } | MountSpec::Host { .. } | MountSpec::Tmpfs { .. } | MountSpec::File { .. } => None,
        })
        .unwrap_or_else(|| at.into())
}

fn port_taken(spec: &ContainerSpec, facts: &EndFacts) -> Option<Fault> {
    let line = find(facts, &["address already in use", "eaddrinuse", "os error 98", "address in use"]);
    let other = |port: u16| {
        let held = facts.listeners.iter().find(|l| l.address.port() == port && l.container.as_ref() != Some(&spec.run.name))?;
        held.container.clone()
    };
    if let Some(line) = line {
        let named = numbers(line).find_map(|port| other(port).map(|holder| (port, holder)));
        let declared = || spec.port.and_then(|port| other(port).map(|holder| (port, holder)));
        let (port, holder) = named.or_else(declared)?;
        return Some(Fault::PortTaken { port, holder });
    }
    // A program that only says "cannot bind": its declared port in another's hands is reason enough.
    let port = spec.port?;
    other(port).map(|holder| Fault::PortTaken { port, holder })
}

/// What the dynamic linkers of glibc and musl say before the program's first instruction.
fn library_missing(spec: &ContainerSpec, facts: &EndFacts) -> Option<Fault> {
    const GLIBC: &str = ": error while loading shared libraries: ";
    const MUSL: &str = "Error loading shared library ";
    let said = facts.log_tail.iter().rev().find_map(|line| match line.split_once(GLIBC) {
        Some((program, rest)) => Some((program.to_owned(), rest)),
        None => line.strip_prefix(MUSL).map(|rest| {
            let needed = rest.split_once("(needed by ").map(|(_, by)| by.trim_end_matches([')', '.']));
            (needed.or(spec.run.argv.first().map(String::as_str)).unwrap_or_default().to_owned(), rest)
        }),
    });
    let (command, rest) = said?;
    let library = rest.split(':').next()?.trim().to_owned();
    (!library.is_empty() && !library.contains(' ')).then_some(Fault::LibraryMissing { command, library })
}

fn read_only_write(spec: &ContainerSpec, facts: &EndFacts) -> Option<String> {
    let line = find(facts, &["read-only file system", "erofs", "os error 30"])?;
    let fallback = if spec.run.root.read_only { "/" } else { spec.run.cwd.as_str() };
    Some(paths(line).next().unwrap_or(fallback).to_owned())
}

fn find<'a>(facts: &'a EndFacts, words: &[&str]) -> Option<&'a str> {
    facts.log_tail.iter().rev().map(String::as_str).find(|line| {
        let line = line.to_ascii_lowercase();
        words.iter().any(|word| line.contains(word))
    })
}

/// Absolute paths that a line names.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || "'\"`,;()[]=<>".contains(c))
        .map(|word| word.trim_end_matches([':', '.', '!', '?']))
        .filter(|word| word.starts_with('/') && word.len() > 1)
}

fn numbers(line: &str) -> impl Iterator<Item = u16> + '_ {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::container;

    fn facts(line: &str, listeners: &[(u16, &str)]) -> EndFacts {
        EndFacts {
            log_tail: vec!["starting".into(), line.into()],
            listeners: listeners
                .iter()
                .map(|(port, holder)| Listener {
                    address: ([0, 0, 0, 0], *port).into(),
                    container: Some((*holder).into()),
                    process: None,
                })
                .collect(),
            ..EndFacts::default()
        }
    }

    fn cause(spec: &ContainerSpec, facts: &EndFacts) -> Fault {
        of_end(spec, Exit::Code { code: 1 }, 10, facts)
    }

    #[test]
    fn a_port_in_another_containers_hands_names_the_holder() {
        let spec = container("cache2");
        let facts = facts(
            "Warning: Could not create server TCP listening socket *:6379: bind: Address already in use",
            &[(6379, "cache")],
        );
        assert_eq!(cause(&spec, &facts), Fault::PortTaken { port: 6379, holder: "cache".into() });
    }

    #[test]
    fn a_read_only_write_names_the_path() {
        let mut spec = container("web");
        spec.run.root.read_only = true;
        let found = cause(&spec, &facts("OSError: [Errno 30] Read-only file system: '/app/cache.db'", &[]));
        assert_eq!(found, Fault::ReadOnlyWrite { path: "/app/cache.db".into() });
    }

    #[test]
    fn a_full_disk_is_told_from_a_crash() {
        let found = cause(&container("web"), &facts("write /data/x: no space left on device", &[]));
        assert!(matches!(found, Fault::DiskFull { path, .. } if path == "/data/x"));
    }

    #[test]
    fn a_library_that_the_dynamic_linker_misses_is_named() {
        let missing = Fault::LibraryMissing { command: "/app/web".into(), library: "libssl.so.3".into() };
        let glibc = "/app/web: error while loading shared libraries: libssl.so.3: cannot open shared object file: No such file or directory";
        let musl = "Error loading shared library libssl.so.3: No such file or directory (needed by /app/web)";
        for line in [glibc, musl] {
            assert_eq!(cause(&container("web"), &facts(line, &[])), missing);
        }
    }

    #[test]
    fn an_exit_without_further_facts_stays_an_exit() {
        let found = cause(&container("web"), &facts("bye", &[(6379, "cache")]));
        assert_eq!(found, Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 10 });
    }

    #[test]
    fn a_volume_over_the_program_is_named() {
        let layer = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(layer.path().join("app")).expect("made");
        std::fs::write(layer.path().join("app/server"), "").expect("written");
        let mut spec = container("web");
        spec.run.root.layers = vec![layer.path().into()];
        spec.run.mounts =
            vec![MountSpec::Volume { source: "/v/data".into(), sub_path: None, path: "/app".into(), read_only: false }];
        let fault = of_launch(&spec, Fault::CommandMissing { command: "/app/server".into(), searched: vec![] });
        assert_eq!(fault, Fault::VolumeHidesFiles { path: "/app/server".into(), mount: "/app".into(), volume: "data".into() });
        let absent = of_launch(&spec, Fault::CommandMissing { command: "/app/other".into(), searched: vec![] });
        assert!(matches!(absent, Fault::CommandMissing { .. }));
    }
}
