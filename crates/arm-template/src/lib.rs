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
//! compares two bodies for what-if; [`Body::redacted`] and [`Body::redact_before`] hide in both what is secure.
//!
//! Chance and time come in with the [`Surroundings`]: with the same surroundings and parameters a template gives the same plan, so a
//! deployment can be taken up again after a restart by expanding it once more.
//!
//! # Differences from Resource Manager
//!
//! - Whatever is made of a secure parameter, or of what a `list…` function returns, is secure: an output made of it has no value on the
//!   wire, whatever type it declares, and such a value can't be a part of a resource's name, type or `dependsOn`.
//! - A child waits for its parent if both are in the template, even if `dependsOn` does not say so, unless that makes a circle.
//! - A reference whose id is known only while a lambda runs makes the resource wait for all that it may mean.
//! - Texts are counted in UTF-16 units, as .NET does; half of a pair that a cut leaves is U+FFFD. Texts are compared by code points.
//! - Nothing has zones: `pickZones` gives none, and `toLogicalZone` and its relatives refuse every one. References to key vaults in
//!   parameters are refused.
//! - Two resources may have one id if at most one of them has a true condition.

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
