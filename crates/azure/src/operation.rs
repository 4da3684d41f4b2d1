//! Long operations: stored before they begin, gone on with after a crash, kept for a while after their end.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use pillion_store::{Batch, Etag, Expect, Kind, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Azure,
    service::{fresh_uuid, unavailable, wall_ms},
    settle::Wake,
};

/// Ended operations kept; a client that polls comes within seconds.
const KEPT: usize = 500;

/// The id of a long operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(pub String);

/// What a long operation does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "task", rename_all_fields = "camelCase")]
pub enum Task {
    DeleteGroup {
        group: ResourceId,
    },
    /// A swap of two slots; the state is the swap's own.
    Swap {
        site: ResourceId,
        state: Value,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state", rename_all_fields = "camelCase")]
pub enum OperationState {
    Running,
    Succeeded {
        /// What the last poll answers; none is an empty body.
        body: Option<Value>,
    },
    Failed {
        status: u16,
        code: String,
        message: String,
    },
}

/// One long operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub id: OperationId,
    #[serde(flatten)]
    pub task: Task,
    pub progress: OperationState,
    pub begun_ms: u64,
    pub ended_ms: Option<u64>,
    /// Who asked: the audit records of what it does name them.
    pub principal: String,
    pub display_name: String,
    pub correlation: String,
}

impl Operation {
    /// What it is done to; who may read that may ask how far it is.
    pub fn scope(&self) -> &ResourceId {
        match &self.task {
            Task::DeleteGroup { group } => group,
            Task::Swap { site, .. } => site,
        }
    }

    /// Gives who asked for it, with no rights: those were checked when it was taken.
    pub(crate) fn caller(&self) -> Caller {
        Caller { principal: self.principal.clone(), display_name: self.display_name.clone(), grants: Vec::new() }
    }
}

/// All operations that are known, in memory as in the store.
#[derive(Default)]
pub(crate) struct Operations {
    all: Mutex<BTreeMap<OperationId, Operation>>,
}

impl Operations {
    pub(crate) async fn read(store: &Store) -> Result<Operations, StoreError> {
        let all = store.documents::<Operation>(Kind::Operation).await?;
        let all = all.into_iter().map(|document| (document.body.id.clone(), document.body)).collect();
        Ok(Operations { all: Mutex::new(all) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OperationId, Operation>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn running(&self) -> Vec<OperationId> {
        let running = |operation: &&Operation| operation.progress == OperationState::Running;
        self.lock().values().filter(running).map(|operation| operation.id.clone()).collect()
    }

    /// Whether a group is on its way out.
    pub(crate) fn deleting(&self, group: &ResourceId) -> bool {
        self.deleter(group).is_some()
    }

    /// The swap of a site's slots that is under way.
    pub(crate) fn swapping(&self, production: &ResourceId) -> Option<OperationId> {
        let swaps = |operation: &&Operation| {
            operation.progress == OperationState::Running
                && matches!(&operation.task, Task::Swap { site, .. } if site == production)
        };
        self.lock().values().find(swaps).map(|operation| operation.id.clone())
    }

    fn deleter(&self, group: &ResourceId) -> Option<OperationId> {
        let deletes = |operation: &&Operation| {
            operation.progress == OperationState::Running
                && matches!(&operation.task, Task::DeleteGroup { group: going } if going == group)
        };
        self.lock().values().find(deletes).map(|operation| operation.id.clone())
    }
}

impl Azure {
    /// Gives an operation.
    pub fn operation(&self, id: &OperationId) -> Option<Operation> {
        self.shared.operations.lock().get(id).cloned()
    }

    /// Stores a new operation together with `batch`, and begins it; returns the etags of the batch's documents, too. A
    /// deletion of a group that is under way is that one.
    pub(crate) async fn begin(&self, caller: &Caller, task: Task, batch: Batch) -> Result<(OperationId, Vec<Etag>), ArmError> {
        if let Task::DeleteGroup { group } = &task
            && let Some(under_way) = self.shared.operations.deleter(group)
        {
            return Ok((under_way, Vec::new()));
        }
        let id = OperationId(fresh_uuid());
        let operation = Operation {
            id: id.clone(),
            task,
            progress: OperationState::Running,
            begun_ms: wall_ms(),
            ended_ms: None,
            principal: caller.principal.clone(),
            display_name: caller.display_name.clone(),
            correlation: crate::service::correlation(),
        };
        let etags = self.commit(batch.put(Kind::Operation, &id.0, &operation, Expect::Absent)).await?;
        self.shared.operations.lock().insert(id.clone(), operation);
        self.forget_old_operations().await;
        // Only a server on its way out takes no more: then the next one goes on with it.
        let _ = self.shared.wake.send(Wake::Operation(id.clone())).await;
        Ok((id, etags))
    }

    /// Stores how far an operation has come.
    pub(crate) async fn progress(&self, operation: &Operation) -> Result<(), ArmError> {
        self.commit(Batch::new().put(Kind::Operation, &operation.id.0, operation, Expect::Anything)).await?;
        self.shared.operations.lock().insert(operation.id.clone(), operation.clone());
        Ok(())
    }

    /// Does an operation to its end; safe to begin again from the middle.
    pub(crate) async fn perform(&self, id: &OperationId) {
        let Some(mut operation) = self.operation(id).filter(|operation| operation.progress == OperationState::Running) else {
            return;
        };
        let work = async {
            match &operation.task {
                Task::DeleteGroup { group } => self.delete_group_contents(&operation, group).await.map(|()| None),
                Task::Swap { state, .. } => self.perform_swap(&operation, state).await.map(|()| None),
            }
        };
        let done = crate::correlated(operation.correlation.clone(), work).await;
        operation.ended_ms = Some(wall_ms());
        operation.progress = match done {
            Ok(body) => OperationState::Succeeded { body },
            Err(wrong) => {
                tracing::warn!(operation = id.0, error = &wrong as &dyn std::error::Error, "an operation failed");
                OperationState::Failed { status: wrong.status, code: wrong.code.into_owned(), message: wrong.message }
            }
        };
        if let Err(wrong) = self.progress(&operation).await {
            // It is over all the same, and must not hold up others; the next server begins it again, which is safe.
            self.shared.operations.lock().insert(operation.id.clone(), operation);
            tracing::error!(operation = id.0, error = &wrong as &dyn std::error::Error, "an operation's end was not stored");
        }
    }

    async fn forget_old_operations(&self) {
        let old: Vec<OperationId> = {
            let all = self.shared.operations.lock();
            let mut ended: Vec<_> = all.values().filter_map(|one| Some((one.ended_ms?, one.id.clone()))).collect();
            ended.sort();
            let surplus = ended.len().saturating_sub(KEPT);
            ended.into_iter().take(surplus).map(|(_, id)| id).collect()
        };
        if old.is_empty() {
            return;
        }
        let batch = old.iter().fold(Batch::new(), |batch, id| batch.delete(Kind::Operation, &id.0, Expect::Anything));
        match self.shared.store.commit(batch).await {
            Ok(_) => self.shared.operations.lock().retain(|id, _| !old.contains(id)),
            Err(wrong) => drop(unavailable(&wrong)),
        }
    }
}
