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
            Exit::Signal { signal, .. } => write!(f, "signal {signal}"),
            Exit::Oom { scope: OomScope::Limit { bytes } } => {
                write!(f, "killed for memory at its limit of {} MiB", bytes / (1 << 20))
            }
            Exit::Oom { scope: OomScope::Host } => write!(f, "killed for memory by the host"),
        }
    }
}
