//! A deployment on its way: resources in parallel as their dependencies allow, to the end of all that do not depend on a failed one.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt, stream::FuturesUnordered};
use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::{Kind, MAX_RESOURCES, Plan, Planned, Surroundings};
use pillion_identity::Caller;
use serde_json::{Map, Value};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    complete,
    graph::Graph,
    live::Live,
    lookup::{Lookup, Missing},
    nested,
    prepare::resource_id,
    record::{Doing, Mode, State},
    secrecy::Secrets,
    service::Inner,
    worker::Worker,
};

/// What belongs to the template's item, not to the resource.
const OF_THE_TEMPLATE: [&str; 10] =
    ["type", "name", "apiVersion", "dependsOn", "condition", "copy", "comments", "scope", "resources", "existing"];

/// What a deployment and those nested in it share.
pub(crate) struct Together {
    /// Writes of one holder take effect together.
    pub(crate) holder: String,
    pub(crate) caller: Caller,
    pub(crate) worker: Worker,
    /// Resources that are written at one time.
    pub(crate) room: Semaphore,
    /// Resources that may still be planned.
    left: AtomicUsize,
}

impl Together {
    pub(crate) fn new(holder: String, caller: Caller, worker: Worker, parallel: usize) -> Together {
        Together { holder, caller, worker, room: Semaphore::new(parallel.max(1)), left: AtomicUsize::new(MAX_RESOURCES) }
    }

    /// Takes a plan's resources from what may be planned in all.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn count(&self, plan: &Plan) -> Result<(), ArmError> {
        let count = plan.resources().len();
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(count));
        let message =
            || format!("The deployment has more than {MAX_RESOURCES} resources, those of its nested deployments counted.");
        taken.map(drop).map_err(|_| ArmError::new(400, "InvalidTemplate", message()))
    }
}

/// A deployment, or one nested in it, that is under way.
pub(crate) struct Run {
    pub(crate) inner: Arc<Inner>,
    pub(crate) together: Arc<Together>,
    pub(crate) live: Arc<Live>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) surroundings: Surroundings,
    pub(crate) depth: usize,
}

/// How a deployment ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Succeeded { outputs: Value },
    Failed(ArmError),
    Canceled,
}

impl Run {
    /// Deploys everything, and says how that ended. Nested deployments call it again.
    pub(crate) fn go(&self) -> Pin<Box<dyn Future<Output = Ending> + Send + '_>> {
        Box::pin(async move {
            self.live.change(|record| record.state = State::Running);
            if let Err(error) = self.together.count(&self.plan) {
                return Ending::Failed(error);
            }
            let mut failures = self.resources().await;
            let whole = failures.is_empty() && !self.live.cancel.is_cancelled();
            if whole && self.live.look(|record| record.mode) == Mode::Complete {
                failures = complete::clear(self).await;
            }
            match (failures.is_empty(), self.live.cancel.is_cancelled()) {
                (false, _) => Ending::Failed(failed(&self.live.look(|record| record.id.clone()), failures)),
                (true, true) => Ending::Canceled,
                (true, false) => self.outputs().await,
            }
        })
    }

    /// Stores an ending in the record.
    pub(crate) fn ended(&self, ending: &Ending) {
        self.live.change(|record| record.end(ending));
    }

    /// Sees resources as they are now, on behalf of whoever asked for the deployment.
    pub(crate) fn lookup(&self) -> Lookup {
        Lookup {
            runtime: Handle::current(),
            inner: self.inner.clone(),
            caller: self.together.caller.clone(),
            missing: Missing::IsAnError,
        }
    }

    async fn resources(&self) -> Vec<ArmError> {
        let mut graph = Graph::of(&self.plan);
        let mut under_way = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            while !self.live.cancel.is_cancelled()
                && let Some(at) = graph.take()
            {
                under_way.push(async move { (at, self.resource(&self.plan.resources()[at]).await) });
            }
            match under_way.next().await {
                None => return failures,
                Some((at, Ok(()))) => graph.done(at),
                // A nested one that ends by our own cancellation is no failure of ours.
                Some((at, Err(error))) if self.live.cancel.is_cancelled() && error.code == "DeploymentCanceled" => {
                    graph.failed(at)
                }
                Some((at, Err(error))) => {
                    graph.failed(at);
                    failures.push(error);
                }
            }
        }
    }

    async fn resource(&self, planned: &Planned) -> Result<(), ArmError> {
        match planned.kind {
            // It is looked at where an expression refers to it.
            Kind::Existing => Ok(()),
            Kind::Resource => {
                let Ok(_room) = self.together.room.acquire().await else { return Ok(()) };
                if self.live.cancel.is_cancelled() {
                    return Ok(());
                }
                self.operation(planned, self.put(planned)).await
            }
            Kind::Deployment => {
                if self.live.cancel.is_cancelled() {
                    return Ok(());
                }
                self.operation(planned, nested::deploy(self, planned)).await
            }
        }
    }

    /// Does one thing as an operation that clients see.
    async fn operation(&self, planned: &Planned, work: impl Future<Output = Result<u16, ArmError>>) -> Result<(), ArmError> {
        let id = resource_id(&planned.id)?;
        let operation = self.live.begins(Doing::Create, Some(&id), planned.symbolic_name.clone());
        let ending = work.await;
        self.live.ends(operation, ending.as_ref().copied());
        match ending {
            Ok(_) => {
                self.live.change(|record| record.output_resources.push(id));
                Ok(())
            }
            Err(error) => Err(ArmError { target: Some(id.to_string()), ..error }),
        }
    }

    async fn put(&self, planned: &Planned) -> Result<u16, ArmError> {
        let id = resource_id(&planned.id)?;
        let (plan, item, lookup) = (self.plan.clone(), planned.clone(), self.lookup());
        let body = self.together.worker.run(move |budget| plan.evaluate(&item, &lookup, budget)).await?;
        let secrets = Secrets::of(&body);
        let put = self.inner.resources.put(&self.together.caller, &id, of_the_resource(body.into_value()), &self.together.holder);
        let put = put.await.map_err(|error| secrets.clean(error))?;
        Ok(if put.created { 201 } else { 200 })
    }

    async fn outputs(&self) -> Ending {
        let operation = self.live.begins(Doing::EvaluateDeploymentOutput, None, None);
        let (plan, lookup) = (self.plan.clone(), self.lookup());
        let outputs = self.together.worker.run(move |budget| plan.outputs(&lookup, budget)).await;
        self.live.ends(operation, outputs.as_ref().map(|_| 200));
        match outputs {
            Ok(outputs) => Ending::Succeeded { outputs: outputs.to_wire() },
            Err(error) => {
                let message = "Unable to evaluate template outputs. Please see error details and deployment operations.";
                Ending::Failed(ArmError::new(400, "DeploymentOutputEvaluationFailed", message).because(vec![error]))
            }
        }
    }
}

/// Returns the body to PUT: what the template's item says of the resource, without what it says to the template.
pub(crate) fn of_the_resource(body: Value) -> Value {
    match body {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, _)| !OF_THE_TEMPLATE.iter().any(|word| word.eq_ignore_ascii_case(name)))
                .collect::<Map<_, _>>(),
        ),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => other,
    }
}

/// The error of a deployment some of whose resources failed, as Resource Manager words it.
fn failed(id: &ResourceId, details: Vec<ArmError>) -> ArmError {
    let message = format!(
        "At least one resource deployment operation failed. Please list deployment operations for details: \
         `az deployment operation {} list --name {}`.",
        if id.group_name().is_some() { "group" } else { "sub" },
        id.name(),
    );
    ArmError::new(409, "DeploymentFailed", message).at(id.to_string()).because(details)
}
