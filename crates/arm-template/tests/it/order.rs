//! Who waits for whom.

use pillion_arm_template::{Budget, Kind, Plan};
use serde_json::{Value, json};

use crate::deployed::{GROUP, World, evaluate, plan};

fn thing(name: &str, rest: Value) -> Value {
    let mut thing = json!({ "type": "Test.Test/things", "apiVersion": "1", "name": name });
    for (key, value) in rest.as_object().expect("members") {
        thing[key] = value.clone();
    }
    thing
}

/// The last segments of what a resource waits for.
fn waits(plan: &Plan, name: &str) -> Vec<String> {
    let resource = plan.resources().iter().find(|resource| resource.name == name).unwrap_or_else(|| panic!("there is no {name}"));
    resource.depends_on.iter().map(|id| id.rsplit('/').next().expect("a segment").to_owned()).collect()
}

#[test]
fn depends_on_takes_names_ids_relative_ids_and_loops() {
    let plan = plan(json!({ "resources": [
        thing("a", json!({})),
        thing("[concat('c', copyIndex())]", json!({ "copy": { "name": "loop", "count": 2 } })),
        thing("by-name", json!({ "dependsOn": ["A"] })),
        thing("by-id", json!({ "dependsOn": ["[resourceId('Test.Test/things', 'a')]"] })),
        thing("by-relative-id", json!({ "dependsOn": ["Test.Test/things/a", "", null] })),
        thing("by-loop", json!({ "dependsOn": ["loop"] })),
    ] }))
    .expect("it expands");
    assert_eq!(waits(&plan, "by-name"), ["a"]);
    assert_eq!(waits(&plan, "by-id"), ["a"]);
    assert_eq!(waits(&plan, "by-relative-id"), ["a"]);
    assert_eq!(waits(&plan, "by-loop"), ["c0", "c1"]);
}

#[test]
fn a_reference_is_a_dependency() {
    let plan = plan(json!({ "resources": [
        thing("a", json!({})),
        thing("b", json!({ "properties": { "x": "[reference(resourceId('Test.Test/things', 'a'), '1').y]" } })),
        thing("c", json!({ "properties": { "x": ["[if(true(), listKeys('b', '1').keys, reference('a').z)]"] } })),
        thing("d", json!({ "properties": { "x": "[map(range(0, 2), lambda('i', reference(resourceId('Test.Test/things', lambdaVariables('i')), '1')))]" } })),
    ] }))
    .expect("it expands");
    assert_eq!(waits(&plan, "b"), ["a"]);
    assert_eq!(waits(&plan, "c"), ["a", "b"]);
    // Which one is known only when the lambda runs, so it waits for all of the type; itself among them would be a circle.
    assert_eq!(waits(&plan, "d"), ["a", "b", "c"]);
}

#[test]
fn nothing_waits_for_what_is_not_deployed() {
    let plan = plan(json!({ "resources": [
        thing("off", json!({ "condition": "[equals(1, 2)]" })),
        thing("on", json!({ "condition": true, "dependsOn": ["off"] })),
    ] }))
    .expect("it expands");
    assert!(!plan.resources()[0].active);
    assert!(plan.resources()[1].active);
    assert_eq!(waits(&plan, "on"), [""; 0]);
}

#[test]
fn a_serial_loop_deploys_batch_after_batch() {
    let plan = plan(json!({ "resources": [
        thing("[concat('s', copyIndex())]", json!({ "copy": { "name": "loop", "count": 5, "mode": "Serial", "batchSize": 2 } })),
    ] }))
    .expect("it expands");
    assert_eq!(waits(&plan, "s0"), [""; 0]);
    assert_eq!(waits(&plan, "s1"), [""; 0]);
    assert_eq!(waits(&plan, "s2"), ["s0", "s1"]);
    assert_eq!(waits(&plan, "s3"), ["s0", "s1"]);
    assert_eq!(waits(&plan, "s4"), ["s2", "s3"]);
}

#[test]
fn a_child_waits_for_its_parent_unless_that_makes_a_circle() {
    let plan = plan(json!({ "resources": [
        { "type": "Test.Test/things/parts", "apiVersion": "1", "name": "a/p" },
        thing("a", json!({ "resources": [{ "type": "parts", "apiVersion": "1", "name": "q" }] })),
        thing("b", json!({ "dependsOn": ["b/p"] })),
        { "type": "Test.Test/things/parts", "apiVersion": "1", "name": "b/p" },
    ] }))
    .expect("it expands");
    assert_eq!(waits(&plan, "a/p"), ["a"]);
    assert_eq!(waits(&plan, "a/q"), ["a"]);
    assert_eq!(plan.resources()[2].id, format!("{GROUP}/providers/Test.Test/things/a/parts/q"));
    assert_eq!(waits(&plan, "b"), ["p"]);
    assert_eq!(waits(&plan, "b/p"), [""; 0]);
}

#[test]
fn a_loop_without_members_can_be_waited_for() {
    let empty = json!({ "copy": { "name": "none", "count": 0 } });
    let first = plan(
        json!({ "resources": [thing("[concat('n', copyIndex())]", empty.clone()), thing("a", json!({ "dependsOn": ["none"] }))] }),
    );
    assert_eq!(waits(&first.expect("it expands"), "a"), [""; 0]);
    let symbolic = json!({ "languageVersion": "2.0", "resources": {
        "many": thing("[format('n{0}', copyIndex())]", empty),
        "a": thing("a", json!({ "dependsOn": ["many"], "properties": { "x": "[references('many')]" } })),
    } });
    let plan = plan(symbolic).expect("it expands");
    let body = plan.evaluate(&plan.resources()[0], &World::default(), &mut Budget::new()).expect("it is evaluated");
    assert_eq!(body.value()["properties"]["x"], json!([]));
}

#[test]
fn a_circle_is_refused_with_its_members() {
    let error = plan(json!({ "resources": [
        thing("start", json!({ "dependsOn": ["a"] })),
        thing("a", json!({ "dependsOn": ["b"] })),
        thing("b", json!({ "dependsOn": ["c"] })),
        thing("c", json!({ "properties": { "x": "[reference('a').y]" } })),
    ] }))
    .expect_err("it is a circle")
    .to_string();
    let id = |name: &str| format!("{GROUP}/providers/Test.Test/things/{name}");
    let circle = format!("{} -> {} -> {} -> {}", id("a"), id("b"), id("c"), id("a"));
    assert!(error.contains(&format!("Circular dependency detected on resource: {circle}")), "{error}");
    assert!(!error.contains("start"), "{error}");
}

#[test]
fn a_resource_that_refers_to_itself_is_a_circle() {
    let error =
        plan(json!({ "resources": [thing("a", json!({ "properties": { "x": "[reference('a').y]" } }))] })).expect_err("a circle");
    assert!(error.to_string().contains("Circular dependency"), "{error}");
}

#[test]
fn what_is_not_in_the_template_can_not_be_waited_for() {
    let error = plan(json!({ "resources": [thing("a", json!({ "dependsOn": ["b"] }))] })).expect_err("there is no b");
    assert!(error.to_string().contains("The resource 'b' is not defined in the template"), "{error}");
    assert_eq!(error.path().expect("a path").to_string(), "resources[0].dependsOn[0]");
}

#[test]
fn symbolic_names_and_existing_resources_order_a_template() {
    let plan = plan(json!({
        "languageVersion": "2.0",
        "resources": {
            "base": thing("a", json!({})),
            "old": thing("old", json!({ "existing": true, "dependsOn": ["base"] })),
            "loop": thing("[format('l{0}', copyIndex())]", json!({ "copy": { "name": "some loop", "count": 2 } })),
            "last": thing("z", json!({ "dependsOn": ["old", "loop"], "properties": { "x": "[references('some loop')[0]]" } })),
            "one": thing("y", json!({ "properties": { "x": "[reference(format('loop[{0}]', 1)).v]" } })),
        },
    }))
    .expect("it expands");
    let kinds: Vec<_> =
        plan.resources().iter().map(|resource| (resource.symbolic_name.as_deref().expect("a name"), resource.kind)).collect();
    assert_eq!(kinds[..3], [("base", Kind::Resource), ("old", Kind::Existing), ("loop[0]", Kind::Resource)]);
    // Through the existing resource it waits for what that waits for.
    assert_eq!(waits(&plan, "z"), ["a", "l0", "l1"]);
    assert_eq!(waits(&plan, "y"), ["l1"]);

    let id = |name: &str| format!("{GROUP}/providers/Test.Test/things/{name}");
    let world =
        World::default().with(&id("l0"), json!({ "properties": 10 })).with(&id("l1"), json!({ "properties": { "v": 11 } }));
    let body = |name: &str| {
        let resource = plan.resources().iter().find(|resource| resource.name == name).expect("it is there");
        plan.evaluate(resource, &world, &mut Budget::new()).expect("it is evaluated").value()["properties"]["x"].clone()
    };
    assert_eq!(body("z"), 10);
    assert_eq!(body("y"), 11);
}

#[test]
fn a_preview_keeps_what_can_not_be_known_yet() {
    let plan = plan(json!({ "resources": [
        thing("a", json!({})),
        thing("b", json!({ "properties": { "known": "[concat('x', 'y')]", "open": "[reference('a').z]" } })),
    ] }))
    .expect("it expands");
    let b = &plan.resources()[1];
    let preview = plan.preview(b, &pillion_arm_template::NothingDeployed, &mut Budget::new()).expect("it is evaluated");
    assert_eq!(preview.value()["properties"], json!({ "known": "xy", "open": "[reference('a').z]" }));
    let error = plan.evaluate(b, &pillion_arm_template::NothingDeployed, &mut Budget::new()).expect_err("a is not deployed");
    assert_eq!(*error.cause(), pillion_arm_template::Cause::NotDeployed { id: plan.resources()[0].id.clone() });
}

#[test]
fn two_active_resources_can_not_have_one_id() {
    let error = plan(json!({ "resources": [thing("a", json!({})), thing("A", json!({}))] })).expect_err("they are the same");
    assert!(error.to_string().contains("is defined multiple times in the template, first at 'resources[0]'"), "{error}");
    let one = plan(json!({ "resources": [thing("a", json!({ "condition": false })), thing("a", json!({ "kind": "k" }))] }))
        .expect("one is active");
    assert!(one.resource(&one.resources()[1].id).expect("it is found").active);
}

#[test]
fn property_copies_unfold_within_resource_copies() {
    let value = evaluate("[variables('v')]", &json!({ "variables": { "v": { "copy": [
        { "name": "outer", "count": 2, "input": { "copy": [{ "name": "inner", "count": 2, "input": "[format('{0}{1}', copyIndex('outer'), copyIndex('inner', 5))]" }] } },
    ] } } }))
    .expect("it is evaluated");
    assert_eq!(value, json!({ "outer": [{ "inner": ["05", "06"] }, { "inner": ["15", "16"] }] }));
}
