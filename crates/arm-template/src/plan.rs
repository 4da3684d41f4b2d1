//! What a template comes to with its parameters: resources, their order, and bodies to be evaluated when their time comes.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::{
    budget::Budget,
    error::{Error, Result},
    parameters::{Parameters, Resolved},
    path::Path,
    references::References,
    secure::Body,
    template::Template,
};

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
    resources: Vec<Planned>,
    parameters: Vec<Resolved>,
}

impl Plan {
    /// Returns the resources in the template's order, inactive and existing ones included.
    pub fn resources(&self) -> &[Planned] {
        &self.resources
    }

    /// Returns the resource with this id, compared without case.
    pub fn resource(&self, id: &str) -> Option<&Planned> {
        self.resources.iter().find(|resource| resource.id.eq_ignore_ascii_case(id))
    }

    /// Returns the parameters after defaults and checks.
    pub fn parameters(&self) -> &[Resolved] {
        &self.parameters
    }

    /// Evaluates a resource's body. Those in `depends_on` must be deployed.
    ///
    /// # Errors
    /// An expression fails, or `references` lacks what it asks for.
    pub fn evaluate(&self, _resource: &Planned, _references: &dyn References, _budget: &mut Budget) -> Result<Body> {
        Err(Error::template("not yet"))
    }

    /// Evaluates a resource's body as far as it can be known before anything is deployed: for what-if and validation. Expressions that
    /// need a resource that is not deployed stay as they are written.
    ///
    /// # Errors
    /// As [`Plan::evaluate`], except for what is not deployed yet.
    pub fn preview(&self, _resource: &Planned, _references: &dyn References, _budget: &mut Budget) -> Result<Body> {
        Err(Error::template("not yet"))
    }

    /// Evaluates what a nested deployment deploys, and where.
    ///
    /// # Errors
    /// As [`Plan::evaluate`]; also if the resource is no deployment or has neither a template nor a link.
    pub fn nested(&self, _resource: &Planned, _references: &dyn References, _budget: &mut Budget) -> Result<Nested> {
        Err(Error::template("not yet"))
    }

    /// Evaluates the outputs, when everything is deployed.
    ///
    /// # Errors
    /// As [`Plan::evaluate`]; also if a value is not of its output's type.
    pub fn outputs(&self, _references: &dyn References, _budget: &mut Budget) -> Result<Outputs> {
        Err(Error::template("not yet"))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("resources", &self.resources).field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// A nested deployment, ready to be expanded with surroundings of its own.
#[derive(Debug, Clone)]
pub struct Nested {
    pub name: String,
    pub location: Option<String>,
    /// `Incremental` or `Complete`.
    pub mode: String,
    pub target: Target,
    pub source: NestedSource,
    pub parameters: Parameters,
    /// A parameter file to be fetched; its values come before none of `parameters`.
    pub parameters_link: Option<Link>,
}

/// Where a nested deployment goes: what is `None` is the same as the parent's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    pub subscription: Option<String>,
    pub resource_group: Option<String>,
    pub management_group: Option<String>,
    /// To the subscription as a whole, not to a group in it.
    pub whole_subscription: bool,
    /// To the tenant.
    pub tenant: bool,
}

/// What a nested deployment deploys.
#[derive(Debug, Clone)]
pub enum NestedSource {
    Inline(Template),
    /// The engine fetches it, by its own rules of what may be fetched.
    Linked(Link),
}

/// A template or parameter file elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The absolute address; a relative path is already resolved against the parent's link.
    pub uri: Option<String>,
    /// The id of a template spec.
    pub id: Option<String>,
    pub content_version: Option<String>,
    pub query: Option<String>,
}

/// One output.
#[derive(Clone, PartialEq)]
pub struct Output {
    pub name: String,
    /// As in [`Resolved::kind`].
    pub kind: &'static str,
    pub value: Value,
    /// Declared so, or made from a secure value.
    pub secure: bool,
}

/// The outputs in the template's order; an output whose condition is false is not among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outputs(pub Vec<Output>);

impl Output {
    /// Returns `{type, value}`, without the value if it is secure.
    pub fn to_wire(&self) -> Value {
        match self.secure {
            true => json!({ "type": self.kind }),
            false => json!({ "type": self.kind, "value": self.value }),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.to_wire())
    }
}

impl Outputs {
    /// Returns what a deployment shows: `{name: {type, value}}`, without the values that are secure.
    pub fn to_wire(&self) -> Value {
        Value::Object(self.0.iter().map(|output| (output.name.clone(), output.to_wire())).collect::<Map<_, _>>())
    }

    pub fn get(&self, name: &str) -> Option<&Output> {
        self.0.iter().find(|output| output.name.eq_ignore_ascii_case(name))
    }
}
