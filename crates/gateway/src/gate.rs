//! A stock of unconnected TCP sockets made inside one instance's network namespace, fetched from its supervisor.
//!
//! The gateway holds no privilege to enter a namespace; the supervisor makes sockets there and passes them over the
//! gate, a Unix socket: one byte asks for that many, half IPv4, half IPv6. They are fetched ahead of need, so that a
//! request waits for no other process.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::net::AddressFamily;
use tokio::{io::AsyncWriteExt, net::UnixStream, sync::Notify, time::timeout};

use crate::frame;

/// Refilled when a family has this few.
const LOW: usize = 4;
/// Sockets of a family kept at most; more arriving are closed.
const MOST: usize = 32;
const BATCH: u8 = 16;
/// Asked for while requests wait.
const LARGE_BATCH: u8 = 64;
const ANSWER: Duration = Duration::from_secs(5);
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Why there is no socket.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the instance's supervisor hands out no connections: {reason}")]
pub struct GateError {
    reason: Arc<str>,
}

/// One instance's stock.
pub struct Gate {
    path: PathBuf,
    stock: Mutex<Stock>,
    /// Someone took one, or waits for one.
    wanted: Notify,
    /// A batch arrived, or failed to.
    arrived: Notify,
}

#[derive(Default)]
struct Stock {
    v4: Vec<OwnedFd>,
    v6: Vec<OwnedFd>,
    waiting: usize,
    /// IPv6 sockets are refilled only for instances that use them.
    uses_v6: bool,
    /// The last batch had none: the host is without IPv6, and asking again would not change that.
    lacks_v6: bool,
    failures: u64,
    failure: Option<Arc<str>>,
}

impl Stock {
    fn of(&mut self, family: Family) -> &mut Vec<OwnedFd> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn wants(&self) -> Option<u8> {
        if self.waiting > 0 {
            let many = self.waiting * 2 > usize::from(BATCH);
            Some(if many { LARGE_BATCH } else { BATCH })
        } else if self.v4.len() <= LOW || (self.uses_v6 && !self.lacks_v6 && self.v6.len() <= LOW) {
            Some(BATCH)
        } else {
            None
        }
    }
}

impl Gate {
    pub fn new(path: PathBuf) -> Self {
        Self { path, stock: Mutex::default(), wanted: Notify::new(), arrived: Notify::new() }
    }

    /// Takes a socket from the stock, waiting for the supervisor if it is empty.
    pub async fn take(&self, family: Family) -> Result<OwnedFd, GateError> {
        if let Some(socket) = self.take_now(family) {
            return Ok(socket);
        }
        let mut waiting = Waiting { gate: self, failures: 0 };
        {
            let mut stock = self.lock();
            stock.waiting += 1;
            waiting.failures = stock.failures;
        }
        let until_one_comes = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if let Some(socket) = self.take_now(family) {
                    return Ok(socket);
                }
                {
                    let stock = self.lock();
                    if family == Family::V6 && stock.lacks_v6 {
                        return Err(GateError { reason: "this host has no IPv6".into() });
                    }
                    if stock.failures > waiting.failures
                        && let Some(reason) = stock.failure.clone()
                    {
                        return Err(GateError { reason });
                    }
                }
                self.wanted.notify_one();
                arrived.await;
            }
        };
        timeout(ANSWER, until_one_comes).await.unwrap_or_else(|_| Err(GateError { reason: "no answer within 5 s".into() }))
    }

    /// Keeps the stock filled; runs until dropped.
    pub async fn refill(self: Arc<Self>) {
        let mut connection = None;
        let mut pause = BACK_OFF.0;
        loop {
            let wants = self.lock().wants();
            let Some(count) = wants else {
                self.wanted.notified().await;
                continue;
            };
            let outcome = match timeout(ANSWER, self.fetch(&mut connection, count)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")),
            };
            match outcome {
                Ok(()) => {
                    pause = BACK_OFF.0;
                    self.arrived.notify_waiters();
                }
                Err(failure) => {
                    connection = None;
                    {
                        let mut stock = self.lock();
                        stock.failures += 1;
                        stock.failure = Some(failure.to_string().into());
                    }
                    self.arrived.notify_waiters();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    fn take_now(&self, family: Family) -> Option<OwnedFd> {
        let mut stock = self.lock();
        stock.uses_v6 |= family == Family::V6;
        let socket = stock.of(family).pop();
        let low = stock.of(family).len() <= LOW;
        drop(stock);
        if low {
            self.wanted.notify_one();
        }
        socket
    }

    async fn fetch(&self, connection: &mut Option<UnixStream>, count: u8) -> io::Result<()> {
        let stream = match connection {
            Some(stream) => stream,
            None => connection.insert(UnixStream::connect(&self.path).await?),
        };
        stream.write_all(&[count]).await?;
        let mut sockets = Vec::with_capacity(usize::from(count));
        while sockets.len() < usize::from(count) {
            let before = sockets.len();
            let got = frame::receive(stream, &mut [0; 64], &mut sockets).await?;
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the supervisor closed the gate"));
            }
            if sockets.len() == before {
                return Err(io::Error::other("the supervisor answered without sockets"));
            }
        }
        let mut stock = self.lock();
        stock.lacks_v6 = true;
        for socket in sockets {
            // Asked of the socket itself, so that nothing hangs on the order within a batch.
            let family =
                if rustix::net::sockopt::socket_domain(&socket)? == AddressFamily::INET6 { Family::V6 } else { Family::V4 };
            stock.lacks_v6 &= family == Family::V4;
            let kept = stock.of(family);
            if kept.len() < MOST {
                kept.push(socket);
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stock> {
        // The stock is consistent after every single statement, so a panic elsewhere does not spoil it.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request waiting for a socket, counted for as long as it waits, however the wait ends.
struct Waiting<'a> {
    gate: &'a Gate,
    failures: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gate.lock().waiting -= 1;
    }
}
