//! The loopback port that is an app's own: free for it, or kept for it before the app is there.

use pillion_model::AppName;
use pillion_store::{Batch, Expect, Kind};
use tokio::sync::MutexGuard;

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

/// A new app's port, which no other app is given before this is dropped: to be held until the app's record is stored.
#[derive(Debug)]
pub(crate) struct Claimed<'a> {
    pub(crate) port: u16,
    _alone: MutexGuard<'a, ()>,
}

/// Claims the port kept for an app, else a free one.
pub(crate) async fn claim<'a>(shared: &'a Shared, app: &AppName) -> Result<Claimed<'a>, ControlError> {
    let alone = shared.ports.lock().await;
    let kept = shared.store.document::<u16>(Kind::Port, app.as_str()).await?;
    let port = match kept {
        Some(kept) => kept.body,
        None => free(shared, app).await?,
    };
    Ok(Claimed { port, _alone: alone })
}

async fn free(shared: &Shared, app: &AppName) -> Result<u16, ControlError> {
    let own = shared.store.documents::<Record>(Kind::App).await?.into_iter().map(|document| document.body.port);
    let kept = shared.store.documents::<u16>(Kind::Port).await?.into_iter().map(|document| document.body);
    let taken: std::collections::BTreeSet<u16> = own.chain(kept).collect();
    let ports = shared.settings().app_ports;
    let exhausted = ControlError::PortsExhausted { app: app.clone(), first: *ports.start(), last: *ports.end() };
    ports.clone().find(|port| !taken.contains(port)).ok_or(exhausted)
}
