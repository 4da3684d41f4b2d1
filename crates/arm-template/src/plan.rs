//! What a template comes to with its parameters: resources, their order, and bodies to be evaluated when their time comes.

mod body;
mod dependency;
mod directory;
mod expand;
mod nested;
mod order;
mod output;

use std::{fmt, sync::Arc};

use crate::{
    budget::Budget, error::Result, evaluate::Loop, parameters::Resolved, path::Path, references::References, scope::Scope,
    secure::Body,
};
pub(crate) use directory::Directory;
pub(crate) use expand::expand;
pub use nested::{Link, Nested, NestedSource, Target};
pub use output::{Output, Outputs};

/// What a planned resource is to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its evaluated body is to be PUT.
    Resource,
    /// It is there already and only read.
    Existing,
    /// A nested or linked deployment: see [`Plan::nested`].
    Deployment,
}

/// One resource of a plan; of a copy loop, one of its members.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The full resource id.
    pub id: String,
    /// `Microsoft.Web/sites/slots`
    pub resource_type: String,
    /// `shop/staging`
    pub name: String,
    pub api_version: String,
    /// The name within the template, with languageVersion 2.0; of a copy loop's member with its index: `web[0]`.
    pub symbolic_name: Option<String>,
    pub kind: Kind,
    /// The condition's result. A resource that is not active is not deployed, and nothing waits for it.
    pub active: bool,
    /// The ids of the active resources of this plan that must be deployed before, in the plan's order.
    pub depends_on: Vec<String>,
    /// The copy loop that it comes from, and its index in it.
    pub copy: Option<(String, usize)>,
    /// Where in the template it is written.
    pub place: Path,
    pub(crate) index: usize,
}

/// What a template comes to.
#[derive(Clone)]
pub struct Plan {
    core: Arc<Core>,
}

struct Core {
    scope: Scope,
    resources: Vec<Planned>,
    /// The loops that each resource is in.
    loops: Vec<Vec<Loop>>,
    directory: Directory,
    parameters: Vec<Resolved>,
}

impl Plan {
    /// Returns the resources in the template's order, inactive and existing ones included.
    pub fn resources(&self) -> &[Planned] {
        &self.core.resources
    }

    /// Returns the resource with this id, compared without case.
    pub fn resource(&self, id: &str) -> Option<&Planned> {
        self.core.directory.index_of_id(id).and_then(|index| self.core.resources.get(index))
    }

    /// Returns the parameters after defaults and checks.
    pub fn parameters(&self) -> &[Resolved] {
        &self.core.parameters
    }

    /// Evaluates a resource's body. Those in `depends_on` must be deployed.
    ///
    /// # Errors
    /// An expression fails, or `references` lacks what it asks for.
    pub fn evaluate(&self, resource: &Planned, references: &dyn References, budget: &mut Budget) -> Result<Body> {
        body::evaluate(&self.core, resource, references, budget, body::Strictness::Whole)
            .map_err(|error| self.placed(error, resource))
    }

    /// Evaluates a resource's body as far as it can be known before anything is deployed: for what-if and validation. Expressions that
    /// need a resource that is not deployed stay as they are written.
    ///
    /// # Errors
    /// As [`Plan::evaluate`], except for what is not deployed yet.
    pub fn preview(&self, resource: &Planned, references: &dyn References, budget: &mut Budget) -> Result<Body> {
        body::evaluate(&self.core, resource, references, budget, body::Strictness::Known)
            .map_err(|error| self.placed(error, resource))
    }

    /// Evaluates what a nested deployment deploys, and where.
    ///
    /// # Errors
    /// As [`Plan::evaluate`]; also if the resource is no deployment or has neither a template nor a link.
    pub fn nested(&self, resource: &Planned, references: &dyn References, budget: &mut Budget) -> Result<Nested> {
        nested::nested(&self.core, resource, references, budget).map_err(|error| self.placed(error, resource))
    }

    /// Evaluates the outputs, when everything is deployed.
    ///
    /// # Errors
    /// As [`Plan::evaluate`]; also if a value is not of its output's type.
    pub fn outputs(&self, references: &dyn References, budget: &mut Budget) -> Result<Outputs> {
        output::outputs(&self.core, references, budget).map_err(|error| self.core.scope.source.place(error))
    }

    /// Evaluates every output that needs nothing deployed: what is wrong with one of them is known before anything is written.
    ///
    /// # Errors
    /// As [`Plan::outputs`], except for what is not deployed yet.
    pub fn rehearse_outputs(&self, budget: &mut Budget) -> Result<()> {
        output::rehearse(&self.core, budget).map_err(|error| self.core.scope.source.place(error))
    }

    fn placed(&self, error: crate::Error, resource: &Planned) -> crate::Error {
        self.core.scope.source.place(error.at(&resource.place))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("resources", &self.core.resources)
            .field("parameters", &self.core.parameters)
            .finish_non_exhaustive()
    }
}
