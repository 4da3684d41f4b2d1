//! The settler: makes apps follow their resources. What must follow is marked in the store together with the write, so a
//! crash in between loses nothing; a mark goes when the app has followed.
//!
//! ```text
//! write + mark ──▶ quiet for a second (or: a deployment lets go) ──▶ compile ──▶ apply │ refuse │ delete ──▶ mark removed
//!                       ▲                                                                    │ failed: again later
//!                       └────────────────────────────────────────────────────────────────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pillion_arm::{Compiled, ResourceId, SiteProblem, compile};
use pillion_control::{ApplyOptions, ControlError};
use pillion_engine::Credential;
use pillion_fault::{Diagnosis, Fault};
use pillion_model::AppName;
use pillion_store::{Batch, Etag, Expect, Kind, StoreError};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{Azure, OperationId, names::public_name, site::is_stopped};

/// How long nothing may be written to a site before its app follows.
const QUIET: Duration = Duration::from_secs(1);
/// A site that is written to without pause follows all the same.
const AT_THE_LATEST: Duration = Duration::from_secs(5);
/// Sites that are settled at the same time.
const AT_ONCE: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the settler is woken for.
pub(crate) enum Wake {
    Operation(OperationId),
}

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

/// Which sites wait, since when, and who holds them back.
#[derive(Default)]
pub(crate) struct Quiet {
    waiting: BTreeMap<AppName, Waiting>,
    held: BTreeMap<AppName, u32>,
    busy: BTreeSet<AppName>,
    /// Names whose app belongs to a site that was deleted, until it is gone.
    forgetting: BTreeSet<AppName>,
    /// Names that were started (true) or stopped, until their apps have followed.
    wishes: BTreeMap<AppName, bool>,
    news: std::sync::Arc<Notify>,
    done: std::sync::Arc<Notify>,
}

#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    due: Instant,
    failures: u32,
}

/// Holds sites back from settling for as long as it lives: whoever writes many resources wants one revision.
pub struct Hold {
    azure: Azure,
    name: AppName,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut quiet = self.azure.quiet();
        if let Some(count) = quiet.held.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                quiet.held.remove(&self.name);
                if let Some(waiting) = quiet.waiting.get_mut(&self.name) {
                    waiting.due = Instant::now();
                }
                quiet.news.notify_one();
            }
        }
    }
}

/// The task that does the work.
pub struct Settler {
    azure: Azure,
    woken: mpsc::Receiver<Wake>,
}

enum Event {
    Stop,
    Wake(Wake),
    Due,
    Ended,
}

impl Settler {
    pub(crate) fn new(azure: Azure, woken: mpsc::Receiver<Wake>) -> Settler {
        Settler { azure, woken }
    }

    /// Settles sites and performs operations until told to stop; what is under way then is cut, and its marks stay.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let news = self.azure.quiet().news.clone();
        let mut work = JoinSet::new();
        for id in self.azure.shared.operations.running() {
            let azure = self.azure.clone();
            work.spawn(async move { azure.perform(&id).await });
        }
        let azure = self.azure.clone();
        work.spawn(async move { azure.watch_native_apps().await });
        loop {
            let (ready, next) = self.azure.take_due();
            for name in ready {
                let azure = self.azure.clone();
                work.spawn(async move { azure.settle(&name).await });
            }
            let wait = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            // Every arm only waits: a message not received stays queued, a notice stays noted.
            let event = tokio::select! {
                _ = stop.wait_for(|&stop| stop) => Event::Stop,
                woken = self.woken.recv() => woken.map_or(Event::Stop, Event::Wake),
                () = news.notified() => Event::Due,
                () = wait => Event::Due,
                Some(_) = work.join_next(), if !work.is_empty() => Event::Ended,
            };
            match event {
                Event::Stop => return,
                Event::Wake(Wake::Operation(id)) => {
                    let azure = self.azure.clone();
                    work.spawn(async move { azure.perform(&id).await });
                }
                Event::Due | Event::Ended => {}
            }
        }
    }
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

    /// Keeps a site or slot from settling until the hold is dropped; then it settles at once.
    pub fn hold(&self, site: &ResourceId) -> Option<Hold> {
        let name = public_name(site)?;
        *self.quiet().held.entry(name.clone()).or_default() += 1;
        Some(Hold { azure: self.clone(), name })
    }

    /// Waits until nothing of a site is left to follow.
    pub async fn settled(&self, site: &ResourceId) {
        let Some(name) = public_name(site) else { return };
        let done = self.quiet().done.clone();
        loop {
            let mut changed = std::pin::pin!(done.notified());
            changed.as_mut().enable();
            {
                let quiet = self.quiet();
                if !quiet.waiting.contains_key(&name) && !quiet.busy.contains(&name) {
                    return;
                }
            }
            changed.await;
        }
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

    pub(crate) fn wake(&self, site: &ResourceId) {
        self.wake_at(site, QUIET);
    }

    pub(crate) fn wake_now(&self, site: &ResourceId) {
        self.wake_at(site, Duration::ZERO);
    }

    fn wake_at(&self, site: &ResourceId, within: Duration) {
        let Some(name) = public_name(site) else { return };
        let now = Instant::now();
        let mut quiet = self.quiet();
        let waiting = quiet.waiting.entry(name).or_insert(Waiting { since: now, due: now, failures: 0 });
        waiting.due = (now + within).min(waiting.since + AT_THE_LATEST);
        waiting.failures = 0;
        quiet.news.notify_one();
    }

    /// Takes the sites whose time has come; returns also when the next one's comes.
    fn take_due(&self) -> (Vec<AppName>, Option<Instant>) {
        let now = Instant::now();
        let mut quiet = self.quiet();
        let free = AT_ONCE.saturating_sub(quiet.busy.len());
        // An app that goes is waited for by whoever holds its site.
        let held = |name: &AppName| quiet.held.contains_key(name) && !quiet.forgetting.contains(name);
        let may = |name: &AppName| !held(name) && !quiet.busy.contains(name);
        let ready: Vec<AppName> = quiet
            .waiting
            .iter()
            .filter(|(name, waiting)| waiting.due <= now && may(name))
            .map(|(name, _)| name.clone())
            .take(free)
            .collect();
        let next = quiet.waiting.iter().filter(|(name, one)| one.due > now && may(name)).map(|(_, one)| one.due).min();
        quiet.busy.extend(ready.iter().cloned());
        (ready, next)
    }

    /// Makes one app follow its site.
    async fn settle(&self, name: &AppName) {
        let before = self.quiet().waiting.remove(name);
        let done = self.follow(name).await;
        let mut quiet = self.quiet();
        quiet.busy.remove(name);
        match done {
            Ok(Followed::Yes) => {}
            // Something was written in the meantime, and its writer has put the site in the queue again.
            Ok(Followed::NewMark) => {
                let now = Instant::now();
                quiet.waiting.entry(name.clone()).or_insert(Waiting { since: now, due: now, failures: 0 });
            }
            Err(wrong) => {
                tracing::warn!(app = %name, error = &wrong as &dyn std::error::Error, "an app could not follow its site; it is tried again");
                let failures = before.map_or(0, |before| before.failures) + 1;
                let pause = (FIRST_PAUSE * 2u32.saturating_pow(failures.min(10) - 1)).min(LONGEST_PAUSE);
                let now = Instant::now();
                quiet.waiting.entry(name.clone()).or_insert(Waiting { since: now, due: now + pause, failures });
            }
        }
        quiet.news.notify_one();
        quiet.done.notify_waiters();
    }

    async fn follow(&self, name: &AppName) -> Result<Followed, ControlError> {
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
        match compile(&parts) {
            Ok(Compiled { app: definition, credentials, warnings }) => {
                for warning in warnings {
                    tracing::info!(app = %app, warning, "a site asks for what it does not get");
                }
                let credentials: BTreeMap<String, Credential> = credentials
                    .into_iter()
                    .map(|(host, one)| (host, Credential { username: one.username, password: one.password }))
                    .collect();
                let options = ApplyOptions { owner, stopped, ..ApplyOptions::default() };
                match control.apply(definition, credentials, options).await {
                    Ok(_) => match control.set_site_front(&app, self.site_front(&own)).await {
                        Ok(()) | Err(ControlError::AppNotFound { .. }) => Ok(()),
                        Err(other) => Err(other),
                    },
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

    /// Waits until no app of a deleted site in a group is left.
    pub(crate) async fn await_marked_gone(&self, group: &ResourceId) -> Result<(), pillion_arm::ArmError> {
        let marks = self.shared.store.documents::<Mark>(Kind::Dirty).await;
        let marks = marks.map_err(|wrong| crate::service::unavailable(&wrong))?;
        for mark in marks.iter().filter(|mark| mark.body.site.within(group)) {
            self.wake_now(&mark.body.site);
            self.settled(&mark.body.site).await;
        }
        Ok(())
    }
}

enum Followed {
    Yes,
    /// The mark is a newer one than the one that was followed.
    NewMark,
}

fn reasons(wrong: &ControlError) -> String {
    match wrong {
        ControlError::Invalid { problems, .. } => {
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
