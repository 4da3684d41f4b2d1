//! Fronts: the public names that lead to apps. A swap exchanges the fronts of two apps in one commit, so that requests move
//! from one to the other at once while both go on running, each with its own images and volumes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use pillion_model::{AccessRules, AppName, Cors};
use pillion_store::{Batch, Document, Etag, Expect, Kind, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    Control, ControlError,
    record::{Intent, Record},
    shared::event,
};

/// The name that an app is known by, and what holds for that name, whichever app stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Front {
    pub name: AppName,
    /// Set for what App Service calls a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteFront>,
}

/// How requests to a site are received and spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteFront {
    /// A client stays with the instance that answered it first (a cookie says which).
    pub affinity: bool,
    /// Clients that came to a trusted proxy without TLS are sent to where they have TLS.
    #[serde(default)]
    pub https_only: bool,
    #[serde(default)]
    pub access: AccessRules,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Parts of the requests that go to slots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
}

/// A part of a site's requests that goes to one of its slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// What clients name it by.
    pub slot: String,
    /// The slot's public name.
    pub app: AppName,
    /// Hundredths of a percent.
    pub share: u32,
}

/// One side of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub name: &'a AppName,
    /// Who owns whatever stands behind that name.
    pub owner: &'a str,
}

/// Which app stands behind which public name, where that is not the app of that name.
#[derive(Default)]
pub(crate) struct Fronts {
    by_name: Mutex<BTreeMap<AppName, AppName>>,
}

impl Fronts {
    pub(crate) async fn read(store: &Store) -> Result<Fronts, StoreError> {
        let fronts = Fronts::default();
        for document in store.documents::<Record>(Kind::App).await? {
            if let Ok(app) = AppName::try_from(document.key) {
                fronts.note(&app, &document.body);
            }
        }
        Ok(fronts)
    }

    /// Learns the public name of an app.
    pub(crate) fn note(&self, app: &AppName, record: &Record) {
        let mut by_name = self.lock();
        by_name.retain(|_, behind| behind != app);
        let name = record.public(app);
        if name != app {
            by_name.insert(name.clone(), app.clone());
        } else {
            by_name.remove(name);
        }
    }

    pub(crate) fn forget(&self, app: &AppName) {
        self.lock().retain(|_, behind| behind != app);
    }

    /// Returns the public name of an app that may not be there yet.
    pub(crate) fn public(&self, app: &AppName) -> AppName {
        let found = self.lock().iter().find(|(_, behind)| *behind == app).map(|(name, _)| name.clone());
        found.unwrap_or_else(|| app.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppName, AppName>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Returns the name that clients know the app by.
    pub fn public<'a>(&'a self, app: &'a AppName) -> &'a AppName {
        self.front.as_ref().map_or(app, |front| &front.name)
    }
}

impl Control {
    /// Gives the app that stands behind a public name; one that is not there yet gets a name of its own that stays.
    ///
    /// # Errors
    /// `Store`.
    pub async fn resolve(&self, name: &AppName) -> Result<AppName, ControlError> {
        let fronts = &self.shared.fronts;
        {
            let by_name = fronts.lock();
            if let Some(app) = by_name.get(name) {
                return Ok(app.clone());
            }
            if !by_name.values().any(|app| app == name) {
                return Ok(name.clone());
            }
        }
        // The app of this name has another front since a swap: what comes here needs a name that nobody has.
        for number in 2..u32::MAX {
            let tail = format!("-{number}");
            let head: String = name.as_str().chars().take(48 - tail.len()).collect();
            let Ok(fresh) = AppName::try_from(format!("{}{tail}", head.trim_end_matches('-'))) else { continue };
            let there = self.shared.store.document::<Record>(Kind::App, fresh.as_str()).await?.is_some();
            let mut by_name = fronts.lock();
            if let Some(app) = by_name.get(name) {
                return Ok(app.clone());
            }
            let taken = there || by_name.contains_key(&fresh) || by_name.values().any(|app| *app == fresh);
            if !taken {
                by_name.insert(name.clone(), fresh.clone());
                return Ok(fresh);
            }
        }
        Ok(name.clone())
    }

    /// Gives the name that clients know an app by.
    pub fn public_name(&self, app: &AppName) -> AppName {
        self.shared.fronts.public(app)
    }

    /// Sets what holds for an app's public name; nothing is stored where it is so already, or the app is not `owner`'s.
    ///
    /// # Errors
    /// `AppNotFound`, `Store`.
    pub async fn set_site_front(&self, app: &AppName, owner: &str, site: SiteFront) -> Result<(), ControlError> {
        loop {
            let document = self.record(app).await?;
            let mut record = document.body;
            if record.owner.as_deref() != Some(owner) {
                return Ok(());
            }
            if record.front.as_ref().and_then(|front| front.site.as_ref()) == Some(&site) {
                return Ok(());
            }
            record.front = Some(Front { name: record.public(app).clone(), site: Some(site.clone()) });
            let batch = Batch::new().put(Kind::App, app.as_str(), &record, Expect::Version(document.etag));
            match self.shared.store.commit(batch).await {
                Err(StoreError::Conflict { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Exchanges the fronts of the apps behind two public names in one commit together with `with`: each gets the other's
    /// name, port and owner. Where only one of the names has an app, that app moves to the other name. Returns the etags of `with`'s documents.
    ///
    /// # Errors
    /// `AppNotFound` where neither name has an app, `BeingDeleted`, `Store` (a conflict where either changed meanwhile).
    pub async fn exchange(&self, one: Side<'_>, other: Side<'_>, with: Batch) -> Result<Vec<Etag>, ControlError> {
        let (first, second) = (self.resolve(one.name).await?, self.resolve(other.name).await?);
        let one_port = self.reserve_port(one.name).await?;
        let other_port = self.reserve_port(other.name).await?;
        let first_document = self.shared.store.document::<Record>(Kind::App, first.as_str()).await?;
        let second_document = self.shared.store.document::<Record>(Kind::App, second.as_str()).await?;
        let site = |document: &Option<Document<Record>>| document.as_ref()?.body.front.as_ref()?.site.clone();
        let (first_site, second_site) = (site(&first_document), site(&second_document));
        let mut batch = with;
        let mut moved = Vec::new();
        let sides = [
            (&first, first_document, one, other, other_port, second_site),
            (&second, second_document, other, one, one_port, first_site),
        ];
        for (app, document, from, to, port, site) in sides {
            let Some(Document { body: mut record, etag, .. }) = document else { continue };
            if record.intent == Intent::Delete {
                return Err(ControlError::BeingDeleted { app: app.clone() });
            }
            record.front = Some(Front { name: to.name.clone(), site });
            record.port = port;
            record.owner = Some(to.owner.to_owned());
            let text = format!("swapped from {} to {}", from.name, to.name);
            batch = batch.put(Kind::App, app.as_str(), &record, Expect::Version(etag)).event(event(
                app,
                record.current,
                "swapped",
                text,
            ));
            moved.push((app.clone(), record));
        }
        if moved.is_empty() {
            return Err(ControlError::AppNotFound { app: one.name.clone() });
        }
        let etags = self.shared.store.commit_all(batch).await?;
        for (app, record) in &moved {
            self.shared.fronts.note(app, record);
        }
        Ok(etags)
    }
}
