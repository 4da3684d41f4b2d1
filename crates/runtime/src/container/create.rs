//! The helper role `create`: builds a container's root in a mount namespace of its own and has libcontainer start
//! the first process there.
//!
//! Everything that takes the host's root (idmapped layers, overlay, binds of volumes) is mounted here, outside the
//! sandbox's user namespace. The container's mount namespace is a copy that belongs to that user namespace, so the
//! kernel locks those mounts and their flags: the container can neither remove nor loosen them.

use std::{
    ffi::OsString,
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use libcontainer::{container::builder::ContainerBuilder, syscall::syscall::SyscallType};
use pillion_fault::Fault;

use super::{
    error::failed,
    init::Init,
    joining::Joining,
    wire::{self, CreateRequest, Reply},
};
use crate::{
    cgroup::{Cgroup, CgroupError},
    mounts, oci, rootfs, seccomp,
    spec::{ContainerSpec, SandboxSpec},
};

/// Runs the role; the socket to the supervisor is standard input.
pub(crate) fn role(_arguments: Vec<OsString>) -> ExitCode {
    let Ok(socket) = socket_from_stdin() else { return ExitCode::FAILURE };
    // Before the job comes: a helper may be waiting for it with nothing else to do.
    let filters = seccomp::Filters::compile();
    let reply = match wire::receive::<CreateRequest>(&socket) {
        Ok((request, fds)) => match filters.and_then(|filters| create(&socket, &request, fds, Arc::new(filters))) {
            Ok(pid) => Reply::Made { pid },
            Err(fault) => {
                forget(&request);
                Reply::Failed { fault }
            }
        },
        Err(error) => Reply::Failed { fault: failed("reading the helper's job", error) },
    };
    match wire::send(&socket, &reply, &[]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Moves the supervisor's socket from standard input to a close-on-exec descriptor; no other survives an exec either.
pub(super) fn socket_from_stdin() -> std::io::Result<UnixStream> {
    // Whatever a parent of the supervisor forgot to close must not end in a container.
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing, it sets a flag.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

fn create(socket: &UnixStream, request: &CreateRequest, fds: Vec<OwnedFd>, filters: Arc<seccomp::Filters>) -> Result<i32, Fault> {
    let CreateRequest { sandbox, container, terminal } = request;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // A container whose user names no further groups would keep the supervisor's.
    rustix::thread::set_thread_groups(&[]).map_err(|e| failed("dropping supplementary groups", e))?;

    // Before anything is opened: the kernel clones only mounts of the caller's own mount namespace.
    rootfs::enter_private_mounts()?;
    let namespaces = oci::Namespaces::open(sandbox)?;
    let joining = Joining::of(limit(sandbox, container)?);
    let layers = rootfs::open(&container.root, sandbox.ids)?;
    let sources = mounts::open(container, sandbox)?;
    let stage = rootfs::Stage::make(sandbox.ids)?;
    let root = layers.mount(&stage, namespaces.user())?;
    let command = mounts::Command::of(root.as_fd(), container);
    sources.attach(&stage, root.as_fd())?;
    command.check(root.as_fd(), container)?;
    let user = rootfs::user::look_up(root.as_fd(), &container.user, sandbox.ids)?;
    mounts::make_working_directory(root.as_fd(), &container.cwd, sandbox.ids)?;

    mounts::attach_devices(root.as_fd(), container.shm_size, sandbox.ids)?;
    let cgroup = mounts::stage_cgroup(&stage, &sandbox.cgroup.join(&container.name))?;
    let place = oci::Place { root: stage.root(), cgroup: &cgroup, cgroups_path: joining.told() };
    let spec = oci::spec(container, &user, &namespaces, place)?;
    let bundle = stage.bundle();
    spec.save(bundle.join("config.json")).map_err(|e| failed("writing the container's bundle", e))?;

    let init =
        Init::new(socket.as_raw_fd(), &container.argv, user.environment(&container.env, terminal.is_some()), *terminal, filters);
    let mut builder = ContainerBuilder::new(container.name.clone(), SyscallType::default()).with_executor(init);
    let mut fds = fds.into_iter();
    if let (Some(stdin), Some(stdout), Some(stderr)) = (fds.next(), fds.next(), fds.next()) {
        builder = builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr);
    }
    let entered = joining.enter()?;
    let built = builder
        .with_root_path(stage.state())
        .map_err(|e| failed("preparing the container", chain(&e)))?
        .as_init(Path::new(bundle))
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(|e| failed("making the container", chain(&e)))?;
    let pid = built.pid().ok_or_else(|| failed("making the container", "no process was made"))?.as_raw();
    entered.complete(pid)?;
    release(stage.state(), &container.name)?;
    Ok(pid)
}

/// Removes the cgroup of a container that was not made; if that fails, the sandbox's end removes it.
fn forget(request: &CreateRequest) {
    if let Ok(cgroup) = Cgroup::at(&request.sandbox.cgroup.join(&request.container.name)) {
        let _ = cgroup.remove(Duration::from_millis(200));
    }
}

/// Makes the container's cgroup: what it may use, and which devices.
fn limit(sandbox: &SandboxSpec, container: &ContainerSpec) -> Result<Cgroup, Fault> {
    let made = || {
        let cgroup = Cgroup::at(&sandbox.cgroup)?.create_child(&container.name)?;
        cgroup.set_limits(&container.limits)?;
        cgroup.restrict_devices()?;
        Ok(cgroup)
    };
    made().map_err(|e: CgroupError| failed("limiting the container", chain(&e)))
}

/// Lets libcontainer's first process run on into our own [`Init`], which waits for the supervisor itself.
///
/// Its start socket lives in this helper's mount namespace, where the supervisor cannot reach it.
fn release(state: &Path, name: &str) -> Result<(), Fault> {
    UnixStream::connect(state.join(name).join("notify.sock"))
        .map(drop)
        .map_err(|e| failed("starting the container's first process", e))
}

/// An error and its causes in one line; libcontainer keeps the reason in the innermost.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
