//! The supervisor's side of a start: send the job to a helper, take over the process it made.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use pillion_fault::Fault;
use serde::Serialize;
use tokio::{io::AsyncWriteExt, net::UnixStream, time::timeout};

use super::{
    Running, StartError, Stdio, Terminal,
    running::{Facts, reap},
    spare::Helper,
    wire::{self, CreateRequest, ExecRequest, GO, Reply},
};
use crate::{
    cgroup::{Cgroup, CgroupError},
    helper::Launcher,
    spec::{ContainerSpec, ExecSpec, SandboxSpec},
};

/// The helper role that makes a container.
const CREATE: &str = "create";
/// How long an ended helper's last word is looked for; it is there at once or never.
const LAST_WORD: std::time::Duration = std::time::Duration::from_millis(100);

/// A container whose first process waits, confined, just before its `execve`.
#[derive(Debug)]
pub struct Created {
    socket: UnixStream,
    running: Running,
}

impl Launcher {
    /// Starts helpers that wait for a container to make, a head start for the next calls of [`Launcher::create`].
    ///
    /// Must be called in a runtime. Those that get no container end with this process, or by [`Launcher::stand_down`].
    ///
    /// # Errors
    /// One cannot be started; [`Launcher::create`] does without.
    pub fn make_ready(&self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.spares.add(Helper::start(self.command(CREATE))?);
        }
        Ok(())
    }

    /// Ends the helpers that still wait.
    pub fn stand_down(&self) {
        self.spares.clear();
    }

    /// Makes a container in `sandbox`: root, mounts, cgroup, namespaces, a first process that waits for
    /// [`Created::start`].
    ///
    /// The calling process becomes a child subreaper: the container's processes become its children.
    pub async fn create(&self, sandbox: &SandboxSpec, container: &ContainerSpec, stdio: Stdio) -> Result<Created, StartError> {
        if container.argv.is_empty() {
            // The caller knows which image it was; it fills the name in.
            return Err(Fault::NoCommand { image: String::new() }.into());
        }
        let (terminal, fds) = taken_apart(stdio);
        let request = CreateRequest { sandbox: sandbox.clone(), container: container.clone(), terminal };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let (socket, running) =
            self.make(CREATE, &request, &fds, Facts { sandbox: sandbox.clone(), container: container.clone() }).await?;
        Ok(Created { socket, running })
    }

    /// Starts a further process in a running container, confined like its first.
    pub async fn exec(&self, container: &Running, exec: &ExecSpec, stdio: Stdio) -> Result<Running, StartError> {
        if exec.argv.is_empty() {
            return Err(Fault::NoCommand { image: String::new() }.into());
        }
        let (terminal, stdio) = taken_apart(stdio);
        let facts = container.facts();
        let request =
            ExecRequest { sandbox: facts.sandbox.clone(), container: facts.container.clone(), exec: exec.clone(), terminal };
        let mut fds = vec![container.pidfd()];
        fds.extend(stdio.iter().map(AsFd::as_fd));
        let (mut socket, running) = self.make("exec", &request, &fds, Facts::clone(facts)).await?;
        let _ = socket.write_all(&[GO]).await;
        started(&mut socket, running).await.map_err(|(failure, _)| failure)
    }

    /// Runs a helper until it made a process and ended, so that the process is this one's child.
    async fn make<T: Serialize>(
        &self,
        role: &str,
        request: &T,
        fds: &[BorrowedFd<'_>],
        facts: Facts,
    ) -> Result<(UnixStream, Running), StartError> {
        let spare = if role == CREATE { self.spares.take() } else { None };
        let Helper { mut socket, process: helper } = match spare {
            Some(spare) => spare,
            None => Helper::start(self.command(role)).map_err(StartError::Helper)?,
        };

        let lost = || StartError::Lost { doing: "making the container's process" };
        let talk = async {
            // A helper that failed early has said why although it read nothing.
            let sent = wire::send_async(&mut socket, request, fds).await;
            match wire::receive_async(&mut socket).await.map_err(StartError::Talk)? {
                Some((Reply::Made { pid }, _)) => Ok(pid),
                Some((Reply::Failed { fault }, _)) => Err(fault.into()),
                Some((Reply::Terminal, _)) => Err(lost()),
                None => match sent {
                    Ok(()) => Err(lost()),
                    Err(error) => Err(StartError::Talk(error)),
                },
            }
        };
        let mut talk = Box::pin(talk);
        // Cancel-safe: the talk goes on in the second arm, and waiting for the end takes nothing.
        let made = tokio::select! {
            biased;
            made = &mut talk => made,
            // What it said is in the socket by now. That need not end: what it had half made holds the other end too.
            () = helper.ended() => timeout(LAST_WORD, &mut talk).await.unwrap_or_else(|_| Err(lost())),
        };
        drop(talk);
        let pid = match made {
            Err(StartError::Lost { .. } | StartError::Talk(_)) if role == CREATE => {
                let cgroup = Cgroup::at(&facts.sandbox.cgroup.join(&facts.container.name)).ok();
                report(helper.end_half_made(cgroup).await);
                return Err(lost());
            }
            Err(StartError::Lost { .. } | StartError::Talk(_)) => {
                report(helper.end_half_made(None).await);
                return Err(lost());
            }
            Ok(pid) => {
                helper.reap().await.map_err(StartError::Helper)?;
                pid
            }
            Err(error) => {
                helper.reap().await.map_err(StartError::Helper)?;
                return Err(error);
            }
        };
        let running = Running::new(pid, Arc::new(facts)).map_err(StartError::Watch)?;
        Ok((socket, running))
    }
}

impl Created {
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Lets the process go and returns when its `execve` happened, or why it did not.
    pub async fn start(self) -> Result<Running, StartError> {
        let Created { mut socket, running } = self;
        // If the process is gone already, the answer says so.
        let _ = socket.write_all(&[GO]).await;
        match started(&mut socket, running).await {
            Ok(running) => Ok(running),
            Err((failure, running)) => {
                if let Err(error) = running.remove().await {
                    tracing::warn!(%error, "a container that did not start left its cgroup behind");
                }
                Err(failure)
            }
        }
    }

    /// Gives up a container that was never started, and removes what it left.
    pub async fn discard(self) -> Result<(), CgroupError> {
        let Created { socket, running } = self;
        drop(socket);
        running.end_now().await;
        running.remove().await
    }
}

/// Waits for the end of file that `execve` makes of the close-on-exec socket.
///
/// On failure the process is reaped, and given back for what else it left.
async fn started(socket: &mut UnixStream, mut running: Running) -> Result<Running, (StartError, Running)> {
    let failure = loop {
        match wire::receive_async(socket).await {
            Ok(None) => return Ok(running),
            Ok(Some((Reply::Terminal, fds))) => match fds.into_iter().next() {
                Some(master) => running.set_terminal(Terminal::new(master)),
                None => break StartError::Lost { doing: "handing over the terminal" },
            },
            Ok(Some((Reply::Failed { fault }, _))) => break fault.into(),
            Ok(Some((Reply::Made { .. }, _))) => break StartError::Lost { doing: "starting the program" },
            Err(error) => break StartError::Talk(error),
        }
    };
    reap(&running).await;
    Err((failure, running))
}

fn report(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::warn!(%error, "what a helper had half made is left until the sandbox's end");
    }
}

fn taken_apart(stdio: Stdio) -> (Option<super::TerminalSize>, Vec<OwnedFd>) {
    match stdio {
        Stdio::Given { stdin, stdout, stderr } => (None, vec![stdin, stdout, stderr]),
        Stdio::Terminal(size) => (Some(size), Vec::new()),
    }
}
