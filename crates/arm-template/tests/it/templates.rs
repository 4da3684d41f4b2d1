//! Whole templates of the kind that people publish, deployed to a pretended world in the order of their plans.
//!
//! `tests/templates/NN-name.json` is the template as a file; `NN-name.expected.json` has what it is given and what comes of it:
//! the plan, the bodies, the outputs. `PILLION_GOLDEN=write` writes the latter anew, to be read in review.

use std::path::PathBuf;

use pillion_arm_template::{
    Budget, Kind, Level, NestedSource, NothingDeployed, Outputs, Parameters, Plan, Surroundings, Template, read,
};
use serde_json::{Map, Value, json};

use crate::deployed::{GROUP, SUBSCRIPTION, World, surroundings};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates"))
}

fn short(id: &str) -> String {
    let id = id.strip_prefix(GROUP).unwrap_or(id);
    id.strip_prefix("/providers/").unwrap_or(id).to_owned()
}

/// Deploys a template and tells what was planned and made.
struct Deployment<'g> {
    given: &'g Value,
    budget: Budget,
    world: World,
}

impl Deployment<'_> {
    fn template(&self, name: &str, parameters: &Value) -> (Template, Parameters) {
        // As az sends it.
        let text = std::fs::read_to_string(folder().join(name)).expect("the template is there");
        let head = json!({ "properties": { "parameters": parameters, "mode": "Incremental" } }).to_string();
        let body = format!("{}, template:{text}}}}}", &head[..head.len() - 2]);
        let document = read(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let given = &document.root()["properties"]["parameters"];
        let parameters = Parameters::from_request(given).expect("parameters");
        let template = document.part(&["properties", "template"]).expect("a template");
        (Template::parse(&template).unwrap_or_else(|error| panic!("{name}: {error}")), parameters)
    }

    /// Deploys what is ready until nothing is left.
    fn deploy(&mut self, template: &Template, parameters: &Parameters, surroundings: &Surroundings) -> (Value, Outputs) {
        let plan = template.expand(parameters, surroundings, &mut self.budget).unwrap_or_else(|error| panic!("{error}"));
        let mut told: Vec<(usize, Value)> = Vec::new();
        let mut open: Vec<usize> = (0..plan.resources().len()).collect();
        while !open.is_empty() {
            let is_ready = |at: &usize| {
                let waits = &plan.resources()[*at].depends_on;
                waits.iter().all(|id| !open.iter().any(|other| plan.resources()[*other].id == *id))
            };
            let ready = open.iter().copied().find(is_ready).expect("there is no circle");
            open.retain(|at| *at != ready);
            told.push((ready, self.resource(&plan, ready, surroundings)));
        }
        told.sort_by_key(|(at, _)| *at);
        let outputs = plan.outputs(&self.world, &mut self.budget).unwrap_or_else(|error| panic!("{error}"));
        let resources: Vec<Value> = told.into_iter().map(|(_, resource)| resource).collect();
        (json!({ "resources": resources, "outputs": outputs.to_wire() }), outputs)
    }

    fn resource(&mut self, plan: &Plan, at: usize, surroundings: &Surroundings) -> Value {
        let resource = &plan.resources()[at];
        let mut told = Map::new();
        told.insert("id".to_owned(), json!(short(&resource.id)));
        if let Some(name) = &resource.symbolic_name {
            told.insert("symbolicName".to_owned(), json!(name));
        }
        let waits: Vec<String> = resource.depends_on.iter().map(|id| short(id)).collect();
        told.insert("dependsOn".to_owned(), json!(waits));
        if !resource.active || resource.kind == Kind::Existing {
            told.insert("deployed".to_owned(), json!(if resource.active { "exists" } else { "no" }));
            return Value::Object(told);
        }
        plan.preview(resource, &NothingDeployed, &mut self.budget).unwrap_or_else(|error| panic!("{error}"));
        let body = plan.evaluate(resource, &self.world, &mut self.budget).unwrap_or_else(|error| panic!("{error}"));
        let mut whole = body.value().clone();
        whole["id"] = json!(resource.id);
        whole["properties"]["provisioningState"] = json!("Succeeded");
        if resource.resource_type == "Microsoft.Web/sites" {
            whole["properties"]["defaultHostName"] = json!(format!("{}.localhost", resource.name));
        }
        if resource.resource_type == "Microsoft.ManagedIdentity/userAssignedIdentities" {
            whole["properties"]["principalId"] = json!(format!("principal-of-{}", resource.name));
            whole["properties"]["clientId"] = json!(format!("client-of-{}", resource.name));
        }
        match resource.kind {
            Kind::Deployment => {
                let nested = plan.nested(resource, &self.world, &mut self.budget).unwrap_or_else(|error| panic!("{error}"));
                let mut inner = Surroundings { deployment: nested.name.clone(), ..surroundings.clone() };
                if let Some(group) = &nested.target.resource_group {
                    let own = Surroundings::of_group(SUBSCRIPTION, group, "local", &nested.name, surroundings.now);
                    inner = Surroundings { entropy: surroundings.entropy, ..own };
                    told.insert("resourceGroup".to_owned(), json!(group));
                }
                let template = match nested.source {
                    NestedSource::Inline(template) => template,
                    NestedSource::Linked(link) => {
                        let uri = link.uri.expect("an address");
                        told.insert("link".to_owned(), json!(uri));
                        inner.template_link = Some(json!({ "uri": uri }));
                        let file = self.given["linked"][&uri].as_str().unwrap_or_else(|| panic!("nothing is at {uri}"));
                        self.template(file, &json!({})).0
                    }
                };
                let (inside, outputs) = self.deploy(&template, &nested.parameters, &inner);
                let is_open = |output: &&pillion_arm_template::Output| !output.secure;
                let outputs: Map<String, Value> =
                    outputs.0.iter().filter(is_open).map(|output| (output.name.clone(), output.to_wire())).collect();
                whole["properties"] = json!({ "provisioningState": "Succeeded", "outputs": outputs });
                told.insert("nested".to_owned(), inside);
            }
            Kind::Resource | Kind::Existing => {
                let mut shown = body.redacted();
                let members = shown.as_object_mut().expect("a body");
                for key in ["type", "name"] {
                    members.shift_remove(key);
                }
                told.insert("body".to_owned(), shown);
            }
        }
        self.world.resources.insert(resource.id.to_lowercase(), whole);
        Value::Object(told)
    }
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.expected.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{ \"given\": {} }".to_owned());
    let mut expected: Value = serde_json::from_str(&text).expect("the expectation is JSON");
    let given = expected["given"].clone();
    let mut world = World::default();
    for (id, resource) in given["resources"].as_object().into_iter().flatten() {
        world = world.with(&format!("{GROUP}/providers/{id}"), resource.clone());
    }
    let mut around = surroundings();
    if given["level"] == "subscription" {
        around = Surroundings::of_subscription(SUBSCRIPTION, "local", "first", around.now);
        assert_eq!(around.level, Level::Subscription);
    }
    if let Some(uri) = given.get("templateLink") {
        around.template_link = Some(json!({ "uri": uri }));
    }
    let mut deployment = Deployment { given: &given, budget: Budget::new(), world };
    let (template, parameters) = deployment.template(&format!("{name}.json"), given.get("parameters").unwrap_or(&json!({})));
    let (came, _) = deployment.deploy(&template, &parameters, &around);
    if std::env::var_os("PILLION_GOLDEN").is_some() {
        expected["came"] = came;
        let text = serde_json::to_string_pretty(&expected).expect("it is written");
        std::fs::write(&path, text + "\n").expect("the expectation is written");
        return;
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("it is written");
    assert_eq!(pretty(&came), pretty(&expected["came"]), "{name}: PILLION_GOLDEN=write writes it anew");
}

#[test]
fn a_plan_is_the_same_each_time_and_can_go_to_another_thread() {
    fn moves<T: Send + Sync + 'static>(_: &T) {}
    let template = super::deployed::template(json!({
        "parameters": { "id": { "type": "string", "defaultValue": "[concat(newGuid(), newGuid(), utcNow('o'))]" }, "other": { "type": "string", "defaultValue": "[newGuid()]" } },
    }));
    let template = Template::parse(&pillion_arm_template::Document::from_value(template)).expect("it is a template");
    let expand = |around: &Surroundings| template.expand(&Parameters::default(), around, &mut Budget::new()).expect("it expands");
    let around = surroundings();
    let stored: Surroundings = serde_json::from_value(serde_json::to_value(&around).expect("it is stored")).expect("it is read");
    let plan = expand(&around);
    moves(&plan);
    moves(&template);
    assert_eq!(plan.parameters(), expand(&stored).parameters());
    assert_ne!(
        plan.parameters()[0].value.as_str().expect("a text")[..36],
        plan.parameters()[0].value.as_str().expect("a text")[36..72]
    );
    assert_ne!(plan.parameters(), expand(&Surroundings { entropy: [7; 16], ..around }).parameters());
    assert_eq!(
        template.hash(),
        Template::parse(&pillion_arm_template::Document::from_value(template.root().clone())).expect("again").hash()
    );
}

macro_rules! templates {
    ($($test:ident $file:literal;)*) => {
        $(#[test] fn $test() { check($file); })*

        #[test]
        fn every_template_is_tried() {
            let mut files: Vec<String> = std::fs::read_dir(folder()).expect("the folder is there")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .filter_map(|name| name.strip_suffix(".expected.json").map(str::to_owned))
                .collect();
            files.sort();
            assert_eq!(files, [$($file),*]);
        }
    };
}

templates! {
    a_container_app_with_its_plan "01-container-app";
    a_sidecar_beside_the_main_container "02-sidecar";
    sidecars_from_a_list "03-sidecar-loop";
    a_slot_with_its_own_sidecars "04-slot";
    settings_as_child_resources "05-settings";
    connection_strings_with_keys "06-connection-strings";
    a_user_assigned_identity "07-identity";
    autoscale_rules "08-autoscale";
    conditions_and_their_outputs "09-conditions";
    a_nested_deployment_with_inner_scope "10-nested-inner";
    a_nested_deployment_with_outer_scope "11-nested-outer";
    a_linked_template "12-linked";
    symbolic_names_and_an_existing_plan "13-symbolic";
    lambdas_over_containers "14-lambdas";
    functions_of_the_template "15-functions";
    several_regions "16-regions";
    a_compose_file "17-compose";
    mounted_storage "18-storage";
    user_defined_types "19-types";
    a_subscription_deployment "20-subscription";
}
