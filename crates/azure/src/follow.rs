//! Following: what one app does after its site was written to. What must follow is marked in the store together with the
//! write, so a crash in between loses nothing; a mark goes when the app has followed.
//!
//! ```text
//! mark ──▶ forget what a deleted site left ──▶ compile ──▶ apply │ refuse ──▶ start │ stop ──▶ mark removed, unless it is newer
//! ```

use std::collections::BTreeMap;

use pillion_arm::{ArmError, Compiled, ResourceId, SiteProblem, compile};
use pillion_control::{ApplyOptions, ControlError};
use pillion_engine::Credential;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::AppName;
use pillion_store::{Batch, Etag, Expect, Kind, StoreError};
use serde::{Deserialize, Serialize};

use crate::{Azure, names::public_name, service::unavailable, site::is_stopped};

/// The stored mark of a site whose app has to follow; its key is the site's public name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    site: ResourceId,
    /// The app that stands there belongs to a site that was deleted: it goes before anything else.
    forget: bool,
    /// The site was started or stopped since.
    #[serde(default)]
    run: Option<bool>,
}

/// How following went.
pub(crate) enum Followed {
    Yes,
    /// The mark is a newer one than the one that was followed.
    NewMark,
}

impl Azure {
    /// Takes up the marks that the last server left. Before anything writes: a new mark says what the old one said, too.
    pub(crate) async fn take_up_marks(&self) -> Result<(), StoreError> {
        for mark in self.shared.store.documents::<Mark>(Kind::Dirty).await? {
            if mark.body.forget {
                self.forgetting(&mark.body.site);
            }
            if let Some(run) = mark.body.run {
                self.wish(&mark.body.site, run);
            }
            self.wake_now(&mark.body.site);
        }
        Ok(())
    }

    /// Adds a site's mark to a batch. What a deleted site left stays to be removed, whoever has its name now.
    pub(crate) fn mark(&self, batch: Batch, site: &ResourceId) -> Batch {
        let Some(name) = public_name(site) else { return batch };
        let (forget, run) = {
            let quiet = self.quiet();
            (quiet.forgetting.contains(&name), quiet.wishes.get(&name).copied())
        };
        batch.put(Kind::Dirty, name.as_str(), &Mark { site: site.clone(), forget, run }, Expect::Anything)
    }

    /// From now on a mark of this site means that its app goes; returns whether that is news.
    pub(crate) fn forgetting(&self, site: &ResourceId) -> bool {
        public_name(site).is_some_and(|name| self.quiet().forgetting.insert(name))
    }

    /// Takes back what a write that failed would have had forgotten.
    pub(crate) fn keep(&self, site: &ResourceId) {
        if let Some(name) = public_name(site) {
            self.quiet().forgetting.remove(&name);
        }
    }

    /// From now on a mark of this site means that its app is to run, or not to; returns what was wished before.
    pub(crate) fn wish(&self, site: &ResourceId, run: bool) -> Option<bool> {
        public_name(site).and_then(|name| self.quiet().wishes.insert(name, run))
    }

    /// Puts back what was wished before a write that failed.
    pub(crate) fn wish_again(&self, site: &ResourceId, before: Option<bool>) {
        let Some(name) = public_name(site) else { return };
        match before {
            Some(run) => drop(self.quiet().wishes.insert(name, run)),
            None => drop(self.quiet().wishes.remove(&name)),
        }
    }

    /// Waits until no app of a deleted site in a group is left.
    pub(crate) async fn await_marked_gone(&self, group: &ResourceId) -> Result<(), ArmError> {
        let marks = self.shared.store.documents::<Mark>(Kind::Dirty).await;
        let marks = marks.map_err(|wrong| unavailable(&wrong))?;
        for mark in marks.iter().filter(|mark| mark.body.site.within(group)) {
            self.wake_now(&mark.body.site);
            self.settled(&mark.body.site).await;
        }
        Ok(())
    }

    /// Makes one app follow its site, if that has a mark.
    pub(crate) async fn follow(&self, name: &AppName) -> Result<Followed, ControlError> {
        let store = &self.shared.store;
        let control = &self.shared.control;
        let found = {
            // Between a write's commit and what is known of it here, its mark would be followed by what was before it.
            let _between_writes = self.shared.writing.lock().await;
            store.document::<Mark>(Kind::Dirty, name.as_str()).await?
        };
        let Some(mut marked) = found else { return Ok(Followed::Yes) };
        let mut app = control.resolve(name).await?;
        if marked.body.forget {
            match control.delete(&app, None).await {
                Ok(()) | Err(ControlError::AppNotFound { .. }) => {}
                Err(other) => return Err(other),
            }
            marked.body.forget = false;
            let batch = Batch::new().put(Kind::Dirty, name.as_str(), &marked.body, Expect::Version(marked.etag));
            match store.commit(batch).await {
                Ok(etag) => {
                    self.quiet().forgetting.remove(name);
                    marked.etag = etag.unwrap_or(marked.etag);
                }
                Err(StoreError::Conflict { .. }) => return Ok(Followed::NewMark),
                Err(wrong) => return Err(wrong.into()),
            }
            // What went may have been called otherwise than the one that comes.
            app = control.resolve(name).await?;
        }
        let site = self.index().by_public_name(name).cloned();
        match site {
            Some(site) => {
                self.make_follow(&site, app.clone()).await?;
                if let Some(run) = marked.body.run {
                    match control.ask(&app, run).await {
                        Ok(()) | Err(ControlError::AppNotFound { .. } | ControlError::BeingDeleted { .. }) => {}
                        Err(other) => return Err(other),
                    }
                }
            }
            None => {
                control.release_port(name).await?;
                self.ports_mut().remove(name);
            }
        }
        let followed = self.unmark(name, marked.etag).await?;
        let mut quiet = self.quiet();
        if matches!(followed, Followed::Yes) && quiet.wishes.get(name).copied() == marked.body.run {
            quiet.wishes.remove(name);
        }
        Ok(followed)
    }

    async fn make_follow(&self, site: &ResourceId, app: AppName) -> Result<(), ControlError> {
        let control = &self.shared.control;
        let Some(own) = self.peek(site) else { return Ok(()) };
        let swapped = self.swapped_parts(&own, &app);
        let Some(parts) = swapped.or_else(|| self.parts(site, app.clone())) else { return Ok(()) };
        let stopped = is_stopped(&parts.site);
        let owner = Some(site.to_string());
        // Whatever becomes of the definition: who may send requests holds for what runs already, and for what is new at once.
        let front = self.site_front(&own);
        match control.set_site_front(&app, &site.to_string(), front.clone()).await {
            Ok(()) | Err(ControlError::AppNotFound { .. }) => {}
            Err(other) => return Err(other),
        }
        match compile(&parts) {
            Ok(Compiled { app: definition, credentials, warnings }) => {
                for warning in warnings {
                    tracing::info!(app = %app, warning, "a site asks for what it does not get");
                }
                let credentials: BTreeMap<String, Credential> = credentials
                    .into_iter()
                    .map(|(host, one)| (host, Credential { username: one.username, password: one.password }))
                    .collect();
                let options = ApplyOptions { owner, stopped, site: Some(front), ..ApplyOptions::default() };
                match control.apply(definition, credentials, options).await {
                    Ok(_) => Ok(()),
                    Err(
                        wrong
                        @ (ControlError::Invalid { .. } | ControlError::Taken { .. } | ControlError::ScaleOutOfRange { .. }),
                    ) => {
                        let reason = reasons(&wrong);
                        let fault = Fault::Internal { doing: "make an app of the site".into(), reason };
                        self.refuse(&app, site, Diagnosis { container: None, fault, log_tail: Vec::new() }).await
                    }
                    Err(other) => Err(other),
                }
            }
            Err(problems) => {
                let told = problems.into_iter().find_map(|problem| match problem {
                    SiteProblem::NotYet => None,
                    SiteProblem::Fails { container, fault } => Some(Diagnosis { container, fault, log_tail: Vec::new() }),
                });
                match told {
                    Some(diagnosis) => self.refuse(&app, site, diagnosis).await,
                    // Not complete yet, or not any more: then what runs goes on, and says that it is not what is asked for.
                    None => match control.status(&app).await {
                        Ok(_) => {
                            let (doing, reason) = ("make an app of the site".into(), "it has no main container".into());
                            let fault = Fault::Internal { doing, reason };
                            self.refuse(&app, site, Diagnosis { container: None, fault, log_tail: Vec::new() }).await
                        }
                        Err(ControlError::AppNotFound { .. }) => Ok(()),
                        Err(other) => Err(other),
                    },
                }
            }
        }
    }

    async fn refuse(&self, app: &AppName, site: &ResourceId, diagnosis: Diagnosis) -> Result<(), ControlError> {
        match self.shared.control.refuse(app, &site.to_string(), diagnosis).await {
            Ok(()) => Ok(()),
            Err(wrong @ ControlError::Taken { .. }) => {
                tracing::warn!(error = &wrong as &dyn std::error::Error, "a site cannot be an app");
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn unmark(&self, name: &AppName, etag: Etag) -> Result<Followed, ControlError> {
        let batch = Batch::new().delete(Kind::Dirty, name.as_str(), Expect::Version(etag));
        match self.shared.store.commit(batch).await {
            Ok(_) => Ok(Followed::Yes),
            Err(StoreError::Conflict { .. }) => Ok(Followed::NewMark),
            Err(wrong) => Err(wrong.into()),
        }
    }
}

fn reasons(wrong: &ControlError) -> String {
    match wrong {
        ControlError::Invalid { problems, .. } => {
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
