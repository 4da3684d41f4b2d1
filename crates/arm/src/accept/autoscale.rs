//! Autoscale settings: stored and shown as given, with what cannot be meant refused.

use serde_json::{Map, Value};

use super::{
    How, Write,
    fields::{Fields, overlay},
};
use crate::{ArmError, Resource, ResourceId};

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let mut setting = write.begin();
    write.place(&mut setting)?;
    let given = if write.how == How::Put { write.properties()? } else { write.given.properties.take().unwrap_or_default() };
    if write.how == How::Put {
        setting.properties = Map::new();
    }
    let known = [
        "profiles",
        "notifications",
        "enabled",
        "name",
        "targetResourceUri",
        "targetResourceLocation",
        "predictiveAutoscalePolicy",
    ];
    overlay(&mut setting.properties, given, &known);
    let fields = Fields::new(&setting.properties, "properties");
    fields.flag("enabled")?;
    if let Some(target) = fields.text("targetResourceUri")?.filter(|target| !target.is_empty()) {
        target.parse::<ResourceId>().map_err(|wrong| ArmError::bad_request("properties.targetResourceUri", wrong.to_string()))?;
    }
    let profiles = fields.list("profiles")?.unwrap_or_default();
    if !(1..=20).contains(&profiles.len()) {
        return Err(ArmError::bad_request("properties.profiles", "An autoscale setting has 1 to 20 profiles."));
    }
    for (index, profile) in profiles.iter().enumerate() {
        let at = format!("properties.profiles[{index}]");
        check_profile(profile, &at)?;
    }
    if fields.get("name").is_none() {
        let name = setting.id.name().to_owned();
        setting.properties.insert("name".to_owned(), Value::from(name));
    }
    Ok(setting)
}

fn check_profile(profile: &Value, at: &str) -> Result<(), ArmError> {
    let Value::Object(profile) = profile else {
        return Err(ArmError::bad_request(at, format!("The parameter {at} must be an object.")));
    };
    let fields = Fields::new(profile, at);
    fields.required("name")?;
    let Some(capacity) = fields.object("capacity")? else {
        return Err(ArmError::bad_request(fields.path("capacity"), format!("The parameter {at}.capacity is required.")));
    };
    let capacity_at = fields.path("capacity");
    let capacity = Fields::new(capacity, &capacity_at);
    let number = |name: &str| {
        capacity.number(name, 0, 1000)?.ok_or_else(|| {
            ArmError::bad_request(capacity.path(name), format!("The parameter {} is required.", capacity.path(name)))
        })
    };
    let (low, usual, high) = (number("minimum")?, number("default")?, number("maximum")?);
    if low > high || usual < low || usual > high {
        return Err(ArmError::bad_request(
            capacity_at.clone(),
            format!("The default capacity {usual} must lie between minimum {low} and maximum {high}."),
        ));
    }
    for (index, rule) in fields.list("rules")?.unwrap_or_default().iter().enumerate() {
        check_rule(rule, &format!("{at}.rules[{index}]"))?;
    }
    Ok(())
}

fn check_rule(rule: &Value, at: &str) -> Result<(), ArmError> {
    let Value::Object(rule) = rule else {
        return Err(ArmError::bad_request(at, format!("The parameter {at} must be an object.")));
    };
    let fields = Fields::new(rule, at);
    let part = |name: &str| {
        fields
            .object(name)?
            .ok_or_else(|| ArmError::bad_request(fields.path(name), format!("The parameter {} is required.", fields.path(name))))
    };
    let (trigger_at, action_at) = (fields.path("metricTrigger"), fields.path("scaleAction"));
    let trigger = Fields::new(part("metricTrigger")?, &trigger_at);
    trigger.required("metricName")?;
    trigger.word("operator", &["Equals", "NotEquals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"])?;
    let action = Fields::new(part("scaleAction")?, &action_at);
    action.word("direction", &["None", "Increase", "Decrease"])?;
    action.word("type", &["ChangeCount", "PercentChangeCount", "ExactCount", "ServiceAllowedNextValue"])?;
    action.number("value", 0, 100_000)?;
    Ok(())
}
