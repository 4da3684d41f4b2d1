//! The loopback port that is an app's own: free for it, or kept for it before the app is there.

use pillion_model::AppName;
use pillion_store::{Batch, Expect, Kind};

use crate::{Control, ControlError, record::Record, shared::Shared};

impl Control {
    /// Keeps a port for an app that may come later; asked again, gives the same one. An app that is there already has its own.
    ///
    /// # Errors
    /// `PortsExhausted`, `Store`.
    pub async fn reserve_port(&self, app: &AppName) -> Result<u16, ControlError> {
        let behind = self.resolve(app).await?;
        let _one_at_a_time = self.shared.ports.lock().await;
        if let Some(found) = self.shared.store.document::<Record>(Kind::App, behind.as_str()).await? {
            return Ok(found.body.port);
        }
        if let Some(kept) = self.shared.store.document::<u16>(Kind::Port, app.as_str()).await? {
            return Ok(kept.body);
        }
        let port = free(&self.shared, app).await?;
        self.shared.store.commit(Batch::new().put(Kind::Port, app.as_str(), &port, Expect::Anything)).await?;
        Ok(port)
    }

    /// Lets go of what [`Control::reserve_port`] kept.
    pub async fn release_port(&self, app: &AppName) -> Result<(), ControlError> {
        self.shared.store.commit(Batch::new().delete(Kind::Port, app.as_str(), Expect::Anything)).await?;
        Ok(())
    }

    /// Gives every port kept for an app, and every app's own.
    pub async fn ports(&self) -> Result<Vec<(AppName, u16)>, ControlError> {
        let kept = self.shared.store.documents::<u16>(Kind::Port).await?.into_iter().map(|kept| (kept.key, kept.body));
        let own = self.shared.store.documents::<Record>(Kind::App).await?.into_iter();
        let own = own.map(|own| (own.body.front.map_or(own.key, |front| front.name.to_string()), own.body.port));
        Ok(kept.chain(own).filter_map(|(app, port)| Some((AppName::try_from(app).ok()?, port))).collect())
    }
}

pub(crate) async fn given_or_free(shared: &Shared, app: &AppName) -> Result<u16, ControlError> {
    match shared.store.document::<u16>(Kind::Port, app.as_str()).await? {
        Some(kept) => Ok(kept.body),
        None => {
            let _one_at_a_time = shared.ports.lock().await;
            free(shared, app).await
        }
    }
}

async fn free(shared: &Shared, app: &AppName) -> Result<u16, ControlError> {
    let own = shared.store.documents::<Record>(Kind::App).await?.into_iter().map(|document| document.body.port);
    let kept = shared.store.documents::<u16>(Kind::Port).await?.into_iter().map(|document| document.body);
    let taken: std::collections::BTreeSet<u16> = own.chain(kept).collect();
    let ports = shared.settings().app_ports;
    let exhausted = ControlError::PortsExhausted { app: app.clone(), first: *ports.start(), last: *ports.end() };
    ports.clone().find(|port| !taken.contains(port)).ok_or(exhausted)
}
