//! Starting the gateway's process from `serve`, so that it outlives `serve`.

use std::{ffi::OsStr, io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{Args, role::READY};

const START: Duration = Duration::from_secs(10);

/// Why the gateway was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("cannot start the gateway")]
    Start(#[from] io::Error),
    #[error("the gateway ended at once ({status}); its own words are in its log")]
    Ended { status: std::process::ExitStatus },
    #[error("the gateway was not ready within {START:?}")]
    Slow,
}

/// A gateway process that can be connected to. Dropping this leaves it running.
pub struct Spawned {
    pub pid: u32,
    /// To wait for its end; its death is news only to a `serve` that started it.
    pub child: Child,
}

/// Starts `exe role… <args>` in a session of its own and waits until its control socket can be connected to.
///
/// `role` are the words before the arguments (`["gateway"]`); what the process says of itself goes to `log`.
///
/// # Errors
///
/// [`SpawnError::Ended`] if it refuses to run, for example because another gateway has the socket.
pub async fn spawn(exe: &Path, role: &[&OsStr], args: &Args, log: Stdio) -> Result<Spawned, SpawnError> {
    let mut child = Command::new(exe)
        .args(role)
        .args(args.to_words())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(false)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        match tokio::time::timeout(START, BufReader::new(out).read_line(&mut line)).await {
            Ok(read) => read?,
            Err(_) => {
                child.start_kill()?;
                child.wait().await?;
                return Err(SpawnError::Slow);
            }
        };
    }
    if line.trim_end() == READY { Ok(Spawned { pid, child }) } else { Err(SpawnError::Ended { status: child.wait().await? }) }
}
