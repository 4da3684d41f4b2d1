//! What a container's first three descriptors are.

use std::{fs::File, io, os::fd::OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

use super::TerminalSize;

/// Standard input, output and error of a process in a container.
#[derive(Debug)]
pub enum Stdio {
    /// Descriptors of the caller's; the container gets these very files.
    Given { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    /// A pseudo-terminal of the container's own `/dev/pts`, see [`super::Running::take_terminal`].
    Terminal(TerminalSize),
}

/// The caller's ends of three pipes.
#[derive(Debug)]
pub struct Pipes {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Stdio {
    /// Makes three pipes and returns the caller's ends beside the container's.
    pub fn pipes() -> io::Result<(Stdio, Pipes)> {
        let (stdin, their_stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (our_stdout, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (our_stderr, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let ours = Pipes { stdin: their_stdin, stdout: our_stdout, stderr: our_stderr };
        Ok((Stdio::Given { stdin, stdout, stderr }, ours))
    }

    /// Reads nothing, writes to `stdout` and `stderr`.
    pub fn output_only(stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Stdio> {
        Ok(Stdio::Given { stdin: File::open("/dev/null")?.into(), stdout, stderr })
    }

    /// Reads nothing, writes nowhere.
    pub fn null() -> io::Result<Stdio> {
        let open = || File::options().write(true).open("/dev/null").map(OwnedFd::from);
        Self::output_only(open()?, open()?)
    }
}
