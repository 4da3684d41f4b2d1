//! Finding an instance for a request, waiting for the app's first one if there is none yet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    instance::{Instance, Lease},
    page::Page,
    protocol::AppState,
    routes::App,
    state::Gateway,
    stats::AppCounters,
};

/// Leases an instance of the app, as the newest table has it; the page says why there is none.
///
/// `avoid` are instances that this request could not reach; if only those are left, none is returned at once.
pub async fn lease(gateway: &Gateway, mut app: Arc<App>, avoid: &[Arc<Instance>]) -> Result<Option<(Arc<App>, Lease)>, Page> {
    if let Some(lease) = app.lease(avoid) {
        return Ok(Some((app, lease)));
    }
    if !avoid.is_empty() && !app.serving.is_empty() {
        return Ok(None);
    }
    let counters = app.counters.clone();
    let name = &counters.app;
    let start = Instant::now();
    let mut held = None;
    loop {
        // Registered before the look, so that a table between look and wait is not missed.
        let changed = counters.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        app = gateway.routes.load().apps.get(name.as_ref()).cloned().ok_or_else(|| Page::unknown_app(name))?;
        if let Some(lease) = app.lease(avoid) {
            return Ok(Some((app, lease)));
        }
        let hold = match &app.state {
            AppState::Serving { hold_ms } => *hold_ms,
            AppState::Down { reason, hint } => return Err(Page::down(name, reason, hint.as_deref())),
            AppState::Stopped => return Err(Page::stopped(name)),
        };
        if held.is_none() {
            held = Some(Held::new(&counters.held, gateway.limits.held_per_app).ok_or_else(|| Page::too_many_held(name))?);
        }
        if timeout_at(start + Duration::from_millis(hold), changed).await.is_err() {
            return Err(Page::starting(name, hold));
        }
    }
}

/// Checks the app's own bound on requests under way.
pub fn admit(gateway: &Gateway, counters: &AppCounters) -> Result<(), Page> {
    let most = gateway.limits.requests_per_app;
    if most > 0 && counters.active.load(Relaxed) > most as u64 {
        return Err(Page::too_busy(&counters.app, most));
    }
    Ok(())
}

/// A place in an app's waiting room.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Relaxed) < most).then_some(place)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
