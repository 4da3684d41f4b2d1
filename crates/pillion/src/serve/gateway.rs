//! Keeps a gateway running and told: listening sockets, routes, and the news of what has drained.
//!
//! ```text
//! open ──▶ GatewayKeeper ──start──▶ task: connect (or spawn) ──▶ listen, table ──▶ wait for routes or news ─┐
//!                                      ▲                                              gateway gone: again  │
//!                                      └───────────────────────────────────────────────────────────────────┘
//! ```
//! The sockets stay open here, so a gateway that dies refuses no connection: they wait in the kernel for the next one.

mod adoption;
mod counting;
mod drained;
mod sockets;
mod table;

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use pillion_control::{Drainer, Routes};
use pillion_gateway::{
    Args,
    client::{Client, ClientError, News},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

pub use counting::Counting;

use self::{
    adoption::{adopt, is_outdated},
    drained::Drained,
    sockets::Sockets,
};
use super::{Settings, Slot};
use crate::{complaint::Complaint, layout::Layout, role};

/// The first pause before a gateway that ended is started again; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A gateway that lived so long was well: clients wait for the next one, so it comes without a longer pause.
const WELL_AFTER: Duration = Duration::from_millis(500);

/// A gateway that another replaces has this long to finish what is under way; new connections wait in the kernel meanwhile.
const MAKE_WAY: Duration = Duration::from_secs(5);

/// What the rest of the server may know of the gateway.
#[derive(Debug, Clone, Default)]
pub struct GatewayFacts {
    pub pid: Option<u32>,
    pub listen: Vec<SocketAddr>,
    /// What it could not have, ports and the access log, each with the reason.
    pub troubles: Vec<String>,
}

/// A gateway that is to be: its ports are taken.
pub struct GatewayKeeper {
    exe: PathBuf,
    args: Args,
    control: PathBuf,
    log: PathBuf,
    sockets: Sockets,
    client: Option<(Client, mpsc::Receiver<News>)>,
    drained: Arc<Drained>,
}

/// A gateway that is kept running.
pub struct Gateway {
    orders: oneshot::Sender<Order>,
    moves: mpsc::Sender<Move>,
    task: JoinHandle<()>,
    facts: watch::Receiver<GatewayFacts>,
    clients: watch::Receiver<Option<Arc<Client>>>,
}

/// A wish for other shared addresses, and whom to tell how it went.
struct Move {
    listen: Vec<SocketAddr>,
    answer: oneshot::Sender<Result<(), Complaint>>,
}

/// Moves the gateway to other shared addresses; cheap to clone.
#[derive(Clone)]
pub struct Mover(mpsc::Sender<Move>);

impl Mover {
    /// Has the gateway listen there and nowhere else; requests under way are finished.
    ///
    /// # Errors
    /// An address cannot be had; then nothing has changed.
    pub async fn listen(&self, listen: Vec<SocketAddr>) -> Result<(), Complaint> {
        let ended = || Complaint::new("the gateway cannot listen elsewhere: the server is ending");
        let (answer, answered) = oneshot::channel();
        self.0.send(Move { listen, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

/// What is to become of it.
enum Order {
    /// Leave it running.
    Leave,
    /// Let it finish what is under way, then end.
    End { within: Duration },
}

impl GatewayKeeper {
    /// Takes the ports: from a gateway that still runs, else from the kernel.
    ///
    /// # Errors
    /// One of `listen` is not free or not ours to take.
    pub async fn open(
        layout: &Layout,
        exe: &Path,
        slot: Slot,
        settings: &Settings,
        listen: &[SocketAddr],
    ) -> Result<Self, Complaint> {
        let control = layout.gateway().join("control.sock");
        let (uid, gid) = slot.gateway_owner();
        let mut args = Args::new(control.clone(), uid, gid);
        args.access_log.clone_from(&settings.access_log);
        args.trusted_proxies = settings.trusted_proxies();
        let (client, inherited) = adopt(&control).await;
        let sockets = Sockets::open(listen, inherited)?;
        Ok(Self {
            exe: exe.to_owned(),
            args,
            control,
            log: layout.state().join("logs/gateway.log"),
            sockets,
            client,
            drained: Arc::new(Drained::default()),
        })
    }

    /// The port of the first shared address.
    pub fn port(&self) -> u16 {
        self.sockets.shared().first().map_or(0, SocketAddr::port)
    }

    /// Tells the control plane when an instance has no request under way any more.
    pub fn drainer(&self) -> Arc<dyn Drainer> {
        self.drained.clone()
    }

    /// Keeps the gateway running and told until it is ended or left.
    pub fn start(self, routes: watch::Receiver<Arc<Routes>>) -> Gateway {
        let (orders, ordered) = oneshot::channel();
        let (publish, facts) = watch::channel(GatewayFacts::default());
        let (moves, moving) = mpsc::channel(1);
        let (clients, connected) = watch::channel(None);
        let task = tokio::spawn(
            Keeping { keeper: self, routes, publish, clients, moving, last_generation: 0, replaced: false }.run(ordered),
        );
        Gateway { orders, moves, task, facts, clients: connected }
    }
}

impl Gateway {
    pub fn facts(&self) -> watch::Receiver<GatewayFacts> {
        self.facts.clone()
    }

    pub fn mover(&self) -> Mover {
        Mover(self.moves.clone())
    }

    /// Gives who asks it what it has counted.
    pub fn counting(&self) -> Counting {
        Counting(self.clients.clone())
    }

    /// Stops telling it; it goes on by its last table.
    pub async fn leave(self) {
        self.finish(Order::Leave).await;
    }

    /// Lets it finish what is under way and ends it.
    pub async fn end(self, within: Duration) {
        self.finish(Order::End { within }).await;
    }

    async fn finish(self, order: Order) {
        // Without a receiver the task has ended, and there is nothing to order.
        let _ = self.orders.send(order);
        if let Err(error) = self.task.await {
            tracing::error!(error = &error as &dyn std::error::Error, "keeping the gateway failed");
        }
    }
}

/// The task that keeps it.
struct Keeping {
    keeper: GatewayKeeper,
    routes: watch::Receiver<Arc<Routes>>,
    publish: watch::Sender<GatewayFacts>,
    clients: watch::Sender<Option<Arc<Client>>>,
    moving: mpsc::Receiver<Move>,
    /// The gateway only takes rising generations, and outlives servers whose own count begins anew.
    last_generation: u64,
    /// A gateway had to make way for one with the settings of now. Once is enough: what does not go then stays.
    replaced: bool,
}

/// Why one conversation with a gateway is over.
enum Over {
    Ordered(Order),
    Gone,
}

impl Keeping {
    async fn run(mut self, mut ordered: oneshot::Receiver<Order>) {
        let mut pause = FIRST_PAUSE;
        let mut started = false;
        loop {
            let connected = match self.keeper.client.take() {
                Some(client) => Ok(client),
                None => connect_or_spawn(&self.keeper).await,
            };
            match connected {
                Ok((client, news)) => {
                    let client = Arc::new(client);
                    self.clients.send_replace(Some(client.clone()));
                    if started {
                        tracing::info!(pid = client.pid(), "the gateway is back");
                    }
                    started = true;
                    let since = tokio::time::Instant::now();
                    match self.converse(&client, news, &mut ordered).await {
                        Over::Ordered(Order::Leave) => return,
                        Over::Ordered(Order::End { within }) => return end(&client, within, &self.keeper.control).await,
                        Over::Gone => tracing::warn!("the gateway is gone; starting another"),
                    }
                    self.clients.send_replace(None);
                    self.publish.send_modify(|facts| facts.pid = None);
                    if since.elapsed() > WELL_AFTER {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(complaint) => tracing::error!("{complaint}"),
            }
            // Waiting for an order and for time only: both may be dropped.
            tokio::select! {
                _ = &mut ordered => return,
                Some(Move { listen, answer }) = self.moving.recv() => drop(answer.send(self.keeper.sockets.share(&listen))),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    async fn converse(
        &mut self,
        client: &Client,
        mut news: mpsc::Receiver<News>,
        ordered: &mut oneshot::Receiver<Order>,
    ) -> Over {
        self.last_generation = self.last_generation.max(client.generation());
        self.publish.send_modify(|facts| facts.pid = Some(client.pid()));
        // An adopted gateway's own table is better than the one of a server that has not looked at its apps yet.
        loop {
            // Each stays as it is when another arm wins.
            tokio::select! {
                order = &mut *ordered => return Over::Ordered(order.unwrap_or(Order::Leave)),
                told = news.recv() => match told {
                    Some(News::Drained { instance }) => self.keeper.drained.drained(instance),
                    None => return Over::Gone,
                },
                looked = async { self.routes.wait_for(|routes| routes.generation > 0).await.is_ok() } => match looked {
                    true => break,
                    false => return Over::Ordered(ordered.await.unwrap_or(Order::Leave)),
                },
            }
        }
        // Only now, with a table for the next one: an adopted gateway goes on by what the server before told it.
        if !self.replaced && is_outdated(client, &self.keeper.args) {
            self.replaced = true;
            tracing::info!(pid = client.pid(), "the gateway is not as the settings want it; another takes its place");
            end(client, MAKE_WAY, &self.keeper.control).await;
            return Over::Gone;
        }
        if let Some(reason) = client.unlogged() {
            tracing::warn!("requests are not logged: {reason}");
        }
        let mut listening = false;
        loop {
            let routes = self.routes.borrow_and_update().clone();
            let changed = self.keeper.sockets.fit(&routes);
            if (changed || !listening) && self.tell_sockets(client).await.is_err() {
                return Over::Gone;
            }
            listening = true;
            if let Err(error) = self.tell_table(client, &routes).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the gateway did not take the routes");
                return Over::Gone;
            }
            loop {
                // News and routes stay in their channels when another arm wins.
                tokio::select! {
                    order = &mut *ordered => return Over::Ordered(order.unwrap_or(Order::Leave)),
                    told = news.recv() => match told {
                        Some(News::Drained { instance }) => self.keeper.drained.drained(instance),
                        None => return Over::Gone,
                    },
                    Some(Move { listen, answer }) = self.moving.recv() => {
                        let moved = self.keeper.sockets.share(&listen);
                        let told = match moved {
                            Ok(()) => self.tell_sockets(client).await,
                            Err(_) => Ok(()),
                        };
                        // Whoever asked may be gone.
                        let _ = answer.send(moved);
                        if told.is_err() {
                            return Over::Gone;
                        }
                    },
                    changed = self.routes.changed() => match changed {
                        Ok(()) => break,
                        // The control plane has ended; the order is on its way.
                        Err(_) => return Over::Ordered(ordered.await.unwrap_or(Order::Leave)),
                    },
                }
            }
        }
    }

    async fn tell_sockets(&self, client: &Client) -> Result<(), ClientError> {
        let listeners = self.keeper.sockets.all();
        self.publish.send_modify(|facts| {
            facts.listen = self.keeper.sockets.shared();
            facts.troubles = self.keeper.sockets.troubles();
            facts.troubles.extend(client.unlogged().map(unlogged));
        });
        client.listen(&listeners).await
    }

    async fn tell_table(&mut self, client: &Client, routes: &Routes) -> Result<(), ClientError> {
        self.last_generation += 1;
        client.table(table::of(routes, self.last_generation)).await?;
        self.keeper.drained.in_force(routes);
        Ok(())
    }
}

fn unlogged(reason: &str) -> String {
    format!("requests are not logged until the server is restarted with a log that it can open: {reason}")
}

async fn connect_or_spawn(keeper: &GatewayKeeper) -> Result<(Client, mpsc::Receiver<News>), Complaint> {
    let failed = |error: &dyn std::error::Error| {
        Complaint::new("could not start the gateway").because(Some(error)).cause(format!("see {}", keeper.log.display()))
    };
    if let Ok(connected) = Client::connect(&keeper.control).await {
        return Ok(connected);
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&keeper.log).map_err(|e| failed(&e))?;
    let role = [OsStr::new(role::GATEWAY)];
    let spawned = pillion_gateway::spawn(&keeper.exe, &role, &keeper.args, Stdio::from(log)).await;
    let mut child = spawned.map_err(|e| failed(&e))?.child;
    // For as long as this process is its parent, it must be reaped.
    tokio::spawn(async move { child.wait().await });
    Client::connect(&keeper.control).await.map_err(|e| failed(&e))
}

async fn end(client: &Client, within: Duration, control: &Path) {
    if let Err(error) = client.drain(within).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the gateway could not be told to end");
        return;
    }
    let pid = client.pid();
    let deadline = tokio::time::Instant::now() + within + Duration::from_secs(2);
    let proc = PathBuf::from(format!("/proc/{pid}"));
    // It may be no child of this process, so its end is seen in /proc.
    while proc.exists() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if !proc.exists()
        && let Err(error) = std::fs::remove_file(control)
    {
        tracing::debug!(error = &error as &dyn std::error::Error, "the gateway's socket was gone already");
    }
}
