//! What-if's differences have Resource Manager's shape.

use pillion_arm_template::{diff, diff_where};
use serde_json::{Value, json};

fn wire(before: Value, after: Value) -> Value {
    diff(&before, &after).iter().map(pillion_arm_template::Delta::to_wire).collect()
}

fn delta(path: &str, kind: &str, before: Value, after: Value, children: Value) -> Value {
    json!({ "path": path, "propertyChangeType": kind, "before": before, "after": after, "children": children })
}

#[test]
fn properties_are_created_modified_and_deleted() {
    let before = json!({ "tags": { "owner": "a" }, "properties": { "httpsOnly": false, "siteConfig": { "alwaysOn": true } } });
    let after = json!({ "properties": { "httpsOnly": true, "siteConfig": { "alwaysOn": true, "appCommandLine": "run" } } });
    assert_eq!(
        wire(before, after),
        json!([
            delta("properties.httpsOnly", "Modify", json!(false), json!(true), Value::Null),
            delta("properties.siteConfig.appCommandLine", "Create", Value::Null, json!("run"), Value::Null),
            delta("tags", "Delete", json!({ "owner": "a" }), Value::Null, Value::Null),
        ])
    );
}

#[test]
fn elements_with_names_are_compared_by_name() {
    let setting = |name: &str, value: &str| json!({ "name": name, "value": value });
    let before = json!({ "properties": { "s": [setting("a", "1"), setting("b", "2"), setting("c", "3")] } });
    let after = json!({ "properties": { "s": [setting("c", "3"), setting("a", "9"), setting("d", "4")] } });
    let all = wire(before.clone(), after.clone());
    assert_eq!(all[0]["path"], "properties.s");
    assert_eq!(all[0]["propertyChangeType"], "Array");
    let inner = json!([delta("value", "Modify", json!("1"), json!("9"), Value::Null)]);
    assert_eq!(
        all[0]["children"],
        json!([
            delta("1", "Delete", setting("b", "2"), Value::Null, Value::Null),
            delta("1", "Modify", setting("a", "1"), setting("a", "9"), inner),
            delta("2", "Create", Value::Null, setting("d", "4"), Value::Null),
        ])
    );
}

#[test]
fn plain_elements_are_compared_by_value_and_place() {
    let list = |items: Value| json!({ "properties": { "l": items } });
    let children = |before: Value, after: Value| wire(list(before), list(after))[0]["children"].clone();
    assert_eq!(
        children(json!(["10.0.0.0/16"]), json!(["10.0.0.0/15"])),
        json!([
            delta("0", "Delete", json!("10.0.0.0/16"), Value::Null, Value::Null),
            delta("0", "Create", Value::Null, json!("10.0.0.0/15"), Value::Null),
        ])
    );
    assert_eq!(children(json!(["a"]), json!(["a", "b"])), json!([delta("1", "Create", Value::Null, json!("b"), Value::Null)]));
    assert_eq!(
        children(json!(["a", "b"]), json!(["b", "a"])).as_array().expect("it is told").len(),
        4,
        "the order of plain values counts"
    );
}

#[test]
fn what_means_the_same_is_no_difference() {
    let before = json!({ "id": "/x", "name": "A", "apiVersion": "1", "location": "West Europe", "properties": { "a": null, "n": 1, "Case": true } });
    let after =
        json!({ "name": "a", "apiVersion": "2", "location": "westeurope", "properties": { "n": 1.0, "case": true, "b": null } });
    assert_eq!(wire(before, after), json!([]));
}

#[test]
fn a_property_without_effect_is_told_so() {
    let (before, after) = (json!({ "properties": { "state": "Running", "kind": 1 } }), json!({ "properties": { "kind": 2 } }));
    let deltas = diff_where(&before, &after, |path| path != "properties.state");
    let kinds: Vec<_> = deltas.iter().map(|delta| (delta.path.as_str(), delta.kind.as_str())).collect();
    assert_eq!(kinds, [("properties.kind", "Modify"), ("properties.state", "NoEffect")]);
}
