//! A definition that cannot even be written down: the app's newest revision is one that has failed, and says why.

use pillion_fault::Diagnosis;
use pillion_model::{App, AppName};
use pillion_store::{Batch, Expect, Kind, Outcome};

use crate::{
    Control, ControlError,
    record::{Intent, Record},
    shared::{event, wall_ms},
};

impl Control {
    /// Records that what `owner` asks of an app cannot be: a new revision that failed, while the current one goes on
    /// serving. Asked again for the same reason, nothing changes.
    ///
    /// # Errors
    /// `BeingDeleted`, `Taken` (an app file made the app), `PortsExhausted`, `Store`.
    pub async fn refuse(&self, app: &AppName, owner: &str, diagnosis: Diagnosis) -> Result<(), ControlError> {
        let shared = &self.shared;
        let stored = shared.store.document::<Record>(Kind::App, app.as_str()).await?;
        if stored.as_ref().is_some_and(|document| document.body.intent == Intent::Delete) {
            return Err(ControlError::BeingDeleted { app: app.clone() });
        }
        if stored.as_ref().is_some_and(|document| document.body.owner.is_none()) {
            return Err(ControlError::Taken { app: app.clone(), by: owner.to_owned() });
        }
        let newest = match &stored {
            Some(document) => shared.store.revision(app, document.body.target).await?,
            None => None,
        };
        let told = |outcome: &Outcome| matches!(outcome, Outcome::Failed { diagnosis: told } if **told == diagnosis);
        if newest.as_ref().is_some_and(|newest| told(&newest.outcome)) {
            return Ok(());
        }
        let etag = stored.as_ref().map(|document| document.etag);
        let number = stored.as_ref().map_or(1, |document| document.body.newest + 1);
        // Held until the record is stored.
        let claimed;
        let mut record = match stored {
            Some(document) => document.body,
            None => Record {
                intent: Intent::Run,
                scale: None,
                current: None,
                target: number,
                newest: number,
                port: {
                    claimed = crate::ports::claim(shared, &shared.fronts.public(app)).await?;
                    claimed.port
                },
                registries: Vec::new(),
                owner: Some(owner.to_owned()),
                front: shared.front_of(app, None),
            },
        };
        let mut batch = Batch::new();
        if let Some(pending) =
            newest.as_ref().filter(|newest| newest.outcome == Outcome::Pending && Some(newest.number) != record.current)
        {
            batch = batch.outcome(app, pending.number, &Outcome::Superseded { by: number });
        }
        (record.target, record.newest) = (number, number);
        let definition = newest.map_or_else(|| nothing(app), |newest| newest.definition);
        let text = format!("revision {number} failed: {}", diagnosis.fault);
        batch = batch
            .revision(number, &definition, wall_ms())
            .outcome(app, number, &Outcome::Failed { diagnosis: Box::new(diagnosis) })
            .prune_revisions(app, record.kept())
            .event(event(app, Some(number), "failed", text))
            .put(Kind::App, app.as_str(), &record, etag.map_or(Expect::Absent, Expect::Version));
        shared.store.commit(batch).await?;
        Ok(())
    }
}

fn nothing(app: &AppName) -> App {
    App {
        name: app.clone(),
        containers: Default::default(),
        volumes: Default::default(),
        settings: Default::default(),
        scale: 1,
        network: Default::default(),
        hosts: Vec::new(),
        ready_within: 230,
        unhealthy_limit: 100,
        user_namespace: Default::default(),
    }
}
