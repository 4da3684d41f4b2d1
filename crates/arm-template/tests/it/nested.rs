//! Where nested deployments go, and what they deploy.

use pillion_arm_template::{Budget, Cause, Error, Kind, Nested, NestedSource, NothingDeployed, Parameters, Target};
use serde_json::{Value, json};

use crate::deployed::{GROUP, SUBSCRIPTION, World, plan_with, template};

fn nested(resource: Value, properties: Value) -> Result<(String, Nested), Error> {
    let mut whole = json!({ "type": "microsoft.resources/Deployments", "apiVersion": "2022-09-01", "name": "inner" });
    for (key, value) in resource.as_object().expect("members") {
        whole[key] = value.clone();
    }
    whole["properties"] = json!({ "mode": "incremental" });
    for (key, value) in properties.as_object().expect("members") {
        whole["properties"][key] = value.clone();
    }
    let parameters = json!({ "token": { "type": "secureString", "defaultValue": "?sig=hunter2" } });
    let plan = plan_with(json!({ "resources": [whole], "parameters": parameters }), &Parameters::default())?;
    let planned = &plan.resources()[0];
    assert_eq!(planned.kind, Kind::Deployment);
    let nested = plan.nested(planned, &World::default(), &mut Budget::new())?;
    Ok((planned.id.clone(), nested))
}

fn target(resource: Value) -> (String, Target) {
    let (id, nested) = nested(resource, json!({ "template": template(json!({})) })).expect("it is nested");
    (id.trim_end_matches("/providers/microsoft.resources/Deployments/inner").to_owned(), nested.target)
}

#[test]
fn a_deployment_goes_where_it_says() {
    assert_eq!(target(json!({})), (GROUP.to_owned(), Target::default()));
    let other = Target { resource_group: Some("rg2".to_owned()), ..Target::default() };
    assert_eq!(target(json!({ "resourceGroup": "rg2" })), (format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg2"), other));
    let far = Target { subscription: Some("2222".to_owned()), resource_group: Some("rg3".to_owned()), ..Target::default() };
    let of_far = json!({ "subscriptionId": "2222", "resourceGroup": "rg3" });
    assert_eq!(target(of_far), ("/subscriptions/2222/resourceGroups/rg3".to_owned(), far));
    let whole = Target { whole_subscription: true, ..Target::default() };
    assert_eq!(target(json!({ "subscriptionId": SUBSCRIPTION, "location": "local" })).1, whole);
    let scoped = target(json!({ "scope": format!("/subscriptions/{SUBSCRIPTION}") }));
    assert_eq!(scoped, (format!("/subscriptions/{SUBSCRIPTION}"), whole));
    let group = Target { management_group: Some("mg".to_owned()), ..Target::default() };
    assert_eq!(target(json!({ "scope": "Microsoft.Management/managementGroups/mg" })).1, group);
    assert_eq!(target(json!({ "scope": "/" })), (String::new(), Target { tenant: true, ..Target::default() }));
}

#[test]
fn a_link_is_a_request_to_the_engine_and_keeps_its_token_to_itself() {
    let link = json!({ "templateLink": { "uri": "[concat('https://x.example/a.json', parameters('token'))]", "contentVersion": "1.0.0.0", "queryString": "b=hunter2" } });
    let (_, nested) = nested(json!({}), link).expect("it is nested");
    let NestedSource::Linked(link) = &nested.source else { panic!("{nested:?}") };
    assert_eq!(link.uri.as_deref(), Some("https://x.example/a.json?sig=hunter2"));
    assert_eq!((link.content_version.as_deref(), link.query.as_deref()), (Some("1.0.0.0"), Some("b=hunter2")));
    assert!(!format!("{nested:?}").contains("hunter2"), "{nested:?}");
}

#[test]
fn a_deployment_that_says_too_little_or_too_much_is_refused() {
    let refused = |properties: Value, part: &str| {
        let error = nested(json!({}), properties).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(json!({}), "has neither a 'template' nor a 'templateLink'");
    refused(
        json!({ "template": template(json!({})), "templateLink": { "uri": "https://x" } }),
        "has both a 'template' and a 'templateLink'",
    );
    refused(json!({ "templateLink": { "relativePath": "a.json" } }), "the parent template is not linked itself");
    refused(json!({ "templateLink": {} }), "there is neither a 'uri' nor a 'relativePath' nor an 'id'");
    refused(json!({ "template": template(json!({})), "mode": "Partial" }), "'mode' must be 'Incremental' or 'Complete'");
    refused(json!({ "template": { "resources": [] } }), "The required property '$schema' is not found");
}

#[test]
fn a_mistake_in_an_inner_template_is_placed_in_the_whole() {
    let inner = template(
        json!({ "parameters": { "p": { "type": "string" } }, "outputs": { "o": { "type": "string", "value": "[nope()]" } } }),
    );
    let options = json!({ "expressionEvaluationOptions": { "scope": "inner" }, "template": inner });
    let error = nested(json!({}), options).expect_err("it is unknown");
    assert_eq!(error.path().expect("a path").to_string(), "resources[0].properties.template.outputs.o.value");
}

#[test]
fn what_a_nested_deployment_needs_is_named() {
    let deployment = json!({ "type": "Microsoft.Resources/deployments", "apiVersion": "1", "name": "inner", "properties": {
        "mode": "Incremental", "template": template(json!({ "parameters": { "p": { "type": "string" } } })),
        "expressionEvaluationOptions": { "scope": "inner" }, "parameters": { "p": { "value": "[reference('first').x]" } } } });
    let first = json!({ "type": "Test.Test/things", "apiVersion": "1", "name": "first" });
    let plan = plan_with(json!({ "resources": [deployment, first] }), &Parameters::default()).expect("it expands");
    assert_eq!(plan.resources()[0].depends_on, [plan.resources()[1].id.clone()]);
    let error = plan.nested(&plan.resources()[0], &NothingDeployed, &mut Budget::new()).expect_err("it is not deployed");
    assert_eq!(*error.cause(), Cause::NotDeployed { id: plan.resources()[1].id.clone() });
}

#[test]
fn names_that_an_outer_template_makes_are_not_evaluated_again() {
    let inner =
        template(json!({ "outputs": { "o": { "type": "object", "value": { "[concat('[', 'toUpper(''a'')', ']')]": 1 } } } }));
    let (_, nested) = nested(json!({}), json!({ "template": inner })).expect("it is nested");
    let NestedSource::Inline(template) = nested.source else { panic!("it is inline") };
    let plan = template.expand(&Parameters::default(), &crate::deployed::surroundings(), &mut Budget::new()).expect("it expands");
    let outputs = plan.outputs(&NothingDeployed, &mut Budget::new()).expect("it has outputs");
    assert_eq!(outputs.0[0].value, json!({ "[toUpper('a')]": 1 }));
}
