//! Functions that say what the deployment goes to.

use std::sync::Arc;

use serde_json::Value;

use super::{Arguments, Function, world};
use crate::{error::Result, surroundings::Level};

pub(super) const FUNCTIONS: &[Function] = &[
    world("resourceGroup", 0, Some(0), |evaluator, args| {
        let is_here = evaluator.scope.surroundings.level == Level::ResourceGroup;
        known(evaluator.scope.surroundings.resource_group.as_ref().filter(|_| is_here), args)
    }),
    world("subscription", 0, Some(0), |evaluator, args| {
        let is_here = matches!(evaluator.scope.surroundings.level, Level::ResourceGroup | Level::Subscription);
        known(evaluator.scope.surroundings.subscription.as_ref().filter(|_| is_here), args)
    }),
    world("managementGroup", 0, Some(0), |evaluator, args| known(evaluator.scope.surroundings.management_group.as_ref(), args)),
    world("tenant", 0, Some(0), |evaluator, _| Ok(Arc::new(evaluator.scope.surroundings.tenant.clone()))),
];

fn known(value: Option<&Value>, args: &Arguments<'_>) -> Result<Arc<Value>> {
    match value {
        Some(value) => Ok(Arc::new(value.clone())),
        None => Err(args.refuse("is not expected at this location: the deployment does not go to one")),
    }
}
