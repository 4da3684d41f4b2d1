//! The settler: decides when apps follow their resources, and has them follow a few at a time. What following is, is in
//! [`crate::follow`].
//!
//! ```text
//! write + mark ──▶ quiet for a second (or: a deployment lets go) ──▶ follow ──▶ settled
//!                       ▲                                              │ failed: again later
//!                       └──────────────────────────────────────────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pillion_arm::ResourceId;
use pillion_model::AppName;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{Azure, OperationId, follow::Followed, names::public_name};

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

/// Which sites wait, since when, and who holds them back.
#[derive(Default)]
pub(crate) struct Quiet {
    waiting: BTreeMap<AppName, Waiting>,
    held: BTreeMap<AppName, u32>,
    busy: BTreeSet<AppName>,
    /// Names whose app belongs to a site that was deleted, until it is gone.
    pub(crate) forgetting: BTreeSet<AppName>,
    /// Names that were started (true) or stopped, until their apps have followed.
    pub(crate) wishes: BTreeMap<AppName, bool>,
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
}
