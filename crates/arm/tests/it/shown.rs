//! What a GET shows, and what errors look like.

use pillion_arm::*;
use serde_json::{Value, json};

use crate::world::{World, id};

fn facts(world: &World) -> (std::sync::Arc<Resource>, std::sync::Arc<Resource>) {
    (world.at("serverfarms/plan1"), world.at("sites/shop/config/web"))
}

#[test]
fn a_site_has_every_field_that_az_reads() {
    let mut world = World::with_site();
    world.put("sites/shop/slots/Blue", json!({})).expect("a slot");
    let (plan, web) = facts(&world);
    let known = Facts {
        endpoint: "127.0.0.1:8443".into(),
        gateway_port: 8080,
        port: Some(20001),
        plan: Some(&plan),
        web: Some(&web),
        ..Facts::default()
    };
    let site = render(&world.at("sites/shop"), &known);
    assert_eq!(
        (&site["name"], &site["kind"], &site["type"]),
        (&json!("Shop"), &json!("app,linux"), &json!("Microsoft.Web/sites"))
    );
    assert_eq!((&site["tags"], &site["identity"]), (&Value::Null, &Value::Null));
    let p = &site["properties"];
    assert_eq!(p["enabledHostNames"], json!(["127.0.0.1:20001", "127.0.0.1:8443/_scm/Shop"]));
    assert_eq!(
        p["hostNameSslStates"][1],
        json!({ "name": "127.0.0.1:8443/_scm/Shop", "sslState": "Disabled", "hostType": "Repository" })
    );
    assert_eq!(p["defaultHostName"], "shop.localhost:8080");
    assert_eq!((&p["sku"], &p["reserved"], &p["resourceGroup"]), (&json!("PremiumV3"), &json!(true), &json!("rg1")));
    assert_eq!((&p["state"], &p["managedEnvironmentId"]), (&json!("Running"), &Value::Null));
    assert_eq!(p["siteConfig"]["linuxFxVersion"], "sitecontainers");
    assert_eq!(p["lastModifiedTimeUtc"], "2026-01-02T03:04:05.678Z");
    assert!(p["serverFarmId"].as_str().expect("text").parse::<ResourceId>().is_ok());
    let slot = render(&world.at("sites/shop/slots/blue"), &known);
    assert_eq!((&slot["name"], &slot["type"]), (&json!("Shop/Blue"), &json!("Microsoft.Web/sites/slots")));
    assert_eq!(slot["properties"]["hostNameSslStates"][1]["name"], "127.0.0.1:8443/_scm/Shop__Blue");
    assert_eq!(slot["properties"]["defaultHostName"], "shop--blue.localhost:8080");
}

#[test]
fn what_a_get_shows_can_be_put_back_unchanged() {
    let mut world = World::with_site();
    world.container("main", json!({ "image": "nginx", "isMain": true, "targetPort": 80 })).expect("a container");
    for path in ["", "serverfarms/plan1", "sites/shop", "sites/shop/sitecontainers/main"] {
        let before = world.at(path);
        let shown = render(&before, &Facts::default());
        let after = world.put(path, shown).unwrap_or_else(|wrong| panic!("{path}: {wrong}"));
        assert_eq!(render(&after, &Facts::default()), render(&before, &Facts::default()), "{path}");
    }
}

#[test]
fn secrets_are_shown_only_where_they_are_asked_for() {
    let mut world = World::with_site();
    let path = "sites/shop/config/appsettings";
    world.put(path, json!({ "properties": { "A": "secret" } })).expect("settings");
    assert_eq!(render(&world.at(path), &Facts::default())["properties"], json!({ "A": null }));
    let shown = Facts { secrets: Secrets::Shown, ..Facts::default() };
    assert_eq!(render(&world.at(path), &shown)["properties"], json!({ "A": "secret" }));
    let empty = initial(&id("sites/shop/config/connectionstrings")).expect("a document that always is");
    assert_eq!(render(&empty, &shown)["properties"], json!({}));
}

#[test]
fn documents_that_nobody_wrote_are_whole() {
    let web = render(&initial(&id("sites/shop/config/web")).expect("a document"), &Facts::default());
    assert_eq!((&web["name"], &web["type"]), (&json!("web"), &json!("Microsoft.Web/sites/config")));
    assert_eq!(web["properties"]["experiments"], json!({ "rampUpRules": [] }));
    for field in ["acrUserManagedIdentityID", "use32BitWorkerProcess", "javaContainer", "linuxFxVersion", "minTlsVersion"] {
        assert!(web["properties"].get(field).is_some(), "{field}");
    }
    let sticky = render(&initial(&id("sites/shop/config/slotConfigNames")).expect("a document"), &Facts::default());
    assert_eq!(sticky["properties"]["azureStorageConfigNames"], Value::Null);
    let plan = World::with_site().at("serverfarms/plan1");
    let plan = render(&plan, &Facts::default());
    assert_eq!((&plan["properties"]["reserved"], &plan["kind"]), (&json!(true), &json!("linux")));
}

#[test]
fn an_error_has_both_shapes() {
    let error = ArmError::bad_request("properties.targetPort", "No.").because(vec![ArmError::conflict("Why")]);
    assert_eq!(
        error.to_body(),
        json!({
            "error": { "code": "BadRequest", "message": "No.", "target": "properties.targetPort",
                "details": [{ "code": "Conflict", "message": "Why", "target": null, "details": [] }] },
            "Code": "BadRequest", "Message": "No.", "Target": "properties.targetPort",
            "Details": [{ "Code": "Conflict", "Message": "Why", "Target": null }], "Innererror": null,
        })
    );
    let missing = ArmError::not_found(&id("sites/Shop/slots/Blue"));
    assert_eq!((missing.status, missing.code.as_ref()), (404, "ResourceNotFound"));
    assert!(missing.message.contains("'Microsoft.Web/sites/slots/Shop/Blue' under resource group 'rg1'"), "{}", missing.message);
    assert_eq!(ArmError::not_found(&id("")).code, "ResourceGroupNotFound");
}
