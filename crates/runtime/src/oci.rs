//! What libcontainer is told: the OCI description of one container.

mod defaults;

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{
        Capabilities, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceCgroupBuilder, LinuxNamespace, LinuxNamespaceBuilder,
        LinuxNamespaceType, LinuxResources, LinuxResourcesBuilder, Mount, MountBuilder, PosixRlimit, PosixRlimitBuilder,
        PosixRlimitType, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    },
};
use pillion_fault::Fault;

use crate::{
    container::failed,
    mounts::CgroupView,
    rootfs::user::User,
    spec::{ContainerSpec, SandboxSpec},
};

pub(crate) use defaults::{CAPABILITIES, limited};

/// The sandbox's namespaces, opened while this process may still name them.
///
/// Their files lie below directories that the sandbox's root cannot enter, so they are joined by descriptor.
#[derive(Debug)]
pub(crate) struct Namespaces {
    net: OwnedFd,
    ipc: OwnedFd,
    uts: OwnedFd,
    user: Option<OwnedFd>,
}

impl Namespaces {
    pub fn open(sandbox: &SandboxSpec) -> Result<Self, Fault> {
        let open = |name: &str| {
            let path = sandbox.dir.join("ns").join(name);
            File::open(&path).map(OwnedFd::from).map_err(|e| failed(format!("opening the namespace {}", path.display()), e))
        };
        let user = match sandbox.ids {
            Some(_) => Some(open("user")?),
            None => None,
        };
        Ok(Self { net: open("net")?, ipc: open("ipc")?, uts: open("uts")?, user })
    }

    pub fn user(&self) -> Option<BorrowedFd<'_>> {
        self.user.as_ref().map(AsFd::as_fd)
    }

    fn described(&self) -> Result<Vec<LinuxNamespace>, OciSpecError> {
        let joined = |kind, fd: &OwnedFd| {
            LinuxNamespaceBuilder::default().typ(kind).path(format!("/proc/self/fd/{}", fd.as_raw_fd())).build()
        };
        let own = |kind| LinuxNamespaceBuilder::default().typ(kind).build();
        let mut all = vec![
            joined(LinuxNamespaceType::Network, &self.net)?,
            joined(LinuxNamespaceType::Ipc, &self.ipc)?,
            joined(LinuxNamespaceType::Uts, &self.uts)?,
            own(LinuxNamespaceType::Pid)?,
            own(LinuxNamespaceType::Mount)?,
            own(LinuxNamespaceType::Cgroup)?,
        ];
        if let Some(user) = &self.user {
            all.push(joined(LinuxNamespaceType::User, user)?);
        }
        Ok(all)
    }
}

/// What is mounted already.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    /// The container's root, with its volumes and `/dev`.
    pub root: &'a Path,
    pub cgroup: &'a CgroupView,
    /// Where libcontainer finds the container's control group.
    pub cgroups_path: PathBuf,
}

/// Describes `container`, whose root and own mounts are in place.
pub(crate) fn spec(container: &ContainerSpec, user: &User, namespaces: &Namespaces, place: Place<'_>) -> Result<Spec, Fault> {
    describe(container, user, namespaces, place).map_err(|e| failed("describing the container", e))
}

fn describe(container: &ContainerSpec, user: &User, namespaces: &Namespaces, place: Place<'_>) -> Result<Spec, OciSpecError> {
    let caps: Capabilities = CAPABILITIES.iter().map(|(capability, _)| *capability).collect();
    // Bounding for all; the rest is emptied by the kernel when a user other than root executes the program.
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(caps.clone())
        .effective(caps.clone())
        .permitted(caps)
        .inheritable(Capabilities::default())
        .ambient(Capabilities::default())
        .build()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.groups.clone()).build()?)
        .args(container.argv.clone())
        .env(Vec::<String>::new())
        .cwd(PathBuf::from(&container.cwd))
        .capabilities(capabilities)
        .rlimits(rlimits(&container.rlimits)?)
        .no_new_privileges(true)
        .build()?;
    let linux = LinuxBuilder::default()
        .namespaces(namespaces.described()?)
        .cgroups_path(place.cgroups_path)
        .resources(nothing_yet()?)
        .masked_paths(defaults::MASKED_PATHS.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        .readonly_paths(defaults::READ_ONLY_PATHS.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        .build()?;
    SpecBuilder::default()
        .version("1.0.2")
        .root(RootBuilder::default().path(place.root).readonly(container.root.read_only).build()?)
        .mounts(mounts(place.cgroup)?)
        .process(process)
        .linux(linux)
        .build()
}

/// Limits are set already; libcgroups insists on device rules of its own, which come on top of "none".
fn nothing_yet() -> Result<LinuxResources, OciSpecError> {
    let none = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
    LinuxResourcesBuilder::default().devices(vec![none]).build()
}

/// Unknown names are left out: whoever reads app files checks them.
fn rlimits(wanted: &[(String, u64, u64)]) -> Result<Vec<PosixRlimit>, OciSpecError> {
    let mut all = Vec::new();
    for (name, soft, hard) in wanted {
        let Some((number, soft, hard)) = limited(name, *soft, *hard) else { continue };
        let Some(typ) = rlimit_type(number) else { continue };
        all.push(PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build()?);
    }
    Ok(all)
}

fn rlimit_type(resource: u32) -> Option<PosixRlimitType> {
    Some(match resource {
        libc::RLIMIT_AS => PosixRlimitType::RlimitAs,
        libc::RLIMIT_CORE => PosixRlimitType::RlimitCore,
        libc::RLIMIT_CPU => PosixRlimitType::RlimitCpu,
        libc::RLIMIT_DATA => PosixRlimitType::RlimitData,
        libc::RLIMIT_FSIZE => PosixRlimitType::RlimitFsize,
        libc::RLIMIT_MEMLOCK => PosixRlimitType::RlimitMemlock,
        libc::RLIMIT_MSGQUEUE => PosixRlimitType::RlimitMsgqueue,
        libc::RLIMIT_NICE => PosixRlimitType::RlimitNice,
        libc::RLIMIT_NOFILE => PosixRlimitType::RlimitNofile,
        libc::RLIMIT_NPROC => PosixRlimitType::RlimitNproc,
        libc::RLIMIT_RTPRIO => PosixRlimitType::RlimitRtprio,
        libc::RLIMIT_SIGPENDING => PosixRlimitType::RlimitSigpending,
        libc::RLIMIT_STACK => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

fn mounts(cgroup: &CgroupView) -> Result<Vec<Mount>, OciSpecError> {
    let mount = |path: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(path)
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
            .build()
    };
    let mut all = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])?,
    ];
    let read_only =
        |more: &[&str]| ["ro", "nosuid", "noexec", "nodev"].iter().chain(more).map(|o| (*o).to_owned()).collect::<Vec<_>>();
    match cgroup {
        CgroupView::Staged(source) => {
            let bind = MountBuilder::default().destination("/sys/fs/cgroup").typ("bind").source(source);
            all.push(bind.options(read_only(&["rbind"])).build()?);
        }
        CgroupView::Unified => {
            let unified = MountBuilder::default().destination("/sys/fs/cgroup").typ("cgroup").source("cgroup");
            all.push(unified.options(read_only(&[])).build()?);
        }
        CgroupView::Nothing => {}
    }
    Ok(all)
}
