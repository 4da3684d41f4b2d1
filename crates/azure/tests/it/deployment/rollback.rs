//! A failed deployment goes back to an earlier one.

use pillion_arm::{ArmError, ResourceId};
use serde_json::{Value, json};

use super::{
    fake::Seen,
    world::{SUBSCRIPTION, World, group, item, template},
};

/// A request that goes back to `back` where it fails.
fn request(items: Vec<Value>, back: Value) -> Vec<u8> {
    json!({ "location": "local", "properties": { "mode": "Incremental", "template": template(items), "onErrorDeployment": back } })
        .to_string()
        .into_bytes()
}

fn last() -> Value {
    json!({ "type": "LastSuccessful" })
}

fn specific(name: &str) -> Value {
    json!({ "type": "SpecificDeployment", "deploymentName": name })
}

/// A site with this word.
fn saying(name: &str, word: &str) -> Value {
    let mut item = item(name, &[]);
    item["properties"]["word"] = json!(word);
    item
}

/// A world with the deployment `good`, whose word is a parameter, and every write of `bad` failing.
async fn after_a_good_one() -> World {
    let world = World::new().await;
    let mut whole = template(vec![saying("kept", "[parameters('word')]")]);
    whole["parameters"] = json!({ "word": { "type": "string" }, "id": { "type": "string", "defaultValue": "[newGuid()]" } });
    let good = json!({ "properties": { "template": whole, "parameters": { "word": { "value": "first" } } } });
    assert_eq!(world.deploy("good", good.to_string().into_bytes()).await["provisioningState"], "Succeeded");
    world.fake.fail("bad", ArmError::new(409, "Conflict", "The name is taken."));
    world
}

fn word(world: &World) -> Value {
    world.fake.body("kept").expect("it is there")["properties"]["word"].clone()
}

#[tokio::test]
async fn a_failed_deployment_goes_back_to_the_last_successful_one_whole() {
    let world = after_a_good_one().await;
    let first = world.ended("good").await;
    let items = vec![saying("kept", "second"), item("new", &[]), item("bad", &[])];
    let failed = world.deploy("next", request(items, last())).await;
    assert_eq!(failed["provisioningState"], "Failed", "{failed}");
    assert_eq!(failed["error"]["details"][0]["code"], "Conflict", "the error is still that of the failure: {failed}");
    let expected = json!({ "type": "LastSuccessful", "deploymentName": "good", "provisioningState": "Succeeded" });
    assert_eq!(failed["onErrorDeployment"], expected);
    assert_eq!(word(&world), "first");
    assert!(world.fake.body("new").is_none(), "what the earlier one did not have is gone");
    let good = world.ended("good").await;
    assert_eq!((&good["provisioningState"], &good["mode"]), (&json!("Succeeded"), &json!("Complete")));
    assert_eq!(good["parameters"], first["parameters"], "chance is as it was");
    assert_eq!(good["correlationId"], failed["correlationId"]);
    let released = world.fake.seen().iter().filter(|seen| **seen == Seen::Released).count();
    assert_eq!(released, 2, "the failure never takes effect: once for the first, once for both of the second");
}

#[tokio::test]
async fn a_deployment_goes_back_to_the_one_that_is_named_and_only_where_it_fails() {
    let world = after_a_good_one().await;
    let other = world.deploy("other", request(vec![saying("kept", "other")], specific("good"))).await;
    assert_eq!(other["provisioningState"], "Succeeded", "{other}");
    assert_eq!(other["onErrorDeployment"], json!({ "type": "SpecificDeployment", "deploymentName": "good" }));
    assert_eq!(word(&world), "other");
    let failed = world.deploy("next", request(vec![item("bad", &[])], specific("GOOD"))).await;
    assert_eq!(failed["onErrorDeployment"]["provisioningState"], "Succeeded", "{failed}");
    assert_eq!(word(&world), "first");
}

#[tokio::test]
async fn what_cannot_be_gone_back_to_is_refused_with_the_reason() {
    let world = after_a_good_one().await;
    world.deploy("failed", request(vec![item("bad", &[])], Value::Null)).await;
    let mut hiding = template(vec![item("plain", &[])]);
    hiding["parameters"] = json!({ "token": { "type": "secureString", "defaultValue": "very-secret" } });
    let child = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "child",
        "properties": { "mode": "Incremental", "template": template(vec![]) },
    });
    world.deploy("parent", request(vec![child], Value::Null)).await;
    let cases = [
        (specific("nothing"), "'nothing'"),
        (specific("failed"), "has not succeeded"),
        (specific("child"), "nested"),
        (specific("main"), "could not be found"),
        (json!({ "type": "SpecificDeployment" }), "'deploymentName'"),
        (json!({ "type": "LastSuccessful", "deploymentName": "good" }), "'SpecificDeployment' only"),
        (json!({ "type": "Whatever" }), "'LastSuccessful' or 'SpecificDeployment'"),
        (json!("good"), "is an object"),
    ];
    for (back, named) in cases {
        let refused = world.begin("main", request(vec![item("one", &[])], back.clone())).await.map(drop).expect_err(named);
        assert_eq!(refused.status, 400, "{back}: {refused}");
        assert!(refused.message.contains(named), "{back}: {refused}");
        let target = refused.target.clone().unwrap_or_default();
        assert!(target.starts_with("properties.onErrorDeployment"), "{back}: {target}");
        assert!(
            world.deployments.validate(&world.caller, &group(), "main", request(vec![item("one", &[])], back)).await.is_err()
        );
    }
    let refused = world.begin("GOOD", request(vec![], specific("good"))).await.map(drop).expect_err("it would be overwritten");
    assert!(refused.message.contains("a name of its own"), "{refused}");
    world.deploy("hiding", json!({ "properties": { "template": hiding } }).to_string().into_bytes()).await;
    let refused = world.begin("main", request(vec![], last())).await.map(drop).expect_err("its secrets are forgotten");
    assert!(refused.message.contains("'token'") && refused.message.contains("forgotten"), "{refused}");
    let subscription = ResourceId::subscription(SUBSCRIPTION);
    let refused = world.deployments.begin(&world.caller, &subscription, "sub", request(vec![], last())).await.map(drop);
    assert!(refused.expect_err("no group").message.contains("resource groups"));
    assert!(world.fake.body("one").is_none(), "nothing was written");
}

#[tokio::test]
async fn a_failure_on_the_way_back_is_told_beside_the_first_one() {
    let world = after_a_good_one().await;
    world.fake.fail("kept", ArmError::new(400, "BadRequest", "Not any more."));
    let failed = world.deploy("next", request(vec![item("bad", &[])], last())).await;
    assert_eq!(failed["onErrorDeployment"]["provisioningState"], "Failed", "{failed}");
    let details = failed["error"]["details"].as_array().expect("details");
    assert_eq!((&details[0]["code"], &details[1]["code"]), (&json!("Conflict"), &json!("OnErrorDeploymentFailed")));
    assert!(details[1].to_string().contains("Not any more."), "{failed}");
    assert_eq!(world.ended("good").await["provisioningState"], "Failed");
}

#[tokio::test]
async fn a_way_back_that_the_server_went_away_from_is_gone_on_with_the_next_one_whatever_would_succeed_by_then() {
    let world = after_a_good_one().await;
    world.fake.hold("kept");
    world.begin("next", request(vec![item("bad", &[])], last())).await.expect("accepted");
    let on_its_way = |seen: &[Seen]| seen.iter().filter(|seen| **seen == Seen::Began("kept".into())).count() == 2;
    world.fake.until(on_its_way).await;
    world.fake.heal("bad");
    let world = world.again().await;
    assert!(world.fake.seen().contains(&Seen::KeptBack("bad".into())), "what was written waits for the end");
    world.fake.let_go("kept");
    let failed = world.ended("next").await;
    assert_eq!(failed["provisioningState"], "Failed");
    assert_eq!(failed["error"]["details"][0]["code"], "Conflict", "{failed}");
    assert!(!world.fake.written().contains(&"bad".to_owned()), "there is no way forward again");
    assert_eq!(failed["onErrorDeployment"]["provisioningState"], "Succeeded", "{failed}");
    assert_eq!(world.ended("good").await["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_deployment_that_is_canceled_goes_back_to_nothing() {
    let world = after_a_good_one().await;
    world.fake.hold("bad");
    world.begin("next", request(vec![saying("kept", "second"), item("bad", &[])], last())).await.expect("accepted");
    world
        .fake
        .until(|seen| {
            seen.contains(&Seen::Began("bad".into()))
                && seen.iter().filter(|seen| **seen == Seen::Put("kept".into())).count() == 2
        })
        .await;
    world.deployments.cancel(&world.caller, &group(), "next").await.expect("canceled");
    world.fake.let_go("bad");
    let ended = world.ended("next").await;
    assert_eq!(ended["onErrorDeployment"], json!({ "type": "LastSuccessful", "deploymentName": "good" }), "{ended}");
    assert_eq!(word(&world), "second");
}
