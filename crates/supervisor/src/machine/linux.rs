//! The real machine: the runtime crate's sandbox and containers, and this process's own network namespace.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    rc::Rc,
};

use pillion_fault::{Exit, Fault, Listener};
use pillion_runtime::{
    cgroup::Cgroup,
    container::{self, Running, StartError, Stdio, TerminalSize},
    helper::Launcher,
    listeners::{self, ListeningSocket},
    sandbox::Sandbox,
    spec::{ExecSpec, SandboxSpec},
};

use super::{Asked, Created, ExecStdio, Local, Machine, Output, Process, Usage};
use crate::{probe, spec::ContainerSpec};

/// The supervisor lives in the instance's network namespace, so looking and connecting are plain calls.
pub(crate) struct Linux {
    launcher: Rc<Launcher>,
    sandbox: RefCell<Option<Sandbox>>,
    spec: RefCell<SandboxSpec>,
    /// The last look: while the sockets are the same, so are their holders, and no `/proc/PID/fd` need be searched.
    seen: RefCell<(Vec<ListeningSocket>, Vec<Listener>)>,
}

impl Linux {
    pub(crate) fn new(launcher: Launcher, sandbox: Sandbox) -> Self {
        Self {
            launcher: Rc::new(launcher),
            spec: RefCell::new(sandbox.spec().clone()),
            sandbox: RefCell::new(Some(sandbox)),
            seen: RefCell::default(),
        }
    }
}

impl Machine for Linux {
    fn create<'a>(&'a self, spec: &'a ContainerSpec, output: Output) -> Local<'a, Result<Box<dyn Created>, Fault>> {
        Box::pin(async move {
            let sandbox = self.spec.borrow().clone();
            let stdio = if spec.run.terminal {
                Stdio::Terminal(TerminalSize { columns: 80, rows: 24 })
            } else {
                Stdio::output_only(output.stdout, output.stderr).map_err(|e| failed("opening /dev/null", &e))?
            };
            let made = self.launcher.create(&sandbox, &spec.run, stdio).await.map_err(fault_of)?;
            let cgroup = sandbox.cgroup.join(&spec.run.name);
            Ok(Box::new(Waiting { made, cgroup, launcher: Rc::clone(&self.launcher) }) as Box<dyn Created>)
        })
    }

    fn listeners(&self, containers: &[String]) -> Vec<Listener> {
        let Ok(sockets) = listeners::listening() else { return Vec::new() };
        let seen = &mut *self.seen.borrow_mut();
        // A socket whose holder was not found may have been on its way from parent to child.
        if sockets != seen.0 || seen.1.iter().any(|l| l.container.is_none()) {
            let parent = self.spec.borrow().cgroup.clone();
            let cgroups: Vec<_> =
                containers.iter().filter_map(|name| Some((name.clone(), Cgroup::at(&parent.join(name)).ok()?))).collect();
            *seen = (sockets, listeners::listeners(&cgroups).unwrap_or_default());
        }
        seen.1.clone()
    }

    fn check<'a>(&'a self, process: Rc<dyn Process>, asked: Asked<'a>) -> Local<'a, Result<(), Fault>> {
        Box::pin(probe::run(process, asked))
    }

    fn set_host_names(&self, names: &[String]) -> io::Result<()> {
        self.spec.borrow_mut().host_names = names.to_vec();
        match self.sandbox.borrow_mut().as_mut() {
            Some(sandbox) => sandbox.set_host_names(names).map_err(io::Error::other),
            None => Ok(()),
        }
    }

    fn remove(&self) -> io::Result<()> {
        match self.sandbox.borrow_mut().take() {
            Some(sandbox) => sandbox.remove().map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

struct Waiting {
    made: container::Created,
    cgroup: PathBuf,
    launcher: Rc<Launcher>,
}

impl Created for Waiting {
    fn start(self: Box<Self>) -> Local<'static, Result<Box<dyn Process>, Fault>> {
        Box::pin(async move {
            let mut running = self.made.start().await.map_err(fault_of)?;
            let terminal = Cell::new(running.take_terminal().map(container::Terminal::into_fd));
            Ok(Box::new(Live { running, terminal, cgroup: self.cgroup, launcher: self.launcher }) as Box<dyn Process>)
        })
    }

    fn discard(self: Box<Self>) -> Local<'static, ()> {
        Box::pin(async move {
            if let Err(error) = self.made.discard().await {
                tracing::warn!(%error, "a container that never ran left something behind");
            }
        })
    }
}

struct Live {
    running: Running,
    terminal: Cell<Option<OwnedFd>>,
    cgroup: PathBuf,
    launcher: Rc<Launcher>,
}

impl Process for Live {
    fn pid(&self) -> i32 {
        self.running.pid()
    }

    fn take_terminal(&self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    fn wait(&self) -> Local<'_, Exit> {
        Box::pin(async move {
            match self.running.wait().await {
                Ok(exit) => exit,
                Err(error) => {
                    // Nobody else reaps; if it ever happens the process is gone all the same.
                    tracing::error!(pid = self.pid(), %error, "the end of a container is not known");
                    Exit::Signal { signal: 9, core: false }
                }
            }
        })
    }

    fn signal(&self, signal: i32) {
        let signal = if would_end(self.pid(), signal) { 9 } else { signal };
        if let Err(error) = self.running.kill(signal) {
            tracing::warn!(pid = self.pid(), signal, %error, "a signal was not delivered");
        }
    }

    fn kill_all(&self) {
        self.signal(9);
        if let Err(error) = Cgroup::at(&self.cgroup).and_then(|cgroup| cgroup.kill()) {
            tracing::warn!(cgroup = %self.cgroup.display(), %error, "a container's processes were not killed");
        }
    }

    fn remove(&self) -> Local<'_, ()> {
        Box::pin(async move {
            // Processes that were started beside the first are in its pid namespace and end with it.
            if let Err(error) = self.running.remove().await {
                tracing::warn!(%error, "an ended container left something behind");
            }
        })
    }

    fn exec<'a>(&'a self, exec: &'a ExecSpec, stdio: ExecStdio) -> Local<'a, Result<Box<dyn Process>, Fault>> {
        Box::pin(async move {
            let stdio = match stdio {
                ExecStdio::Given { stdin, stdout, stderr } => Stdio::Given { stdin, stdout, stderr },
                ExecStdio::Terminal { columns, rows } => Stdio::Terminal(TerminalSize { columns, rows }),
            };
            let mut running = self.launcher.exec(&self.running, exec, stdio).await.map_err(fault_of)?;
            let terminal = Cell::new(running.take_terminal().map(container::Terminal::into_fd));
            let (cgroup, launcher) = (self.cgroup.clone(), Rc::clone(&self.launcher));
            Ok(Box::new(Live { running, terminal, cgroup, launcher }) as Box<dyn Process>)
        })
    }

    fn usage(&self) -> Usage {
        let Ok(cgroup) = Cgroup::at(&self.cgroup) else { return Usage::default() };
        let usage = cgroup.usage();
        Usage { memory_bytes: usage.memory, cpu_usec: usage.cpu_usec, pids_refused: usage.pids_refused }
    }
}

/// Whether the signal would simply end an ordinary process, because it neither handles nor ignores nor awaits it.
///
/// The kernel drops such a signal for the first process of a pid namespace (pid_namespaces(7)), which would then run
/// into the end of its grace for nothing: SIGKILL does what the signal means.
fn would_end(pid: i32, signal: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_default(&status, signal))
}

/// Reads that off `/proc/PID/status`.
fn is_default(status: &str, signal: i32) -> bool {
    // SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM: those a container is stopped with, and their default is to end.
    if ![1, 2, 3, 10, 12, 15].contains(&signal) {
        return false;
    }
    let set = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    let bit = 1 << (signal - 1);
    match (set("SigCgt:"), set("SigIgn:"), set("SigBlk:")) {
        // Programs that start others, such as tini, block signals and take them with sigwait(3) or signalfd(2).
        (Some(caught), Some(ignored), Some(blocked)) => (caught | ignored | blocked) & bit == 0,
        (_, _, _) => false,
    }
}

fn failed(doing: &str, error: &dyn std::error::Error) -> Fault {
    Fault::StartFailed { doing: doing.into(), reason: error.to_string() }
}

fn fault_of(error: StartError) -> Fault {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(blocked: u64, ignored: u64, caught: u64) -> String {
        format!("Name:\tapp\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n")
    }

    #[test]
    fn a_signal_that_nothing_waits_for_would_end_the_process() {
        assert!(is_default(&status(0, 0x1000, 0x440), 15));
    }

    #[test]
    fn a_signal_that_is_handled_ignored_or_blocked_to_be_awaited_would_not() {
        let term = 1 << 14;
        for status in [status(term, 0, 0), status(0, term, 0), status(0, 0, term)] {
            assert!(!is_default(&status, 15), "{status}");
        }
    }
}
