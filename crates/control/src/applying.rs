//! Applying a definition: checks it, finds what differs, stores it as a new revision.

use std::{collections::BTreeMap, sync::Arc};

use pillion_engine::Credential;
use pillion_model::{App, RevisionNumber, Setting, keep_secrets, validate};
use pillion_store::{Batch, Expect, Kind, Outcome, Revision, StoreError};

use crate::{
    ApplyOptions, ApplyOutcome, ControlError, PreviewStep,
    change::{Change, change},
    ports,
    record::{Intent, Record},
    shared::{Shared, event, registry_name, secret_name, wall_ms},
};

pub(crate) async fn apply(
    shared: &Arc<Shared>,
    definition: App,
    credentials: BTreeMap<String, Credential>,
    options: ApplyOptions,
) -> Result<ApplyOutcome, ControlError> {
    loop {
        match attempt(shared, &definition, &credentials, &options).await {
            // Somebody else was quicker. Who named an etag is told; who did not wants this whatever was before.
            Err(ControlError::Store(StoreError::Conflict { found })) => {
                if let Some(expected) = options.if_match {
                    return Err(ControlError::Conflict { app: definition.name.clone(), expected, found });
                }
            }
            other => return other,
        }
    }
}

async fn attempt(
    shared: &Shared,
    definition: &App,
    credentials: &BTreeMap<String, Credential>,
    options: &ApplyOptions,
) -> Result<ApplyOutcome, ControlError> {
    let app = &definition.name;
    let stored = shared.store.document::<Record>(Kind::App, app.as_str()).await?;
    let etag = stored.as_ref().map(|document| document.etag);
    if let Some(expected) = options.if_match.filter(|expected| Some(*expected) != etag) {
        return Err(ControlError::Conflict { app: app.clone(), expected, found: etag });
    }
    let record = stored.map(|document| document.body);
    if record.as_ref().is_some_and(|record| record.intent == Intent::Delete) {
        return Err(ControlError::BeingDeleted { app: app.clone() });
    }
    let foreign = record.as_ref().and_then(|record| record.owner.clone()).filter(|owner| options.owner.as_ref() != Some(owner));
    if let (Some(Record { owner: None, .. }), Some(by)) = (&record, &options.owner) {
        return Err(ControlError::Taken { app: app.clone(), by: by.clone() });
    }
    let (mut newest, mut current) = (None, None);
    if let Some(record) = &record {
        newest = shared.store.revision(app, record.target).await?;
        current = match record.current {
            Some(number) if number != record.target => shared.store.revision(app, number).await?,
            Some(_) => newest.clone(),
            None => None,
        };
    }

    let mut wanted = definition.clone();
    let plain = match &newest {
        Some(newest) => Some(plain(shared, &newest.definition).await?),
        None => None,
    };
    let invalid = |problems| ControlError::Invalid { app: app.clone(), problems };
    keep_secrets(&mut wanted, plain.as_ref()).map_err(invalid)?;
    validate(&wanted).map_err(invalid)?;
    let max = shared.settings().max_instances;
    if wanted.scale > max {
        return Err(ControlError::ScaleOutOfRange { asked: wanted.scale, max });
    }

    // A definition that says the number in force, as `show` prints it, does not change the number.
    let mut scale = record.as_ref().and_then(|record| record.scale);
    if let (Some(newest), Some(asked)) = (&newest, scale) {
        if wanted.scale == asked {
            wanted.scale = newest.definition.scale;
        } else if wanted.scale != newest.definition.scale {
            scale = None;
        }
    }
    let number = record.as_ref().map_or(1, |record| record.newest + 1);
    let secrets = refer(&mut wanted, plain.as_ref(), newest.as_ref(), number);

    let failed = newest.as_ref().is_some_and(|newest| matches!(newest.outcome, Outcome::Failed { .. }));
    let mut batch = Batch::new();
    let mut registries = record.as_ref().map(|record| record.registries.clone()).unwrap_or_default();
    for (host, credential) in credentials {
        let text = serde_json::to_string(credential).map_err(|source| StoreError::Unreadable { what: "credential", source })?;
        batch = batch.secret(app, &registry_name(host), 0, &text);
        if !registries.contains(host) {
            registries.push(host.clone());
        }
    }
    let more_registries = record.as_ref().is_some_and(|record| record.registries != registries);

    // It is already so, or already on its way there.
    let same = |revision: &Option<Revision>| revision.as_ref().is_some_and(|revision| revision.definition == wanted);
    let settled = if same(&newest) && !failed {
        newest.as_ref().map(|newest| newest.number)
    } else if failed && same(&current) {
        current.as_ref().map(|current| current.number)
    } else {
        None
    };
    if let (Some(revision), Some(mut record)) = (settled, record.clone()) {
        if foreign.is_some() {
            return Ok(ApplyOutcome { revision, etag, steps: Vec::new(), dry_run: options.dry_run });
        }
        if record.target != revision || more_registries || record.scale != scale {
            (record.target, record.registries, record.scale) = (revision, registries, scale);
            batch = batch.put(Kind::App, app.as_str(), &record, etag.map_or(Expect::Absent, Expect::Version));
        }
        let etag = if options.dry_run { etag } else { shared.store.commit(batch).await?.or(etag) };
        return Ok(ApplyOutcome { revision, etag, steps: Vec::new(), dry_run: options.dry_run });
    }

    let base = if failed { current.as_ref() } else { newest.as_ref() };
    if let Some(owner) = foreign {
        return Err(ControlError::Owned { app: app.clone(), owner });
    }
    let running = record.as_ref().and_then(|record| record.scale).or(base.map(|base| base.definition.scale)).unwrap_or(0);
    let steps = preview(record.is_none(), base.map(|base| &base.definition), &wanted, running, scale.unwrap_or(wanted.scale));
    if options.dry_run {
        return Ok(ApplyOutcome { revision: number, etag, steps, dry_run: true });
    }

    // Held until the record is stored.
    let claimed;
    let mut next = match record {
        Some(record) => record,
        None => Record {
            intent: if options.stopped { Intent::Stop } else { Intent::Run },
            scale: None,
            current: None,
            target: number,
            newest: number,
            port: {
                claimed = ports::claim(shared, &shared.fronts.public(app)).await?;
                claimed.port
            },
            registries: Vec::new(),
            owner: options.owner.clone(),
            front: shared.front_of(app, options.site.clone()),
        },
    };
    if let Some(newest) = newest.filter(|newest| newest.outcome == Outcome::Pending && Some(newest.number) != next.current) {
        batch = batch.outcome(app, newest.number, &Outcome::Superseded { by: number });
    }
    (next.target, next.newest, next.scale, next.registries) = (number, number, scale, registries);
    for (name, value) in secrets {
        batch = batch.secret(app, &secret_name(&name), number, &value);
    }
    batch = batch
        .revision(number, &wanted, wall_ms())
        .prune_revisions(app, next.kept())
        .event(event(app, Some(number), "applied", format!("revision {number} was applied")))
        .put(Kind::App, app.as_str(), &next, etag.map_or(Expect::Absent, Expect::Version));
    let etag = shared.store.commit(batch).await?;
    Ok(ApplyOutcome { revision: number, etag, steps, dry_run: false })
}

/// Gives a stored definition with its secrets in plain text.
async fn plain(shared: &Shared, stored: &App) -> Result<App, ControlError> {
    let mut plain = stored.clone();
    for (name, setting) in &mut plain.settings {
        if let Setting::Secret { secret } = setting
            && let Ok(version) = secret.parse()
            && let Some(text) = shared.store.secret(&stored.name, &secret_name(name), version).await?
        {
            *secret = text;
        }
    }
    Ok(plain)
}

/// Replaces each secret by the version under which the store keeps it; returns those that are new, to be stored as `number`.
fn refer(wanted: &mut App, plain: Option<&App>, newest: Option<&Revision>, number: RevisionNumber) -> Vec<(String, String)> {
    let mut fresh = Vec::new();
    for (name, setting) in &mut wanted.settings {
        let Setting::Secret { secret } = setting else { continue };
        let before = plain.and_then(|plain| plain.settings.get(name));
        let reference = newest.and_then(|newest| newest.definition.settings.get(name));
        *secret = match (before, reference) {
            (Some(Setting::Secret { secret: before }), Some(Setting::Secret { secret: version })) if before == secret => {
                version.clone()
            }
            (_, _) => {
                fresh.push((name.clone(), secret.clone()));
                number.to_string()
            }
        };
    }
    fresh
}

fn preview(new: bool, base: Option<&App>, wanted: &App, running: u32, count: u32) -> Vec<PreviewStep> {
    let mut steps = Vec::new();
    let pull = |name: &pillion_model::ContainerName| {
        let image = wanted.containers.get(name).map(|container| container.image.clone()).unwrap_or_default();
        PreviewStep::PullImage { container: name.clone(), image }
    };
    let Some(base) = base else {
        if new {
            steps.push(PreviewStep::CreateApp);
        }
        steps.extend(wanted.containers.keys().map(pull));
        steps.push(PreviewStep::StartInstances { count });
        return steps;
    };
    let other_image = |name: &pillion_model::ContainerName| {
        base.containers.get(name).map(|before| &before.image) != wanted.containers.get(name).map(|now| &now.image)
    };
    steps.extend(wanted.containers.keys().filter(|name| other_image(name)).map(pull));
    match change(base, wanted) {
        Change::Nothing => {
            steps.push(PreviewStep::StartInstances { count });
            return steps;
        }
        Change::NewInstances { because } => {
            steps.push(PreviewStep::ReplaceInstances { count, because });
            return steps;
        }
        Change::Record { changed } => {
            let changed: Vec<_> = changed.into_iter().filter(|what| what != "scale").collect();
            if !changed.is_empty() {
                steps.push(PreviewStep::UpdateRecord { changed });
            }
        }
        Change::InPlace { added, replaced, removed } => {
            steps.extend(removed.into_iter().map(|container| PreviewStep::RemoveContainer { container }));
            steps.extend(replaced.into_iter().map(|(container, changed)| PreviewStep::ReplaceContainer { container, changed }));
            steps.extend(added.into_iter().map(|container| PreviewStep::AddContainer { container }));
        }
    }
    if count > running {
        steps.push(PreviewStep::StartInstances { count: count - running });
    } else if count < running {
        steps.push(PreviewStep::StopInstances { count: running - count });
    }
    steps
}
