//! The helper role `exec`: starts a further process in a running container, confined like its first.

use std::{
    ffi::OsString,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
};

use pillion_fault::Fault;
use rustix::{
    fs::{Mode, OFlags},
    process::{Gid, Uid},
    thread::{CapabilitySet, CapabilitySets, ThreadNameSpaceType, move_into_thread_name_spaces},
};

use super::{
    create::socket_from_stdin,
    error::failed,
    init,
    wire::{self, ExecRequest, Reply},
};
use crate::{cgroup::Cgroup, oci, rootfs::user, seccomp::Filters};

/// Runs the role; the socket to the supervisor is standard input.
pub(crate) fn role(_arguments: Vec<OsString>) -> ExitCode {
    let Ok(socket) = socket_from_stdin() else { return ExitCode::FAILURE };
    let reply = match wire::receive::<ExecRequest>(&socket) {
        Ok((request, fds)) => match enter_and_fork(&socket, &request, fds) {
            Ok(pid) => Reply::Made { pid },
            Err(fault) => Reply::Failed { fault },
        },
        Err(error) => Reply::Failed { fault: failed("reading the helper's job", error) },
    };
    match wire::send(&socket, &reply, &[]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn enter_and_fork(socket: &UnixStream, request: &ExecRequest, fds: Vec<OwnedFd>) -> Result<i32, Fault> {
    let doing = |doing: &'static str| move |e: rustix::io::Errno| failed(doing, e);
    let mut fds = fds.into_iter();
    let Some(container) = fds.next() else { return Err(failed("entering the container", "no process was named")) };
    let filters = Filters::compile()?;
    // A process of the container could otherwise open this one's memory and executable through its /proc.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(doing("hiding the helper"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::thread::set_thread_groups(&[]).map_err(doing("dropping supplementary groups"))?;
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    Cgroup::at(&request.sandbox.cgroup.join(&request.container.name))
        .and_then(|cgroup| cgroup.add(own))
        .map_err(|e| failed("entering the container's cgroup", e))?;
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    if request.sandbox.ids.is_some() {
        kinds |= ThreadNameSpaceType::USER;
    }
    move_into_thread_name_spaces(container.as_fd(), kinds).map_err(doing("entering the container"))?;

    // SAFETY: the helper is single-threaded, so the child may do what it likes.
    match unsafe { libc::fork() } {
        -1 => Err(failed("making the process", std::io::Error::last_os_error())),
        0 => {
            let fault = match confine(request, fds) {
                Ok(env) => init::run(socket, &request.exec.argv, &env, request.terminal, &filters),
                Err(fault) => fault,
            };
            let _ = wire::send(socket, &Reply::Failed { fault }, &[]);
            init::end(127)
        }
        pid => Ok(pid),
    }
}

/// Gives up, in the child, everything the container's own processes do not have; returns the environment.
fn confine(request: &ExecRequest, stdio: impl Iterator<Item = OwnedFd>) -> Result<Vec<String>, Fault> {
    let doing = |doing: &'static str| move |e: rustix::io::Errno| failed(doing, e);
    rustix::process::setsid().map_err(doing("making a session"))?;
    for (target, fd) in stdio.enumerate() {
        match target {
            0 => rustix::stdio::dup2_stdin(fd),
            1 => rustix::stdio::dup2_stdout(fd),
            _ => rustix::stdio::dup2_stderr(fd),
        }
        .map_err(doing("connecting its streams"))?;
    }
    let ExecRequest { container, exec, .. } = request;
    for (name, soft, hard) in &container.rlimits {
        let Some((resource, soft, hard)) = oci::limited(name, *soft, *hard) else { continue };
        let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
        // SAFETY: setrlimit reads one rlimit through a valid pointer.
        if unsafe { libc::setrlimit(resource, &limit) } != 0 {
            return Err(failed(format!("limiting {name}"), std::io::Error::last_os_error()));
        }
    }
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(doing("opening the root"))?;
    let user = user::look_up(root.as_fd(), exec.user.as_deref().unwrap_or(&container.user), request.sandbox.ids)?;
    let own = |entry: &str| exec.env.iter().any(|e| e.split('=').next() == entry.split('=').next());
    let mut env: Vec<_> = container.env.iter().filter(|entry| !own(entry)).cloned().collect();
    env.extend(exec.env.iter().cloned());
    let env = user.environment(&env, request.terminal.is_some());
    let cwd = exec.cwd.as_deref().unwrap_or(&container.cwd);
    rustix::process::chdir(if cwd.is_empty() { "/" } else { cwd })
        .map_err(|_| Fault::WorkingDirectoryMissing { path: cwd.to_owned() })?;

    let kept = oci::CAPABILITIES.iter().fold(CapabilitySet::empty(), |set, (_, capability)| set | *capability);
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(failed("dropping capabilities", error)),
        }
    }
    rustix::thread::set_keep_capabilities(true).map_err(doing("keeping capabilities"))?;
    let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&groups).map_err(doing("setting its groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(doing("setting its group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(doing("setting its user"))?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(doing("dropping capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(doing("forbidding new privileges"))?;
    Ok(env)
}
