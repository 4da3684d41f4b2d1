//! The smallest programs there are: they make one system call and exit with its errno.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// The machine numbers of an ELF header.
pub const RISCV: u16 = 243;

#[cfg(target_arch = "x86_64")]
const HERE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const HERE: u16 = 183;

/// Writes a static program that calls `number(argument)` and exits with the errno it got, 0 if it got none.
pub fn write_caller(path: &Path, number: i64, argument: u32) {
    write_elf(path, HERE, &code(number as u32, argument));
}

/// Writes a program for another CPU.
pub fn write_foreign(path: &Path) {
    write_elf(path, RISCV, &[0; 16]);
}

#[cfg(target_arch = "x86_64")]
fn code(number: u32, argument: u32) -> Vec<u8> {
    let mut code = vec![0xbf]; // mov edi, argument
    code.extend(argument.to_le_bytes());
    code.push(0xb8); // mov eax, number
    code.extend(number.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x85, 0xc0]); // test eax, eax
    code.extend([0x79, 0x04]); // jns +4
    code.extend([0xf7, 0xd8]); // neg eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0xb8, 0x3c, 0, 0, 0]); // mov eax, exit
    code.extend([0x0f, 0x05]); // syscall
    code
}

#[cfg(target_arch = "aarch64")]
fn code(number: u32, argument: u32) -> Vec<u8> {
    let movz = |register: u32, value: u32, high: u32| 0x5280_0000 | high << 21 | (value & 0xffff) << 5 | register;
    let movk = |register: u32, value: u32| 0x72a0_0000 | (value & 0xffff) << 5 | register;
    [
        movz(0, argument, 0),
        movk(0, argument >> 16),
        movz(8, number, 0),
        0xd400_0001, // svc 0
        0x7100_001f, // cmp w0, 0
        0x5a80_b3e0, // csneg w0, wzr, w0, lt
        0x5a80_03e0, // neg w0, w0
        movz(8, 93, 0),
        0xd400_0001,
    ]
    .iter()
    .flat_map(|word| word.to_le_bytes())
    .collect()
}

fn write_elf(path: &Path, machine: u16, code: &[u8]) {
    const BASE: u64 = 0x40_0000;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend(2u16.to_le_bytes()); // executable
    elf.extend(machine.to_le_bytes());
    elf.extend(1u32.to_le_bytes());
    elf.extend((BASE + 120).to_le_bytes()); // entry
    elf.extend(64u64.to_le_bytes()); // program headers
    elf.extend(0u64.to_le_bytes());
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let size = 120 + code.len() as u64;
    elf.extend(1u32.to_le_bytes()); // load
    elf.extend(5u32.to_le_bytes()); // read, execute
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    fs::write(path, elf).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable program");
}
