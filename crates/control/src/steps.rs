//! The steps themselves: each does its one thing, may be repeated after a crash at any point, and decides nothing.

use std::{collections::BTreeMap, sync::Arc};

use pillion_engine::{Prepare, Prepared, Progress};
use pillion_fault::Diagnosis;
use pillion_model::{AppName, InstanceId, RevisionNumber};
use pillion_store::{Batch, Expect, Kind, NewEvent, Outcome, StoreError};
use tokio::sync::mpsc;

use crate::{
    ContainerProgress,
    decide::Because,
    reconcile::Stored,
    record::Record,
    shared::{Shared, event, internal, wall_ms},
};

pub(crate) async fn prepare(
    shared: Arc<Shared>,
    app: AppName,
    revision: RevisionNumber,
    stored: Stored,
    current: Option<Stored>,
    hosts: Vec<String>,
) -> Result<(), Diagnosis> {
    let credentials = shared.credentials(&app, &hosts).await?;
    // A container whose image is written as before keeps the digest it has: a tag that moved meanwhile is no reason to touch it.
    let mut kept = BTreeMap::new();
    if let Some(current) = &current {
        for (name, container) in &stored.definition.containers {
            let same = current.definition.containers.get(name).is_some_and(|before| before.image == container.image);
            if let (true, Some(image)) = (same, current.images.as_ref().and_then(|images| images.get(name))) {
                kept.insert(name.clone(), image.clone());
            }
        }
    }
    let proven = (!kept.is_empty()).then(|| Prepared { images: kept.clone() });
    let what = Prepare { app: app.clone(), revision, definition: stored.definition.clone(), credentials, proven };
    let (news, mut heard) = mpsc::channel(64);
    let listen = async {
        while let Some(progress) = heard.recv().await {
            note(&shared, &app, revision, progress);
        }
    };
    let (prepared, ()) = tokio::join!(shared.engine.prepare(what, news), listen);
    let mut images = prepared?.images;
    images.extend(kept);
    let batch = Batch::new().images(&app, revision, &images);
    shared.store.commit(batch).await.map(drop).map_err(|wrong| internal("record the images", &wrong))
}

fn note(shared: &Shared, app: &AppName, revision: RevisionNumber, progress: Progress) {
    let (container, progress) = match progress {
        Progress::Resolving { container, image } => (container, ContainerProgress::Resolving { image }),
        Progress::Pulling { container, done, total } => (container, ContainerProgress::Pulling { done, total }),
        Progress::Pulled { container, digest, millis } => (container, ContainerProgress::Pulled { digest, millis }),
    };
    shared.pulls.send_modify(|pulls| {
        pulls.retain(|(of, number), _| of != app || *number == revision);
        pulls.entry((app.clone(), revision)).or_default().insert(container, progress);
    });
}

pub(crate) async fn start(
    shared: Arc<Shared>,
    id: InstanceId,
    revision: RevisionNumber,
    place: u32,
    stored: Stored,
) -> Result<(), Diagnosis> {
    let images = stored.images.unwrap_or_default();
    let instance = shared.instance(&id, revision, place, stored.definition, images).await?;
    shared.engine.start(instance).await
}

pub(crate) async fn update(
    shared: Arc<Shared>,
    id: InstanceId,
    revision: RevisionNumber,
    place: u32,
    stored: Stored,
) -> Result<(), Diagnosis> {
    let images = stored.images.unwrap_or_default();
    let instance = shared.instance(&id, revision, place, stored.definition, images).await?;
    shared.engine.update(instance).await
}

/// Waits until requests under way are done, or for as long as the settings allow.
pub(crate) async fn drain(shared: Arc<Shared>, instance: InstanceId, generation: u64) -> Result<(), Diagnosis> {
    let done = shared.drainer.drained(&instance, generation);
    if tokio::time::timeout(shared.settings().drain_within, done).await.is_err() {
        tracing::warn!(%instance, "requests under way are cut off: they outlasted the time to drain");
    }
    Ok(())
}

pub(crate) async fn stop(
    shared: Arc<Shared>,
    app: AppName,
    instance: InstanceId,
    revision: Option<RevisionNumber>,
    because: Because,
    cause: Option<Diagnosis>,
) -> Result<(), Diagnosis> {
    shared.engine.stop(&instance).await?;
    let why = match because {
        Because::AppStopped => "the app was stopped",
        Because::AppDeleted => "the app is being deleted",
        Because::TooMany => "fewer instances are wanted",
        Because::Replaced => "another revision takes its place",
        Because::RevisionFailed => "its revision failed",
        Because::InstanceFailed => "it had failed",
        Because::Unready => "it was not ready for an hour",
    };
    let gone = NewEvent {
        at_ms: wall_ms(),
        app,
        revision,
        instance: Some(instance.clone()),
        container: None,
        kind: "stopped".into(),
        text: match cause.filter(|_| matches!(because, Because::InstanceFailed | Because::Unready)) {
            Some(cause) => format!("instance {instance} stopped: {why}: {}", cause.fault),
            None => format!("instance {instance} stopped: {why}"),
        },
        source: None,
    };
    let written = shared.store.commit(Batch::new().event(gone)).await;
    written.map(drop).map_err(|wrong| internal("write an event", &wrong))
}

/// Makes a revision the current one, unless something newer is wanted by now.
pub(crate) async fn promote(shared: Arc<Shared>, app: AppName, revision: RevisionNumber) -> Result<(), Diagnosis> {
    let text = format!("revision {revision} is ready and takes the traffic");
    let result = change_record(&shared, &app, |mut record| {
        if record.target != revision {
            return None;
        }
        record.current = Some(revision);
        let batch =
            Batch::new().outcome(&app, revision, &Outcome::Ready).event(event(&app, Some(revision), "deployed", text.clone()));
        Some((record, batch))
    });
    result.await.map_err(|wrong| internal("make a revision current", &wrong))
}

/// Records why a revision failed; whatever is current stays so.
pub(crate) async fn fail(
    shared: Arc<Shared>,
    app: AppName,
    revision: RevisionNumber,
    diagnosis: Diagnosis,
) -> Result<(), Diagnosis> {
    let who = diagnosis.container.as_deref().map(|name| format!("container {name}: ")).unwrap_or_default();
    let text = format!("revision {revision} failed: {who}{}", diagnosis.fault);
    let outcome = Outcome::Failed { diagnosis: Box::new(diagnosis) };
    let result = change_record(&shared, &app, |record| {
        if record.target != revision || record.current == Some(revision) {
            return None;
        }
        let batch = Batch::new().outcome(&app, revision, &outcome).event(event(&app, Some(revision), "failed", text.clone()));
        Some((record, batch))
    });
    result.await.map_err(|wrong| internal("record why a revision failed", &wrong))
}

/// Removes what the engine keeps for the app, then the record of it.
pub(crate) async fn forget(shared: Arc<Shared>, app: AppName) -> Result<(), Diagnosis> {
    shared.engine.forget(&app).await?;
    shared.pulls.send_modify(|pulls| pulls.retain(|(of, _), _| *of != app));
    shared.store.commit(Batch::new().forget(&app)).await.map_err(|wrong| internal("remove the record", &wrong))?;
    shared.fronts.forget(&app);
    Ok(())
}

/// Changes the record and what goes with it in one commit; looks again where somebody else was quicker.
pub(crate) async fn change_record(
    shared: &Shared,
    app: &AppName,
    change: impl Fn(Record) -> Option<(Record, Batch)>,
) -> Result<(), StoreError> {
    loop {
        let Some(document) = shared.store.document::<Record>(Kind::App, app.as_str()).await? else { return Ok(()) };
        let Some((record, batch)) = change(document.body) else { return Ok(()) };
        match shared.store.commit(batch.put(Kind::App, app.as_str(), &record, Expect::Version(document.etag))).await {
            Err(StoreError::Conflict { .. }) => {}
            other => return other.map(drop),
        }
    }
}
