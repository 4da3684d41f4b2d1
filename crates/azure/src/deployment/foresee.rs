//! What a deployment would write, found out without writing: for validation and what-if.

use std::{pin::Pin, sync::Arc};

use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::{Cause, Kind, Nested, Plan, Surroundings};
use pillion_identity::Caller;
use tokio::runtime::Handle;

use super::{
    graph::Graph,
    lookup::{Lookup, Missing},
    nested,
    prepare::{Prepared, resource_id},
    resources::Foretold,
    run::{Together, of_the_resource},
    secrecy::Secrets,
    service::Inner,
};

/// One resource that would be written.
pub(crate) struct Foreseen {
    pub(crate) id: ResourceId,
    pub(crate) api_version: String,
    pub(crate) secrets: Secrets,
    /// False: expressions in it cannot be known before something else is deployed.
    pub(crate) known: bool,
    pub(crate) outcome: Result<Foretold, ArmError>,
}

/// Everything that would be written, in an order in which it could be.
pub(crate) struct Foresight {
    pub(crate) writes: Vec<Foreseen>,
    /// Nested deployments that cannot be looked into yet, and why.
    pub(crate) closed: Vec<(ResourceId, String)>,
}

/// A write before its outcome is known.
struct Write {
    id: ResourceId,
    api_version: String,
    body: serde_json::Value,
    secrets: Secrets,
    known: bool,
}

struct Looking<'a> {
    inner: &'a Arc<Inner>,
    caller: &'a Caller,
    together: Together,
}

/// Foresees a deployment.
///
/// # Errors
/// An expression fails that does not wait for anything to be deployed.
pub(crate) async fn foresee(inner: &Arc<Inner>, caller: &Caller, prepared: &Prepared) -> Result<Foresight, ArmError> {
    let together = Together::new(String::new(), caller.clone(), prepared.worker.clone(), 1);
    let looking = Looking { inner, caller, together };
    let (mut writes, mut closed) = (Vec::new(), Vec::new());
    looking.gather(prepared.plan.clone(), &prepared.surroundings, 0, &mut writes, &mut closed).await?;
    let asked = writes.iter_mut().map(|write| (write.id.clone(), write.body.take())).collect();
    let outcomes = inner.resources.foretell(caller, asked).await;
    let writes = writes.into_iter().zip(outcomes).map(|(write, outcome)| Foreseen {
        outcome: outcome.map_err(|error| ArmError { target: Some(write.id.to_string()), ..write.secrets.clean(error) }),
        id: write.id,
        api_version: write.api_version,
        secrets: write.secrets,
        known: write.known,
    });
    Ok(Foresight { writes: writes.collect(), closed })
}

enum Item {
    Write(Write),
    Nested(ResourceId, Box<Nested>),
    Closed(ResourceId, String),
}

impl Looking<'_> {
    fn gather<'a>(
        &'a self,
        plan: Arc<Plan>,
        around: &'a Surroundings,
        depth: usize,
        writes: &'a mut Vec<Write>,
        closed: &'a mut Vec<(ResourceId, String)>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ArmError>> + Send + 'a>> {
        Box::pin(async move {
            self.together.count(&plan)?;
            for item in self.evaluated(plan).await? {
                match item {
                    Item::Write(write) => writes.push(write),
                    Item::Closed(id, why) => closed.push((id, why)),
                    Item::Nested(id, nested) => {
                        let worker = &self.together.worker;
                        let unfolded = nested::unfold(self.inner, self.caller, worker, around, *nested, depth + 1).await;
                        match unfolded {
                            Ok(unfolded) => self.gather(unfolded.plan, &unfolded.surroundings, depth + 1, writes, closed).await?,
                            // Its group may be one that this very deployment makes.
                            Err(error) if error.code == "ResourceGroupNotFound" => closed.push((id, error.message)),
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Evaluates the plan's resources, all in one go.
    async fn evaluated(&self, plan: Arc<Plan>) -> Result<Vec<Item>, ArmError> {
        let lookup = Lookup {
            runtime: Handle::current(),
            inner: self.inner.clone(),
            caller: self.caller.clone(),
            missing: Missing::MayCome,
        };
        let order = Graph::of(&plan).order();
        let items = self.together.worker.run(move |budget| {
            let mut items = Vec::with_capacity(order.len());
            for at in order {
                let planned = &plan.resources()[at];
                let Ok(id) = resource_id(&planned.id) else { continue };
                match planned.kind {
                    Kind::Existing => {}
                    Kind::Deployment => items.push(match plan.nested(planned, &lookup, budget) {
                        Ok(nested) => Item::Nested(id, Box::new(nested)),
                        Err(error) if waits(&error) => Item::Closed(id, error.to_string()),
                        Err(error) => return Err(error),
                    }),
                    Kind::Resource => {
                        let (body, known) = match plan.evaluate(planned, &lookup, budget) {
                            Ok(body) => (body, true),
                            Err(error) if waits(&error) => (plan.preview(planned, &lookup, budget)?, false),
                            Err(error) => return Err(error),
                        };
                        let secrets = Secrets::of(&body);
                        let (api_version, body) = (planned.api_version.clone(), of_the_resource(body.into_value()));
                        items.push(Item::Write(Write { id, api_version, body, secrets, known }));
                    }
                }
            }
            Ok(items)
        });
        items.await
    }
}

fn waits(error: &pillion_arm_template::Error) -> bool {
    match error.cause() {
        Cause::NotDeployed { .. } => true,
        Cause::Refused | Cause::Limit(_) | Cause::NotFound { .. } => false,
    }
}
