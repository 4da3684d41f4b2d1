//! The server goes in the middle, and another one comes.

use serde_json::json;

use super::{
    fake::Seen,
    world::{World, body, group, item, template},
};

#[tokio::test]
async fn a_deployment_under_way_goes_on_with_the_next_server() {
    let world = World::new().await;
    world.fake.hold("second");
    let mut second = item("second", &["first"]);
    second["properties"]["id"] = json!("[parameters('id')]");
    let mut whole = template(vec![item("first", &[]), second, item("third", &["second"])]);
    whole["parameters"] = json!({ "id": { "type": "string", "defaultValue": "[newGuid()]" }, "at": { "type": "string", "defaultValue": "[utcNow()]" } });
    let begun = world.begin("main", body(&whole)).await.expect("accepted");
    world.fake.until(|seen| seen.contains(&Seen::Began("second".into()))).await;
    let before = world.deployments.show(&world.caller, &group(), "main").expect("it is there");
    let world = world.again().await;
    world.fake.let_go("second");
    let after = world.ended("main").await;
    assert_eq!(after["provisioningState"], "Succeeded", "{after}");
    assert_eq!(after["parameters"], before["properties"]["parameters"], "chance and time are as they were");
    assert_eq!(after["correlationId"], begun.body["properties"]["correlationId"]);
    assert_eq!(world.fake.body("second").expect("it is there")["properties"]["id"], after["parameters"]["id"]["value"]);
    assert_eq!(world.operations("main").len(), 4, "operations are not counted twice");
    let run = begun.status_path.rsplit('/').next().expect("a run");
    let status = world.deployments.status(&world.caller, &group(), "main", run).expect("who polls finds it again");
    assert_eq!(status["status"], "Succeeded");
}

#[tokio::test]
async fn a_nested_deployment_goes_on_with_its_parent() {
    let world = World::new().await;
    world.fake.hold("deep");
    let child = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "child",
        "properties": { "mode": "Incremental", "template": template(vec![item("deep", &[])]) },
    });
    world.begin("main", body(&template(vec![child]))).await.expect("accepted");
    world.fake.until(|seen| seen.contains(&Seen::Began("deep".into()))).await;
    let world = world.again().await;
    world.fake.let_go("deep");
    assert_eq!(world.ended("main").await["provisioningState"], "Succeeded");
    assert_eq!(world.ended("child").await["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_cancellation_outlives_the_server() {
    let world = World::new().await;
    world.fake.hold("first");
    world.begin("main", body(&template(vec![item("first", &[]), item("second", &["first"])]))).await.expect("accepted");
    world.fake.until(|seen| seen.contains(&Seen::Began("first".into()))).await;
    world.deployments.cancel(&world.caller, &group(), "main").await.expect("canceled");
    let world = world.again().await;
    assert_eq!(world.ended("main").await["provisioningState"], "Canceled");
    assert!(world.fake.written().is_empty());
}

#[tokio::test]
async fn a_server_that_ends_again_and_again_does_not_take_a_deployment_up_for_ever() {
    let mut world = World::new().await;
    world.fake.hold("one");
    world.begin("main", body(&template(vec![item("one", &[])]))).await.expect("accepted");
    for _ in 0..6 {
        world = world.again().await;
    }
    let ended = world.ended("main").await;
    assert_eq!((&ended["provisioningState"], &ended["error"]["code"]), (&json!("Failed"), &json!("DeploymentInterrupted")));
}

#[tokio::test]
async fn what_has_ended_is_still_shown_by_the_next_server() {
    let world = World::new().await;
    let before = world.deploy("main", body(&template(vec![item("one", &[])]))).await;
    let template = world.deployments.export(&world.caller, &group(), "main").await.expect("a template");
    let world = world.again().await;
    assert_eq!(world.ended("main").await, before);
    assert_eq!(world.deployments.export(&world.caller, &group(), "main").await, Ok(template));
    world.deployments.forget_scope(&group()).await.expect("forgotten");
    let world = world.again().await;
    assert!(world.deployments.list(&world.caller, &group()).await.expect("a list").is_empty());
}
