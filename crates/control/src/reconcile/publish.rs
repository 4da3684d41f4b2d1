//! What goes out of a look at everything: routes for the gateway, events for the log, orphans to their end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pillion_engine::Observed;
use pillion_fault::{Diagnosis, Fault, Words};
use pillion_store::{Batch, NewEvent, Outcome};

use super::Reconciler;
use crate::{
    Routes,
    memory::Key,
    routing::{Facts, orphans, route, words},
};

impl Reconciler {
    /// Instances whose app is gone: a crash came between the record's end and theirs, or the state was replaced.
    pub(super) fn remove_orphans(&mut self, observed: &Observed) {
        if self.store_failures > 0 {
            return;
        }
        let found: Vec<_> =
            orphans(observed, |app| self.apps.contains_key(app)).map(|one| (one.app.clone(), one.status.id.clone())).collect();
        for (app, instance) in found {
            if self.orphaned.insert(instance.clone()) {
                tracing::warn!(%app, %instance, "removing an instance of an app that is not there");
                let (engine, id) = (self.shared.engine.clone(), instance.clone());
                self.spawn(&app, Key::Stop(instance), async move { engine.stop(&id).await });
            }
        }
    }

    /// Writes what instances report into the event log, each event once.
    pub(super) async fn store_events(&mut self, observed: &Observed) {
        let mut batch = Batch::new();
        let mut latest = Vec::new();
        for (id, one) in &observed.instances {
            let Some(known) = self.apps.get(&one.app) else { continue };
            let stored = known.memory.events_stored.get(id).copied().unwrap_or(0);
            for event in one.events.iter().filter(|event| event.serial > stored) {
                batch = batch.event(NewEvent {
                    at_ms: event.at_ms,
                    app: one.app.clone(),
                    revision: Some(one.status.revision),
                    instance: Some(id.clone()),
                    container: event.container.clone(),
                    kind: event.kind.clone(),
                    text: event.text.clone(),
                    source: Some(event.serial),
                });
            }
            if let Some(last) = one.events.last().filter(|last| last.serial > stored) {
                latest.push((one.app.clone(), id.clone(), last.serial));
            }
        }
        if batch.is_empty() {
            return;
        }
        // Not kept: instances keep theirs, so the next look tries again.
        if let Err(wrong) = self.shared.store.commit(batch).await {
            tracing::warn!(error = &wrong as &dyn std::error::Error, "cannot write events");
            return;
        }
        for (app, id, serial) in latest {
            if let Some(known) = self.apps.get_mut(&app) {
                known.memory.events_stored.insert(id, serial);
            }
        }
    }

    /// Publishes routes and what `status` shows of the executor's knowledge; returns the routes' generation.
    pub(super) fn publish(&mut self, observed: &Observed) -> u64 {
        let mut apps = Vec::new();
        let (mut draining, mut refusals) = (BTreeSet::new(), BTreeMap::new());
        for (app, known) in &self.apps {
            draining.extend(known.memory.draining().cloned());
            if let Some(diagnosis) = &known.memory.start_refused {
                refusals.insert(app.clone(), diagnosis.clone());
            }
            let shown = known.record.current.unwrap_or(known.record.target);
            let Some(stored) = known.revisions.get(&shown) else { continue };
            let site = known.record.front.as_ref().and_then(|front| front.site.as_ref());
            let words = words(site);
            let down = match (&stored.outcome, &known.memory.start_refused) {
                (Outcome::Failed { diagnosis }, _) => Some(told(diagnosis, words)),
                (Outcome::Pending | Outcome::Ready | Outcome::Superseded { .. }, refused) => {
                    refused.as_ref().map(|refused| told(refused, words))
                }
            };
            let name = known.record.public(app);
            let facts = Facts { app: name, site, port: known.record.port, definition: &stored.definition, down };
            apps.push(route(&facts, &known.desired(self.settle_ms()), &known.memory.seen(app, observed)));
        }
        self.shared.draining.send_if_modified(|old| replace(old, draining));
        self.shared.refusals.send_if_modified(|old| replace(old, refusals));
        self.shared.routes.send_if_modified(|old| {
            // A gateway that outlived the last server knows better than one who has not looked yet.
            let first = old.generation == 0;
            if first && (self.store_failures > 0 || !observed.complete) {
                return false;
            }
            let changed = first || old.apps != apps;
            if changed {
                *old = Arc::new(Routes { generation: old.generation + 1, apps });
            }
            changed
        });
        self.shared.routes.borrow().generation
    }
}

fn told(diagnosis: &Diagnosis, words: Words) -> (String, Option<String>) {
    let fault: &Fault = &diagnosis.fault;
    let who = diagnosis.container.as_deref().map(|name| format!("container {name}: ")).unwrap_or_default();
    (format!("{who}{fault}"), fault.hint_in(words))
}

fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}
