//! `serve`'s end of the control socket.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex as SyncMutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::UnixStream,
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    frame::{FrameError, FrameReader, FrameWriter},
    protocol::{AppStats, FromGateway, ListenerSpec, RouteTable, ToGateway, VERSION},
};

/// How long an answer may take: the gateway answers everything from memory.
const ANSWER: Duration = Duration::from_secs(10);
/// News waiting for `serve` to read them; the gateway keeps what does not fit.
const NEWS: usize = 256;

/// Why the gateway could not be steered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to the gateway at {path}")]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot talk to the gateway")]
    Frame(#[from] FrameError),
    #[error("the gateway went away")]
    Gone,
    #[error("the gateway did not answer within {0:?}")]
    Silent(Duration),
    #[error("the gateway gave another answer than the one asked for")]
    OtherAnswer,
    #[error("the gateway already has table {in_force}, newer than {asked}")]
    Stale { asked: u64, in_force: u64 },
}

/// What the gateway tells unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An instance that left the table, or drains in it, has no request under way. Can be told more than once.
    Drained { instance: String },
}

/// A connection to the gateway. Dropping it leaves the gateway routing by its last table.
pub struct Client {
    version: u32,
    pid: u32,
    generation: u64,
    unlogged: Option<String>,
    /// Locked while a request is written, so that answers come in the order of `waiting`.
    writer: Mutex<FrameWriter>,
    waiting: Arc<SyncMutex<Waiting>>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Waiting {
    answers: VecDeque<oneshot::Sender<Answer>>,
    gone: bool,
}

struct Answer {
    frame: FromGateway,
    sockets: Vec<OwnedFd>,
}

impl Client {
    /// Connects; the receiver ends when the gateway goes away.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connect`] if no gateway listens there.
    pub async fn connect(path: &Path) -> Result<(Self, mpsc::Receiver<News>), ClientError> {
        let stream = UnixStream::connect(path).await.map_err(|source| ClientError::Connect { path: path.to_owned(), source })?;
        let stream = Arc::new(stream);
        let mut reader = FrameReader::new(stream.clone());
        let mut writer = FrameWriter::new(stream);
        writer.write(&ToGateway::Hello { version: VERSION }, NO_SOCKETS).await?;
        let hello =
            tokio::time::timeout(ANSWER, reader.read::<FromGateway>()).await.map_err(|_| ClientError::Silent(ANSWER))??;
        let FromGateway::Hello { version, pid, generation, unlogged } = hello else { return Err(ClientError::OtherAnswer) };
        let (news, receiver) = mpsc::channel(NEWS);
        let waiting = Arc::new(SyncMutex::new(Waiting::default()));
        let reading = tokio::spawn(read(reader, waiting.clone(), news));
        Ok((Self { version, pid, generation, unlogged, writer: Mutex::new(writer), waiting, reading }, receiver))
    }

    /// Returns whether the gateway knows less than this program: it would leave out of a table what it does not know.
    pub fn is_of_before(&self) -> bool {
        self.version < VERSION
    }

    /// The gateway's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The generation in force when this client connected: the next table must have a higher one. 0: none yet.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Why the gateway has no access log although it was told to have one.
    pub fn unlogged(&self) -> Option<&str> {
        self.unlogged.as_deref()
    }

    /// Gives the gateway its listening sockets, the whole set; the caller keeps its own duplicates.
    ///
    /// # Errors
    ///
    /// When the gateway is gone or does not answer.
    pub async fn listen(&self, listeners: &[(ListenerSpec, impl AsFd)]) -> Result<(), ClientError> {
        let (specs, sockets): (Vec<_>, Vec<_>) = listeners.iter().map(|(spec, socket)| (spec.clone(), socket.as_fd())).unzip();
        match self.ask(&ToGateway::Listen { listeners: specs }, &sockets).await?.frame {
            FromGateway::Listening => Ok(()),
            _ => Err(ClientError::OtherAnswer),
        }
    }

    /// Fetches duplicates of the listening sockets that the gateway has, for a `serve` that was started anew.
    ///
    /// # Errors
    ///
    /// When the gateway is gone or does not answer.
    pub async fn listeners(&self) -> Result<Vec<(ListenerSpec, OwnedFd)>, ClientError> {
        let answer = self.ask(&ToGateway::Listeners, NO_SOCKETS).await?;
        match answer.frame {
            FromGateway::Listeners { listeners } if listeners.len() == answer.sockets.len() => {
                Ok(listeners.into_iter().zip(answer.sockets).collect())
            }
            _ => Err(ClientError::OtherAnswer),
        }
    }

    /// Puts a table in force and returns once it is.
    ///
    /// # Errors
    ///
    /// [`ClientError::Stale`] if the gateway has one of a higher generation. One of the same is taken for the same table.
    pub async fn table(&self, table: RouteTable) -> Result<(), ClientError> {
        let asked = table.generation;
        match self.ask(&ToGateway::Table { table }, NO_SOCKETS).await?.frame {
            FromGateway::InForce { generation } if generation == asked => Ok(()),
            FromGateway::InForce { generation } => Err(ClientError::Stale { asked, in_force: generation }),
            _ => Err(ClientError::OtherAnswer),
        }
    }

    /// Returns the counters of every app.
    ///
    /// # Errors
    ///
    /// When the gateway is gone or does not answer.
    pub async fn stats(&self) -> Result<Vec<AppStats>, ClientError> {
        match self.ask(&ToGateway::Stats, NO_SOCKETS).await?.frame {
            FromGateway::Stats { apps } => Ok(apps),
            _ => Err(ClientError::OtherAnswer),
        }
    }

    /// Orders the gateway to finish what runs and to exit; the news end when it has.
    ///
    /// # Errors
    ///
    /// When the order could not be written.
    pub async fn drain(&self, deadline: Duration) -> Result<(), ClientError> {
        let order = ToGateway::Drain { deadline_ms: deadline.as_millis() as u64 };
        Ok(self.writer.lock().await.write(&order, NO_SOCKETS).await?)
    }

    async fn ask(&self, order: &ToGateway, sockets: &[impl AsFd]) -> Result<Answer, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let exchange = async {
            {
                let mut writer = self.writer.lock().await;
                {
                    let mut waiting = lock(&self.waiting);
                    if waiting.gone {
                        return Err(ClientError::Gone);
                    }
                    waiting.answers.push_back(sender);
                }
                writer.write(order, sockets).await?;
            }
            receiver.await.map_err(|_| ClientError::Gone)
        };
        tokio::time::timeout(ANSWER, exchange).await.map_err(|_| ClientError::Silent(ANSWER))?
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // At once, while the aborted task may keep the socket for a moment: news must not go where nobody reads.
        self.writer.get_mut().close();
        self.reading.abort();
    }
}

const NO_SOCKETS: &[OwnedFd] = &[];

async fn read(mut reader: FrameReader, waiting: Arc<SyncMutex<Waiting>>, news: mpsc::Sender<News>) {
    while let Ok(frame) = reader.read::<FromGateway>().await {
        let sockets = match &frame {
            FromGateway::Drained { instance } => {
                if news.send(News::Drained { instance: instance.clone() }).await.is_err() {
                    tracing::debug!(instance, "nobody reads the gateway's news");
                }
                continue;
            }
            FromGateway::Listeners { listeners } => match reader.take_descriptors(listeners.len()) {
                Ok(sockets) => sockets,
                Err(_) => break,
            },
            FromGateway::Hello { .. } | FromGateway::Listening | FromGateway::InForce { .. } | FromGateway::Stats { .. } => {
                Vec::new()
            }
        };
        let Some(sender) = lock(&waiting).answers.pop_front() else { break };
        // Whoever asked may have stopped waiting.
        let _ = sender.send(Answer { frame, sockets });
    }
    let mut waiting = lock(&waiting);
    waiting.gone = true;
    waiting.answers.clear();
}

fn lock(waiting: &SyncMutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
