//! The BPF program that decides about device access on cgroup v2, where no file does.
//!
//! The kernel calls it with `struct bpf_cgroup_dev_ctx { access_type, major, minor }` (linux/bpf.h) at each open and
//! mknod; 1 allows. libcgroups would need libbpf for it; thirty instructions do not.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use super::devices::Allowed;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const CHARACTER_DEVICE: u32 = 2;

/// One instruction, as the kernel lays it out.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Destination register in the low half, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` needs; shorter than the kernel's, which takes the rest as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The part of `union bpf_attr` that `BPF_PROG_ATTACH` needs.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads the program that allows `allowed` and nothing else.
pub(super) fn load(allowed: &[Allowed]) -> io::Result<OwnedFd> {
    let instructions = assemble(allowed);
    let license = c"Apache-2.0";
    let attributes = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // SAFETY: `attributes` is laid out as the kernel's and points to `instructions` and `license`, alive until the end.
    let result = unsafe { bpf(PROG_LOAD, &attributes) }?;
    // SAFETY: BPF_PROG_LOAD returned a new file descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Attaches the program to a control group, beside what others (systemd) attached: all of them must allow.
pub(super) fn attach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `attributes` is laid out as the kernel's and holds no pointers.
    unsafe { bpf(PROG_ATTACH, &attributes) }.map(|_| ())
}

/// # Safety
/// `attributes` must be a prefix of the `union bpf_attr` of `command`, and its pointers must be valid for it.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: pointer and size describe `attributes`; the caller answers for what it holds.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), mem::size_of::<T>() as libc::c_uint) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn assemble(allowed: &[Allowed]) -> Vec<Instruction> {
    let (context, result, kind, major, minor) = (1, 0, 2, 4, 5);
    let mut program = vec![
        load_word(kind, context, 0),
        and(kind, 0xffff),
        load_word(major, context, 4),
        load_word(minor, context, 8),
        // Over the next two instructions, which deny.
        jump_if_equal(kind, CHARACTER_DEVICE, 2),
        set(result, 0),
        exit(),
    ];
    for device in allowed {
        match device.minor {
            Some(number) => program.extend([jump_unless_equal(major, device.major, 3), jump_unless_equal(minor, number, 2)]),
            None => program.push(jump_unless_equal(major, device.major, 2)),
        }
        program.extend([set(result, 1), exit()]);
    }
    program.extend([set(result, 0), exit()]);
    program
}

fn load_word(to: u8, from: u8, offset: i16) -> Instruction {
    Instruction { code: 0x61, registers: to | from << 4, offset, immediate: 0 }
}

fn and(register: u8, mask: u32) -> Instruction {
    Instruction { code: 0x54, registers: register, offset: 0, immediate: mask as i32 }
}

fn set(register: u8, value: i32) -> Instruction {
    Instruction { code: 0xb7, registers: register, offset: 0, immediate: value }
}

fn jump_if_equal(register: u8, value: u32, over: i16) -> Instruction {
    Instruction { code: 0x15, registers: register, offset: over, immediate: value as i32 }
}

fn jump_unless_equal(register: u8, value: u32, over: i16) -> Instruction {
    Instruction { code: 0x55, registers: register, offset: over, immediate: value as i32 }
}

fn exit() -> Instruction {
    Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::cgroup::devices::ALLOWED;

    /// Runs the program as the kernel would.
    fn allows(program: &[Instruction], context: [u32; 3]) -> bool {
        let (mut registers, mut at) = ([0u64; 11], 0usize);
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let to = usize::from(pair & 0xf);
            let value = immediate as u32 as u64;
            at += 1;
            match code {
                0x61 => registers[to] = u64::from(context[offset as usize / 4]),
                0x54 => registers[to] &= value,
                0xb7 => registers[to] = value,
                0x15 if registers[to] == value => at += offset as usize,
                0x55 if registers[to] != value => at += offset as usize,
                0x15 | 0x55 => {}
                0x95 => return registers[0] == 1,
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    #[test]
    fn harmless_devices_are_allowed_and_all_others_denied() {
        let program = assemble(&ALLOWED);
        let (block, character, read_write) = (1, 2, 6 << 16);
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, 0), (136, 77)] {
            assert!(allows(&program, [read_write | character, major, minor]), "{major}:{minor}");
        }
        for (major, minor) in [(1, 1), (1, 2), (1, 4), (1, 11), (4, 0), (10, 229), (10, 200), (8, 0)] {
            assert!(!allows(&program, [read_write | character, major, minor]), "{major}:{minor}");
            assert!(!allows(&program, [read_write | block, major, minor]), "block {major}:{minor}");
        }
        assert!(!allows(&program, [read_write | block, 1, 3]), "a block device with the numbers of null");
    }

    #[test]
    fn the_kernel_accepts_the_program() {
        let program = load(&ALLOWED).expect("the verifier accepts it");
        assert!(program.as_fd().as_raw_fd() >= 0);
    }
}
