//! Config documents: settings, connection strings, shares, logs, web.

use serde_json::json;

use crate::world::{World, refusal};

#[test]
fn app_settings_are_replaced_and_made_text() {
    let mut world = World::with_site();
    let path = "sites/shop/config/appsettings";
    world.put(path, json!({ "properties": { "GONE": "1" } })).expect("settings");
    world.put(path, json!({ "properties": { "N": 1.5, "T": true, "NULL": null, "a.b:c-d": "x" } })).expect("settings");
    assert_eq!(json!(world.at(path).properties), json!({ "N": "1.5", "T": "true", "a.b:c-d": "x" }));
    for (name, value) in [
        ("WEBSITE_HOSTNAME", json!("x")),
        ("website_site_name", json!("x")),
        ("APPSETTING_A", json!("x")),
        ("", json!("x")),
        ("A=B", json!("x")),
        ("A B", json!("x")),
        ("LIST", json!([])),
        ("OBJECT", json!({})),
        ("ZERO", json!("a\u{0}b")),
    ] {
        let refused = refusal(world.put(path, json!({ "properties": { name: value } })));
        assert_eq!(refused, (400, "BadRequest".into(), format!("properties.{name}")));
    }
    assert_eq!(refusal(world.put(path, json!({}))).2, "properties");
    assert_eq!(refusal(world.put("sites/none/config/appsettings", json!({ "properties": {} }))).0, 404);
}

#[test]
fn connection_strings_have_a_known_type() {
    let mut world = World::with_site();
    let path = "sites/shop/config/connectionstrings";
    world.put(path, json!({ "properties": { "db": { "value": "v", "type": "postgresql" } } })).expect("strings");
    assert_eq!(world.at(path).properties["db"]["type"], "PostgreSQL");
    for (entry, target) in [
        (json!({ "value": "v" }), "properties.db.type"),
        (json!({ "type": "Oracle" }), "properties.db.type"),
        (json!("v"), "properties.db"),
    ] {
        assert_eq!(refusal(world.put(path, json!({ "properties": { "db": entry } }))).2, target);
    }
}

#[test]
fn sticky_names_belong_to_the_site_alone() {
    let mut world = World::with_site();
    let names = json!({ "properties": { "appSettingNames": ["A", "A", "B"], "connectionStringNames": null } });
    world.put("sites/shop/config/slotconfignames", names.clone()).expect("names");
    assert_eq!(json!(world.at("sites/shop/config/slotConfigNames").properties), json!({ "appSettingNames": ["A", "B"] }));
    world.put("sites/shop/slots/blue", json!({})).expect("a slot");
    assert_eq!(refusal(world.put("sites/shop/slots/blue/config/slotConfigNames", names)).0, 404);
    let bad = json!({ "properties": { "appSettingNames": [1] } });
    assert_eq!(refusal(world.put("sites/shop/config/slotConfigNames", bad)).2, "properties.appSettingNames");
}

#[test]
fn a_shares_key_stays_until_another_is_given() {
    let mut world = World::with_site();
    let path = "sites/shop/config/azurestorageaccounts";
    let share =
        |key| json!({ "properties": { "d": { "accountName": "a", "shareName": "s", "mountPath": "/d", "accessKey": key } } });
    world.put(path, share(json!("k1"))).expect("a share");
    world.put(path, share(json!(null))).expect("a share");
    assert_eq!(world.at(path).properties["d"]["accessKey"], "k1");
    for (field, value) in [("mountPath", "data"), ("mountPath", "/proc/x"), ("mountPath", "/a/../b"), ("accountName", "")] {
        let mut body = share(json!("k"));
        body["properties"]["d"][field] = json!(value);
        assert_eq!(refusal(world.put(path, body)).2, format!("properties.d.{field}"));
    }
}

#[test]
fn config_web_takes_the_whole_bag_back_and_keeps_the_rest() {
    let mut world = World::with_site();
    let path = "sites/shop/config/web";
    world.patch(path, json!({ "properties": { "healthCheckPath": "/healthz", "AlwaysOn": "True" } })).expect("web");
    let mut bag = pillion_arm::render(&world.at(path), &pillion_arm::Facts::default());
    bag["properties"]["numberOfWorkers"] = json!(3);
    world.patch(path, bag).expect("the whole bag");
    let web = world.at(path);
    assert_eq!(web.properties["healthCheckPath"], "/healthz");
    assert_eq!(web.properties["alwaysOn"], true);
    assert_eq!(web.properties["numberOfWorkers"], 3);
    assert!(!world.all.keys().any(|key| key.ends_with("config/appsettings")), "a bag without settings writes none");
    for (field, value) in [
        ("linuxFxVersion", json!("nginx")),
        ("linuxFxVersion", json!("COMPOSE|***")),
        ("linuxFxVersion", json!("DOCKER|a b")),
        ("healthCheckPath", json!("healthz")),
        ("numberOfWorkers", json!(13)),
        ("alwaysOn", json!(3)),
        ("cors", json!("x")),
    ] {
        let refused = refusal(world.patch(path, json!({ "properties": { field: value } })));
        assert_eq!(refused, (400, "BadRequest".into(), format!("properties.{field}")));
    }
    for (rules, target) in [
        (json!([{ "reroutePercentage": 10 }]), "properties.experiments.rampUpRules[0].actionHostName"),
        (json!([{ "name": "a", "reroutePercentage": 101 }]), "properties.experiments.rampUpRules[0].reroutePercentage"),
        (
            json!([{ "name": "a", "reroutePercentage": 60 }, { "name": "b", "reroutePercentage": "50" }]),
            "properties.experiments.rampUpRules",
        ),
    ] {
        let refused = refusal(world.patch(path, json!({ "properties": { "experiments": { "rampUpRules": rules } } })));
        assert_eq!(refused.2, target);
    }
}

#[test]
fn logs_policies_and_autoscale_are_checked() {
    let mut world = World::with_site();
    let logs = json!({ "properties": { "httpLogs": { "fileSystem": { "retentionInMb": 100, "retentionInDays": 3, "enabled": true } },
        "applicationLogs": { "fileSystem": { "level": "information" } } } });
    world.put("sites/shop/config/logs", logs).expect("logs");
    let bad = json!({ "properties": { "httpLogs": { "fileSystem": { "retentionInMb": 5 } } } });
    assert_eq!(refusal(world.put("sites/shop/config/logs", bad)).2, "properties.httpLogs.fileSystem.retentionInMb");
    world
        .put("sites/shop/basicPublishingCredentialsPolicies/scm", json!({ "properties": { "allow": false } }))
        .expect("a policy");
    assert_eq!(refusal(world.put("sites/shop/basicPublishingCredentialsPolicies/xyz", json!({ "properties": {} }))).0, 404);
    let auto = "Microsoft.Insights/autoscalesettings/auto";
    let setting = |low: &str| {
        json!({ "location": "local", "properties": { "targetResourceUri": crate::world::id("serverfarms/plan1").to_string(),
        "profiles": [{ "name": "p", "capacity": { "default": "1", "maximum": "5", "minimum": low }, "rules": [] }] } })
    };
    let kept = world.put(auto, setting("1")).expect("a setting");
    assert_eq!(kept.properties["profiles"][0]["capacity"]["minimum"], "1");
    assert_eq!(refusal(world.put(auto, setting("3"))).2, "properties.profiles[0].capacity");
    assert_eq!(refusal(world.put(auto, json!({ "location": "local", "properties": {} }))).2, "properties.profiles");
}
