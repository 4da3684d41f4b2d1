//! What POST does to a site: start, stop, restart, and the values that only POST shows.

use pillion_arm::{ArmError, ResourceId};
use pillion_control::ControlError;
use pillion_identity::{Access, Caller, Identity};
use pillion_store::{Batch, Expect, Kind};
use serde_json::{Value, json};

use crate::{
    ActionAnswer, Azure,
    names::scm_name,
    service::{allow, refusal, wall_ms},
};

/// What can be done to a site or slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Start,
    Stop,
    Restart,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
        }
    }

    /// Reads the last segment of a path, in any case.
    pub fn parse(word: &str) -> Option<Action> {
        [Action::Start, Action::Stop, Action::Restart].into_iter().find(|action| action.word().eq_ignore_ascii_case(word))
    }
}

impl Azure {
    /// Does it to a site or slot. The answer does not wait for what runs.
    ///
    /// # Errors
    /// 403, 404, 409.
    pub async fn action(&self, caller: &Caller, site: &ResourceId, action: Action) -> Result<ActionAnswer, ArmError> {
        allow(caller, Access::Write, site)?;
        self.known_subscription(site)?;
        self.writable(site)?;
        let app = {
            let _one_at_a_time = self.shared.writing.lock().await;
            let found = self.index().get(site).cloned().ok_or_else(|| self.absent(site))?;
            let mut resource = (*found.resource).clone();
            let name = format!("{}/{}/action", resource.id.type_name(), action.word());
            let audit = self.audit(caller, &name, &resource.id, 200, &format!("{}: {}", resource.id.full_name(), action.word()));
            let mut batch = Batch::new().audit(audit);
            let enabled = match action {
                Action::Start => Some(true),
                Action::Stop => Some(false),
                Action::Restart => None,
            };
            let mut wished = None;
            if let Some(enabled) = enabled {
                resource.properties.insert("enabled".into(), Value::Bool(enabled));
                resource.changed_ms = wall_ms();
                batch = batch.put(Kind::Resource, resource.id.key(), &resource, Expect::Version(found.etag));
                // A crash before the app has heard of it loses nothing.
                wished = Some(self.wish(site, enabled));
                batch = self.mark(batch, site);
            }
            let etags = self.commit(batch).await.inspect_err(|_| {
                if let Some(before) = wished {
                    self.wish_again(site, before);
                }
            })?;
            if let Some(etag) = etags.first() {
                self.index_mut().insert(std::sync::Arc::new(resource), *etag);
            }
            self.app_of(site).await?
        };
        let control = &self.shared.control;
        let done = match action {
            Action::Start => {
                self.wake_now(site);
                control.ask(&app, true).await
            }
            Action::Stop => {
                self.wake_now(site);
                control.ask(&app, false).await
            }
            Action::Restart => {
                // One instance waits for the one before it: longer than a client wants to wait for an answer.
                let (control, app) = (control.clone(), app.clone());
                tokio::spawn(async move {
                    match control.restart(&app, None).await {
                        Ok(())
                        | Err(
                            ControlError::AppNotFound { .. } | ControlError::NothingRuns { .. } | ControlError::Stopped { .. },
                        ) => {}
                        Err(wrong) => {
                            tracing::warn!(app = %app, error = &wrong as &dyn std::error::Error, "a restart did not come to its end");
                        }
                    }
                });
                Ok(())
            }
        };
        match done {
            // A site without an app yet: what was asked is stored with it.
            Ok(()) | Err(ControlError::AppNotFound { .. }) => Ok(ActionAnswer { body: None, operation: None }),
            Err(wrong) => Err(refusal(&wrong)),
        }
    }

    /// Gives the user and password of a site's own pages.
    ///
    /// # Errors
    /// 403, 404.
    pub fn publishing_credentials(&self, caller: &Caller, identity: &Identity, site: &ResourceId) -> Result<Value, ArmError> {
        allow(caller, Access::Write, site)?;
        self.known_subscription(site)?;
        let found = match self.peek(site) {
            Some(found) => found.id.clone(),
            None if self.is_native(site) && self.public_name_of(site).is_ok() => site.clone(),
            None => return Err(self.absent(site)),
        };
        let credential = identity.publishing(&scm_name(&found), &self.publishing_epoch(&found));
        let scm = self.scm_base(&found);
        let without_scheme = scm.strip_prefix("https://").unwrap_or(&scm);
        Ok(json!({
            "id": format!("{found}/publishingcredentials/{}", credential.user),
            "name": credential.user,
            "type": "Microsoft.Web/sites/publishingcredentials",
            "location": crate::settings::LOCATION,
            "properties": {
                "name": null,
                "publishingUserName": credential.user,
                "publishingPassword": credential.password,
                "publishingPasswordHash": null,
                "publishingPasswordHashSalt": null,
                "scmUri": format!("https://{}:{}@{without_scheme}", credential.user, credential.password),
                "isDeleted": false,
            },
        }))
    }

    /// Gives the address of a site's own pages: `https://127.0.0.1:8443/_scm/shop`, for a slot `…/_scm/shop__staging`.
    pub fn scm_base(&self, site: &ResourceId) -> String {
        format!("https://{}/_scm/{}", self.shared.settings.endpoint, scm_name(site).to_ascii_lowercase())
    }

    /// Finds the site or slot that the path of its own pages names (`shop`, `shop__staging`).
    pub fn scm_site(&self, name: &str) -> Option<ResourceId> {
        let (site, slot) = match name.split_once("__") {
            Some((site, slot)) => (site, Some(slot)),
            None => (name, None),
        };
        let production = self.around(|around| pillion_arm::Surroundings::site_named(around, site))?;
        match slot {
            None => Some(production),
            Some(slot) => {
                let slot = production.child("slots", slot);
                self.index().get(&slot).map(|entry| entry.resource.id.clone())
            }
        }
    }

    /// What changes when the password must: a site that was deleted and made again has another.
    pub fn publishing_epoch(&self, site: &ResourceId) -> String {
        self.peek(site).map_or_else(|| "app file".to_owned(), |site| site.created_ms.to_string())
    }
}
