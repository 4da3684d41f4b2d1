//! The sandbox of one instance: its namespaces, network, control group and `/etc` files, without any container.
//!
//! ```text
//! supervisor                       helper (re-exec'd, one thread)
//! directories, /etc, cgroup
//! start ─────────────────────────▶ unshare user+net+ipc+uts
//!      ◀───────────────── ready ──
//! id maps, pin ns files, veth
//!      ── go ────────────────────▶ hostname, links, sysctls
//!      ◀────────────────── done ── exit
//! ```
//!
//! What is pinned (`<dir>/ns/*`) outlives both processes, so it belongs to whoever holds the directory and can be
//! removed knowing nothing but the spec, however far the making came.

mod etc;
mod inside;
mod pins;

use std::{
    fs, io,
    io::{BufRead, BufReader, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    cgroup::{Cgroup, CgroupError},
    helper::Launcher,
    network::{self, NetworkError},
    spec::{IdRange, NetworkSpec, SandboxSpec},
};

pub(crate) use inside::role;
pub use pins::Namespace;

/// The name of the helper's role.
pub(crate) const ROLE: &str = "sandbox";

/// How long killed processes may take to go when a sandbox is removed.
const REMOVAL: Duration = Duration::from_secs(10);

/// A sandbox that exists.
#[derive(Debug)]
pub struct Sandbox {
    spec: SandboxSpec,
    cgroup: Cgroup,
    /// The network namespace that this process left by [`Sandbox::enter_net`].
    host_net: Option<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("`{value}` is no {what}")]
    Invalid { what: &'static str, value: String },
    #[error("cannot {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the helper {}", exe.display())]
    Spawn {
        exe: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the helper that makes the namespaces failed: {reason}")]
    Helper { reason: String },
    #[error("the {what} {value} belongs to a sandbox that exists")]
    InUse { what: &'static str, value: String },
    #[error("there is no sandbox in {}", dir.display())]
    Absent { dir: PathBuf },
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

impl Sandbox {
    /// Makes the sandbox; after a failure nothing of it is left but its directory.
    ///
    /// For [`crate::spec::NetworkSpec::Bridged`] the bridge must exist ([`network::ensure_bridge`]), and the calling
    /// thread must be in the host's network namespace.
    pub fn create(launcher: &Launcher, spec: &SandboxSpec) -> Result<Self, SandboxError> {
        etc::check(spec)?;
        // Before anything is made: what is undone after a failure must never be another sandbox's.
        check_free(spec)?;
        match Self::make(launcher, spec) {
            Ok(sandbox) => Ok(sandbox),
            Err(error) => {
                if let Err(left) = take_apart(spec) {
                    tracing::warn!(dir = %spec.dir.display(), error = %left, "a half-made sandbox is left behind");
                }
                Err(error)
            }
        }
    }

    /// Adopts the sandbox in `dir`.
    pub fn open(dir: &Path) -> Result<Self, SandboxError> {
        let absent = || SandboxError::Absent { dir: dir.to_path_buf() };
        let text = fs::read(spec_file(dir)).map_err(|_| absent())?;
        let spec: SandboxSpec = serde_json::from_slice(&text).map_err(|_| absent())?;
        if !pins::is_pinned(&Namespace::Net.pin(dir)) {
            return Err(absent());
        }
        let cgroup = Cgroup::at(&spec.cgroup)?;
        Ok(Self { spec, cgroup, host_net: None })
    }

    pub fn spec(&self) -> &SandboxSpec {
        &self.spec
    }

    pub fn dir(&self) -> &Path {
        &self.spec.dir
    }

    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Returns the file that pins a namespace; none for the user namespace of a sandbox without one.
    pub fn namespace(&self, namespace: Namespace) -> Option<PathBuf> {
        (namespace != Namespace::User || self.spec.ids.is_some()).then(|| namespace.pin(&self.spec.dir))
    }

    /// Returns the file `hosts`, `resolv.conf` or `hostname`, to be mounted into the containers' `/etc`.
    pub fn etc(&self, file: &str) -> PathBuf {
        etc::dir(&self.spec.dir).join(file)
    }

    /// Makes exactly these names resolve to loopback; containers see it at once, since the file stays the same one.
    pub fn set_host_names(&mut self, names: &[String]) -> Result<(), SandboxError> {
        let spec = SandboxSpec { host_names: names.to_vec(), ..self.spec.clone() };
        etc::check(&spec)?;
        etc::write_hosts(&spec)?;
        write_spec(&spec)?;
        self.spec = spec;
        Ok(())
    }

    /// Moves the calling thread, which must be the only one, into the sandbox's network namespace.
    pub fn enter_net(&mut self) -> Result<(), SandboxError> {
        let own = Path::new("/proc/self/ns/net");
        let host = OwnedFd::from(fs::File::open(own).doing("open", own)?);
        let pin = Namespace::Net.pin(&self.spec.dir);
        let netns = fs::File::open(&pin).doing("open", &pin)?;
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(io::Error::from)
            .doing("enter the network namespace", &pin)?;
        self.host_net = Some(host);
        Ok(())
    }

    /// Kills what runs in the sandbox and removes every trace of it: cgroup, mounts, link, directory.
    ///
    /// A thread that entered the network namespace is back in the host's afterwards.
    pub fn remove(self) -> Result<(), SandboxError> {
        if let Some(host) = &self.host_net {
            move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(io::Error::from)
                .doing("leave the network namespace", &self.spec.dir)?;
        }
        remove(&self.spec)
    }

    fn make(launcher: &Launcher, spec: &SandboxSpec) -> Result<Self, SandboxError> {
        pins::prepare(&spec.dir)?;
        etc::write(spec)?;
        let cgroup = Cgroup::create(&spec.cgroup)?;
        let mut helper = Helper::start(launcher, spec)?;
        helper.expect("ready")?;
        if let Some(ids) = spec.ids {
            map_ids(helper.pid(), ids)?;
        }
        pins::pin(&spec.dir, helper.pid(), spec.ids.is_some())?;
        let pin = Namespace::Net.pin(&spec.dir);
        let netns = fs::File::open(&pin).doing("open", &pin)?;
        network::attach(&spec.network, netns.as_fd())?;
        helper.go_on()?;
        helper.expect("done")?;
        network::await_forwarding(&spec.network);
        // Last: its presence says that the sandbox is whole.
        write_spec(spec)?;
        Ok(Self { spec: spec.clone(), cgroup, host_net: None })
    }
}

fn check_free(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let in_use = |what, value: String| Err(SandboxError::InUse { what, value });
    if pins::is_pinned(&Namespace::Net.pin(&spec.dir)) {
        return in_use("directory", spec.dir.display().to_string());
    }
    if !Cgroup::at(&spec.cgroup)?.pids().is_empty() {
        return in_use("control group", spec.cgroup.display().to_string());
    }
    match &spec.network {
        NetworkSpec::Bridged { bridge, address, .. } if network::is_attached(bridge, *address)? => {
            in_use("address", address.to_string())
        }
        NetworkSpec::Bridged { .. } | NetworkSpec::None => Ok(()),
    }
}

/// Removes the sandbox that `spec` describes, or whatever is left of it, with its directory. Idempotent.
pub fn remove(spec: &SandboxSpec) -> Result<(), SandboxError> {
    take_apart(spec)?;
    match fs::remove_dir_all(&spec.dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.doing("remove the directory", &spec.dir),
    }
}

/// Everything of [`remove`] but the directory itself. No mount is left below it: removing its files cannot reach a
/// volume or an image's layer.
fn take_apart(spec: &SandboxSpec) -> Result<(), SandboxError> {
    // Each is tried whatever became of the others: a process that the kernel cannot end must not keep an address.
    let cgroup = Cgroup::at(&spec.cgroup).and_then(|cgroup| cgroup.remove(REMOVAL));
    let mounts = pins::unmount_below(&spec.dir);
    network::detach(&spec.network)?;
    mounts?;
    Ok(cgroup?)
}

fn spec_file(dir: &Path) -> PathBuf {
    dir.join("sandbox.json")
}

fn write_spec(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let (path, next) = (spec_file(&spec.dir), spec.dir.join("sandbox.json.next"));
    let text = serde_json::to_vec(spec).map_err(io::Error::other).doing("write", &path)?;
    fs::write(&next, text).and_then(|()| fs::rename(&next, &path)).doing("write", &path)
}

/// The kernel takes one write per map, from a process that is privileged in the parent namespace.
fn map_ids(pid: u32, ids: IdRange) -> Result<(), SandboxError> {
    for file in ["uid_map", "gid_map"] {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        fs::write(&path, format!("0 {} {}\n", ids.start, ids.len)).doing("write the id map", &path)?;
    }
    Ok(())
}

/// The helper process, spoken to in lines; killed if dropped before its end.
struct Helper {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    stdin: Option<std::process::ChildStdin>,
}

impl Helper {
    fn start(launcher: &Launcher, spec: &SandboxSpec) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Spawn { exe: launcher.exe().to_path_buf(), source };
        let text = serde_json::to_string(spec).map_err(|error| failed(error.into()))?;
        let mut child = launcher.command(ROLE).arg(text).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Self { child, lines: BufReader::new(stdout), stdin: Some(stdin) })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads the helper's next line, which is `word` or the reason of its failure.
    fn expect(&mut self, word: &str) -> Result<(), SandboxError> {
        let mut line = String::new();
        self.lines.read_line(&mut line).map_err(|error| SandboxError::Helper { reason: error.to_string() })?;
        match line.trim() {
            got if got == word => Ok(()),
            "" => Err(SandboxError::Helper { reason: "it ended without a word".into() }),
            reason => Err(SandboxError::Helper { reason: reason.to_owned() }),
        }
    }

    fn go_on(&mut self) -> Result<(), SandboxError> {
        let stdin = self.stdin.take().ok_or(io::ErrorKind::BrokenPipe);
        stdin
            .map_err(io::Error::from)
            .and_then(|mut stdin| stdin.write_all(b"go\n"))
            .map_err(|error| SandboxError::Helper { reason: error.to_string() })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // After "done" it is ending by itself, and a signal would change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds what was tried, and on which path, to an I/O error.
trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, SandboxError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, SandboxError> {
        self.map_err(|source| SandboxError::File { doing, path: path.to_path_buf(), source })
    }
}
