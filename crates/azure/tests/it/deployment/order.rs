//! What is written when.

use serde_json::{Value, json};

use super::{
    fake::Seen,
    world::{World, body, item, template},
};

#[tokio::test]
async fn independent_resources_are_written_at_the_same_time() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.fake.hold(name);
    }
    world.begin("main", body(&template(vec![item("a", &[]), item("b", &[]), item("c", &[])]))).await.expect("accepted");
    world.fake.until(|seen| seen.iter().filter(|one| matches!(one, Seen::Began(_))).count() == 3).await;
    for name in ["a", "b", "c"] {
        world.fake.let_go(name);
    }
    assert_eq!(world.ended("main").await["provisioningState"], "Succeeded");
    assert_eq!(world.fake.most(), 3);
}

#[tokio::test]
async fn no_more_resources_are_written_at_one_time_than_there_is_room_for() {
    let world = World::new().await;
    let items = (0..40).map(|at| item(&format!("s{at}"), &[])).collect();
    assert_eq!(world.deploy("main", body(&template(items))).await["provisioningState"], "Succeeded");
    assert_eq!(world.fake.written().len(), 40);
    assert!(world.fake.most() <= 8, "{}", world.fake.most());
}

#[tokio::test]
async fn a_resource_is_written_after_those_that_it_depends_on() {
    let world = World::new().await;
    let items = vec![item("last", &["middle", "side"]), item("middle", &["first"]), item("first", &[]), item("side", &["first"])];
    assert_eq!(world.deploy("main", body(&template(items))).await["provisioningState"], "Succeeded");
    let order = world.fake.written();
    let at = |name: &str| order.iter().position(|one| one == name).expect("it was written");
    assert_eq!((at("first"), at("last")), (0, 3));
}

#[tokio::test]
async fn a_reference_is_a_dependency_and_sees_what_was_deployed() {
    let world = World::new().await;
    let mut second = item("second", &[]);
    second["properties"]["seen"] = json!("[reference('first').word]");
    let mut first = item("first", &[]);
    first["properties"]["word"] = json!("hello");
    assert_eq!(world.deploy("main", body(&template(vec![second, first]))).await["provisioningState"], "Succeeded");
    assert_eq!(world.fake.written(), ["first", "second"]);
    assert_eq!(world.fake.body("second").expect("it is there")["properties"]["seen"], "hello");
}

#[tokio::test]
async fn a_serial_copy_writes_one_after_another_and_a_batch_so_many_at_once() {
    for (extra, most) in [(json!({ "mode": "serial" }), 1), (json!({ "mode": "serial", "batchSize": 2 }), 2)] {
        let world = World::new().await;
        let mut one = item("[concat('s', copyIndex())]", &[]);
        one["copy"] = json!({ "name": "many", "count": 6 });
        for (key, value) in extra.as_object().expect("an object") {
            one["copy"][key] = value.clone();
        }
        assert_eq!(world.deploy("main", body(&template(vec![one]))).await["provisioningState"], "Succeeded");
        assert_eq!(world.fake.written().len(), 6);
        assert!(world.fake.most() <= most, "{}", world.fake.most());
    }
}

#[tokio::test]
async fn a_resource_whose_condition_is_false_is_not_written_and_holds_up_nothing() {
    let world = World::new().await;
    let mut off = item("off", &[]);
    off["condition"] = json!(false);
    let deployed = world.deploy("main", body(&template(vec![off, item("on", &["off"])]))).await;
    assert_eq!(deployed["provisioningState"], "Succeeded");
    assert_eq!(world.fake.written(), ["on"]);
    assert_eq!(deployed["outputResources"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_the_template_says_to_itself_does_not_reach_the_resource() {
    let world = World::new().await;
    let mut one = item("one", &[]);
    one["comments"] = json!("for people");
    one["tags"] = json!({ "team": "web" });
    world.deploy("main", body(&template(vec![one]))).await;
    let written = world.fake.body("one").expect("it is there");
    for word in ["type", "name", "apiVersion", "dependsOn", "comments"] {
        assert_eq!(written.get(word), None, "{word}");
    }
    assert_eq!((&written["tags"]["team"], &written["location"]), (&json!("web"), &json!("local")));
}

#[tokio::test]
async fn all_writes_take_effect_together_at_the_end() {
    let world = World::new().await;
    world.deploy("main", body(&template(vec![item("a", &[]), item("b", &["a"])]))).await;
    assert_eq!(world.fake.seen().last(), Some(&Seen::Released));
    assert_eq!(world.fake.seen().iter().filter(|seen| **seen == Seen::Released).count(), 1);
}

#[tokio::test]
async fn outputs_and_operations_are_shown_as_resource_manager_shows_them() {
    let world = World::new().await;
    let mut whole = template(vec![item("one", &[])]);
    whole["outputs"] = json!({ "id": { "type": "string", "value": "[resourceId('Microsoft.Web/sites', 'one')]" } });
    let deployed = world.deploy("main", body(&whole)).await;
    let id = super::world::site("one").to_string();
    assert_eq!(deployed["outputs"], json!({ "id": { "type": "String", "value": id } }));
    assert_eq!(deployed["outputResources"], json!([{ "id": id }]));
    assert_eq!(deployed["providers"][0]["namespace"], "Microsoft.Web");
    assert!(deployed["duration"].as_str().is_some_and(|text| text.starts_with("PT")), "{deployed}");
    let operations = world.operations("main");
    let first = &operations[0]["properties"];
    assert_eq!(first["provisioningOperation"], "Create");
    assert_eq!(first["statusCode"], "Created");
    assert_eq!(first["targetResource"], json!({ "id": id, "resourceType": "Microsoft.Web/sites", "resourceName": "one" }));
    assert_eq!(operations[1]["properties"]["provisioningOperation"], "EvaluateDeploymentOutput");
    assert_eq!(operations[0]["operationId"].as_str().map(str::len), Some(16));
    assert_ne!(first["timestamp"], Value::Null);
}
