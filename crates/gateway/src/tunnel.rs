//! An upgraded connection: bytes both ways until the app closes, the client is gone or both are silent for too long.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy, split},
    time::Instant,
};

use crate::{exchange::Exchange, upstream::Sender};

/// Carries bytes between the two ends of an agreed upgrade; holds what belongs to the exchange until it ends.
pub async fn carry(client: OnUpgrade, upstream: OnUpgrade, mut exchange: Box<Exchange>, sender: Sender, idle: Duration) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(failure) => {
            tracing::debug!(%failure, "an upgrade was agreed and then not carried out");
            return;
        }
    };
    let activity = Arc::new(Activity { start: Instant::now(), last_millis: AtomicU64::new(0) });
    // Every byte of either direction passes the client's side.
    let sent = Arc::new(AtomicU64::new(0));
    let (mut from_client, mut to_client) =
        split(Watched { inner: TokioIo::new(client), activity: activity.clone(), sent: sent.clone() });
    let (mut from_app, mut to_app) = split(TokioIo::new(upstream));
    let up = async {
        copy(&mut from_client, &mut to_app).await?;
        to_app.shutdown().await?;
        // A client may end its half and still read on.
        std::future::pending::<io::Result<()>>().await
    };
    let down = async {
        copy(&mut from_app, &mut to_client).await?;
        to_client.shutdown().await
    };
    // All arms may be dropped half way: the connection ends with any.
    let outcome = tokio::select! {
        outcome = up => outcome,
        outcome = down => outcome,
        () = activity.silence(idle) => Ok(()),
    };
    if let Err(failure) = outcome {
        tracing::debug!(%failure, "an upgraded connection broke off");
    }
    exchange.bytes += sent.load(Relaxed);
    drop(sender);
}

struct Activity {
    start: Instant,
    last_millis: AtomicU64,
}

impl Activity {
    fn touch(&self) {
        self.last_millis.store(self.start.elapsed().as_millis() as u64, Relaxed);
    }

    async fn silence(&self, idle: Duration) {
        loop {
            let end = self.start + Duration::from_millis(self.last_millis.load(Relaxed)) + idle;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

struct Watched<T> {
    inner: T,
    activity: Arc<Activity>,
    sent: Arc<AtomicU64>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.activity.touch();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.activity.touch();
        self.sent.fetch_add(wrote as u64, Relaxed);
        Poll::Ready(Ok(wrote))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
