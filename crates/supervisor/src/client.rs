//! The engine's side of the control socket.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pillion_fault::{Exit, Fault};
use pillion_runtime::spec::ExecSpec;
use tokio::{
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::mpsc,
};

use crate::{
    CONTROL_SOCKET,
    protocol::{Reply, Request, VERSION},
    status::{Event, InstanceStatus},
    wire::{self, WireError},
};

/// The version that knows [`Request::Check`].
const CHECKS_SINCE: u32 = 2;

/// A connection to a supervisor; it carries one request.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    version: u32,
}

/// A request that was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no supervisor listens at {}", path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the talk with the supervisor broke off")]
    Wire(#[from] WireError),
    #[error("the supervisor went away before it answered")]
    Gone,
    #[error("the supervisor refused: {reason}")]
    Refused { reason: String, fault: Option<Box<Fault>> },
    #[error("the supervisor was started by an earlier version that cannot be asked this; restart the app to have a new one")]
    TooOld,
    #[error("the supervisor gave an answer that does not belong to the request")]
    OutOfPlace,
}

/// What a supervisor says, change by change; the newest state, never a backlog of them.
#[derive(Debug)]
pub struct Watch {
    stream: UnixStream,
}

/// A process under way in a container. Dropping `input` leaves it running; dropping `output` kills it.
#[derive(Debug)]
pub struct ExecSession {
    pub input: mpsc::Sender<ExecInput>,
    pub output: mpsc::Receiver<ExecOutput>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    Data(Vec<u8>),
    Close,
    Resize { columns: u16, rows: u16 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The last; without it the session broke off.
    Exit(Exit),
}

impl Client {
    /// Connects to the supervisor of the instance directory `dir`.
    ///
    /// # Errors
    /// Nothing listens there, or it does not speak the protocol.
    pub async fn connect(dir: &Path) -> Result<Self, ClientError> {
        let path = dir.join(CONTROL_SOCKET);
        let mut stream = UnixStream::connect(&path).await.map_err(|source| ClientError::Connect { path, source })?;
        let version = wire::greet(&mut stream, VERSION).await?;
        Ok(Self { stream, version })
    }

    /// The protocol version that both ends speak.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The process at the other end, as the kernel knows it.
    pub fn supervisor_pid(&self) -> io::Result<Option<i32>> {
        Ok(self.stream.peer_cred()?.pid())
    }

    /// Makes a request that is answered once: all but `Watch` and `Exec`.
    ///
    /// # Errors
    /// Refused, or no answer. `Stop` and `Kill` end the supervisor: after them `Gone` means done too.
    pub async fn request(mut self, request: &Request) -> Result<(), ClientError> {
        if matches!(request, Request::Check { .. }) && self.version < CHECKS_SINCE {
            return Err(ClientError::TooOld);
        }
        wire::write(&mut self.stream, request).await?;
        match wire::read(&mut self.stream).await? {
            Some(Reply::Ok) => Ok(()),
            Some(Reply::Refused { reason, fault }) => Err(ClientError::Refused { reason, fault }),
            Some(_) => Err(ClientError::OutOfPlace),
            None => Err(ClientError::Gone),
        }
    }

    /// Watches from now on, with the kept events after `after_event` (0: all that are kept).
    pub async fn watch(mut self, after_event: u64) -> Result<Watch, ClientError> {
        wire::write(&mut self.stream, &Request::Watch { after_event }).await?;
        Ok(Watch { stream: self.stream })
    }

    /// Starts a process in a running container.
    ///
    /// # Errors
    /// Refused with the reason, when the container does not run or the program cannot be started.
    pub async fn exec(
        mut self,
        container: &str,
        exec: ExecSpec,
        tty_size: Option<(u16, u16)>,
    ) -> Result<ExecSession, ClientError> {
        let request = Request::Exec { container: container.into(), exec, tty_size };
        wire::write(&mut self.stream, &request).await?;
        match wire::read(&mut self.stream).await? {
            Some(Reply::Ok) => {}
            Some(Reply::Refused { reason, fault }) => return Err(ClientError::Refused { reason, fault }),
            Some(_) => return Err(ClientError::OutOfPlace),
            None => return Err(ClientError::Gone),
        }
        let (mut from, to) = self.stream.into_split();
        let (input, inputs) = mpsc::channel(16);
        let (outputs, output) = mpsc::channel(16);
        // Both tasks end with the session: the sender when `input` is dropped or the socket breaks, the receiver when
        // the process ended or `output` is dropped, which closes the socket once the sender is gone too.
        let sender = tokio::spawn(send_input(to, inputs));
        tokio::spawn(async move {
            loop {
                let said = tokio::select! {
                    // The receiver is gone: nobody wants the rest, so the half-read frame does not matter.
                    () = outputs.closed() => break,
                    said = wire::read::<Reply>(&mut from) => said,
                };
                let Ok(Some(reply)) = said else { break };
                let Some(output) = output_of(reply) else { continue };
                let last = matches!(output, ExecOutput::Exit(_));
                if outputs.send(output).await.is_err() || last {
                    break;
                }
            }
            sender.abort();
        });
        Ok(ExecSession { input, output })
    }
}

impl Watch {
    /// The next state and the events since the last; none when the supervisor is gone.
    pub async fn next(&mut self) -> Result<Option<(InstanceStatus, Vec<Event>)>, ClientError> {
        match wire::read(&mut self.stream).await? {
            Some(Reply::State { status, events }) => Ok(Some((*status, events))),
            Some(Reply::Refused { reason, fault }) => Err(ClientError::Refused { reason, fault }),
            Some(_) => Err(ClientError::OutOfPlace),
            None => Ok(None),
        }
    }
}

async fn send_input(mut to: OwnedWriteHalf, mut inputs: mpsc::Receiver<ExecInput>) {
    while let Some(input) = inputs.recv().await {
        let frame = match input {
            ExecInput::Data(bytes) => Reply::Stdin { data: BASE64.encode(bytes) },
            ExecInput::Close => Reply::StdinClosed,
            ExecInput::Resize { columns, rows } => Reply::Resize { columns, rows },
        };
        if wire::write(&mut to, &frame).await.is_err() {
            return;
        }
    }
    // Dropping the half would shut the socket down, which the supervisor takes for the end of the session.
    std::future::pending::<()>().await;
}

fn output_of(reply: Reply) -> Option<ExecOutput> {
    match reply {
        Reply::Stdout { data } => BASE64.decode(data).ok().map(ExecOutput::Stdout),
        Reply::Stderr { data } => BASE64.decode(data).ok().map(ExecOutput::Stderr),
        Reply::Exit { exit } => Some(ExecOutput::Exit(exit)),
        Reply::Ok
        | Reply::Refused { .. }
        | Reply::State { .. }
        | Reply::Stdin { .. }
        | Reply::StdinClosed
        | Reply::Resize { .. } => None,
    }
}
