//! Looking into what runs: the lines that containers print, and commands run beside them.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};
use pillion_engine::{ExecRequest, ExecSession, LogLine, LogQuery};
use pillion_fault::Fault;
use pillion_model::{AppName, Check, ContainerName, HttpCheck, InstanceId, InstancePhase, RevisionNumber};
use pillion_store::Document;

use crate::{Control, ControlError, decide, error::engine_error, record::Record};

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct LogSelection {
    pub container: Option<String>,
    pub instance: Option<InstanceId>,
    pub follow: bool,
    pub since: Option<std::time::SystemTime>,
    pub tail: Option<usize>,
}

impl Control {
    /// Gives the lines that an app's containers printed.
    ///
    /// # Errors
    /// `ContainerNotFound`, `AppNotFound`, what the engine says.
    pub async fn logs(&self, app: &AppName, which: LogSelection) -> Result<BoxStream<'static, LogLine>, ControlError> {
        let document = self.record(app).await?;
        let query = LogQuery {
            app: Some(app.clone()),
            instance: which.instance,
            container: which.container,
            follow: which.follow,
            since: which.since,
            tail: which.tail,
        };
        if let Some(container) = &query.container
            && let Err(unknown) = self.knows_container(app, &document, container).await
        {
            // One that was removed has lines as long as its log is kept.
            let newest = LogQuery { follow: false, since: None, tail: Some(1), ..query.clone() };
            if self.shared.engine.logs(newest).await.map_err(engine_error)?.next().await.is_none() {
                return Err(unknown);
            }
        }
        self.shared.engine.logs(query).await.map_err(engine_error)
    }

    /// Runs a command in a container (main where none is named) of an instance (a ready one where none is named).
    ///
    /// # Errors
    /// `NothingRuns`, `InstanceNotFound`, `ContainerNotFound`, `ProgramMissing`, what the engine says.
    pub async fn exec(
        &self,
        app: &AppName,
        instance: Option<&InstanceId>,
        container: Option<&ContainerName>,
        exec: ExecRequest,
    ) -> Result<ExecSession, ControlError> {
        let document = self.record(app).await?;
        let running = self.instances(app);
        let chosen = match instance {
            Some(id) => running
                .iter()
                .find(|one| one.status.id == *id)
                .ok_or_else(|| ControlError::InstanceNotFound { app: app.clone(), instance: id.clone() })?,
            None => {
                let wanted = document.body.current.unwrap_or(document.body.target);
                running
                    .iter()
                    .filter(|one| decide::alive(one))
                    .max_by_key(|one| (matches!(one.status.phase, InstancePhase::Ready), one.status.revision == wanted))
                    .ok_or_else(|| ControlError::NothingRuns { app: app.clone() })?
            }
        };
        let container = match container {
            Some(container) => {
                let known: Vec<_> = chosen.status.containers.iter().map(|status| status.name.to_string()).collect();
                if !known.iter().any(|name| name == container.as_str()) {
                    return Err(ControlError::ContainerNotFound { app: app.clone(), container: container.to_string(), known });
                }
                container.clone()
            }
            None => self.main_of(app, chosen.status.revision).await?,
        };
        let session = self.shared.engine.exec(&chosen.status.id, container.as_str(), exec).await;
        session.map_err(|diagnosis| {
            // The fault's own hint is for a container that cannot start.
            if let Fault::CommandMissing { command, .. } = diagnosis.fault {
                return ControlError::ProgramMissing { app: app.clone(), container: container.to_string(), program: command };
            }
            engine_error(diagnosis)
        })
    }

    /// Asks the main container of an instance once, whether it passes a check; its port is the instance's where the check
    /// names none.
    ///
    /// # Errors
    /// `InstanceNotFound`; what the engine says, which is why it did not pass.
    pub async fn check(
        &self,
        app: &AppName,
        instance: &InstanceId,
        check: &HttpCheck,
        within: Duration,
    ) -> Result<(), ControlError> {
        let found = self.instances(app).into_iter().find(|one| one.status.id == *instance);
        let one = found.ok_or_else(|| ControlError::InstanceNotFound { app: app.clone(), instance: instance.clone() })?;
        let main = self.main_of(app, one.status.revision).await?;
        let check = Check::Http(HttpCheck { port: check.port.or(one.status.port), ..check.clone() });
        self.shared.engine.check(instance, main.as_str(), &check, within).await.map_err(engine_error)
    }

    async fn main_of(&self, app: &AppName, revision: RevisionNumber) -> Result<ContainerName, ControlError> {
        let found = self.shared.store.revision(app, revision).await?;
        let main = found.and_then(|found| found.definition.containers.into_iter().find(|(_, container)| container.main));
        main.map(|(name, _)| name).ok_or_else(|| ControlError::RevisionNotFound { app: app.clone(), revision })
    }

    pub(crate) async fn knows_container(
        &self,
        app: &AppName,
        document: &Document<Record>,
        container: &str,
    ) -> Result<(), ControlError> {
        let mut known = Vec::new();
        for revision in document.body.needed() {
            if let Some(found) = self.shared.store.revision(app, revision).await? {
                known.extend(
                    found
                        .definition
                        .containers
                        .keys()
                        .map(ToString::to_string)
                        .filter(|name| !known.contains(name))
                        .collect::<Vec<_>>(),
                );
            }
        }
        if known.iter().any(|name| name == container) {
            return Ok(());
        }
        Err(ControlError::ContainerNotFound { app: app.clone(), container: container.to_owned(), known })
    }
}
