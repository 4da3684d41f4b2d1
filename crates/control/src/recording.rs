//! Reading and changing an app's record, against others who do the same.

use pillion_engine::ObservedInstance;
use pillion_model::AppName;
use pillion_store::{Batch, Document, Etag, Expect, Kind, NewEvent, StoreError};

use crate::{
    Control, ControlError,
    record::{Intent, Record},
    shared::event,
};

impl Control {
    pub(crate) async fn record(&self, app: &AppName) -> Result<Document<Record>, ControlError> {
        let found = self.shared.store.document(Kind::App, app.as_str()).await?;
        found.ok_or_else(|| ControlError::AppNotFound { app: app.clone() })
    }

    pub(crate) fn instances(&self, app: &AppName) -> Vec<ObservedInstance> {
        self.shared.engine.observe().borrow().instances.values().filter(|one| one.app == *app).cloned().collect()
    }

    pub(crate) async fn intend(&self, app: &AppName, intent: Intent, kind: &str, text: &str) -> Result<Etag, ControlError> {
        self.change(app, |record| {
            let changed = record.intent != intent;
            record.intent = intent;
            changed.then(|| event(app, record.current, kind, text.to_owned()))
        })
        .await
    }

    /// Changes the record of an app that is not being deleted; `change` returns the event to log, or none where nothing changes.
    pub(crate) async fn change(
        &self,
        app: &AppName,
        change: impl Fn(&mut Record) -> Option<NewEvent>,
    ) -> Result<Etag, ControlError> {
        if matches!(self.record(app).await?.body.intent, Intent::Delete) {
            return Err(ControlError::BeingDeleted { app: app.clone() });
        }
        self.change_any(app, change).await
    }

    pub(crate) async fn change_any(
        &self,
        app: &AppName,
        change: impl Fn(&mut Record) -> Option<NewEvent>,
    ) -> Result<Etag, ControlError> {
        loop {
            let mut document = self.record(app).await?;
            let Some(news) = change(&mut document.body) else { return Ok(document.etag) };
            let batch = Batch::new().event(news).put(Kind::App, app.as_str(), &document.body, Expect::Version(document.etag));
            match self.shared.store.commit(batch).await {
                Ok(etag) => return Ok(etag.unwrap_or(document.etag)),
                Err(StoreError::Conflict { .. }) => {}
                Err(wrong) => return Err(wrong.into()),
            }
        }
    }
}
