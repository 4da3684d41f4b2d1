//! Which system calls a container may make.
//!
//! Two stacked filters, because one filter knows one refusal: the first allows what Docker's default profile allows
//! without added capabilities and answers EPERM to the rest; the second answers ENOSYS to calls newer than the list
//! and to clone3(2), so that programs fall back as on an older kernel. Of two refusals the last filter's counts.

mod allowed;

use pillion_fault::Fault;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
    sock_filter,
};

use crate::container::failed;

/// Flags of clone(2) and unshare(2) that make namespaces: user, pid, net, ipc, uts, mount, cgroup.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The compiled filters, ready for the process that is about to exec.
pub(crate) struct Filters {
    allow: BpfProgram,
    newer: BpfProgram,
}

impl Filters {
    pub fn compile() -> Result<Self, Fault> {
        Ok(Self { allow: allow_list().map_err(|e| failed("compiling the seccomp filter", e))?, newer: newer_calls() })
    }

    /// Confines this process for good; needs `no_new_privs`.
    pub fn apply(&self) -> Result<(), seccompiler::Error> {
        apply_filter(&self.allow)?;
        apply_filter(&self.newer)
    }
}

fn allow_list() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        allowed::CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let when = |argument, length, operator, value| {
        SeccompCondition::new(argument, length, operator, value).and_then(|c| SeccompRule::new(vec![c]))
    };
    use {
        SeccompCmpArgLen::{Dword, Qword},
        SeccompCmpOp::{Eq, MaskedEq, Ne},
    };
    // On x86-64 and aarch64 the flags are the first argument.
    rules.insert(libc::SYS_clone, vec![when(0, Qword, MaskedEq(NEW_NAMESPACES), 0)?]);
    // Sockets to the hypervisor are no container's business.
    rules.insert(libc::SYS_socket, vec![when(0, Dword, Ne, libc::AF_VSOCK as u64)?]);
    let domains = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
    let personalities = domains.iter().map(|domain| when(0, Dword, Eq, *domain)).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_personality, personalities);
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?.try_into()
}

/// By hand, as it compares by order: `nr == clone3 || nr > newest known → ENOSYS`.
fn newer_calls() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let newest = allowed::CALLS.iter().copied().max().unwrap_or(0) as u32;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // `struct seccomp_data` begins with the number of the call.
        step(LOAD, 0, 0, 0),
        step(IF_EQUAL, 1, 0, libc::SYS_clone3 as u32),
        step(IF_GREATER, 0, 1, newest),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_compile_and_fit_into_the_kernel() {
        let filters = Filters::compile().expect("filters");
        assert!(filters.allow.len() < 4096, "BPF_MAXINSNS");
        assert_eq!(filters.newer.len(), 5);
    }

    #[test]
    fn calls_that_reach_the_host_are_not_allowed() {
        for call in [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_pivot_root,
            libc::SYS_fsopen,
            libc::SYS_move_mount,
        ] {
            assert!(!allowed::CALLS.contains(&call), "call {call}");
        }
    }
}
