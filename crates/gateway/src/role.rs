//! The gateway's process: set up as root, drop every privilege, serve until told to end.

use std::{
    ffi::OsString,
    fs::Permissions,
    io::{self, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

use crate::{
    Args,
    access_log::{AccessLog, LogFile},
    control::Control,
    privileges,
    state::Gateway,
    workers::Workers,
};

/// Grace for requests under way when a signal, not `serve`, ends the process.
const SIGNAL_GRACE: Duration = Duration::from_secs(10);
/// The line on stdout that tells [`crate::spawn`] that the control socket can be connected to.
pub(crate) const READY: &str = "ready";

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("another gateway answers at {0}")]
    Another(PathBuf),
    #[error("cannot {doing} {path}")]
    Path { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot give up privileges")]
    Privileges(#[from] privileges::DropError),
    #[error("cannot {doing}")]
    System { doing: &'static str, source: io::Error },
}

/// Runs the gateway with the arguments behind `pillion gateway` until it is told to end.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(std::iter::once(OsString::from("gateway")).chain(args)) {
        Ok(args) => args,
        Err(usage) => {
            // Nobody reads it if this fails.
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    // Fails if the door has set one up already.
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PILLION_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .log_internal_errors(false)
        .try_init();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(failure = &failure as &dyn std::error::Error, "the gateway cannot run");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> Result<(), RunError> {
    // Fails for a group leader, which is detached enough.
    let _ = rustix::process::setsid();
    let descriptors = privileges::raise_descriptor_limit();
    // Asked before the drop: afterwards /proc/self belongs to root and the CPU quota cannot be read.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let control = bind(&args.control)?;
    let log = args.access_log.as_deref().map(|path| open_log(path, args)).transpose();
    privileges::drop_for_good(args.uid, args.gid)?;

    let mut limits = args.limits();
    // Each client may need a connection of its own to an instance.
    limits.connections = limits.connections.min(usize::try_from(descriptors / 3).unwrap_or(usize::MAX)).max(1);
    let (log, writer, unlogged) = match log {
        Ok(Some(file)) => {
            let (log, writer) =
                AccessLog::start(file).map_err(|source| RunError::System { doing: "start the access log", source })?;
            (log, Some(writer), None)
        }
        Ok(None) => (AccessLog::none(), None, None),
        // Sites are worth more than lines about them.
        Err(reason) => {
            tracing::error!("requests are not logged: {reason}");
            (AccessLog::none(), None, Some(reason))
        }
    };
    let workers = Workers::start(workers).map_err(|source| RunError::System { doing: "start the workers", source })?;
    let gateway = Gateway::new(limits, args.trusted_proxies.clone(), log, unlogged, workers);
    // Accepts, listens to `serve` and keeps stocks filled; requests run on the workers.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| RunError::System { doing: "start the runtime", source })?;
    let outcome = runtime.block_on(serve(gateway.clone(), control));
    gateway.workers.end();
    drop(runtime);
    if let Some(writer) = writer {
        writer.stop();
    }
    outcome
}

async fn serve(gateway: Arc<Gateway>, control: UnixListener) -> Result<(), RunError> {
    let system = |doing: &'static str| move |source| RunError::System { doing, source };
    control.set_nonblocking(true).map_err(system("use the control socket"))?;
    let control = tokio::net::UnixListener::from_std(control).map_err(system("use the control socket"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("watch for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("watch for signals"))?;
    let (ends, mut end) = mpsc::channel(1);
    let steering = Control::new(gateway.clone(), ends);
    let conversing = tokio::spawn(steering.clone().run(control));
    let sweeping = tokio::spawn(gateway.clone().close_idle());
    announce();
    // All arms only wait.
    let grace = tokio::select! {
        deadline = end.recv() => deadline.unwrap_or(SIGNAL_GRACE),
        _ = terminate.recv() => SIGNAL_GRACE,
        _ = interrupt.recv() => SIGNAL_GRACE,
    };
    // The order of the end: no new connections, requests under way finish, then whatever is left is cut.
    steering.stop();
    let deadline = Instant::now() + grace;
    while gateway.open_connections() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cut = gateway.open_connections();
    if cut > 0 {
        tracing::warn!(cut, "the deadline passed; connections are cut");
    }
    sweeping.abort();
    conversing.abort();
    Ok(())
}

fn bind(path: &Path) -> Result<UnixListener, RunError> {
    let at = |doing: &'static str| move |source| RunError::Path { doing, path: path.to_owned(), source };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(RunError::Another(path.to_owned()));
    }
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => {}
        Err(failure) => return Err(at("remove the stale socket")(failure)),
    }
    let socket = UnixListener::bind(path).map_err(at("listen at"))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(at("restrict"))?;
    Ok(socket)
}

/// Opens the access log, or says why there will be none.
fn open_log(path: &Path, args: &Args) -> Result<LogFile, String> {
    let opened = LogFile::open(path).and_then(|file| {
        if rustix::process::geteuid().is_root() {
            file.give_to(args.uid, args.gid)?;
        }
        Ok(file)
    });
    opened.map_err(|failure| format!("the access log {} cannot be opened: {failure}", path.display()))
}

fn announce() {
    let mut out = io::stdout();
    // Started by hand, nobody may be listening.
    let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
}
