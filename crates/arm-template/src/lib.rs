//! The ARM template language: reading, expressions, expansion into a plan of resources, differences for what-if. No I/O, no async.
//!
//! ```
//! use pillion_arm_template::{Budget, NothingDeployed, Parameters, Surroundings, Template, read};
//!
//! let document = read(br#"{
//!     "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
//!     "contentVersion": "1.0.0.0",
//!     "parameters": { "name": { "type": "string", "minLength": 2 } },
//!     "resources": [{
//!         "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01",
//!         "name": "[concat(parameters('name'), '-plan')]", // comments are fine
//!         "sku": { "name": "P1v3" },
//!     }],
//!     "outputs": { "plan": { "type": "string", "value": "[resourceId('Microsoft.Web/serverfarms', concat(parameters('name'), '-plan'))]" } }
//! }"#)?;
//! let template = Template::parse(&document)?;
//! let surroundings = Surroundings::of_group("0000", "shop", "local", "first", "2026-01-01T00:00:00Z".parse()?);
//! let mut budget = Budget::new();
//! let plan = template.expand(&Parameters::from_values([("name", "shop".into())]), &surroundings, &mut budget)?;
//! let farm = &plan.resources()[0];
//! assert_eq!(farm.id, "/subscriptions/0000/resourceGroups/shop/providers/Microsoft.Web/serverfarms/shop-plan");
//! let body = plan.evaluate(farm, &NothingDeployed, &mut budget)?;
//! assert_eq!(body.value()["sku"]["name"], "P1v3");
//! let outputs = plan.outputs(&NothingDeployed, &mut budget)?;
//! assert_eq!(outputs.to_wire()["plan"]["value"], farm.id.as_str());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The phases of a deployment: [`read`] the request, [`Template::parse`] the part of it that is the template (unknown functions and bad
//! syntax are found here), [`Template::expand`] it with parameters into a [`Plan`] (names, ids, conditions, copies and the order are known
//! now), then [`Plan::evaluate`] each resource when those in its `depends_on` are deployed, and [`Plan::outputs`] at the end. [`diff()`]
//! compares two bodies for what-if.

mod budget;
mod diff;
mod error;
mod evaluate;
mod expression;
mod function;
mod parameters;
mod path;
mod plan;
mod reader;
mod references;
mod schema;
mod scope;
mod secure;
mod surroundings;
mod template;

pub use budget::{Budget, Limit, MAX_DEPTH, MAX_EXPRESSION, MAX_PRODUCED, MAX_RESOURCES, MAX_STEPS, MAX_TEXT};
pub use diff::{ChangeKind, Delta, diff, diff_where};
pub use error::{Cause, Code, Error, ExpressionPlace, Position};
pub use function::function_names;
pub use parameters::{Parameters, Resolved};
pub use path::{Path, Segment};
pub use plan::{Kind, Link, Nested, NestedSource, Output, Outputs, Plan, Planned, Target};
pub use reader::{Document, read};
pub use references::{Absent, Extent, NothingDeployed, References, Seen};
pub use secure::Body;
pub use surroundings::{Level, Surroundings};
pub use template::Template;
