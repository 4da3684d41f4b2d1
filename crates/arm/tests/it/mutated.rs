//! Recorded bodies with any field changed to anything: nothing panics, and what is accepted can be shown, put back and compiled.

use pillion_arm::{Facts, How, accept, compile, render};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::world::{World, id};

/// What az 2.91 and published templates send.
fn recorded() -> Vec<(&'static str, Value)> {
    let plan = id("serverfarms/plan1").to_string();
    vec![
        ("", json!({ "location": "local", "tags": { "k": "v" }, "properties": {} })),
        (
            "serverfarms/plan1",
            json!({ "location": "local", "properties": { "perSiteScaling": false, "reserved": true },
                "sku": { "capacity": 1, "name": "P1V3", "tier": "PREMIUMV3" } }),
        ),
        (
            "sites/shop",
            json!({ "location": "local", "kind": "app,linux", "identity": { "type": "SystemAssigned" }, "properties": {
                "serverFarmId": plan, "httpsOnly": false, "siteConfig": { "alwaysOn": true, "linuxFxVersion": "SITECONTAINERS",
                    "appSettings": [{ "name": "A", "value": true }], "connectionStrings": [{ "name": "d", "connectionString": "x", "type": "Custom" }] } } }),
        ),
        ("sites/shop/slots/blue", json!({ "location": "local", "properties": { "serverFarmId": plan, "httpsOnly": false } })),
        (
            "sites/shop/config/web",
            json!({ "properties": { "linuxFxVersion": "DOCKER|nginx", "healthCheckPath": "/h", "numberOfWorkers": 1, "alwaysOn": true,
                "experiments": { "rampUpRules": [{ "actionHostName": "shop-blue.x", "reroutePercentage": 10.0, "name": "blue" }] },
                "cors": { "allowedOrigins": ["*"] } } }),
        ),
        (
            "sites/shop/config/appsettings",
            json!({ "properties": { "A": "1", "WEBSITES_PORT": "80", "WEBSITE_WARMUP_STATUSES": "200" } }),
        ),
        ("sites/shop/config/connectionstrings", json!({ "properties": { "db": { "value": "..", "type": "SQLAzure" } } })),
        (
            "sites/shop/config/slotConfigNames",
            json!({ "properties": { "appSettingNames": ["C"], "connectionStringNames": null } }),
        ),
        (
            "sites/shop/config/azurestorageaccounts",
            json!({ "properties": { "data": { "type": "AzureFiles", "accountName": "a", "shareName": "s", "accessKey": "k", "mountPath": "/m" } } }),
        ),
        (
            "sites/shop/config/logs",
            json!({ "properties": { "httpLogs": { "fileSystem": { "retentionInMb": 100, "retentionInDays": 3, "enabled": true } },
                "applicationLogs": { "fileSystem": { "level": "information" } } } }),
        ),
        (
            "sites/shop/sitecontainers/main",
            json!({ "properties": { "image": "nginx:1", "isMain": true, "targetPort": "80", "startUpCommand": "a b", "authType": "UserCredentials",
                "userName": "u", "passwordSecret": "p", "inheritAppSettingsAndConnectionStrings": true,
                "environmentVariables": [{ "name": "G", "value": "A" }],
                "volumeMounts": [{ "volumeSubPath": "/s", "containerMountPath": "/mnt/s", "readOnly": false, "data": null }] } }),
        ),
        ("sites/shop/basicPublishingCredentialsPolicies/scm", json!({ "properties": { "allow": true } })),
        ("Microsoft.ManagedIdentity/userAssignedIdentities/who", json!({ "location": "local" })),
        (
            "Microsoft.Insights/autoscalesettings/auto",
            json!({ "location": "local", "properties": { "enabled": true, "targetResourceUri": plan, "profiles": [{ "name": "p",
                "capacity": { "default": "1", "maximum": "5", "minimum": "1" }, "rules": [{ "metricTrigger": { "metricName": "CpuPercentage",
                "operator": "GreaterThan", "threshold": 70.0 }, "scaleAction": { "direction": "Increase", "type": "ChangeCount", "value": "1" } }] }] } }),
        ),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        select(vec![
            "",
            "/",
            "/..",
            "true",
            "80",
            "65536",
            "-1",
            "SITECONTAINERS",
            "DOCKER|",
            "COMPOSE|eA==",
            "None",
            "|",
            "a\u{0}b",
            "ß"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Every place in a body.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('/', "~1")), found))
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_anything(which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(),
        value in anything(), patch in any::<bool>()) {
        let all = recorded();
        let (path, body) = which.get(&all);
        let mut body = body.clone();
        let mut found = Vec::new();
        places(&body, "", &mut found);
        let at: &String = place.get(&found);
        *body.pointer_mut(at).expect("a place of the body") = value;
        let mut world = World::with_site();
        world.container("main", json!({ "image": "nginx", "isMain": true })).expect("a container");
        let how = if patch { How::Patch } else { How::Put };
        let target = id(path);
        let old = pillion_arm::Surroundings::find(&world, &target);
        match accept(&target, old.as_deref(), body.clone(), how, &world) {
            Err(refused) => prop_assert!((400..500).contains(&refused.status), "{refused} {body}"),
            Ok(_) => {
                let stored = world.write(&target, body, how).expect("what is accepted once is accepted again");
                let shown = render(&stored, &Facts { secrets: pillion_arm::Secrets::Shown, ..Facts::default() });
                let again = world.write(&target, shown.clone(), How::Put);
                prop_assert!(again.is_ok(), "{again:?} {shown}");
                // Whatever it is: an app, or reasons why there is none.
                let _ = compile(&world.parts("sites/shop"));
            }
        }
    }
}
