//! Templates that are wrong are refused with the place, before anything is deployed.

use pillion_arm_template::{Budget, Document, Parameters, Template};
use serde_json::{Value, json};

use crate::deployed::{outputs, surroundings, template};

/// The path and the message of a template that is refused.
fn refusal(template: Value) -> (String, String) {
    let document = Document::from_value(template);
    let result = Template::parse(&document)
        .and_then(|template| template.expand(&Parameters::default(), &surroundings(), &mut Budget::new()));
    let error = result.expect_err("it is refused");
    (error.path().map(ToString::to_string).unwrap_or_default(), error.to_string())
}

#[track_caller]
fn refused(sections: Value, path: &str, part: &str) {
    let (at, message) = refusal(template(sections));
    assert!(at == path && message.contains(part), "at {at:?}: {message}");
}

fn with(resource: Value) -> Value {
    let mut whole = json!({ "type": "Test.Test/things", "apiVersion": "1", "name": "a" });
    for (key, value) in resource.as_object().expect("members") {
        whole[key] = value.clone();
    }
    json!({ "resources": [whole] })
}

#[test]
fn a_template_must_have_its_head() {
    assert!(refusal(json!([])).1.contains("A template is an object"));
    assert!(
        refusal(json!({ "contentVersion": "1.0.0.0", "resources": [] }))
            .1
            .contains("The required property '$schema' is not found")
    );
    refused(json!({ "$schema": "https://example.org/schema.json" }), "$schema", "is not that of a deployment template");
    refused(json!({ "contentVersion": null }), "", "The required property 'contentVersion' is not found");
    refused(json!({ "contentVersion": 1 }), "contentVersion", "must be a text such as '1.0.0.0'");
    refused(json!({ "resources": null }), "", "The required property 'resources' is not found");
    refused(json!({ "ressources": [] }), "ressources", "A template has no member 'ressources'");
    refused(json!({ "variables": [] }), "variables", "'variables' must be an object, not an array");
    for version in ["9.0", "2.7", "2", "", "2.0-experimental-too", "1.-experimental"] {
        refused(json!({ "languageVersion": version }), "languageVersion", "is not supported; it is '1.0' or '2.0'");
    }
    refused(json!({ "resources": {} }), "resources", "symbolic names only with the 'languageVersion' 2.0");
}

#[test]
fn the_language_versions_that_are_written_are_taken() {
    for version in ["1.0", "1.9-experimental", "2.0", "2.1-experimental"] {
        let whole = template(json!({ "languageVersion": version }));
        Template::parse(&Document::from_value(whole)).unwrap_or_else(|error| panic!("{version}: {error}"));
    }
}

#[test]
fn a_profile_gives_a_version_to_resources_that_name_none() {
    let resources = json!([
        { "type": "Test.Test/things", "name": "a", "resources": [{ "type": "parts", "name": "b", "dependsOn": ["a"] }] },
        { "type": "Test.Test/things", "name": "c", "apiVersion": "2024-01-01" },
    ]);
    let whole = template(json!({ "apiProfile": "2020-09-01-hybrid", "resources": resources }));
    let parsed = Template::parse(&Document::from_value(whole)).expect("a template");
    let plan = parsed.expand(&Parameters::default(), &surroundings(), &mut Budget::new()).expect("a plan");
    let versions: Vec<&str> = plan.resources().iter().map(|planned| planned.api_version.as_str()).collect();
    assert_eq!(versions, ["2020-09-01", "2020-09-01", "2024-01-01"]);
}

#[test]
fn a_resource_must_have_its_parts() {
    refused(
        json!({ "resources": [{ "type": "T.T/t", "name": "a" }] }),
        "resources[0]",
        "The required property 'apiVersion' of the resource is not found",
    );
    refused(with(json!({ "name": 5 })), "resources[0].name", "The resource's 'name' must be a text");
    refused(with(json!({ "name": "a/b" })), "resources[0].name", "has incorrect segment lengths");
    refused(with(json!({ "type": "Test.Test" })), "resources[0].name", "has incorrect segment lengths");
    refused(with(json!({ "name": "[createArray('a')]" })), "resources[0].name", "must be a text, it is '[\"a\"]'");
    refused(
        with(json!({ "condition": "[length('abc')]" })),
        "resources[0].condition",
        "A condition must be true or false, this is '3'",
    );
    refused(with(json!({ "name": "[reference('x').name]" })), "resources[0].name", "is not expected at this location");
    refused(with(json!({ "dependsOn": "a" })), "resources[0].dependsOn", "'dependsOn' must be an array");
    refused(
        with(json!({ "copy": { "name": "c", "count": -1 } })),
        "resources[0].copy.count",
        "whole number that is not negative, this is '-1'",
    );
    refused(with(json!({ "copy": { "count": 2 } })), "resources[0].copy", "The copy loop has no 'name'");
    refused(
        with(json!({ "copy": { "name": "c", "count": 2, "mode": "fast" } })),
        "resources[0].copy",
        "must be 'serial' or 'parallel'",
    );
    refused(
        with(json!({ "copy": { "name": "c", "count": 2, "mode": "serial", "batchSize": 0 } })),
        "resources[0].copy",
        "must be at least 1",
    );
    refused(with(json!({ "copy": { "name": "c", "count": 2 } })), "resources[0]", "is defined multiple times");
}

#[test]
fn expressions_are_checked_wherever_they_are() {
    let nope = "[nope()]";
    let part = "The template function 'nope' is not valid";
    refused(json!({ "variables": { "a": { "b": [nope] } } }), "variables.a.b[0]", part);
    refused(json!({ "parameters": { "p": { "type": "string", "defaultValue": nope } } }), "parameters.p.defaultValue", part);
    refused(json!({ "outputs": { "o": { "type": "string", "value": nope } } }), "outputs.o.value", part);
    refused(
        with(json!({ "condition": false, "properties": { "x": { nope: 1 } } })),
        "resources[0].properties.x['[nope()]']",
        part,
    );
    refused(
        with(json!({ "resources": [{ "type": "t", "apiVersion": "1", "name": nope }] })),
        "resources[0].resources[0].name",
        part,
    );
    let function = json!([{ "namespace": "n", "members": { "f": { "output": { "type": "string", "value": nope } } } }]);
    refused(json!({ "functions": function }), "functions[0].members.f.output.value", part);
    refused(json!({ "functions": [{ "members": {} }] }), "functions[0]", "needs a 'namespace'");
    refused(
        with(json!({ "properties": { "x": "[parameters('none')]" } })),
        "resources[0].properties.x",
        "The template parameter 'none' is not found",
    );
    let inner = template(json!({ "outputs": { "o": { "type": "string", "value": nope } } }));
    let deployment = json!({ "type": "Microsoft.Resources/deployments", "properties": {
        "mode": "Incremental", "expressionEvaluationOptions": { "scope": "Inner" }, "template": inner } });
    refused(with(deployment), "resources[0].properties.template.outputs.o.value", part);
}

#[test]
fn comments_and_metadata_are_no_expressions() {
    let sections = with(json!({ "comments": "[not an expression]", "metadata": { "d": "[nor this]" } }));
    assert!(Template::parse(&Document::from_value(template(sections))).is_ok());
}

#[test]
fn outputs_are_held_to_their_types() {
    let one = |output: Value| outputs(json!({ "outputs": { "o": output } })).map_err(|error| error.to_string());
    let error = one(json!({ "type": "int", "value": "x" })).expect_err("x is no int");
    assert!(
        error.contains("The template output 'o' is not valid: expected a value of type 'Int', but received one of type 'String'"),
        "{error}"
    );
    assert_eq!(one(json!({ "type": "bool", "condition": "[equals(1, 2)]", "value": true })), Ok(json!({})));
    let copied = json!({ "type": "array", "copy": { "count": 2, "input": "[concat('n', copyIndex())]" } });
    assert_eq!(one(copied), Ok(json!({ "o": { "type": "Array", "value": ["n0", "n1"] } })));
    assert!(one(json!({ "type": "string" })).expect_err("it has no value").contains("it has neither a 'value' nor a 'copy'"));
}
