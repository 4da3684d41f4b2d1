//! Talking with supervisors: single requests, and the watch that keeps the facts fresh.

use std::{sync::Arc, time::Duration};

use pillion_fault::Diagnosis;
use pillion_supervisor::{Client, ClientError, protocol::Request, status::InstancePhase};

use crate::{HostEngine, engine::Live, faults::internal, instance_dir::InstanceDir};

/// Pauses between attempts to reach a supervisor whose connection broke although its process may live.
const RECONNECT: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(500)];

/// Numbers may be a little old; whoever asks for a status must not wait for a supervisor that hangs.
const FRESH_WITHIN: Duration = Duration::from_secs(1);

/// Makes one request of an instance's supervisor.
pub(crate) async fn ask(dir: &InstanceDir, request: Request) -> Result<(), Diagnosis> {
    let ends = matches!(request, Request::Stop | Request::Kill);
    let result = match Client::connect(&dir.run).await {
        Ok(client) => client.request(&request).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => Ok(()),
        // It may be gone before its answer is read: that is what was asked for.
        Err(ClientError::Gone | ClientError::Wire(_)) if ends => Ok(()),
        Err(ClientError::Refused { fault: Some(fault), .. }) => {
            Err(Diagnosis { container: None, fault: *fault, log_tail: Vec::new() })
        }
        Err(error) => Err(diagnose(&error)),
    }
}

pub(crate) fn diagnose(error: &ClientError) -> Diagnosis {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    internal("asking the supervisor", format!("{error}{cause}"))
}

/// Has the supervisors publish what their containers use and listen on now; those that do not answer in time are left out.
pub(crate) async fn refresh(lives: Vec<Arc<Live>>) {
    let asked = lives.into_iter().map(|live| async move {
        let mut watch = Client::connect(&live.dir.run).await?.watch(u64::MAX).await?;
        if let Some((status, _)) = watch.next().await? {
            // The lasting watch is told the same; waiting for it keeps one writer of the facts, and so their order.
            let _ = live.heard.subscribe().wait_for(|heard| *heard >= status.serial).await;
        }
        Ok::<(), ClientError>(())
    });
    let all = tokio::time::timeout(FRESH_WITHIN, futures::future::join_all(asked)).await;
    for error in all.into_iter().flatten().filter_map(Result::err) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a supervisor was not asked for fresh numbers");
    }
}

/// Watches a supervisor for as long as its instance is the engine's, in a task that ends with the instance.
pub(crate) fn follow(engine: HostEngine, live: Arc<Live>) {
    tokio::spawn(async move {
        let reason = watch_until_gone(&engine, &live).await;
        // An instance that was stopped on purpose is not in the engine's charge any more (or is about to leave it).
        if engine.inner.is_live(&live) && !live.is_stopping() {
            tracing::warn!(instance = %live.id, reason, "the supervisor is gone");
            engine.inner.facts.lost(&live.id, &reason);
        }
    });
}

async fn watch_until_gone(engine: &HostEngine, live: &Live) -> String {
    let mut reason = "its process ended".to_owned();
    let mut newest_event = 0;
    let mut attempts = RECONNECT.iter();
    while let Some(pause) = attempts.next() {
        tokio::time::sleep(*pause).await;
        let watch = match Client::connect(&live.dir.run).await {
            Ok(client) => client.watch(newest_event).await,
            Err(error) => Err(error),
        };
        let mut watch = match watch {
            Ok(watch) => watch,
            Err(error) => {
                reason = error.to_string();
                continue;
            }
        };
        loop {
            match watch.next().await {
                Ok(Some((status, events))) => {
                    attempts = RECONNECT.iter();
                    newest_event = events.last().map_or(newest_event, |event| event.serial);
                    let over = status.phase == InstancePhase::Stopped;
                    let limits = live.memory_limits();
                    let serial = status.serial;
                    engine.inner.facts.publish(&live.id, &limits, status, events);
                    live.heard.send_replace(serial);
                    if over {
                        return "it stopped".to_owned();
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    reason = error.to_string();
                    break;
                }
            }
        }
    }
    reason
}
