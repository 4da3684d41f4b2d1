//! what-if: the difference, and nothing but it.

use pillion_arm::ArmError;
use serde_json::{Value, json};

use super::world::{World, body, group, item, site, template};

async fn changes(world: &World, request: Vec<u8>) -> Vec<(String, String)> {
    let answer = world.deployments.what_if(&world.caller, &group(), "main", request).await.expect("an answer");
    assert_eq!(answer["status"], "Succeeded", "{answer}");
    let changes = answer["properties"]["changes"].as_array().expect("changes");
    let name = |change: &Value| change["resourceId"].as_str().and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned();
    changes.iter().map(|change| (name(change), change["changeType"].as_str().unwrap_or_default().to_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

#[tokio::test]
async fn each_kind_of_change_is_told_apart() {
    let world = World::new().await;
    world.deploy("base", body(&template(vec![item("same", &[]), item("other", &[]), item("foreign", &[])]))).await;
    let mut other = item("other", &[]);
    other["properties"]["httpsOnly"] = json!(true);
    let whole = template(vec![item("same", &[]), other, item("new", &[])]);
    let expected = [("same", "NoChange"), ("other", "Modify"), ("new", "Create"), ("foreign", "Ignore")];
    assert_eq!(changes(&world, body(&whole)).await, pairs(&expected));
    let complete = json!({ "properties": { "mode": "Complete", "template": whole } }).to_string().into_bytes();
    assert_eq!(changes(&world, complete).await.last(), pairs(&[("foreign", "Delete")]).last());
    let answer = world.deployments.what_if(&world.caller, &group(), "main", body(&whole)).await.expect("an answer");
    let modified = &answer["properties"]["changes"][1];
    let delta = &modified["delta"][0];
    assert_eq!((&delta["before"], &delta["after"]), (&json!(false), &json!(true)), "{modified}");
    assert_eq!(modified["after"]["apiVersion"], "2024-11-01");
    assert_eq!(world.fake.written().len(), 3, "nothing but the base was written");
}

#[tokio::test]
async fn a_second_deployment_of_the_same_changes_nothing() {
    let world = World::new().await;
    let mut second = item("second", &[]);
    second["properties"]["seen"] = json!("[reference('first').httpsOnly]");
    let whole = body(&template(vec![item("first", &[]), second]));
    assert_eq!(changes(&world, whole.clone()).await, pairs(&[("first", "Create"), ("second", "Create")]));
    world.deploy("main", whole.clone()).await;
    assert_eq!(changes(&world, whole).await, pairs(&[("first", "NoChange"), ("second", "NoChange")]));
}

#[tokio::test]
async fn ids_alone_are_answered_where_they_are_asked_for() {
    let world = World::new().await;
    let request = json!({ "properties": {
        "mode": "Incremental", "template": template(vec![item("one", &[])]), "whatIfSettings": { "resultFormat": "ResourceIdOnly" },
    } });
    let answer =
        world.deployments.what_if(&world.caller, &group(), "main", request.to_string().into_bytes()).await.expect("an answer");
    assert_eq!(answer["properties"]["changes"], json!([{ "resourceId": site("one").to_string(), "changeType": "Create" }]));
}

#[tokio::test]
async fn what_would_be_refused_is_said() {
    let world = World::new().await;
    world.fake.fail("bad", ArmError::new(400, "BadRequest", "No."));
    let answer = world.deployments.what_if(&world.caller, &group(), "main", body(&template(vec![item("bad", &[])]))).await;
    let answer = answer.expect("an answer");
    assert_eq!((&answer["status"], &answer["error"]["details"][0]["message"]), (&json!("Failed"), &json!("No.")));
}

#[tokio::test]
async fn nested_deployments_are_looked_into() {
    let world = World::new().await;
    let child = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "child",
        "properties": { "mode": "Incremental", "template": template(vec![item("deep", &[])]) },
    });
    assert_eq!(changes(&world, body(&template(vec![child]))).await, pairs(&[("deep", "Create")]));
}
