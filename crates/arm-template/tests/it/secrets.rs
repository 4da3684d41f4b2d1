//! A secure value is in the body that is deployed, and nowhere else.

use pillion_arm_template::{Budget, Document, Error, NestedSource, Parameters, Plan, Template};
use serde_json::{Value, json};

use crate::deployed::{World, plan_with, surroundings, template};

const SECRET: &str = "hunter2-the-secret";

fn secret_plan(mut sections: Value) -> Result<Plan, Error> {
    sections["parameters"]["password"] = json!({ "type": "secureString" });
    plan_with(sections, &Parameters::from_values([("password", json!(SECRET))]))
}

fn with_property(expression: &str) -> Result<Plan, Error> {
    secret_plan(json!({
        "variables": { "made": "[concat('x', parameters('password'))]" },
        "resources": [{ "type": "Test.Test/things", "apiVersion": "1", "name": "a", "properties": { "plain": "p", "value": expression } }],
    }))
}

#[test]
fn bodies_hold_secrets_and_do_not_show_them() {
    for expression in [
        "[parameters('password')]",
        "[variables('made')]",
        "[base64(parameters('password'))]",
        "[map(createArray(parameters('password')), lambda('p', toUpper(lambdaVariables('p'))))]",
        "[createObject(parameters('password'), 1)]",
        "[listKeys(resourceId('Microsoft.Storage/storageAccounts', 'store'), '1').keys[0].value]",
    ] {
        let plan = with_property(expression).expect("it expands");
        let body = plan.evaluate(&plan.resources()[0], &World::usual(), &mut Budget::new()).expect("it is evaluated");
        let secure: Vec<String> = body.secure_paths().iter().map(ToString::to_string).collect();
        assert_eq!(secure, ["properties.value"], "{expression}");
        assert_eq!(body.redacted()["properties"], json!({ "plain": "p", "value": "(secure)" }));
        let shown = format!("{body:?} {plan:?}").to_lowercase();
        assert!(!shown.contains("hunter2") && !shown.contains("k-secret"), "{shown}");
    }
}

#[test]
fn errors_never_show_a_secret() {
    for expression in [
        "[int(parameters('password'))]",
        "[json(parameters('password'))]",
        "[createObject('a', 1)[parameters('password')]]",
        "[json(concat('{\"', parameters('password'), '\": 1}')).nothing]",
        "[dateTimeAdd(parameters('password'), 'P1D')]",
        "[dateTimeAdd('2020-01-01', variables('made'))]",
        "[parseCidr(parameters('password'))]",
        "[base64ToString(concat('%', parameters('password')))]",
        "[dataUriToString(variables('made'))]",
        "[uri(parameters('password'), 'x')]",
        "[bool(parameters('password'))]",
        "[fail(parameters('password'))]",
        "[resourceId(concat('a/', parameters('password')), 'a', 'b')]",
    ] {
        let plan = with_property(expression).expect("it expands");
        let error = plan.evaluate(&plan.resources()[0], &World::usual(), &mut Budget::new()).expect_err(expression);
        let shown = format!("{error} {error:?} {}", error.to_wire());
        assert!(!shown.contains("hunter2"), "{expression}: {shown}");
    }
}

#[test]
fn what_is_refused_of_a_secure_parameter_is_not_shown() {
    for spec in [
        json!({ "type": "secureString", "minLength": 100 }),
        json!({ "type": "secureString", "maxLength": 3 }),
        json!({ "type": "secureString", "allowedValues": ["a"] }),
        json!({ "type": "secureObject" }),
    ] {
        let error = plan_with(json!({ "parameters": { "p": spec } }), &Parameters::from_values([("p", json!(SECRET))]))
            .expect_err("refused");
        assert!(!format!("{error:?}").contains("hunter2"), "{error}");
    }
    assert!(!format!("{:?}", Parameters::from_values([("p", json!(SECRET))])).contains("hunter2"));
    assert!(!format!("{:?}", Document::from_value(json!(SECRET))).contains("hunter2"));
}

#[test]
fn outputs_made_of_secrets_have_no_value_on_the_wire() {
    let plan = secret_plan(json!({ "outputs": {
        "declared": { "type": "securestring", "value": "x" },
        "made": { "type": "string", "value": "[toUpper(parameters('password'))]" },
        "open": { "type": "string", "value": "y" },
        "whole": { "type": "object", "value": "[deployment()]" },
    } }))
    .expect("it expands");
    let outputs = plan.outputs(&World::usual(), &mut Budget::new()).expect("it has outputs");
    let wire = outputs.to_wire();
    assert_eq!(wire["declared"], json!({ "type": "SecureString" }));
    assert_eq!(wire["made"], json!({ "type": "String" }));
    assert_eq!(wire["open"], json!({ "type": "String", "value": "y" }));
    assert_eq!(outputs.get("made").expect("it is there").value, SECRET.to_uppercase(), "a parent deployment may use it");
    assert!(!format!("{outputs:?} {wire}").to_lowercase().contains("hunter2"));
}

#[test]
fn a_secret_can_not_become_a_name() {
    let error = secret_plan(json!({ "resources": [{ "type": "T.T/t", "apiVersion": "1", "name": "[parameters('password')]" }] }))
        .expect_err("refused");
    assert!(
        error.to_string().contains("must not be made of a secure value") && !error.to_string().contains("hunter2"),
        "{error}"
    );
}

fn nested(scope: &str, template: Value) -> Value {
    json!({ "resources": [{
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": { "scope": scope },
            "parameters": if scope == "inner" { json!({ "p": { "value": "[concat(parameters('password'), '!')]" } }) } else { json!({}) },
            "template": template,
        },
    }] })
}

#[test]
fn secrets_stay_secret_in_nested_deployments() {
    let output = |value: &str| json!({ "o": { "type": "string", "value": value } });
    let inner = template(json!({ "parameters": { "p": { "type": "string" } }, "outputs": output("[toUpper(parameters('p'))]") }));
    let outer = template(json!({ "outputs": output("[toUpper(parameters('password'))]") }));
    for (scope, template, expected) in [("inner", inner, format!("{SECRET}!")), ("outer", outer, SECRET.to_owned())] {
        let plan = secret_plan(nested(scope, template)).expect("it expands");
        let nested = plan.nested(&plan.resources()[0], &World::usual(), &mut Budget::new()).expect("it is evaluated");
        assert!(!format!("{nested:?}").to_lowercase().contains("hunter2"));
        let NestedSource::Inline(template) = &nested.source else { panic!("{nested:?}") };
        let plan = template.expand(&nested.parameters, &surroundings(), &mut Budget::new()).expect("it expands");
        let outputs = plan.outputs(&World::usual(), &mut Budget::new()).expect("it has outputs");
        assert_eq!(outputs.0[0].value, expected.to_uppercase());
        assert!(outputs.0[0].secure, "{scope}");
        assert!(plan.parameters().iter().all(|parameter| parameter.secure));
    }
}

#[test]
fn what_an_outer_template_makes_is_not_evaluated_again() {
    let inner = template(json!({ "outputs": { "o": { "type": "string", "value": "[concat('[', 'toUpper(''a'')', ']')]" } } }));
    let plan = plan_with(nested("outer", inner), &Parameters::default()).expect("it expands");
    let nested = plan.nested(&plan.resources()[0], &World::usual(), &mut Budget::new()).expect("it is evaluated");
    let NestedSource::Inline(template) = nested.source else { panic!("it is inline") };
    let plan = Template::expand(&template, &Parameters::default(), &surroundings(), &mut Budget::new()).expect("it expands");
    let outputs = plan.outputs(&World::usual(), &mut Budget::new()).expect("it has outputs");
    assert_eq!(outputs.0[0].value, "[toUpper('a')]");
}

#[test]
fn what_if_tells_that_a_secret_changes_and_shows_neither() {
    let plan = secret_plan(json!({ "resources": [{ "type": "Test.Test/things", "apiVersion": "1", "name": "a", "properties": {
        "settings": [{ "name": "A", "value": "1" }, { "name": "KEY", "value": "[parameters('password')]" }], "list": ["[parameters('password')]"],
    } }] }))
    .expect("it expands");
    let body = plan.evaluate(&plan.resources()[0], &World::usual(), &mut Budget::new()).expect("it is evaluated");
    let delta = |key: &str, list: Value| {
        let before = json!({ "properties": { "settings": [{ "name": "KEY", "value": key }, { "name": "A", "value": "1" }], "list": list } });
        let deltas = pillion_arm_template::diff(&body.redact_before(&before), &body.redacted());
        let shown: Value = deltas.iter().map(pillion_arm_template::Delta::to_wire).collect();
        assert!(!shown.to_string().contains("hunter2") && !shown.to_string().contains("older"), "{shown}");
        deltas.into_iter().map(|delta| delta.path).collect::<Vec<_>>()
    };
    assert_eq!(delta("older-secret", json!(["older-secret"])), ["properties.list", "properties.settings"]);
    assert_eq!(delta(SECRET, json!([])), ["properties.list"]);
}
