//! Going back: where a deployment fails, an earlier one is deployed again, whole and in Complete mode, as Resource Manager does it.
//!
//! What it needs is taken when the deployment is accepted, so that nothing can take it away meanwhile. Secure values are forgotten when
//! a deployment ends, so one that had any cannot be gone back to.

use std::sync::Arc;

use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_arm_template::{Level, Parameters, Surroundings, Template, read};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    guid,
    live::Live,
    prepare::{self, Place},
    record::{Back, Mode, Record, Source, State},
    request::OnError,
    run::{Ending, Run, Together},
    service::{Inner, lost},
    worker::Worker,
};

/// An earlier deployment, with all that it takes to deploy it again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fallback {
    pub(crate) name: String,
    template: String,
    /// `{name: {value}}`
    parameters: Value,
    #[serde(default)]
    tags: Option<Value>,
    template_link: Option<Value>,
    parameters_link: Option<Value>,
}

impl OnError {
    pub(crate) fn back(&self) -> Back {
        match self {
            OnError::LastSuccessful => Back::LastSuccessful,
            OnError::Specific(_) => Back::SpecificDeployment,
        }
    }
}

impl Fallback {
    /// Finds the deployment that `name` would go back to.
    ///
    /// # Errors
    /// There is none, or it cannot be deployed again.
    pub(crate) async fn find(inner: &Inner, scope: &ResourceId, name: &str, asked: &OnError) -> Result<Fallback, ArmError> {
        let refused =
            |message: String| ArmError::new(400, "InvalidOnErrorDeployment", message).at("properties.onErrorDeployment");
        if scope.kind() != ResourceKind::Group {
            return Err(refused("Only deployments to resource groups can go back to an earlier one.".into()));
        }
        let record = match asked {
            OnError::LastSuccessful => last_successful(inner, scope)
                .ok_or_else(|| refused(format!("'{scope}' has no successful deployment to go back to.")))?,
            OnError::Specific(wanted) => {
                let found = inner.find(&scope.resource("Microsoft.Resources", "deployments", wanted)).map(|live| live.record());
                found.ok_or_else(|| refused(format!("The deployment '{wanted}' to go back to could not be found.")))?
            }
        };
        let earlier = record.id.name();
        if record.state != State::Succeeded || record.parent.is_some() {
            let what = if record.parent.is_some() { "is nested in another" } else { "has not succeeded" };
            return Err(refused(format!(
                "The deployment '{earlier}' {what}; only successful outermost ones can be gone back to."
            )));
        }
        if earlier.eq_ignore_ascii_case(name) {
            return Err(refused(format!(
                "The deployment '{earlier}' cannot be gone back to: this one has its name, and takes its place. Give this one a name of its own."
            )));
        }
        let parameters = known(&record).map_err(|secure| {
            refused(format!(
                "The deployment '{earlier}' cannot be gone back to: the values of its secure parameters ({}) were forgotten when it ended.",
                secure.join(", ")
            ))
        })?;
        let source = inner.shelf.source(record.id.clone()).await.map_err(|error| lost(&error))?;
        let template = source.map(|source| source.template).filter(|template| !template.is_empty());
        let template = template.ok_or_else(|| refused(format!("The template of the deployment '{earlier}' is not kept.")))?;
        Ok(Fallback {
            name: earlier.to_owned(),
            template,
            parameters,
            tags: record.tags,
            template_link: record.template_link,
            parameters_link: record.parameters_link,
        })
    }

    /// Deploys it in the stead of a deployment that failed. Returns that one's error, with what went wrong here added.
    pub(crate) async fn go_back(&self, failed: &Run, error: ArmError) -> ArmError {
        // From here on there is no way forward again: a server that takes it up goes on going back.
        failed.live.change(|record| record.error = Some(error.to_arm()));
        note(&failed.live, State::Running);
        let ending = match failed.inner.save(std::slice::from_ref(&failed.live)).await {
            Ok(()) => self.deploy(failed).await,
            Err(problem) => Err(lost(&problem)),
        };
        let (state, problem) = match ending {
            Ok(Ending::Succeeded { .. }) => (State::Succeeded, None),
            Ok(Ending::Canceled) => (State::Canceled, None),
            Ok(Ending::Failed(problem)) | Err(problem) => (State::Failed, Some(problem)),
        };
        note(&failed.live, state);
        let Some(problem) = problem else { return error };
        let message = format!("Going back to the deployment '{}' failed as well.", self.name);
        let mut details = error.details.clone();
        details.push(ArmError::new(409, "OnErrorDeploymentFailed", message).because(vec![problem]));
        error.because(details)
    }

    async fn deploy(&self, failed: &Run) -> Result<Ending, ArmError> {
        let (inner, caller) = (&failed.inner, &failed.together.caller);
        let (by, scope) = failed.live.look(|record| (record.id.clone(), record.scope.clone()));
        let surroundings = Surroundings {
            level: Level::ResourceGroup,
            resource_group: prepare::surroundings_of_group(inner, caller, &scope).await?,
            deployment: self.name.clone(),
            template_link: self.template_link.clone(),
            mode: Mode::Complete.word().to_owned(),
            deployer: failed.surroundings.deployer.clone(),
            entropy: guid::random(),
            ..inner.surroundings()
        };
        let worker = Worker::new(&inner.benches);
        let (text, given, around) = (self.template.clone(), self.parameters.clone(), surroundings.clone());
        let (plan, hash) = worker
            .run(move |budget| {
                let template = Template::parse(&read(text.as_bytes())?)?;
                let plan = template.expand(&Parameters::from_request(&given)?, &around, budget)?;
                Ok((Arc::new(plan), template.hash()))
            })
            .await?;
        let place = Place {
            location: None,
            tags: self.tags.clone(),
            link: self.template_link.clone(),
            parameters_link: self.parameters_link.clone(),
            parent: None,
            correlation: failed.together.holder.clone(),
        };
        let id = scope.resource("Microsoft.Resources", "deployments", &self.name);
        let record = prepare::record(id, &scope, Mode::Complete, &plan, hash, place)?;
        let live = Arc::new(Live::new(Record { rolls_back: Some(by), ..record }, failed.live.cancel.child_token()));
        inner.accept(&live, &Source { template: self.template.clone(), secret: None }, caller).await?;
        let together = Together::new(failed.together.holder.clone(), caller.clone(), worker, inner.settings.parallel);
        let run = Run { inner: inner.clone(), together: Arc::new(together), live, plan, surroundings, depth: 0 };
        let ending = run.go().await;
        run.ended(&ending);
        Ok(ending)
    }
}

/// Returns why a deployment failed that was on its way back when the server went.
pub(crate) fn was_going_back(record: &Record) -> Option<ArmError> {
    let began = record.on_failure.as_ref().is_some_and(|on_failure| on_failure.state == Some(State::Running));
    record.error.as_ref().filter(|_| began).map(ArmError::from_arm)
}

pub(crate) fn note(failed: &Live, state: State) {
    failed.change(|record| {
        if let Some(on_failure) = &mut record.on_failure {
            on_failure.state = Some(state);
        }
    });
}

fn last_successful(inner: &Inner, scope: &ResourceId) -> Option<Record> {
    let there = inner.at(scope).into_iter().map(|live| live.record());
    there.filter(|record| record.state == State::Succeeded && record.parent.is_none()).max_by_key(|record| record.ended_ms)
}

/// The parameters with the values that they had, or the names of those whose values are not known any more.
fn known(record: &Record) -> Result<Value, Vec<String>> {
    let (mut values, mut secure) = (Map::new(), Vec::new());
    for (name, shown) in record.parameters.as_object().into_iter().flatten() {
        match shown.get("value") {
            Some(Value::Null) => {}
            Some(value) => {
                values.insert(name.clone(), Value::Object(Map::from_iter([("value".to_owned(), value.clone())])));
            }
            None => secure.push(format!("'{name}'")),
        }
    }
    if secure.is_empty() { Ok(Value::Object(values)) } else { Err(secure) }
}
