//! How deployments end: well, badly, by request; and what they leave.

use pillion_arm::ArmError;
use serde_json::{Value, json};

use super::{
    fake::Seen,
    world::{World, body, group, item, site, template},
};

#[tokio::test]
async fn a_failed_resource_fails_the_deployment_and_the_rest_is_still_written() {
    let world = World::new().await;
    world.fake.fail("bad", ArmError::new(409, "Conflict", "The name is taken."));
    let items =
        vec![item("bad", &[]), item("after", &["bad"]), item("long", &["after"]), item("good", &[]), item("better", &["good"])];
    let deployed = world.deploy("main", body(&template(items))).await;
    assert_eq!(deployed["provisioningState"], "Failed");
    assert_eq!(world.fake.written(), ["good", "better"]);
    let error = &deployed["error"];
    assert_eq!(error["code"], "DeploymentFailed");
    assert_eq!(error["details"][0]["code"], "Conflict");
    assert_eq!(error["details"][0]["target"], site("bad").to_string());
    let operations = world.operations("main");
    assert_eq!(operations.len(), 3, "what was cut off has no operation, and there are no outputs: {operations:?}");
    let bad = operations.iter().find(|one| one["properties"]["targetResource"]["resourceName"] == "bad").expect("an operation");
    assert_eq!(bad["properties"]["statusCode"], "Conflict");
    assert_eq!(bad["properties"]["provisioningState"], "Failed");
    assert_eq!(bad["properties"]["statusMessage"]["error"]["message"], "The name is taken.");
    assert_eq!(world.fake.seen().last(), Some(&Seen::Released), "what was written takes effect all the same");
}

#[tokio::test]
async fn the_status_of_a_run_carries_its_error() {
    let world = World::new().await;
    world.fake.fail("bad", ArmError::new(400, "BadRequest", "No."));
    let begun = world.begin("main", body(&template(vec![item("bad", &[])]))).await.expect("accepted");
    assert_eq!(
        begun.body["properties"]["provisioningState"].as_str().map(|state| state == "Accepted" || state == "Running"),
        Some(true)
    );
    world.ended("main").await;
    let run = begun.status_path.rsplit('/').next().expect("a run").to_owned();
    let status = world.deployments.status(&world.caller, &group(), "main", &run).expect("a status");
    assert_eq!((&status["status"], &status["error"]["code"]), (&json!("Failed"), &json!("DeploymentFailed")));
    let other = world.deployments.status(&world.caller, &group(), "main", "0000");
    assert_eq!(other.map_err(|error| error.status), Err(404));
}

#[tokio::test]
async fn a_canceled_deployment_finishes_what_is_being_written_and_leaves_the_rest() {
    let world = World::new().await;
    world.fake.hold("first");
    world.begin("main", body(&template(vec![item("first", &[]), item("second", &["first"])]))).await.expect("accepted");
    world.fake.until(|seen| seen.contains(&Seen::Began("first".into()))).await;
    world.deployments.cancel(&world.caller, &group(), "main").await.expect("canceled");
    world.fake.let_go("first");
    assert_eq!(world.ended("main").await["provisioningState"], "Canceled");
    assert_eq!(world.fake.written(), ["first"]);
    let again = world.deployments.cancel(&world.caller, &group(), "main").await;
    assert_eq!(again.map_err(|error| (error.status, error.code.into_owned())), Err((409, "DeploymentCannotBeCancelled".into())));
}

#[tokio::test]
async fn a_name_cannot_be_taken_while_its_deployment_is_under_way() {
    let world = World::new().await;
    world.fake.hold("one");
    let body = body(&template(vec![item("one", &[])]));
    assert!(world.begin("main", body.clone()).await.expect("accepted").created);
    let second = world.begin("main", body.clone()).await;
    assert_eq!(second.map(drop).map_err(|error| (error.status, error.code.into_owned())), Err((409, "DeploymentActive".into())));
    let removed = world.deployments.delete(&world.caller, &group(), "main").await;
    assert_eq!(removed.map_err(|error| error.status), Err(409));
    world.fake.let_go("one");
    world.ended("main").await;
    assert!(!world.begin("main", body).await.expect("accepted").created);
    world.ended("main").await;
    assert_eq!(world.deployments.delete(&world.caller, &group(), "main").await, Ok(true));
    assert_eq!(world.deployments.delete(&world.caller, &group(), "main").await, Ok(false));
    assert_eq!(world.deployments.show(&world.caller, &group(), "main").map_err(|error| error.status), Err(404));
}

#[tokio::test]
async fn complete_mode_deletes_what_the_template_has_not_users_before_what_they_use() {
    let world = World::new().await;
    world.fake.insert(&site("old"), json!({}));
    world.fake.insert(&site("old").child("slots", "staging"), json!({}));
    world.fake.insert(&group().resource("Microsoft.Web", "serverfarms", "plan"), json!({}));
    let request = json!({ "properties": { "mode": "Complete", "template": template(vec![item("new", &[])]) } });
    let deployed = world.deploy("main", request.to_string().into_bytes()).await;
    assert_eq!(deployed["provisioningState"], "Succeeded");
    let gone: Vec<Seen> = world.fake.seen().into_iter().filter(|seen| matches!(seen, Seen::Deleted(_))).collect();
    assert_eq!(gone, [Seen::Deleted("staging".into()), Seen::Deleted("old".into()), Seen::Deleted("plan".into())]);
    assert!(world.fake.body("new").is_some());
    let deletes = world.operations("main").iter().filter(|one| one["properties"]["provisioningOperation"] == "Delete").count();
    assert_eq!(deletes, 3);
}

#[tokio::test]
async fn complete_mode_deletes_nothing_where_a_resource_failed() {
    let world = World::new().await;
    world.fake.insert(&site("old"), json!({}));
    world.fake.fail("bad", ArmError::new(400, "BadRequest", "No."));
    let request = json!({ "properties": { "mode": "Complete", "template": template(vec![item("bad", &[])]) } });
    assert_eq!(world.deploy("main", request.to_string().into_bytes()).await["provisioningState"], "Failed");
    assert!(world.fake.body("old").is_some());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_before_anything_is_stored() {
    let world = World::new().await;
    let mut of_a_subscription = template(vec![]);
    of_a_subscription["$schema"] =
        json!("https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#");
    let cases: [(Value, &str, &str); 8] = [
        (json!({ "properties": { "template": of_a_subscription } }), "InvalidTemplate", "$schema"),
        (json!({}), "InvalidRequestContent", "properties"),
        (json!({ "properties": { "mode": "Sideways", "template": template(vec![]) } }), "InvalidRequestContent", "Sideways"),
        (json!({ "properties": { "mode": "Incremental" } }), "InvalidRequestContent", "templateLink"),
        (json!({ "properties": { "template": template(vec![item("[nonsense()]", &[])]) } }), "InvalidTemplate", "nonsense"),
        (
            json!({ "properties": { "template": template(vec![item("a", &["b"]), item("b", &["a"])]) } }),
            "InvalidTemplate",
            "ircular",
        ),
        (json!({ "properties": { "template": template(vec![item("a", &["gone"])]) } }), "InvalidTemplate", "gone"),
        (json!({ "properties": { "templateLink": { "uri": "http://example.org/t.json" } } }), "InvalidContentLink", "https"),
    ];
    for (request, code, word) in cases {
        let refused = world.begin("main", request.to_string().into_bytes()).await.map(drop).expect_err("it is wrong");
        assert_eq!((refused.status, refused.code.as_ref()), (400, code), "{refused}");
        assert!(refused.message.contains(word), "{refused}");
        let valid = world.deployments.validate(&world.caller, &group(), "main", request.to_string().into_bytes()).await;
        assert_eq!(valid.expect_err("it is wrong").code, code);
    }
    assert_eq!(world.deployments.list(&world.caller, &group()).await.expect("a list"), Vec::<Value>::new());
    let nowhere = pillion_arm::ResourceId::group(super::world::SUBSCRIPTION, "gone");
    let refused = world.deployments.begin(&world.caller, &nowhere, "main", body(&template(vec![]))).await.map(drop);
    assert_eq!(refused.map_err(|error| (error.status, error.code.into_owned())), Err((404, "ResourceGroupNotFound".into())));
}

#[tokio::test]
async fn what_needs_nothing_deployed_is_evaluated_before_anything_is_written() {
    let world = World::new().await;
    let large = "[map(range(0, 3000), lambda('x', padLeft('', 60000)))]";
    let mut failing = item("one", &[]);
    failing["properties"]["url"] = json!("[string(div(1, 0))]");
    let with_output = |kind: &str, value: &str| {
        let mut whole = template(vec![item("one", &[])]);
        whole["outputs"] = json!({ "told": { "type": kind, "value": value } });
        whole
    };
    let inner = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner",
        "properties": { "mode": "Incremental", "expressionEvaluationOptions": { "scope": "inner" },
            "template": with_output("int", "[div(1, 0)]") },
    });
    let cases: [(Value, &str); 7] = [
        (with_output("array", large), "67108864 bytes"),
        (with_output("int", "[div(1, 0)]"), "div(1, 0)"),
        (with_output("string", "[reference('undeclared').properties.url]"), "undeclared"),
        (with_output("int", "text"), "'told'"),
        (with_output("string", "[if(true(), fail('not today'), reference('one').url)]"), "not today"),
        (template(vec![failing]), "div(1, 0)"),
        (template(vec![inner]), "div(1, 0)"),
    ];
    for (whole, named) in cases {
        let refused = world.begin("main", body(&whole)).await.map(drop).expect_err(named);
        assert_eq!(refused.status, 400, "{named}: {refused}");
        assert!(refused.message.contains(named), "{named}: {refused}");
        let invalid = world.deployments.validate(&world.caller, &group(), "main", body(&whole)).await.expect_err(named);
        assert_eq!((invalid.status, invalid.message.contains(named)), (400, true), "{named}: {invalid}");
    }
    assert!(world.fake.seen().is_empty(), "nothing was written");
    // What waits for a resource is left to its time, how often something is copied among it.
    let mut counted = item("two", &["one"]);
    counted["properties"]["copy"] = json!([{ "name": "parts", "count": "[length(reference('one').names)]", "input": "x" }]);
    let mut one = item("one", &[]);
    one["properties"]["names"] = json!(["a", "b"]);
    let whole = body(&template(vec![one, counted]));
    world.deployments.validate(&world.caller, &group(), "main", whole.clone()).await.expect("it cannot be known yet");
    assert_eq!(world.deploy("main", whole).await["provisioningState"], "Succeeded");
    assert_eq!(world.fake.body("two").expect("it is there")["properties"]["parts"], json!(["x", "x"]));
    let waiting = with_output("string", "[if(empty(reference('one').url), 'none', string(div(1, 0)))]");
    world.deployments.validate(&world.caller, &group(), "main", body(&waiting)).await.expect("it cannot be known yet");
    assert_eq!(world.deploy("main", body(&waiting)).await["error"]["code"], "DeploymentOutputEvaluationFailed");
}

#[tokio::test]
async fn a_rehearsal_costs_the_deployment_nothing() {
    let world = World::new().await;
    let mut whole = template(vec![item("one", &[])]);
    // More than half of what one deployment may produce.
    whole["outputs"] =
        json!({ "many": { "type": "int", "value": "[length(map(range(0, 220), lambda('x', padLeft('', 60000))))]" } });
    let ended = world.deploy("main", body(&whole)).await;
    assert_eq!(ended["outputs"]["many"]["value"], 220, "{ended}");
}

#[tokio::test]
async fn every_resource_that_would_be_refused_is_named_by_validate() {
    let world = World::new().await;
    for name in ["bad", "worse"] {
        world.fake.fail(name, ArmError::new(400, "BadRequest", "The port is taken.").at("properties.targetPort"));
    }
    let request = body(&template(vec![item("bad", &[]), item("fine", &[]), item("worse", &[])]));
    let refused = world.deployments.validate(&world.caller, &group(), "main", request).await.expect_err("two are wrong");
    assert_eq!((refused.status, refused.code.as_ref()), (400, "InvalidTemplateDeployment"));
    let named: Vec<_> = refused.details.iter().filter_map(|detail| detail.target.clone()).collect();
    assert_eq!(named, [site("bad").to_string(), site("worse").to_string()]);
    assert!(world.fake.written().is_empty());
    let valid = world.deployments.validate(&world.caller, &group(), "main", body(&template(vec![item("fine", &[])]))).await;
    let valid = valid.expect("it is valid");
    assert_eq!(valid["properties"]["provisioningState"], "Succeeded");
    assert_eq!(valid["properties"]["validatedResources"], json!([{ "id": site("fine").to_string() }]));
}

#[tokio::test]
async fn a_deployment_is_its_callers_and_reaches_no_further() {
    use pillion_identity::{Caller, Grant, Role};
    let world = World::new().await;
    let grant = |role, scope: &pillion_arm::ResourceId| Grant { role, scope: scope.to_string().parse().expect("a scope") };
    let of = |grants| Caller { principal: "p".into(), display_name: "somebody".into(), grants };
    let reader = of(vec![grant(Role::Reader, &group())]);
    let refused = world.deployments.begin(&reader, &group(), "main", body(&template(vec![]))).await.map(drop);
    assert_eq!(refused.map_err(|error| error.status), Err(403));
    let here = of(vec![grant(Role::Contributor, &group())]);
    let mut elsewhere = item("far", &[]);
    elsewhere = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner", "resourceGroup": "other",
        "properties": { "mode": "Incremental", "template": template(vec![elsewhere]) },
    });
    world.deployments.begin(&here, &group(), "main", body(&template(vec![elsewhere]))).await.expect("accepted");
    let ended = world.ended("main").await;
    assert_eq!(ended["provisioningState"], "Failed", "{ended}");
    assert!(world.fake.written().is_empty());
    assert_eq!(world.deployments.show(&reader, &group(), "main").map(drop), Ok(()));
    assert_eq!(world.deployments.export(&reader, &group(), "main").await.map_err(|error| error.status), Err(403));
}
