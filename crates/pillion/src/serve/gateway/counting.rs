//! What the gateway has counted, for the sites' metrics.

use std::sync::Arc;

use async_trait::async_trait;
use pillion_azure::{Traffic, TrafficCount};
use pillion_gateway::client::Client;
use tokio::sync::watch;

/// Asks whichever gateway runs now.
pub struct Counting(pub(super) watch::Receiver<Option<Arc<Client>>>);

#[async_trait]
impl Traffic for Counting {
    async fn counts(&self) -> Vec<TrafficCount> {
        let Some(client) = self.0.borrow().clone() else { return Vec::new() };
        match client.stats().await {
            Ok(apps) => apps
                .into_iter()
                .map(|one| TrafficCount {
                    app: one.app,
                    requests: one.requests,
                    by_class: [one.status_2xx, one.status_3xx, one.status_4xx, one.status_5xx],
                    response_usec: one.response_usec,
                })
                .collect(),
            // Its keeper notices and says so; what it counted until its end is lost.
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the gateway did not say what it counted");
                Vec::new()
            }
        }
    }
}
