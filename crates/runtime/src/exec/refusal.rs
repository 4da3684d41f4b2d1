//! Why the kernel refused to execute a file that is there.

use std::{fs::File, io::Read, path::Path};

use pillion_fault::Fault;
use rustix::io::Errno;

/// Explains the failed `execve` of `path`, which was asked for as `command`.
pub(super) fn explain(command: &str, path: &Path, error: Errno) -> Fault {
    let command = command.to_owned();
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64 << 10).read_to_end(&mut head));
    match error {
        Errno::NOEXEC => {
            let detail = if read.is_err() { "its format is unknown".to_owned() } else { wrong_format(&head) };
            Fault::CommandWrongFormat { command, detail }
        }
        // The file was there a moment ago: what is missing is the program that should run it.
        Errno::NOENT => match interpreter(&head) {
            Some(interpreter) => Fault::InterpreterMissing { command, interpreter },
            None => Fault::CommandMissing { command, searched: Vec::new() },
        },
        Errno::ACCESS | Errno::PERM => Fault::CommandNotExecutable { command },
        error => Fault::StartFailed { doing: format!("executing `{command}`"), reason: error.to_string() },
    }
}

fn wrong_format(head: &[u8]) -> String {
    let here = std::env::consts::ARCH;
    match elf_machine(head) {
        Some(machine) if machine != here => format!("it is a program for {machine}, this host is {here}"),
        Some(_) => "it is a damaged program file".to_owned(),
        None if head.is_empty() => "it is an empty file".to_owned(),
        None if head.iter().take(512).all(|b| *b >= 0x20 || matches!(b, b'\n' | b'\r' | b'\t')) => {
            "it is a script without a `#!` line".to_owned()
        }
        None => "it is neither a program nor a script".to_owned(),
    }
}

/// The CPU of an ELF file, in Rust's names (elf(5), `e_machine`).
fn elf_machine(head: &[u8]) -> Option<String> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let raw = [*head.get(18)?, *head.get(19)?];
    let machine = if head.get(5) == Some(&2) { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) };
    Some(match machine {
        3 => "x86".to_owned(),
        8 => "mips".to_owned(),
        20 => "powerpc".to_owned(),
        21 => "powerpc64".to_owned(),
        22 => "s390x".to_owned(),
        40 => "arm".to_owned(),
        62 => "x86_64".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv64".to_owned(),
        258 => "loongarch64".to_owned(),
        other => format!("ELF machine {other}"),
    })
}

/// The program that must run this file: a script's `#!`, or an ELF file's PT_INTERP.
fn interpreter(head: &[u8]) -> Option<String> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next()?;
        // A script saved with Windows line ends asks for `/bin/sh\r`; show it.
        let text = String::from_utf8_lossy(line).replace('\r', "\\r");
        return Some(text.split_whitespace().next()?.to_owned());
    }
    if !head.starts_with(b"\x7fELF") || head.get(4) != Some(&2) || head.get(5) != Some(&1) {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| usize::try_from(u64::from_le_bytes(head.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok();
    let (table, size, count) = (u64_at(32)?, usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    for index in 0..count {
        let entry = table.checked_add(index * size).filter(|e| *e < head.len())?;
        if u32_at(entry)? == 3 {
            let (offset, length) = (u64_at(entry + 8)?, u64_at(entry + 32)?);
            let name = head.get(offset..offset.checked_add(length)?)?;
            return Some(String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(name)).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_cpu_is_named() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(64, 0);
        head[18] = 243;
        assert!(wrong_format(&head).contains("riscv64"));
    }

    #[test]
    fn text_without_a_first_line_is_called_a_script() {
        assert!(wrong_format(b"echo hello\n").contains("#!"));
        assert!(wrong_format(b"").contains("empty"));
        assert!(wrong_format(b"\x00\x01binary").contains("neither"));
    }

    #[test]
    fn the_interpreter_of_a_script_and_of_a_program_is_read() {
        assert_eq!(interpreter(b"#! /usr/bin/nothing -x\n"), Some("/usr/bin/nothing".to_owned()));
        assert_eq!(interpreter(b"#!/bin/sh\r\n"), Some("/bin/sh\\r".to_owned()));
        let own = std::fs::read("/bin/sh").expect("a shell");
        assert!(interpreter(&own).is_some_and(|i| i.contains("ld-")), "a dynamic program names its loader");
    }

    #[test]
    fn lies_in_a_program_header_are_survived() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(64, 0xff);
        assert_eq!(interpreter(&head), None);
    }
}
