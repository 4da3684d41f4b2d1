//! What a deployment would write, found out without writing: for validation and what-if, and before a deployment is accepted.

use std::{pin::Pin, sync::Arc};

use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::{Cause, Kind, Nested, NestedSource, NothingDeployed, Plan, References, Surroundings};
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

/// What expressions see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The resources as they are now.
    Now,
    /// Nothing: neither resources nor what links lead to. What is wrong then is wrong whatever is deployed.
    Nothing,
}

struct Looking<'a> {
    inner: &'a Arc<Inner>,
    caller: &'a Caller,
    together: Together,
    sight: Sight,
}

/// Foresees a deployment.
///
/// # Errors
/// An expression fails that does not wait for anything to be deployed.
pub(crate) async fn foresee(inner: &Arc<Inner>, caller: &Caller, prepared: &Prepared) -> Result<Foresight, ArmError> {
    let together = Together::new(String::new(), caller.clone(), prepared.worker.clone(), 1);
    let looking = Looking { inner, caller, together, sight: Sight::Now };
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

/// Evaluates all of a deployment that can be known before anything is deployed, at no cost for its run.
///
/// # Errors
/// An expression is wrong, or a limit is passed.
pub(crate) async fn rehearse(inner: &Arc<Inner>, caller: &Caller, prepared: &Prepared) -> Result<(), ArmError> {
    let together = Together::new(String::new(), caller.clone(), prepared.worker.apart().await, 1);
    let looking = Looking { inner, caller, together, sight: Sight::Nothing };
    looking.gather(prepared.plan.clone(), &prepared.surroundings, 0, &mut Vec::new(), &mut Vec::new()).await
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
                    Item::Nested(_, nested) if self.sight == Sight::Nothing && is_linked(&nested) => {}
                    Item::Nested(id, nested) => {
                        let worker = &self.together.worker;
                        let unfolded = nested::unfold(self.inner, self.caller, worker, around, *nested, depth + 1).await;
                        match unfolded {
                            Ok(unfolded) => self.gather(unfolded.plan, &unfolded.surroundings, depth + 1, writes, closed).await?,
                            // Its group may be one that this very deployment makes.
                            Err(error) if error.code == "ResourceGroupNotFound" => closed.push((id, error.message)),
                            // Whether it may go there is seen when its turn comes.
                            Err(error) if self.sight == Sight::Nothing && error.status != 400 => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Evaluates the plan's resources, all in one go, and those of its outputs that wait for nothing.
    async fn evaluated(&self, plan: Arc<Plan>) -> Result<Vec<Item>, ArmError> {
        let lookup: Box<dyn References + Send> = match self.sight {
            Sight::Nothing => Box::new(NothingDeployed),
            Sight::Now => Box::new(Lookup {
                runtime: Handle::current(),
                inner: self.inner.clone(),
                caller: self.caller.clone(),
                missing: Missing::MayCome,
            }),
        };
        let sight = self.sight;
        let order = Graph::of(&plan).order();
        let items = self.together.worker.run(move |budget| {
            let mut items = Vec::with_capacity(order.len());
            for at in order {
                let planned = &plan.resources()[at];
                let Ok(id) = resource_id(&planned.id) else { continue };
                match planned.kind {
                    Kind::Existing => {}
                    Kind::Deployment => items.push(match plan.nested(planned, &*lookup, budget) {
                        Ok(nested) => Item::Nested(id, Box::new(nested)),
                        Err(error) if waits(&error) => Item::Closed(id, error.to_string()),
                        Err(error) => return Err(error),
                    }),
                    Kind::Resource => {
                        let whole = match sight {
                            Sight::Nothing => None,
                            Sight::Now => match plan.evaluate(planned, &*lookup, budget) {
                                Ok(body) => Some(body),
                                Err(error) if waits(&error) => None,
                                Err(error) => return Err(error),
                            },
                        };
                        let known = whole.is_some();
                        let body = match whole.map_or_else(|| plan.preview(planned, &*lookup, budget), Ok) {
                            Ok(body) => body,
                            // How often something is copied, or what a property is called, has no text that could stand for it.
                            Err(error) if waits(&error) => {
                                items.push(Item::Closed(id, error.to_string()));
                                continue;
                            }
                            Err(error) => return Err(error),
                        };
                        let secrets = Secrets::of(&body);
                        let (api_version, body) = (planned.api_version.clone(), of_the_resource(body.into_value()));
                        items.push(Item::Write(Write { id, api_version, body, secrets, known }));
                    }
                }
            }
            plan.rehearse_outputs(budget)?;
            Ok(items)
        });
        items.await
    }
}

fn is_linked(nested: &Nested) -> bool {
    matches!(nested.source, NestedSource::Linked(_)) || nested.parameters_link.is_some()
}

fn waits(error: &pillion_arm_template::Error) -> bool {
    match error.cause() {
        Cause::NotDeployed { .. } => true,
        Cause::Refused | Cause::Limit(_) | Cause::NotFound { .. } => false,
    }
}
