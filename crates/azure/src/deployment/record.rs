//! What is kept of a deployment, and how far it has come. Sealed in the store: parameters may be secrets.

use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::Surroundings;
use pillion_identity::{Caller, Grant};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rollback::Fallback;

/// What happens to resources of the group that the template does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Incremental,
    Complete,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Option<Mode> {
        [Mode::Incremental, Mode::Complete].into_iter().find(|mode| mode.word().eq_ignore_ascii_case(text))
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Mode::Incremental => "Incremental",
            Mode::Complete => "Complete",
        }
    }
}

/// How far a deployment, or one operation of it, has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Accepted,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Accepted => "Accepted",
            State::Running => "Running",
            State::Succeeded => "Succeeded",
            State::Failed => "Failed",
            State::Canceled => "Canceled",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        match self {
            State::Accepted | State::Running => false,
            State::Succeeded | State::Failed | State::Canceled => true,
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Doing {
    Create,
    Read,
    Delete,
    EvaluateDeploymentOutput,
}

impl Doing {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Doing::Create => "Create",
            Doing::Read => "Read",
            Doing::Delete => "Delete",
            Doing::EvaluateDeploymentOutput => "EvaluateDeploymentOutput",
        }
    }
}

/// One resource's part in a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) doing: Doing,
    /// None for the outputs.
    pub(crate) target: Option<ResourceId>,
    /// The name within the template, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) symbolic_name: Option<String>,
    pub(crate) state: State,
    /// HTTP status of the ending.
    pub(crate) status: Option<u16>,
    /// The error as ARM shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Value>,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

/// How the deployment to go back to was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Back {
    LastSuccessful,
    SpecificDeployment,
}

impl Back {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Back::LastSuccessful => "LastSuccessful",
            Back::SpecificDeployment => "SpecificDeployment",
        }
    }
}

/// The deployment that is deployed again where this one fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OnFailure {
    pub(crate) back: Back,
    pub(crate) deployment: String,
    /// None while nothing has failed.
    pub(crate) state: Option<State>,
}

/// A resource and those that it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dependency {
    pub(crate) id: ResourceId,
    pub(crate) on: Vec<ResourceId>,
}

/// Who asked for it: a deployment that goes on after a restart acts for the same caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asker {
    principal: String,
    display_name: String,
    grants: Vec<Grant>,
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Asker {
        Asker { principal: caller.principal.clone(), display_name: caller.display_name.clone(), grants: caller.grants.clone() }
    }
}

impl From<Asker> for Caller {
    fn from(asker: Asker) -> Caller {
        Caller { principal: asker.principal, display_name: asker.display_name, grants: asker.grants }
    }
}

/// A deployment.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) id: ResourceId,
    /// The group or subscription that it is made to.
    pub(crate) scope: ResourceId,
    /// The deployment whose template holds this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<ResourceId>,
    /// The failed deployment that had this one deployed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rolls_back: Option<ResourceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) location: Option<String>,
    pub(crate) tags: Option<Value>,
    pub(crate) mode: Mode,
    pub(crate) state: State,
    /// Shared with nested deployments.
    pub(crate) correlation: String,
    /// Names this run of it; `operationStatuses/` takes it.
    pub(crate) run: String,
    pub(crate) accepted_ms: u64,
    pub(crate) ended_ms: Option<u64>,
    pub(crate) template_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template_link: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parameters_link: Option<Value>,
    /// As shown: secure ones without their value.
    pub(crate) parameters: Value,
    pub(crate) outputs: Option<Value>,
    pub(crate) output_resources: Vec<ResourceId>,
    pub(crate) dependencies: Vec<Dependency>,
    /// The types of the resources, each once: `Microsoft.Web/sites`.
    pub(crate) types: Vec<(String, String)>,
    pub(crate) operations: Vec<Operation>,
    /// The error as ARM shows it.
    pub(crate) error: Option<Value>,
    pub(crate) cancel_asked: bool,
    /// How often a start of the server has taken it up again.
    #[serde(default)]
    pub(crate) resumed: u32,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("id", &self.id.to_string()).field("state", &self.state).finish_non_exhaustive()
    }
}

/// What a run needs and nobody is shown: gone once it is over, but for the template.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    /// The template as it was sent or fetched.
    pub(crate) template: String,
    /// None once the deployment is over.
    pub(crate) secret: Option<Secret>,
}

/// What a run starts from, the same again after a restart.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Secret {
    /// `{name: {value}}` as asked for, secure ones included.
    pub(crate) parameters: Value,
    pub(crate) surroundings: Surroundings,
    pub(crate) asker: Asker,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<Fallback>,
}

impl Operation {
    pub(crate) fn ends(&mut self, state: State, status: u16, error: Option<&ArmError>, now_ms: u64) {
        self.state = state;
        self.status = Some(status);
        self.error = error.map(ArmError::to_arm);
        self.ended_ms = Some(now_ms);
    }
}
