//! A server of `up`'s own: started where none runs, and tied to this process unless it is to stay.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::Stdio,
};

use pillion_api::wire::Done;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::SERVER_START;
use crate::{
    client::{Ask, ClientError},
    command::Context,
    complaint::Complaint,
    serve,
};

/// Whose server answers.
pub enum OwnServer {
    /// It was there before.
    Others,
    /// It ends when `_tie` closes, which the kernel sees to even when this process is killed.
    Tied { child: Box<Child>, _tie: ChildStdin },
    /// Started to stay.
    Detached,
}

impl OwnServer {
    pub fn is_own(&self) -> bool {
        matches!(self, OwnServer::Tied { .. })
    }

    /// Says how to end a server that stays.
    pub fn leave(self) {
        if matches!(self, OwnServer::Detached) {
            eprintln!("the server goes on in the background; `pillion system stop` ends it");
        }
    }

    /// Waits until a server of one's own has ended.
    pub async fn ended(self) {
        if let OwnServer::Tied { mut child, _tie } = self {
            drop(_tie);
            if let Err(error) = child.wait().await {
                eprintln!("could not wait for the server: {error}");
            }
        }
    }
}

/// Makes sure that a server answers.
pub async fn ensure(context: &Context, detach: bool) -> Result<OwnServer, Complaint> {
    match context.client.ask::<Done>(Ask::get("/v1/system/ping")).await {
        Ok(Done {}) => return Ok(OwnServer::Others),
        Err(ClientError::Absent { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Complaint::new("no Pillion server is running, and starting one needs root")
            .cause("it makes namespaces, cgroups and network devices, and mounts images for containers")
            .hint("run `sudo pillion up`, or have a server run: `sudo systemctl start pillion`"));
    }
    start(context, detach).await
}

async fn start(context: &Context, detach: bool) -> Result<OwnServer, Complaint> {
    let log_path = context.layout.server_log();
    let failed = |error: &dyn std::error::Error| Complaint::new("could not start a server").because(Some(error));
    let (log, log_start) = open_log(&log_path).map_err(|e| failed(&e))?;
    let exe = std::env::current_exe().map_err(|e| failed(&e))?;
    let mut command = Command::new(exe);
    if let Some(root) = context.layout.root() {
        command.arg("--root").arg(root);
    }
    command.args(["serve", "--announce"]).stdout(Stdio::piped()).stderr(log).current_dir("/");
    // A group of its own: Ctrl-C is for this process, which then stops things in order.
    command.process_group(0);
    command.stdin(if detach { Stdio::null() } else { Stdio::piped() });
    if !detach {
        command.arg("--tied");
    }
    let mut child = command.spawn().map_err(|e| failed(&e))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        match tokio::time::timeout(SERVER_START, stdout.read_line(&mut said)).await {
            Ok(read) => drop(read.map_err(|e| failed(&e))?),
            Err(_) => {
                return Err(Complaint::new(format!("the server did not answer within {} s", SERVER_START.as_secs()))
                    .hint(format!("its log is {}", log_path.display())));
            }
        }
    }
    if said.trim_end() != serve::READY {
        drop(child.stdin.take());
        let _ = child.wait().await;
        return Err(did_not_start(&log_path, log_start));
    }
    match child.stdin.take() {
        Some(tie) => Ok(OwnServer::Tied { child: Box::new(child), _tie: tie }),
        None => Ok(OwnServer::Detached),
    }
}

fn open_log(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let end = log.seek(SeekFrom::End(0))?;
    Ok((log, end))
}

/// What the server said before it gave up, from where its log was when it started.
fn did_not_start(path: &Path, from: u64) -> Complaint {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut log| {
        log.seek(SeekFrom::Start(from))?;
        log.read_to_string(&mut text)
    });
    let complaint = Complaint::new("the server did not start");
    if let Err(error) = read {
        return complaint.cause(format!("its log {} cannot be read: {error}", path.display()));
    }
    let mut complaint = complaint;
    let lines: Vec<&str> = text.lines().collect();
    // It ends with a complaint of its own, `error:` first; without one, its last lines must do.
    let first = lines.iter().rposition(|line| line.starts_with("error: ")).unwrap_or(lines.len().saturating_sub(5));
    for line in &lines[first..] {
        if let Some(hint) = line.strip_prefix("hint: ") {
            complaint = complaint.hint(hint);
        } else {
            let line = line.trim();
            complaint = complaint.cause(line.strip_prefix("error: ").or(line.strip_prefix("because ")).unwrap_or(line));
        }
    }
    complaint
}
