//! Becoming a container's program: finding it, resetting what this process was, and saying why it did not start.

mod refusal;

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use pillion_fault::Fault;
use rustix::{
    fs::{Access, AtFlags, CWD},
    io::Errno,
};

use crate::seccomp::Filters;

/// Where programs are looked up if the environment has no PATH; Docker's list.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that exists and may be executed by this process.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    argv: Vec<String>,
}

impl Program {
    /// Finds the program of `argv` as execvp(3) does, with the container's own PATH.
    pub fn find(argv: &[String], env: &[String]) -> Result<Self, Fault> {
        let Some(command) = argv.first() else { return Err(Fault::NoCommand { image: String::new() }) };
        let candidates = candidates(command, env);
        let mut seen = false;
        for path in &candidates {
            if !path.is_file() {
                seen |= path.exists();
                continue;
            }
            seen = true;
            if rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() {
                return Ok(Self { path: path.clone(), argv: argv.to_vec() });
            }
        }
        if seen {
            return Err(Fault::CommandNotExecutable { command: command.clone() });
        }
        let searched = if command.contains('/') {
            Vec::new()
        } else {
            candidates.iter().filter_map(|c| Some(c.parent()?.display().to_string())).collect()
        };
        Err(Fault::CommandMissing { command: command.clone(), searched })
    }

    /// Replaces this process by the program; returns only if that failed, and why.
    ///
    /// The seccomp filters come last: nothing of ours but `execve` and the report of its failure runs under them.
    pub fn become_it(&self, env: &[String], filters: &Filters) -> Fault {
        let failed = |doing: &str, reason: String| Fault::StartFailed { doing: doing.to_owned(), reason };
        let (Ok(path), Ok(argv), Ok(env)) =
            (CString::new(self.path.as_os_str().as_bytes()), c_strings(&self.argv), c_strings(env))
        else {
            return failed("starting the program", "a NUL byte in its arguments or environment".to_owned());
        };
        reset_signals();
        if let Err(error) = filters.apply() {
            return failed("confining the program", error.to_string());
        }
        let mut argv: Vec<_> = argv.iter().map(|a| a.as_ptr()).collect();
        let mut env: Vec<_> = env.iter().map(|e| e.as_ptr()).collect();
        argv.push(std::ptr::null());
        env.push(std::ptr::null());
        // SAFETY: three NUL-terminated arrays of NUL-terminated strings that live until the call returns.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        let error = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
        refusal::explain(&self.argv[0], &self.path, error)
    }
}

/// Where `command` may be, in the order in which it is looked for.
pub(crate) fn candidates(command: &str, env: &[String]) -> Vec<PathBuf> {
    if command.contains('/') {
        return vec![PathBuf::from(command)];
    }
    let path = env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).filter(|p| !p.is_empty());
    path.unwrap_or(DEFAULT_PATH).split(':').map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(command)).collect()
}

fn c_strings(strings: &[String]) -> Result<Vec<CString>, std::ffi::NulError> {
    strings.iter().map(|s| CString::new(s.as_bytes())).collect()
}

/// Gives every signal its default disposition and blocks none: `execve` keeps what is ignored or blocked, and Rust
/// ignores SIGPIPE.
fn reset_signals() {
    /// Bytes of the kernel's signal set: 64 signals.
    const SET: usize = 8;
    // All zero is SIG_DFL without flags, in the layout of every architecture.
    let default = [0u64; 8];
    let none = [0u64; 1];
    for signal in 1..=64 {
        // By raw call: libc refuses the two signals it uses itself, which may be ignored as well.
        // SAFETY: the kernel reads a sigaction, which is shorter than the zeroes, and writes nothing.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &default, std::ptr::null_mut::<u64>(), SET) };
    }
    // SAFETY: the kernel reads a signal set of the size given and writes nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &none, std::ptr::null_mut::<u64>(), SET) };
}
