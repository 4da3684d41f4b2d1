//! Serves the API on a Unix socket until it is told to stop.

use std::{future::Future, io, time::Duration};

use tokio::net::UnixListener;

use crate::{Services, route};

/// How long answers under way may go on once the server is to stop; streams have no end of their own.
const LINGER: Duration = Duration::from_secs(2);

/// Serves until `stop` is done, then refuses new connections and lets answers under way end.
///
/// # Errors
/// The listener cannot accept any more.
pub async fn serve(
    listener: UnixListener,
    services: Services,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let graceful = async move {
        stop.await;
        let _ = stopping.send(true);
    };
    let serving = axum::serve(listener, route::router(services)).with_graceful_shutdown(graceful).into_future();
    tokio::select! {
        done = serving => done,
        // Dropping `serving` closes what is still open: followers of logs and events see the end of their stream.
        () = async {
            let _ = stopped.wait_for(|&stopped| stopped).await;
            tokio::time::sleep(LINGER).await;
        } => Ok(()),
    }
}
