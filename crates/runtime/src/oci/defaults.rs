//! The confinement that every container gets, whatever its image wants.

use libcontainer::oci_spec::runtime::Capability;
use rustix::thread::CapabilitySet;

/// Docker's default set less MKNOD: under a user namespace it would be useless, without one it would be an escape.
///
/// In OCI's names and in the kernel's.
pub(crate) const CAPABILITIES: &[(Capability, CapabilitySet)] = &[
    (Capability::AuditWrite, CapabilitySet::AUDIT_WRITE),
    (Capability::Chown, CapabilitySet::CHOWN),
    (Capability::DacOverride, CapabilitySet::DAC_OVERRIDE),
    (Capability::Fowner, CapabilitySet::FOWNER),
    (Capability::Fsetid, CapabilitySet::FSETID),
    (Capability::Kill, CapabilitySet::KILL),
    (Capability::NetBindService, CapabilitySet::NET_BIND_SERVICE),
    (Capability::NetRaw, CapabilitySet::NET_RAW),
    (Capability::Setfcap, CapabilitySet::SETFCAP),
    (Capability::Setgid, CapabilitySet::SETGID),
    (Capability::Setpcap, CapabilitySet::SETPCAP),
    (Capability::Setuid, CapabilitySet::SETUID),
    (Capability::SysChroot, CapabilitySet::SYS_CHROOT),
];

/// What `/proc` and `/sys` would tell about the host, or let a guest do to it.
pub(super) const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

pub(super) const READ_ONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Returns a resource limit's number and its values lowered to what this process may set: it cannot raise its own.
pub(crate) fn limited(name: &str, soft: u64, hard: u64) -> Option<(u32, u64, u64)> {
    let name = name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
    let resource = match name.as_str() {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    };
    let mut own = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes one rlimit through a valid pointer.
    if unsafe { libc::getrlimit(resource, &mut own) } != 0 {
        return None;
    }
    let hard = hard.min(own.rlim_max);
    Some((resource, soft.min(hard), hard))
}
