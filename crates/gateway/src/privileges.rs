//! Giving up every privilege: the gateway parses strangers' bytes, so nothing it could be talked into may matter.

use rustix::{
    io::Errno,
    process::{DumpableBehavior, Gid, Resource, Rlimit, Uid, getrlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets},
};

/// What could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct DropError {
    doing: &'static str,
    source: Errno,
}

fn doing(doing: &'static str) -> impl FnOnce(Errno) -> DropError {
    move |source| DropError { doing, source }
}

/// Becomes `uid`:`gid` for good: no further groups, no capability, no way to gain one, no core dump, no tracer.
///
/// Credentials belong to threads; call this while the process has one.
///
/// # Errors
///
/// The first refusal; the caller must then exit.
pub fn drop_for_good(uid: u32, gid: u32) -> Result<(), DropError> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if rustix::process::geteuid().is_root() {
        rustix::thread::set_thread_groups(&[]).map_err(doing("give up the supplementary groups"))?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(doing("change the group"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(doing("change the user"))?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(doing("give up the capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(doing("set no_new_privs"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(doing("become undumpable"))
}

/// Raises the number of file descriptors to what the host allows and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(1024),
    }
}
