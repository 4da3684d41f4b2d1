//! Deployments inside deployments, to groups and to the subscription.

use pillion_arm::{ArmError, ResourceId};
use serde_json::{Value, json};

use super::world::{SUBSCRIPTION, World, body, group, item, other_group, template};

fn nested(name: &str, scope: &str, inner: Value, parameters: Value) -> Value {
    json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name,
        "properties": {
            "mode": "Incremental", "expressionEvaluationOptions": { "scope": scope }, "template": inner, "parameters": parameters,
        },
    })
}

#[tokio::test]
async fn an_inner_scope_sees_its_own_parameters_and_its_outputs_reach_the_parent() {
    let world = World::new().await;
    let mut inner = template(vec![item("[parameters('name')]", &[])]);
    inner["parameters"] = json!({ "name": { "type": "string" } });
    inner["outputs"] = json!({ "made": { "type": "string", "value": "[parameters('name')]" } });
    let mut after = item("after", &[]);
    after["properties"]["seen"] = json!("[reference('child').outputs.made.value]");
    let mut outer = template(vec![
        after,
        nested("child", "inner", inner, json!({ "name": { "value": "[concat(parameters('name'), '-in')]" } })),
    ]);
    outer["parameters"] = json!({ "name": { "type": "string", "defaultValue": "x" } });
    let ended = world.deploy("main", body(&outer)).await;
    assert_eq!(ended["provisioningState"], "Succeeded", "{ended}");
    assert_eq!(world.fake.written(), ["x-in", "after"]);
    assert_eq!(world.fake.body("after").expect("it is there")["properties"]["seen"], "x-in");
    let child = world.deployments.show(&world.caller, &group(), "child").expect("it is a deployment of its own");
    assert_eq!(child["properties"]["provisioningState"], "Succeeded");
    assert_eq!(child["properties"]["correlationId"], ended["correlationId"]);
    assert_eq!(child["properties"]["parameters"]["name"]["value"], "x-in");
}

#[tokio::test]
async fn an_outer_scope_sees_the_parents_parameters() {
    let world = World::new().await;
    let inner = template(vec![item("[parameters('name')]", &[])]);
    let mut outer = template(vec![nested("child", "outer", inner, Value::Null)]);
    outer["resources"][0]["properties"].as_object_mut().expect("an object").remove("parameters");
    outer["parameters"] = json!({ "name": { "type": "string", "defaultValue": "theirs" } });
    let ended = world.deploy("main", body(&outer)).await;
    assert_eq!(ended["provisioningState"], "Succeeded", "{ended}");
    assert_eq!(world.fake.written(), ["theirs"]);
}

#[tokio::test]
async fn a_failure_inside_is_the_parents_with_all_its_details() {
    let world = World::new().await;
    world.fake.fail("bad", ArmError::new(400, "BadRequest", "No."));
    let outer = template(vec![nested("child", "inner", template(vec![item("bad", &[])]), json!({})), item("good", &[])]);
    let ended = world.deploy("main", body(&outer)).await;
    assert_eq!(ended["provisioningState"], "Failed");
    let detail = &ended["error"]["details"][0];
    assert_eq!((&detail["code"], &detail["details"][0]["code"]), (&json!("DeploymentFailed"), &json!("BadRequest")));
    assert_eq!(world.fake.written(), ["good"]);
    let child = world.deployments.show(&world.caller, &group(), "child").expect("it is there");
    assert_eq!(child["properties"]["provisioningState"], "Failed");
}

#[tokio::test]
async fn a_nested_deployment_can_go_to_another_group() {
    let world = World::new().await;
    let mut child = nested("child", "inner", template(vec![item("far", &[])]), json!({}));
    child["resourceGroup"] = json!("other");
    let ended = world.deploy("main", body(&template(vec![child]))).await;
    assert_eq!(ended["provisioningState"], "Succeeded", "{ended}");
    let there = world.deployments.list(&world.caller, &other_group()).await.expect("a list");
    assert_eq!(there.len(), 1);
    assert!(there[0]["id"].as_str().is_some_and(|id| id.contains("/resourceGroups/other/")), "{}", there[0]["id"]);
    assert_eq!(world.deployments.list(&world.caller, &group()).await.expect("a list").len(), 1);
}

#[tokio::test]
async fn a_deployment_to_the_subscription_makes_groups_and_deploys_into_them() {
    let world = World::new().await;
    let subscription = ResourceId::subscription(SUBSCRIPTION);
    let mut child = nested("inside", "inner", template(vec![item("one", &[])]), json!({}));
    child["resourceGroup"] = json!("fresh");
    child["dependsOn"] = json!(["[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'fresh')]"]);
    let whole = template(vec![
        child,
        json!({ "type": "Microsoft.Resources/resourceGroups", "apiVersion": "2024-11-01", "name": "fresh", "location": "local", "properties": {} }),
    ]);
    let request = json!({ "location": "local", "properties": { "mode": "Incremental", "template": whole } });
    let without = json!({ "properties": { "mode": "Incremental", "template": whole } }).to_string().into_bytes();
    let refused = world.deployments.begin(&world.caller, &subscription, "sub", without).await.map(drop);
    assert_eq!(refused.map_err(|error| error.code.into_owned()), Err("LocationRequired".into()));
    let request = request.to_string().into_bytes();
    let mut complete: Value = serde_json::from_slice(&request).expect("JSON");
    complete["properties"]["mode"] = json!("Complete");
    let complete = complete.to_string().into_bytes();
    let refused =
        world.deployments.begin(&world.caller, &subscription, "sub", complete.clone()).await.expect_err("no such mode there");
    assert_eq!(
        (refused.status, refused.code.as_ref(), refused.target.as_deref()),
        (400, "InvalidDeployment", Some("properties.mode"))
    );
    assert!(world.deployments.validate(&world.caller, &subscription, "sub", complete).await.is_err());
    world.deployments.validate(&world.caller, &subscription, "sub", request.clone()).await.expect("its group is yet to come");
    world.deployments.begin(&world.caller, &subscription, "sub", request).await.expect("accepted");
    let ended = world.ended_at(&subscription, "sub").await;
    assert_eq!(ended["provisioningState"], "Succeeded", "{ended}");
    assert_eq!(world.fake.written(), ["fresh", "one"]);
    let elsewhere = json!({ "location": "moon", "properties": { "template": template(vec![]) } }).to_string().into_bytes();
    let refused = world.deployments.begin(&world.caller, &subscription, "sub", elsewhere).await.map(drop);
    assert_eq!(refused.map_err(|error| error.code.into_owned()), Err("InvalidDeploymentLocation".into()));
}

#[tokio::test]
async fn a_nested_deployment_cannot_be_complete() {
    let world = World::new().await;
    let mut child = nested("child", "inner", template(vec![]), json!({}));
    child["properties"]["mode"] = json!("Complete");
    let refused = world.begin("main", body(&template(vec![child]))).await.map(drop).expect_err("it cannot");
    assert_eq!((refused.status, refused.code.as_ref()), (400, "InvalidTemplateDeployment"), "{refused}");
}

#[tokio::test]
async fn a_nested_deployment_cannot_go_back_to_another() {
    let world = World::new().await;
    let mut child = nested("child", "inner", template(vec![]), json!({}));
    child["properties"]["onErrorDeployment"] = json!({ "type": "LastSuccessful" });
    let refused = world.begin("main", body(&template(vec![child]))).await.map(drop).expect_err("it cannot");
    assert!(refused.status == 400 && refused.message.contains("'onErrorDeployment'"), "{refused}");
}

#[tokio::test]
async fn resources_of_all_nested_deployments_count_together() {
    let world = World::new().await;
    let mut many = item("[concat('s', copyIndex())]", &[]);
    many["copy"] = json!({ "name": "many", "count": 500 });
    let children = ["one", "two"].map(|name| nested(name, "inner", template(vec![many.clone()]), json!({})));
    let refused = world.begin("main", body(&template(children.to_vec()))).await.map(drop).expect_err("there are too many");
    assert!(refused.status == 400 && refused.message.contains("800"), "{refused}");
    assert!(world.fake.seen().is_empty(), "nothing was written");
}
