//! Who has drained: joins the gateway's news with the routes in force, for the control plane to wait on.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pillion_control::{Drainer, Routes};
use pillion_model::InstanceId;
use tokio::sync::watch;

/// The facts, as of now.
#[derive(Debug, Default)]
struct Facts {
    /// The generation of the control plane's routes that the gateway goes by.
    in_force: u64,
    /// Instances that drain in those routes, or left them, with no request under way. An id is never used again.
    done: BTreeSet<String>,
}

/// Waits on the gateway for the control plane.
#[derive(Debug, Default)]
pub struct Drained {
    facts: watch::Sender<Facts>,
}

impl Drained {
    /// Routes are in force; instances that they no longer name at all need not be remembered.
    pub fn in_force(&self, routes: &Routes) {
        self.facts.send_modify(|facts| {
            facts.in_force = facts.in_force.max(routes.generation);
            if facts.done.len() > 1024 {
                let known: BTreeSet<&str> =
                    routes.apps.iter().flat_map(|app| &app.instances).map(|one| one.instance.as_str()).collect();
                facts.done.retain(|instance| known.contains(instance.as_str()));
            }
        });
    }

    /// The gateway says that an instance has no request under way any more.
    pub fn drained(&self, instance: String) {
        // True wakes whoever waits; news told twice wake nobody.
        self.facts.send_if_modified(|facts| facts.done.insert(instance));
    }
}

#[async_trait]
impl Drainer for Drained {
    async fn drained(&self, instance: &InstanceId, generation: u64) {
        let mut facts = self.facts.subscribe();
        // The sender is this very object, so the wait cannot fail while it is borrowed.
        let _ = facts.wait_for(|facts| facts.in_force >= generation && facts.done.contains(instance.as_str())).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_instance_has_drained_once_its_routes_are_in_force_and_the_gateway_says_so() {
        let drained = Drained::default();
        let id: InstanceId = "shop-1-aaaaaa".parse().unwrap();
        assert!(Drainer::drained(&drained, &id, 2).now_or_never().is_none());
        drained.drained(id.to_string());
        assert!(Drainer::drained(&drained, &id, 2).now_or_never().is_none(), "its routes are not in force");
        drained.in_force(&Routes { generation: 3, apps: Vec::new() });
        assert!(Drainer::drained(&drained, &id, 2).now_or_never().is_some());
    }
}
