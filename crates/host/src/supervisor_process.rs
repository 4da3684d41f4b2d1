//! Starting a supervisor and learning that it is up.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    process::Stdio,
};

use pillion_supervisor::{UP, VERB};
use tokio::{io::AsyncReadExt, process::Command};

use crate::instance_dir::InstanceDir;

/// Starts the supervisor of an instance whose spec is written, and waits until its control socket listens.
///
/// The process outlives this one: it makes a session of its own. What it says goes to `supervisor.log` beside the
/// containers' logs.
///
/// # Errors
/// It cannot be started, or ended before it was up; the error carries what it said last.
pub(crate) async fn start(program: &Path, dir: &InstanceDir) -> io::Result<()> {
    let log_file = dir.logs.join("supervisor.log");
    let log = fs::OpenOptions::new().create(true).append(true).open(&log_file)?;
    let mut child = Command::new(program)
        .arg(VERB)
        .arg(&dir.run)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(false)
        .spawn()?;
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        let mut bytes = [0; UP.len()];
        // It says one word or ends: either way this returns.
        if stdout.read_exact(&mut bytes).await.is_ok() {
            said = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    if said == UP {
        // A child that ends later must be reaped for as long as this process is its parent.
        tokio::spawn(async move { child.wait().await });
        return Ok(());
    }
    let status = child.wait().await?;
    Err(io::Error::other(format!("the supervisor ended at once ({status}): {}", last_words(&log_file))))
}

fn last_words(log: &Path) -> String {
    let mut text = String::new();
    let read = fs::File::open(log).and_then(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(_) => text.lines().last().unwrap_or("it said nothing").to_owned(),
        Err(error) => format!("its log {} cannot be read: {error}", log.display()),
    }
}
