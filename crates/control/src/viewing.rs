//! Puts together what lists, `show` and `status` give out.

use pillion_engine::ObservedInstance;
use pillion_model::{AppName, InstancePhase, redacted};
use pillion_store::{Document, Outcome, Revision};

use crate::{
    AppDocument, AppState, AppStatus, AppSummary, ControlError, InstanceView,
    decide::alive,
    diagnosis::{complaints, most_telling},
    record::{Intent, Record},
    shared::Shared,
};

pub(crate) async fn document(shared: &Shared, app: &AppName, document: &Document<Record>) -> Result<AppDocument, ControlError> {
    let found = newest(shared, app, &document.body).await?;
    let mut definition = redacted(&found.definition);
    definition.scale = document.body.scale.unwrap_or(definition.scale);
    Ok(AppDocument { etag: document.etag, revision: found.number, definition })
}

pub(crate) async fn status(shared: &Shared, app: &AppName, document: &Document<Record>) -> Result<AppStatus, ControlError> {
    let record = &document.body;
    let found = newest(shared, app, record).await?;
    let observed = shared.engine.observe().borrow().clone();
    let instances: Vec<_> = observed.instances.values().filter(|one| one.app == *app).collect();
    let wanted = wanted(shared, app, record, &found).await?;
    let ready = ready(record, &instances);
    let state = state(record, &found, &instances, ready, wanted);
    let draining = shared.draining.borrow().clone();
    let failed = match &found.outcome {
        Outcome::Failed { diagnosis } => Some((**diagnosis).clone()),
        Outcome::Pending | Outcome::Ready | Outcome::Superseded { .. } => None,
    };
    let unwell = || match state {
        AppState::Running | AppState::Stopped | AppState::Stopping | AppState::Deleting => None,
        AppState::Starting | AppState::Updating | AppState::Degraded | AppState::Failed => {
            let refused = shared.refusals.borrow().get(app).cloned();
            most_telling(instances.iter().flat_map(|one| complaints(one)).chain(refused))
        }
    };
    let gateway = shared.settings().gateway_port;
    let name = record.public(app);
    Ok(AppStatus {
        name: name.clone(),
        owner: record.owner.clone(),
        etag: document.etag,
        state,
        current: record.current,
        target: record.target,
        ready,
        wanted,
        diagnosis: failed.or_else(unwell),
        urls: vec![format!("http://{name}.localhost:{gateway}/"), format!("http://127.0.0.1:{}/", record.port)],
        instances: instances
            .iter()
            .map(|one| InstanceView {
                status: one.status.clone(),
                draining: draining.contains(&one.status.id),
                diagnoses: one.diagnoses.clone(),
            })
            .collect(),
    })
}

/// Returns none for an app that went away in between.
pub(crate) async fn summary(
    shared: &Shared,
    app: &AppName,
    document: &Document<Record>,
) -> Result<Option<AppSummary>, ControlError> {
    let record = &document.body;
    let found = match newest(shared, app, record).await {
        Err(ControlError::AppNotFound { .. }) => return Ok(None),
        other => other?,
    };
    let observed = shared.engine.observe().borrow().clone();
    let instances: Vec<_> = observed.instances.values().filter(|one| one.app == *app).collect();
    let wanted = wanted(shared, app, record, &found).await?;
    let ready = ready(record, &instances);
    let main = found.definition.containers.values().find(|container| container.main);
    let name = record.public(app);
    Ok(Some(AppSummary {
        name: name.clone(),
        state: state(record, &found, &instances, ready, wanted),
        revision: record.current,
        ready,
        wanted,
        image: main.map(|main| main.image.clone()).unwrap_or_default(),
        sidecars: found.definition.containers.len().saturating_sub(1) as u32,
        host: format!("{name}.localhost"),
        port: record.port,
    }))
}

async fn newest(shared: &Shared, app: &AppName, record: &Record) -> Result<Revision, ControlError> {
    let found = shared.store.revision(app, record.target).await?;
    found.ok_or_else(|| ControlError::AppNotFound { app: app.clone() })
}

/// How many instances there should be: the override, else what the definition in force says.
async fn wanted(shared: &Shared, app: &AppName, record: &Record, newest: &Revision) -> Result<u32, ControlError> {
    if let Some(scale) = record.scale {
        return Ok(scale);
    }
    let in_force = match (&newest.outcome, record.current) {
        (Outcome::Failed { .. }, Some(current)) => shared.store.revision(app, current).await?,
        (Outcome::Failed { .. } | Outcome::Pending | Outcome::Ready | Outcome::Superseded { .. }, _) => None,
    };
    Ok(in_force.map_or(newest.definition.scale, |current| current.definition.scale))
}

fn ready(record: &Record, instances: &[&ObservedInstance]) -> u32 {
    let counts = |one: &&&ObservedInstance| {
        matches!(one.status.phase, InstancePhase::Ready) && record.current.is_none_or(|current| one.status.revision >= current)
    };
    instances.iter().filter(counts).count() as u32
}

fn state(record: &Record, newest: &Revision, instances: &[&ObservedInstance], ready: u32, wanted: u32) -> AppState {
    let failed = matches!(newest.outcome, Outcome::Failed { .. });
    let rolling = record.current != Some(record.target) && !failed;
    let unwell = || instances.iter().any(|one| alive(one) && !complaints(one).is_empty());
    match (record.intent, record.current) {
        (Intent::Delete, _) => AppState::Deleting,
        (Intent::Stop, _) if instances.is_empty() => AppState::Stopped,
        (Intent::Stop, _) => AppState::Stopping,
        (Intent::Run, None) if failed => AppState::Failed,
        (Intent::Run, None) => AppState::Starting,
        (Intent::Run, Some(_)) if rolling => AppState::Updating,
        (Intent::Run, Some(_)) if ready >= wanted && !unwell() => AppState::Running,
        (Intent::Run, Some(_)) if ready > 0 => AppState::Degraded,
        (Intent::Run, Some(_)) if unwell() => AppState::Failed,
        (Intent::Run, Some(_)) => AppState::Starting,
    }
}
