//! How a process ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a container's first process, exactly as the kernel told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Exit {
    /// It returned or called `exit(2)`.
    Code { code: i32 },
    /// A signal ended it; `core` says whether the kernel dumped core.
    Signal { signal: i32, core: bool },
    /// The kernel killed it for memory; told apart from a plain SIGKILL by the cgroup's event counters.
    Oom { scope: OomScope },
}

/// Whose memory ran out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "scope")]
pub enum OomScope {
    /// The container's own limit, in bytes.
    Limit { bytes: u64 },
    /// The host's memory (or a cgroup above the container's).
    Host,
}

impl Exit {
    /// Returns true for exit code 0 and nothing else.
    pub fn success(&self) -> bool {
        matches!(self, Exit::Code { code: 0 })
    }

    /// Returns the code a shell would report: the exit code, or 128 plus the signal.
    pub fn shell_code(&self) -> i32 {
        match self {
            Exit::Code { code } => *code,
            Exit::Signal { signal, .. } => 128 + signal,
            Exit::Oom { .. } => 137,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code { code } => write!(f, "exit code {code}"),
            Exit::Signal { signal, core } => {
                match signal_name(*signal) {
                    Some(name) => write!(f, "signal {signal} ({name})")?,
                    None => write!(f, "signal {signal}")?,
                }
                f.write_str(if *core { " with a core dump" } else { "" })
            }
            Exit::Oom { scope: OomScope::Limit { bytes } } => {
                write!(f, "killed for memory at its limit of {}", size(*bytes))
            }
            Exit::Oom { scope: OomScope::Host } => write!(f, "killed because the host ran out of memory"),
        }
    }
}

/// Returns a byte count as the app file writes it: in the largest binary unit that loses nothing.
pub(crate) fn size(bytes: u64) -> String {
    for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Returns the name of a standard signal, by the numbers of x86-64 and arm64 (signal(7)).
fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(signal).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}
