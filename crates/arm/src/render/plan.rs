//! A plan as GET shows it.

use serde_json::{Map, Value};

use super::Facts;
use crate::{Resource, accept::SIZES};

pub(super) fn properties(plan: &Resource, facts: &Facts<'_>) -> Value {
    let sku = |field: &str| plan.sku.as_ref().map_or(Value::Null, |sku| sku[field].clone());
    let name = sku("name");
    let most = SIZES.iter().find(|size| Some(size.name) == name.as_str()).map_or(1, |size| size.instances);
    let mut all = Map::new();
    let text = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    for (field, value) in [
        ("name", Value::from(plan.id.name())),
        ("status", Value::from("Ready")),
        ("provisioningState", Value::from("Succeeded")),
        ("subscription", text(plan.id.subscription_name())),
        ("resourceGroup", text(plan.id.group_name())),
        ("geoRegion", text(plan.location.as_deref())),
        ("numberOfWorkers", sku("capacity")),
        ("currentNumberOfWorkers", sku("capacity")),
        ("maximumNumberOfWorkers", Value::from(most)),
        ("numberOfSites", Value::from(facts.number_of_sites)),
        ("perSiteScaling", Value::Bool(false)),
        ("elasticScaleEnabled", Value::Bool(false)),
        ("zoneRedundant", Value::Bool(false)),
        ("hyperV", Value::Bool(false)),
        ("isXenon", Value::Bool(false)),
        ("isSpot", Value::Bool(false)),
    ] {
        all.insert(field.to_owned(), value);
    }
    all.extend(plan.properties.iter().map(|(name, value)| (name.clone(), value.clone())));
    // What tells a Linux plan from a Windows one.
    all.insert("reserved".to_owned(), Value::Bool(true));
    Value::Object(all)
}
