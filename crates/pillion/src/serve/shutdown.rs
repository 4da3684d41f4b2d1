//! The end of the server, in a written order with a deadline.
//!
//! 1. Where apps are to stop: the reconciler rests, so that nothing is started anew; the gateway finishes what is under
//!    way; every instance is stopped in order; the gateway ends.
//! 2. Where apps stay: the reconciler rests; instances and gateway go on, and the next server finds them.
//! 3. Whoever asked is told; the API answers what is under way and closes; its socket goes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use pillion_azure::deployment::Deployments;
use pillion_engine::Engine;
use pillion_host::HostEngine;
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

use super::gateway::Gateway;
use crate::complaint::Complaint;

/// Requests under way may take this long once every app is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// All instances together may take this long to stop in order; containers have their own grace, 10 s unless told.
const STOP_APPS: Duration = Duration::from_secs(90);
/// A slow disk may take this long; what is not durable then is checked, and fetched again, after a crash.
const SETTLE: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(6);
const CLOSE_API: Duration = Duration::from_secs(4);

/// What becomes of the apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apps {
    Keep,
    Stop,
}

impl Apps {
    /// A server that belongs to an `up` takes its apps with it; another leaves them to the next server.
    pub fn of_signal(tied: bool) -> Self {
        if tied { Apps::Stop } else { Apps::Keep }
    }
}

/// A client's wish that the server ends.
#[derive(Debug)]
pub struct StopAsked {
    pub apps: Apps,
    /// Told once the apps have stopped.
    pub stopped: oneshot::Sender<()>,
}

/// Everything that runs and has to end.
pub struct Running {
    pub engine: Arc<HostEngine>,
    pub reconciling: JoinHandle<()>,
    pub stop_reconciler: watch::Sender<bool>,
    pub gateway: Gateway,
    pub api: JoinHandle<std::io::Result<()>>,
    pub endpoint: JoinHandle<std::io::Result<()>>,
    pub deployments: Deployments,
    pub settling: JoinHandle<()>,
    pub keeping_fresh: JoinHandle<()>,
    pub close_api: watch::Sender<bool>,
    pub socket: PathBuf,
}

impl Running {
    /// Ends everything.
    pub async fn end(self, apps: Apps, stopped: Option<oneshot::Sender<()>>) -> Result<(), Complaint> {
        tracing::info!(?apps, "ending");
        let _ = self.stop_reconciler.send(true);
        // What is under way has its place in the store, and goes on with the next server.
        if tokio::time::timeout(REST, self.deployments.close()).await.is_err() {
            tracing::warn!("template deployments did not end within {REST:?} and are cut");
        }
        // What has not settled has its mark in the store, and settles with the next server.
        within(REST, "the settler", self.settling).await;
        within(REST, "the keeper of certificates", self.keeping_fresh).await;
        within(REST, "the reconciler", self.reconciling).await;
        match apps {
            Apps::Keep => self.gateway.leave().await,
            Apps::Stop => {
                self.gateway.end(DRAIN).await;
                stop_instances(&self.engine).await;
                self.engine.close().await;
            }
        }
        let images = self.engine.images().clone();
        // Layers are made durable in the background; after this nothing of them is lost with the power.
        let settled = tokio::task::spawn_blocking(move || images.settle());
        match tokio::time::timeout(SETTLE, settled).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(error = &error as &dyn std::error::Error, "images may not be on disk"),
            Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "making images durable failed"),
            Err(_) => tracing::warn!("images were not on disk within {SETTLE:?}"),
        }
        if let Some(stopped) = stopped {
            // The client may have gone; the stop was done all the same.
            let _ = stopped.send(());
        }
        let _ = self.close_api.send(true);
        within(CLOSE_API, "the API", self.api).await;
        within(CLOSE_API, "the TLS endpoint", self.endpoint).await;
        // The next server makes its own; without one, clients are told that none runs.
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!(error = &error as &dyn std::error::Error, "the API's socket was gone already");
        }
        tracing::info!("ended");
        Ok(())
    }
}

async fn stop_instances(engine: &Arc<HostEngine>) {
    let ids: Vec<_> = engine.observe().borrow().instances.keys().cloned().collect();
    let mut stops = JoinSet::new();
    for id in ids {
        let engine = engine.clone();
        stops.spawn(async move {
            if let Err(diagnosis) = engine.stop(&id).await {
                tracing::warn!(instance = %id, cause = %diagnosis, "instance did not stop in order");
            }
        });
    }
    let all = async { while stops.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_APPS, all).await.is_err() {
        tracing::warn!(left = stops.len(), "the deadline passed; these instances are left to their supervisors");
    }
}

async fn within<T>(deadline: Duration, what: &str, task: JoinHandle<T>) {
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "{what} failed"),
        Err(_) => tracing::warn!("{what} did not end within {deadline:?} and is cut"),
    }
}
