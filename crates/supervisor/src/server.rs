//! The control socket: greets, reads one request a connection, answers.

use std::{io, rc::Rc, time::Duration};

use pillion_fault::ProbeKind;
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use crate::{
    machine::Asked,
    protocol::{Reply, Request, VERSION},
    session,
    spec::Check,
    state::Input,
    supervisor::{Ask, AskError, Shared},
    wire::{self, WireError},
};

/// Connections at once; more wait in the socket's backlog.
const CONNECTIONS: usize = 64;
/// How long a peer may take to greet and to ask.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub listener: UnixListener,
    pub asks: mpsc::Sender<Ask>,
    pub shared: Rc<Shared>,
}

impl Server {
    /// Serves until told that it is over, then lets the last answers out.
    pub(crate) async fn run(self, mut over: oneshot::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            // Cancel-safe: accepting takes no connection unless it wins.
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let (asks, shared) = (self.asks.clone(), Rc::clone(&self.shared));
                        connections.spawn_local(async move {
                            if let Err(error) = serve(stream, &asks, &shared).await {
                                tracing::debug!(%error, "a connection broke off");
                            }
                        });
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: others are closing some.
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = &mut over => break,
            }
        }
        let farewell = async { while connections.join_next().await.is_some() {} };
        // Watchers hold on until they see the end; answers to requests are out long before.
        let _ = timeout(Duration::from_millis(200), farewell).await;
    }
}

async fn serve(mut stream: UnixStream, asks: &mpsc::Sender<Ask>, shared: &Rc<Shared>) -> Result<(), WireError> {
    let asked = timeout(PATIENCE, async {
        wire::greet(&mut stream, VERSION).await?;
        wire::read::<Request>(&mut stream).await
    });
    let request = match asked.await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) | Err(_) => return Ok(()),
        Ok(Err(WireError::Malformed(error))) => {
            let reason = format!("this supervisor does not understand the request: {error}");
            return wire::write(&mut stream, &Reply::Refused { reason, fault: None }).await;
        }
        Ok(Err(error)) => return Err(error),
    };
    let (answer, answered) = oneshot::channel();
    let ask = match request {
        Request::Watch { after_event } => return watch(stream, asks, shared, after_event).await,
        Request::Exec { container, exec, tty_size } => return session::run(stream, shared, &container, exec, tty_size).await,
        Request::Check { container, check, timeout_ms } => {
            let reply = run_check(shared, &container, &check, timeout_ms).await;
            return wire::write(&mut stream, &reply).await;
        }
        Request::Update { spec } => Ask::Change { input: Input::Update { spec }, answer },
        Request::Restart { container } => Ask::Change { input: Input::Restart { container }, answer },
        Request::StopContainer { container } => Ask::Change { input: Input::StopContainer { container }, answer },
        Request::StartContainer { container } => Ask::Change { input: Input::StartContainer { container }, answer },
        Request::Stop => Ask::Stop { answer },
        Request::Kill => Ask::Kill { answer },
    };
    let reply = if asks.send(ask).await.is_err() {
        Reply::Refused { reason: "the instance has ended".into(), fault: None }
    } else {
        match answered.await {
            Ok(Ok(())) => Reply::Ok,
            Ok(Err(error)) => Reply::Refused { reason: whole(&error), fault: None },
            Err(_) => Reply::Refused { reason: "the instance has ended".into(), fault: None },
        }
    };
    wire::write(&mut stream, &reply).await
}

async fn run_check(shared: &Shared, container: &str, check: &Check, timeout_ms: u64) -> Reply {
    let Some(process) = shared.process_of(container) else {
        return Reply::Refused { reason: format!("container `{container}` does not run"), fault: None };
    };
    let asked = Asked { kind: ProbeKind::Readiness, check, port: None, timeout_ms };
    match shared.machine.check(process, asked).await {
        Ok(()) => Reply::Ok,
        Err(fault) => Reply::Refused { reason: fault.to_string(), fault: Some(Box::new(fault)) },
    }
}

/// States as they come, until either side closes. Between two frames everything in between is skipped.
async fn watch(mut stream: UnixStream, asks: &mpsc::Sender<Ask>, shared: &Shared, mut after: u64) -> Result<(), WireError> {
    let mut news = shared.board.subscribe();
    news.mark_changed();
    // The first state carries fresh numbers; a loop that has ended has none to give.
    let (answer, looked) = oneshot::channel();
    if asks.send(Ask::Look { answer }).await.is_ok() {
        let _ = looked.await;
    }
    loop {
        let mut byte = [0];
        // Cancel-safe: waiting for news takes nothing, and a watcher sends nothing: any byte or the end closes.
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            _ = stream.read(&mut byte) => return Ok(()),
        }
        let events = shared.board.events_after(after);
        after = events.last().map_or(after, |event| event.serial);
        let status = Box::new(shared.board.status());
        wire::write(&mut stream, &Reply::State { status, events }).await?;
    }
}

/// An error with its causes, in one line.
fn whole(error: &AskError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Binds a socket that only its owner may connect to, replacing one that a dead process left.
pub(crate) fn bind(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
