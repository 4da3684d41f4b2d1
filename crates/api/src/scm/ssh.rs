//! The SSH server at the end of a tunnel: shells and commands in a container whose image needs no SSH server.
//!
//! The tunnel has proven the caller already; user and password are the well-known ones that Azure's programs use.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pillion_azure::Azure;
use pillion_engine::{ExecInput, ExecOutput, ExecRequest, ExecSession, TtySize};
use pillion_fault::Exit;
use russh::{
    Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty,
    keys::{PrivateKey, ssh_key::private::Ed25519Keypair},
    server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, run_stream},
};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet};

use super::{
    answer::Refusal,
    session::{NotRun, Place, Wanted, at_terminal, size},
};

const USER: &str = "root";
const PASSWORD: &str = "Docker!";
/// Channels of one connection.
const CHANNELS: usize = 16;
/// A connection on which nothing moves ends.
const IDLE: Duration = Duration::from_secs(3600);
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Serves SSH on streams; cheap to clone.
#[derive(Clone)]
pub(super) struct Tunnels {
    config: Arc<Config>,
}

impl Tunnels {
    /// The host key comes from a seed that is the same at every start, so that clients know the host again.
    pub(super) fn new(seed: [u8; 32]) -> Tunnels {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
        let config = Config {
            methods: MethodSet::from(&[MethodKind::Password][..]),
            auth_rejection_time: Duration::from_secs(1),
            auth_rejection_time_initial: Some(Duration::ZERO),
            max_auth_attempts: 3,
            keys: vec![key],
            inactivity_timeout: Some(IDLE),
            keepalive_interval: Some(KEEP_ALIVE),
            ..Config::default()
        };
        Tunnels { config: Arc::new(config) }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self, stream: DuplexStream, azure: Azure, place: Place) {
        let connection = Connection { azure, place, channels: HashMap::new(), processes: JoinSet::new() };
        match run_stream(self.config, stream, connection).await {
            Ok(session) => {
                if let Err(error) = session.await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "an SSH connection ended early");
                }
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "no SSH"),
        }
    }
}

/// One client.
struct Connection {
    azure: Azure,
    place: Place,
    channels: HashMap<ChannelId, Open>,
    /// What carries the processes' output; ends with the connection, and the processes with it.
    processes: JoinSet<()>,
}

/// One channel.
#[derive(Default)]
struct Open {
    terminal: Option<(String, TtySize)>,
    input: Option<mpsc::Sender<ExecInput>>,
}

impl Connection {
    async fn run(&mut self, channel: ChannelId, wanted: Wanted, session: &mut Session) -> Result<(), russh::Error> {
        let Some(open) = self.channels.get_mut(&channel).filter(|open| open.input.is_none()) else {
            return session.channel_failure(channel);
        };
        let request = |argv| match &open.terminal {
            Some((term, size)) => at_terminal(argv, Some(term), *size),
            None => ExecRequest { argv, env: Vec::new(), tty: None },
        };
        let ran = match (self.place.run(&self.azure, request(wanted.argv)).await, wanted.without_shell) {
            (Err(NotRun::NoShell { .. }), Some(argv)) => self.place.run(&self.azure, request(argv)).await,
            (ran, _) => ran,
        };
        match ran {
            Ok(ExecSession { input, output }) => {
                open.input = Some(input);
                session.channel_success(channel)?;
                self.processes.spawn(pump(session.handle(), channel, output));
            }
            Err(not) => {
                session.channel_success(channel)?;
                let message = format!("{}\r\n", Refusal::from(not).message()).into_bytes();
                match open.terminal {
                    _ if wanted.silent => {}
                    // A terminal has one stream: `az` reads no other of it.
                    Some(_) => session.data(channel, message)?,
                    None => session.extended_data(channel, 1, message)?,
                }
                session.exit_status_request(channel, 126)?;
                session.close(channel)?;
            }
        }
        // Those that have ended are let go of.
        while self.processes.try_join_next().is_some() {}
        Ok(())
    }

    async fn tell(&mut self, channel: ChannelId, input: ExecInput) {
        if let Some(sender) = self.channels.get(&channel).and_then(|open| open.input.as_ref()) {
            // A process that takes no more input has ended, or soon tells how it did.
            let _ = sender.send(input).await;
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        // No secret: whoever is here came through the tunnel.
        Ok(if user == USER && password == PASSWORD { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.channels.insert(channel.id(), Open::default());
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _pixels_wide: u32,
        _pixels_high: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(open) = self.channels.get_mut(&channel) {
            open.terminal = Some((term.to_owned(), size(columns.into(), rows.into())));
        }
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.run(channel, Wanted::login_shell(), session).await
    }

    async fn exec_request(&mut self, channel: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command);
        self.run(channel, Wanted::line(&command), session).await
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Self::Error> {
        self.tell(channel, ExecInput::Data(bytes::Bytes::copy_from_slice(data))).await;
        Ok(())
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        _pixels_wide: u32,
        _pixels_high: u32,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.tell(channel, ExecInput::Resize(size(columns.into(), rows.into()))).await;
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.tell(channel, ExecInput::Close).await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }
}

async fn pump(handle: Handle, channel: ChannelId, mut output: mpsc::Receiver<ExecOutput>) {
    let mut status = 255;
    while let Some(next) = output.recv().await {
        let sent = match next {
            ExecOutput::Stdout(bytes) => handle.data(channel, bytes).await.is_ok(),
            ExecOutput::Stderr(bytes) => handle.extended_data(channel, 1, bytes).await.is_ok(),
            ExecOutput::Exit(exit) => {
                status = code(&exit);
                break;
            }
        };
        if !sent {
            return;
        }
    }
    let _ = handle.exit_status_request(channel, status).await;
    let _ = handle.eof(channel).await;
    let _ = handle.close(channel).await;
}

fn code(exit: &Exit) -> u32 {
    match exit {
        Exit::Code { code } => u32::try_from(*code).unwrap_or(255),
        // As shells tell of it.
        Exit::Signal { signal, .. } => 128 + u32::try_from(*signal).unwrap_or(0),
        Exit::Oom { .. } => 137,
    }
}
