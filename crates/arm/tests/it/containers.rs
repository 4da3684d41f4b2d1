//! Site containers.

use serde_json::{Value, json};

use crate::world::{World, id, refusal};

#[test]
fn a_container_is_kept_as_azure_shows_it() {
    let mut world = World::with_site();
    let body = json!({ "image": "nginx:1", "isMain": true, "targetPort": 80, "startUpCommand": "", "authType": null,
        "environmentVariables": [{ "name": "GREETING", "value": "HELLO" }],
        "volumeMounts": [{ "volumeSubPath": "/share", "containerMountPath": "/mnt/share/" }], "odd": 1 });
    let container = world.container("Main", body).expect("a container");
    let p = &container.properties;
    assert_eq!(
        (p["targetPort"].as_str(), p["authType"].as_str(), p["isMain"].as_bool()),
        (Some("80"), Some("Anonymous"), Some(true))
    );
    assert_eq!(p["inheritAppSettingsAndConnectionStrings"], true);
    assert_eq!(p["volumeMounts"][0]["containerMountPath"], "/mnt/share");
    assert_eq!(p["odd"], 1);
    assert!(!p.contains_key("startUpCommand"));
    // A PUT replaces: what is not named is gone.
    let again = world.container("main", json!({ "image": "nginx:2", "isMain": "true" })).expect("a container");
    assert_eq!(again.id.name(), "Main");
    assert!(!again.properties.contains_key("targetPort"));
    assert_eq!(again.properties["environmentVariables"], json!([]));
}

#[test]
fn a_put_without_the_password_keeps_it_and_another_kind_of_login_drops_it() {
    let mut world = World::with_site();
    let login =
        json!({ "image": "r/x", "isMain": true, "authType": "usercredentials", "userName": "ada", "passwordSecret": "s3cret" });
    world.container("main", login).expect("a container");
    let mut shown = pillion_arm::render(&world.at("sites/shop/sitecontainers/main"), &pillion_arm::Facts::default());
    assert_eq!(shown["properties"]["passwordSecret"], Value::Null);
    shown["properties"]["image"] = json!("r/y");
    let kept = world.put("sites/shop/sitecontainers/main", shown).expect("a container");
    assert_eq!(kept.properties["passwordSecret"], "s3cret");
    let dropped =
        world.container("main", json!({ "image": "r/x", "isMain": true, "authType": "Anonymous" })).expect("a container");
    assert!(!dropped.properties.contains_key("passwordSecret"));
}

#[test]
fn one_main_nine_sidecars_and_every_port_once() {
    let mut world = World::with_site();
    world.container("main", json!({ "image": "a", "isMain": true, "targetPort": "8080" })).expect("main");
    let second = refusal(world.container("other", json!({ "image": "a", "isMain": true })));
    assert_eq!(second, (400, "BadRequest".into(), "properties.isMain".into()));
    let port = refusal(world.container("other", json!({ "image": "a", "targetPort": 8080 })));
    assert_eq!(port.2, "properties.targetPort");
    world.container("main", json!({ "image": "b", "isMain": true, "targetPort": 8080 })).expect("its own port is no clash");
    for index in 0..9 {
        world.container(&format!("s{index}"), json!({ "image": "a", "isMain": false })).expect("a sidecar");
    }
    assert_eq!(refusal(world.container("s9", json!({ "image": "a" }))).2, "properties.isMain");
    world.container("s8", json!({ "image": "b" })).expect("one that is there can be changed");
    // A slot's containers are its own.
    world.put("sites/shop/slots/blue", json!({})).expect("a slot");
    let main = json!({ "properties": { "image": "a", "isMain": true, "targetPort": 8080 } });
    world.put("sites/shop/slots/blue/sitecontainers/main", main).expect("a slot has its own main");
}

#[test]
fn what_a_container_cannot_be_is_refused_with_its_field() {
    let mut world = World::with_site();
    for (field, value, target) in [
        ("image", json!(""), "properties.image"),
        ("image", json!("a b"), "properties.image"),
        ("targetPort", json!(0), "properties.targetPort"),
        ("targetPort", json!(65536), "properties.targetPort"),
        ("targetPort", json!("http"), "properties.targetPort"),
        ("targetPort", json!(80.5), "properties.targetPort"),
        ("isMain", json!("perhaps"), "properties.isMain"),
        ("startUpCommand", json!(["a"]), "properties.startUpCommand"),
        ("authType", json!("Magic"), "properties.authType"),
        ("authType", json!("UserCredentials"), "properties.userName"),
        ("authType", json!("SystemIdentity"), "properties.authType"),
        ("authType", json!("UserAssigned"), "properties.userManagedIdentityClientId"),
        ("environmentVariables", json!({}), "properties.environmentVariables"),
        ("environmentVariables", json!([{ "value": "x" }]), "properties.environmentVariables[0].name"),
        ("environmentVariables", json!([{ "name": "A=B" }]), "properties.environmentVariables[0].name"),
        ("environmentVariables", json!([{ "name": "A" }, { "name": "A" }]), "properties.environmentVariables[1].name"),
        ("volumeMounts", json!([{ "containerMountPath": "/a" }]), "properties.volumeMounts[0].volumeSubPath"),
        (
            "volumeMounts",
            json!([{ "volumeSubPath": "/../x", "containerMountPath": "/a" }]),
            "properties.volumeMounts[0].volumeSubPath",
        ),
        (
            "volumeMounts",
            json!([{ "volumeSubPath": "/x", "containerMountPath": "a" }]),
            "properties.volumeMounts[0].containerMountPath",
        ),
        (
            "volumeMounts",
            json!([{ "volumeSubPath": "/x", "containerMountPath": "/" }]),
            "properties.volumeMounts[0].containerMountPath",
        ),
        (
            "volumeMounts",
            json!([{ "volumeSubPath": "/x", "containerMountPath": "/dev/shm" }]),
            "properties.volumeMounts[0].containerMountPath",
        ),
    ] {
        let mut body = json!({ "image": "nginx" });
        body[field] = value.clone();
        let refused = refusal(world.container("c", body));
        assert_eq!(refused, (400, "BadRequest".into(), target.into()), "{field} {value}");
    }
    for name in ["-a", "a-", "a_b", "a.b", &"x".repeat(64)] {
        assert_eq!(refusal(world.container(name, json!({ "image": "nginx" }))).2, "name", "{name}");
    }
    assert_eq!(refusal(world.put("sites/shop/sitecontainers/c", json!({}))).2, "properties");
}

#[test]
fn a_pull_identity_must_be_the_sites() {
    let mut world = World::with_site();
    let who = "Microsoft.ManagedIdentity/userAssignedIdentities/puller";
    let user = world.put(who, json!({ "location": "local" })).expect("an identity");
    let client = user.properties["clientId"].clone();
    let asks = |client: &Value| json!({ "image": "a", "isMain": true, "authType": "UserAssigned", "userManagedIdentityClientId": client });
    assert_eq!(refusal(world.container("main", asks(&client))).2, "properties.userManagedIdentityClientId");
    let identity = json!({ "type": "SystemAssigned,UserAssigned", "userAssignedIdentities": { id(who).to_string(): {} } });
    world.put("sites/shop", json!({ "location": "local", "identity": identity })).expect("a site");
    world.container("main", asks(&client)).expect("it is the site's now");
    world.container("main", asks(&json!(id(who).to_string()))).expect("scripts give the resource id");
    world.container("main", json!({ "image": "a", "isMain": true, "authType": "SystemIdentity" })).expect("the system's");
}
