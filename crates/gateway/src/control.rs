//! The gateway's end of the control socket: takes listening sockets and tables from `serve`, reports back.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    frame::{FrameError, FrameReader, FrameWriter},
    listen,
    protocol::{FromGateway, ListenerSpec, ToGateway, VERSION},
    state::Gateway,
};

/// How long a control connection may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);

/// Everything that a control connection can act on.
pub struct Control {
    gateway: Arc<Gateway>,
    listeners: Mutex<Vec<Listening>>,
    stopping: watch::Sender<bool>,
    /// The number of the control connection that steers.
    speaker: watch::Sender<u64>,
    /// The order to end the process, with its deadline; the first counts.
    ends: mpsc::Sender<Duration>,
}

struct Listening {
    spec: ListenerSpec,
    /// Kept beside the accepting task's own, to hand duplicates of to a later `serve`.
    socket: OwnedFd,
    accepting: JoinHandle<()>,
}

impl Control {
    pub fn new(gateway: Arc<Gateway>, ends: mpsc::Sender<Duration>) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            listeners: Mutex::default(),
            stopping: watch::Sender::new(false),
            speaker: watch::Sender::new(0),
            ends,
        })
    }

    /// Takes control connections; one that says hello ends the one before it. Runs for the life of the process.
    pub async fn run(self: Arc<Self>, socket: UnixListener) {
        let mut number = 0;
        loop {
            match socket.accept().await {
                Ok((stream, _)) => match allowed(&stream) {
                    Ok(()) => {
                        number += 1;
                        tokio::spawn(self.clone().converse(stream, number));
                    }
                    Err(reason) => tracing::warn!(%reason, "a control connection was refused"),
                },
                Err(failure) => {
                    tracing::warn!(%failure, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes no new connections and asks the open ones to end after their request.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        for listening in self.lock().drain(..) {
            listening.accepting.abort();
        }
    }

    async fn converse(self: Arc<Self>, stream: UnixStream, number: u64) {
        let stream = Arc::new(stream);
        let mut reader = FrameReader::new(stream.clone());
        let mut writer = FrameWriter::new(stream);
        // Whoever only looks whether someone is here says nothing and takes nothing over.
        match tokio::time::timeout(HELLO, reader.read::<ToGateway>()).await {
            Ok(Ok(hello @ ToGateway::Hello { .. })) => {
                self.speaker.send_replace(number);
                if self.obey(hello, &mut reader, &mut writer).await.is_err() {
                    return;
                }
            }
            Ok(Ok(_)) | Ok(Err(_)) | Err(_) => return,
        }
        let mut speaker = self.speaker.subscribe();
        loop {
            // Reading a frame and waiting for news or a newer speaker are all cancel-safe; the newer speaker is looked
            // for first, because news belong to it.
            let outcome = tokio::select! {
                biased;
                () = async { drop(speaker.wait_for(|speaker| *speaker != number).await) } => {
                    tracing::info!("a newer connection steers now");
                    return;
                }
                frame = reader.read::<ToGateway>() => match frame {
                    Ok(frame) => self.obey(frame, &mut reader, &mut writer).await,
                    Err(failure) => Err(failure),
                },
                () = self.gateway.drained.news.notified() => self.report(&mut writer).await,
            };
            match outcome {
                Ok(()) => {}
                Err(FrameError::Closed) => {
                    tracing::info!("serve went away; routing goes on by the last table");
                    return;
                }
                Err(failure) => {
                    tracing::warn!(failure = &failure as &dyn std::error::Error, "the control connection ended");
                    return;
                }
            }
        }
    }

    async fn obey(&self, order: ToGateway, reader: &mut FrameReader, writer: &mut FrameWriter) -> Result<(), FrameError> {
        const NONE: &[OwnedFd] = &[];
        match order {
            ToGateway::Hello { .. } => {
                let generation = *self.gateway.generation.borrow();
                let unlogged = self.gateway.unlogged.clone();
                let hello = FromGateway::Hello { version: VERSION, pid: std::process::id(), generation, unlogged };
                writer.write(&hello, NONE).await?;
                self.report(writer).await
            }
            ToGateway::Listen { listeners } => {
                let sockets = reader.take_descriptors(listeners.len())?;
                self.listen(listeners, sockets);
                writer.write(&FromGateway::Listening, NONE).await
            }
            ToGateway::Table { table } => {
                let generation = self.gateway.apply(table);
                writer.write(&FromGateway::InForce { generation }, NONE).await
            }
            ToGateway::Drain { deadline_ms } => {
                // Full means that an end is ordered already.
                let _ = self.ends.try_send(Duration::from_millis(deadline_ms));
                Ok(())
            }
            ToGateway::Stats => writer.write(&FromGateway::Stats { apps: self.gateway.stats() }, NONE).await,
            ToGateway::Listeners => {
                let (listeners, sockets): (Vec<_>, Vec<_>) = self
                    .lock()
                    .iter()
                    .filter_map(|listening| Some((listening.spec.clone(), listening.socket.try_clone().ok()?)))
                    .unzip();
                writer.write(&FromGateway::Listeners { listeners }, &sockets).await
            }
        }
    }

    async fn report(&self, writer: &mut FrameWriter) -> Result<(), FrameError> {
        while let Some(instance) = self.gateway.drained.first() {
            writer.write(&FromGateway::Drained { instance: instance.clone() }, &[] as &[OwnedFd]).await?;
            self.gateway.drained.forget(&instance);
        }
        Ok(())
    }

    /// Replaces the set. A listener that stays is replaced by the socket just given, which may be the same one: the
    /// backlog belongs to the socket, so nothing waiting in it is lost.
    fn listen(&self, specs: Vec<ListenerSpec>, sockets: Vec<OwnedFd>) {
        let mut new = Vec::with_capacity(specs.len());
        for (spec, socket) in specs.into_iter().zip(sockets) {
            match socket.as_fd().try_clone_to_owned() {
                Ok(own) => {
                    let accepting =
                        tokio::spawn(listen::accept(self.gateway.clone(), own, spec.clone(), self.stopping.subscribe()));
                    new.push(Listening { spec, socket, accepting });
                }
                Err(failure) => tracing::error!(address = %spec.address, %failure, "a listening socket cannot be used"),
            }
        }
        let old = std::mem::replace(&mut *self.lock(), new);
        for listening in old {
            listening.accepting.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Listening>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only root and the gateway's own user steer it.
fn allowed(stream: &UnixStream) -> Result<(), String> {
    let peer = stream.peer_cred().map_err(|failure| failure.to_string())?;
    let own = rustix::process::geteuid().as_raw();
    if peer.uid() == 0 || peer.uid() == own { Ok(()) } else { Err(format!("user {} is neither root nor {own}", peer.uid())) }
}
