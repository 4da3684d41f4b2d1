//! A small world to deploy to.

use std::collections::HashMap;

use pillion_arm_template::{Absent, Budget, Document, Error, Extent, Parameters, Plan, References, Seen, Surroundings, Template};
use serde_json::{Value, json};

pub const SUBSCRIPTION: &str = "11111111-1111-1111-1111-111111111111";
pub const GROUP: &str = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1";

pub fn surroundings() -> Surroundings {
    let now = "2026-02-03T04:05:06.789Z".parse().expect("a time");
    let mut surroundings = Surroundings::of_group(SUBSCRIPTION, "rg1", "local", "first", now);
    let types = json!([{ "resourceType": "sites", "locations": ["local"], "apiVersions": ["2024-11-01", "2023-12-01"] }]);
    surroundings.providers.insert("Microsoft.Web".to_owned(), json!({ "namespace": "Microsoft.Web", "resourceTypes": types }));
    surroundings
}

/// What is deployed, by id in lower case: whole resources, and what their lists answer.
#[derive(Default)]
pub struct World {
    pub resources: HashMap<String, Value>,
}

impl World {
    pub fn with(mut self, id: &str, resource: Value) -> Self {
        self.resources.insert(id.to_lowercase(), resource);
        self
    }

    /// One site and one storage account, which no template here makes.
    pub fn usual() -> Self {
        let site = json!({
            "name": "old", "type": "Microsoft.Web/sites", "location": "local", "identity": { "principalId": "p-1" },
            "properties": { "defaultHostName": "old.localhost", "state": "Running" },
        });
        let store = json!({ "properties": {}, "listkeys": { "keys": [{ "keyName": "key1", "value": "k-secret" }] } });
        Self::default()
            .with(&format!("{GROUP}/providers/Microsoft.Web/sites/old"), site)
            .with(&format!("{GROUP}/providers/Microsoft.Storage/storageAccounts/store"), store)
    }
}

impl References for World {
    fn reference(&self, id: &str, _: Option<&str>, extent: Extent) -> Result<Seen, Absent> {
        let resource = self.resources.get(&id.to_lowercase()).ok_or(Absent::NotFound)?;
        Ok(Seen::from(match extent {
            Extent::Full => resource.clone(),
            Extent::Properties => resource["properties"].clone(),
        }))
    }

    fn list(&self, name: &str, id: &str, _: &str, _: Option<&Value>) -> Result<Value, Absent> {
        let resource = self.resources.get(&id.to_lowercase()).ok_or(Absent::NotFound)?;
        resource.get(name.to_lowercase()).cloned().ok_or_else(|| Absent::Refused(format!("there is no operation '{name}'")))
    }
}

/// Completes sections to a template.
pub fn template(sections: Value) -> Value {
    let mut template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [],
    });
    for (name, section) in sections.as_object().expect("sections") {
        template[name] = section.clone();
    }
    template
}

pub fn plan_with(sections: Value, parameters: &Parameters) -> Result<Plan, Error> {
    let template = Template::parse(&Document::from_value(template(sections)))?;
    template.expand(parameters, &surroundings(), &mut Budget::new())
}

pub fn plan(sections: Value) -> Result<Plan, Error> {
    plan_with(sections, &Parameters::default())
}

/// The outputs of a template as they are shown.
pub fn outputs(sections: Value) -> Result<Value, Error> {
    Ok(plan(sections)?.outputs(&World::usual(), &mut Budget::new())?.to_wire())
}

/// Evaluates one expression within a resource's properties.
pub fn evaluate(expression: &str, sections: &Value) -> Result<Value, Error> {
    let mut sections = sections.clone();
    let resource =
        json!({ "type": "Test.Test/things", "apiVersion": "1", "name": "thing", "properties": { "value": expression } });
    sections["resources"] = json!([resource]);
    let plan = plan(sections)?;
    let body = plan.evaluate(&plan.resources()[0], &World::usual(), &mut Budget::new())?;
    Ok(body.value()["properties"]["value"].clone())
}
