//! The bodies that pass through: bytes are handed on as they come, never collected.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{exchange::Exchange, upstream::Sender};

/// Why a body was cut.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
}

/// A client's body on its way to an instance.
pub enum RequestBody {
    Empty,
    Streaming { body: Incoming, progress: Arc<Progress> },
}

/// How far the client's body is, for whoever waits for the answer.
pub struct Progress {
    start: Instant,
    last_millis: AtomicU64,
    done: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    fn touch(&self) {
        self.last_millis.store(self.start.elapsed().as_millis() as u64, Relaxed);
    }

    /// Returns when the last byte went on.
    pub fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last_millis.load(Relaxed))
    }

    pub fn is_done(&self) -> bool {
        self.done.load(Relaxed)
    }

    /// Returns whether the client broke off or sent a malformed body.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

impl RequestBody {
    /// Wraps a client's body; the progress is none if there is no body.
    pub fn new(body: Incoming) -> (Self, Option<Arc<Progress>>) {
        if body.is_end_stream() {
            return (Self::Empty, None);
        }
        let progress = Arc::new(Progress {
            start: Instant::now(),
            last_millis: AtomicU64::new(0),
            done: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        });
        (Self::Streaming { body, progress: progress.clone() }, Some(progress))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming { body, progress } => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                progress.touch();
                if body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
                    progress.done.store(true, Relaxed);
                }
                if matches!(frame, Some(Err(_))) {
                    progress.failed.store(true, Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { body, .. } => body.size_hint(),
        }
    }
}

/// An answer on its way to a client.
pub enum ResponseBody {
    /// The gateway's own page.
    Page {
        bytes: Bytes,
        exchange: Box<Exchange>,
    },
    Upstream(UpstreamBody),
    /// The head of an upgraded connection; what follows is the tunnel's.
    Switched,
}

/// An instance's body; its end gives the connection back for reuse.
pub struct UpstreamBody {
    body: Incoming,
    /// Boxed, because answers are moved often on their way to the wire.
    exchange: Box<Exchange>,
    sender: Option<Sender>,
    /// Made when the body first has to wait: most small answers never do.
    silence: Option<Silence>,
    idle: Duration,
}

/// The time that the instance sends nothing, from when it last did.
struct Silence {
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl UpstreamBody {
    pub fn new(body: Incoming, exchange: Box<Exchange>, sender: Sender, idle: Duration) -> Self {
        Self { body, exchange, sender: Some(sender), silence: None, idle }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(silence) = &mut self.silence {
                    silence.last = Instant::now();
                }
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    self.exchange.bytes += data.len() as u64;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                let Silence { last, sleep } = self
                    .silence
                    .get_or_insert_with(|| Silence { last: Instant::now(), sleep: Box::pin(tokio::time::sleep(self.idle)) });
                while sleep.as_mut().poll(cx).is_ready() {
                    let end = *last + self.idle;
                    if end <= Instant::now() {
                        return Poll::Ready(Some(Err(BodyError::Silent(self.idle))));
                    }
                    sleep.as_mut().reset(end);
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A body cut short leaves bytes on the connection: dropping the sender closes it.
        if let Some(sender) = self.sender.take()
            && self.body.is_end_stream()
            && let Some(instance) = self.exchange.lease.as_ref().map(|lease| lease.instance.clone())
        {
            let now = self.exchange.end();
            crate::upstream::give_back(instance, sender, now);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Page { bytes, exchange } => {
                let bytes = std::mem::take(bytes);
                exchange.bytes += bytes.len() as u64;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => body.poll(cx),
            Self::Switched => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page { bytes, .. } => bytes.is_empty(),
            Self::Upstream(body) => body.body.is_end_stream(),
            Self::Switched => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.body.size_hint(),
            Self::Switched => SizeHint::with_exact(0),
        }
    }
}
