//! The role behind `pillion supervise DIR`: from an empty process to a running instance, and back to nothing.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use pillion_runtime::{
    cgroup::{Cgroup, CgroupError},
    helper::Launcher,
    memory,
    sandbox::{Sandbox, SandboxError},
    warden::{Warden, WardenError, spawn_warden},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::LocalSet,
    time::timeout,
};

use crate::{
    CONTROL_SOCKET, GATE_SOCKET, PID_FILE, SPEC_FILE, gate,
    machine::Linux,
    server::{self, Server},
    spec::{InstanceSpec, SpecError},
    supervisor::{Ask, Shared, Supervisor},
    warden,
};

/// What it says on its standard output once its sockets listen; nothing else ever.
pub const UP: &str = "up\n";
/// An instance of which nothing new is known for so long rests.
const QUIET: Duration = Duration::from_secs(1);

/// Why there is no instance.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("usage: supervise DIR")]
    Usage,
    #[error("cannot {doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not an instance's spec", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("the spec cannot be run")]
    Spec(#[from] SpecError),
    #[error("the sandbox cannot be made")]
    Sandbox(#[from] SandboxError),
    #[error("the warden cannot be started")]
    Warden(#[from] WardenError),
    #[error("the control group cannot be named")]
    Cgroup(#[from] CgroupError),
    #[error("the loop cannot be started")]
    Loop(#[source] io::Error),
}

/// Runs one instance in the foreground until it is stopped; `args` are those after the role's name.
///
/// Must be called before the process has a second thread.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match supervise(args.into_iter().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                text = format!("{text}: {next}");
                cause = next.source();
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(args: Vec<OsString>) -> Result<(), RunError> {
    let [dir] = args.as_slice() else { return Err(RunError::Usage) };
    let dir = PathBuf::from(dir);
    let spec_path = dir.join(SPEC_FILE);
    let text = fs::read(&spec_path).doing("read", &spec_path)?;
    let spec: InstanceSpec = serde_json::from_slice(&text).map_err(|source| RunError::Malformed { path: spec_path, source })?;
    drop(text);
    spec.validate()?;
    // Refused to the leader of a process group, which is as far from the starter's signals.
    let _ = rustix::process::setsid();
    fs::create_dir_all(&spec.log_dir).doing("make the directory", &spec.log_dir)?;
    fs::create_dir_all(&spec.sandbox.dir).doing("make the directory", &spec.sandbox.dir)?;

    let launcher = Launcher::default();
    let warden = spawn_warden(&Cgroup::at(&spec.sandbox.cgroup)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Loop)?;
    {
        let _in_the_runtime = runtime.enter();
        if let Err(error) = launcher.make_ready(starting_at_once(&spec)) {
            tracing::warn!(%error, "no helpers could be started ahead");
        }
    }
    let mut sandbox = Sandbox::create(&launcher, &spec.sandbox)?;
    // From here on this process lives where the instance lives: probes and the gate's sockets are plain calls.
    sandbox.enter_net()?;
    LocalSet::new().block_on(&runtime, serve(&dir, spec, launcher, sandbox, warden))
}

/// Counts the containers that wait for no other.
fn starting_at_once(spec: &InstanceSpec) -> usize {
    spec.containers.iter().filter(|container| container.depends_on.is_empty()).count()
}

async fn serve(dir: &Path, spec: InstanceSpec, launcher: Launcher, sandbox: Sandbox, warden: Warden) -> Result<(), RunError> {
    let control_path = dir.join(CONTROL_SOCKET);
    let gate_path = spec.gate.clone().unwrap_or_else(|| dir.join(GATE_SOCKET));
    let pid_path = dir.join(PID_FILE);
    let gate_owner = spec.gate_owner;
    let cgroup = sandbox.cgroup().clone();
    let made = || -> Result<_, RunError> {
        let control = server::bind(&control_path).doing("listen on", &control_path)?;
        let gate = gate::bind(&gate_path, gate_owner).doing("listen on", &gate_path)?;
        fs::write(&pid_path, format!("{}\n", std::process::id())).doing("write", &pid_path)?;
        Ok((control, gate))
    };
    let (control, gate) = match made() {
        Ok(made) => made,
        Err(error) => {
            sandbox.remove()?;
            return Err(error);
        }
    };
    let (supervisor, shared, asks) = Supervisor::new(dir.to_owned(), spec, Rc::new(Linux::new(launcher.clone(), sandbox)))?;
    let gate = tokio::task::spawn_local(gate::run(gate));
    let (dismissed, told_warden) = oneshot::channel();
    let warden = tokio::task::spawn_local(warden::keep(warden, cgroup, told_warden));
    let ends = tokio::task::spawn_local(end_on_signal(asks.clone()));
    let rest = tokio::task::spawn_local(rest(launcher, Rc::clone(&shared)));
    let (over, told) = oneshot::channel();
    let server = tokio::task::spawn_local(Server { listener: control, asks, shared }.run(told));
    say_up().map_err(RunError::Loop)?;

    supervisor.run().await;
    gate.abort();
    ends.abort();
    rest.abort();
    // Both are told by the drop too, should they have ended before.
    let _ = dismissed.send(());
    let _ = warden.await;
    let _ = over.send(());
    let _ = server.await;
    for path in [&control_path, &gate_path, &pid_path] {
        // The engine removes the directory as a whole; a gate may lie elsewhere.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Gives back what a start or a change took, once nothing has happened for a while.
async fn rest(launcher: Launcher, shared: Rc<Shared>) {
    let mut changes = shared.board.subscribe();
    loop {
        // Cancel-safe: a change that comes as the time runs out is seen below.
        while let Ok(changed) = timeout(QUIET, changes.changed()).await {
            if changed.is_err() {
                return;
            }
        }
        launcher.stand_down();
        memory::give_back();
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn say_up() -> io::Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_all(UP.as_bytes()).and_then(|()| stdout.flush()) {
        // Who started us may have gone: the instance lives on.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// SIGTERM, which a host that shuts down sends, stops in order; a hang-up means nothing here.
async fn end_on_signal(asks: mpsc::Sender<Ask>) {
    let (Ok(mut term), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else { return };
    loop {
        // Cancel-safe: a signal is remembered until received.
        tokio::select! {
            _ = hangup.recv() => {}
            _ = term.recv() => {
                let (answer, _) = oneshot::channel();
                let _ = asks.send(Ask::Stop { answer }).await;
            }
        }
    }
}

/// Adds what was tried, and on which path, to an I/O error.
trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RunError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RunError> {
        self.map_err(|source| RunError::File { doing, path: path.to_path_buf(), source })
    }
}
