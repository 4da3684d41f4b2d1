//! Deployments in the store: the record that is shown, and beside it what a run starts from.

use pillion_arm::ResourceId;
use pillion_identity::Caller;
use pillion_store::{AuditEntry, Batch, Expect, Kind, Store, StoreError};

use super::{
    moment::now_ms,
    record::{Record, Source},
};

/// The deployments' part of the store.
#[derive(Clone)]
pub(crate) struct Shelf {
    store: Store,
}

/// Something that was done to a deployment, for the audit log.
pub(crate) struct Deed<'a> {
    pub(crate) caller: &'a Caller,
    /// `write`, `delete`, `cancel/action`
    pub(crate) action: &'static str,
    pub(crate) id: &'a ResourceId,
    pub(crate) status: u16,
    pub(crate) correlation: &'a str,
}

impl Shelf {
    pub(crate) fn new(store: Store) -> Shelf {
        Shelf { store }
    }

    /// Reads all records.
    pub(crate) async fn records(&self) -> Result<Vec<Record>, StoreError> {
        Ok(self.store.documents::<Record>(Kind::Deployment).await?.into_iter().map(|document| document.body).collect())
    }

    pub(crate) async fn source(&self, id: ResourceId) -> Result<Option<Source>, StoreError> {
        Ok(self.store.document::<Source>(Kind::DeploymentSource, id.key()).await?.map(|document| document.body))
    }

    /// Stores a new deployment with what its run starts from.
    pub(crate) async fn accept(&self, record: &Record, source: &Source, deed: Deed<'_>) -> Result<(), StoreError> {
        let batch = Batch::new()
            .put(Kind::Deployment, record.id.key(), record, Expect::Anything)
            .put(Kind::DeploymentSource, record.id.key(), source, Expect::Anything)
            .audit(deed.entry());
        self.store.commit(batch).await.map(drop)
    }

    pub(crate) async fn save(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let batch = records
            .iter()
            .fold(Batch::new(), |batch, record| batch.put(Kind::Deployment, record.id.key(), record, Expect::Anything));
        self.store.commit(batch).await.map(drop)
    }

    /// Stores the ending of a deployment: its secrets go.
    pub(crate) async fn finish(&self, records: Vec<Record>, id: &ResourceId, template: String) -> Result<(), StoreError> {
        let source = Source { template, secret: None };
        let batch = records
            .iter()
            .fold(Batch::new(), |batch, record| batch.put(Kind::Deployment, record.id.key(), record, Expect::Anything));
        self.store.commit(batch.put(Kind::DeploymentSource, id.key(), &source, Expect::Anything)).await.map(drop)
    }

    pub(crate) async fn remove(&self, ids: &[ResourceId], deed: Option<Deed<'_>>) -> Result<(), StoreError> {
        let batch = ids.iter().fold(Batch::new(), |batch, id| {
            batch.delete(Kind::Deployment, id.key(), Expect::Anything).delete(Kind::DeploymentSource, id.key(), Expect::Anything)
        });
        let batch = match deed {
            Some(deed) => batch.audit(deed.entry()),
            None => batch,
        };
        self.store.commit(batch).await.map(drop)
    }

    /// Stores that a deployment is to stop.
    pub(crate) async fn cancel(&self, record: &Record, deed: Deed<'_>) -> Result<(), StoreError> {
        let batch = Batch::new().put(Kind::Deployment, record.id.key(), record, Expect::Anything).audit(deed.entry());
        self.store.commit(batch).await.map(drop)
    }
}

impl Deed<'_> {
    fn entry(&self) -> AuditEntry {
        AuditEntry {
            at_ms: now_ms(),
            principal: self.caller.principal.clone(),
            caller: self.caller.display_name.clone(),
            action: format!("Microsoft.Resources/deployments/{}", self.action),
            target: self.id.key().to_owned(),
            status: self.status,
            correlation: self.correlation.to_owned(),
            detail: String::new(),
        }
    }
}
