//! Groups, plans, sites, slots and identities.

use pillion_arm::{How, ResourceId, deletable};
use serde_json::json;

use crate::world::{SUB, World, id, refusal};

#[test]
fn nothing_is_made_in_a_group_that_is_not_there() {
    let mut world = World::empty();
    let refused = refusal(world.put("serverfarms/p", json!({ "location": "local" })));
    assert_eq!(refused, (404, "ResourceGroupNotFound".into(), String::new()));
}

#[test]
fn a_group_needs_a_place_and_keeps_it() {
    let mut world = World::empty();
    assert_eq!(refusal(world.put("", json!({}))), (400, "LocationRequired".into(), "location".into()));
    world.put("", json!({ "location": "West Europe", "tags": { "a": "1" } })).expect("a group");
    let again = world.put("", json!({ "location": "westeurope", "tags": null })).expect("the same place");
    assert_eq!((again.location.as_deref(), again.tags), (Some("West Europe"), None));
    let refused = refusal(world.put("", json!({ "location": "north" })));
    assert_eq!(refused, (409, "InvalidResourceGroupLocation".into(), "location".into()));
    let bad = ResourceId::group(SUB, "ends.");
    assert_eq!(refusal(world.write(&bad, json!({ "location": "x" }), How::Put)).1, "InvalidResourceGroup");
}

#[test]
fn a_plans_size_is_written_in_azures_spelling() {
    let mut world = World::with_site();
    for (given, wanted) in [
        (json!({ "name": "P1V3", "tier": "PREMIUMV3", "capacity": 2 }), ("P1v3", "PremiumV3", 2)),
        (json!({ "name": "p0v3" }), ("P0v3", "PremiumV3", 1)),
        (json!({ "name": "B1", "capacity": "3" }), ("B1", "Basic", 3)),
        (json!({ "name": "P1", "tier": "PremiumV2" }), ("P1v2", "PremiumV2", 1)),
        (json!({ "size": "S2", "capacity": 0 }), ("S2", "Standard", 1)),
    ] {
        let mut world = world.clone();
        let plan = world.put("serverfarms/new", json!({ "location": "local", "sku": given })).expect("a plan");
        let sku = plan.sku.expect("a size");
        assert_eq!((sku["name"].as_str(), sku["tier"].as_str(), sku["capacity"].as_i64()), {
            let (name, tier, capacity) = wanted;
            (Some(name), Some(tier), Some(capacity))
        });
    }
    let kept = world.put("serverfarms/plan1", json!({ "sku": { "capacity": 5 } })).expect("a plan");
    assert_eq!(kept.sku.expect("a size")["name"], "P1v3");
    for (sku, target) in [
        (json!({ "name": "Z9" }), "sku.name"),
        (json!({ "name": "B1", "capacity": 4 }), "sku.capacity"),
        (json!({ "name": "P1v3", "capacity": 13 }), "sku.capacity"),
        (json!({ "name": "P1v3", "capacity": "many" }), "sku.capacity"),
    ] {
        let refused = refusal(world.put("serverfarms/bad", json!({ "location": "local", "sku": sku })));
        assert_eq!(refused, (400, "BadRequest".into(), target.into()));
    }
    let windows = refusal(world.put("serverfarms/win", json!({ "location": "local", "properties": { "reserved": false } })));
    assert_eq!(windows.2, "properties.reserved");
}

#[test]
fn a_plan_with_sites_cannot_be_deleted() {
    let world = World::with_site();
    let refused = deletable(&id("serverfarms/PLAN1"), &world).expect_err("it has a site");
    assert_eq!((refused.status, refused.code.as_ref()), (409, "Conflict"));
    assert!(refused.message.contains("Shop"), "{}", refused.message);
}

#[test]
fn a_sites_put_never_resets_what_it_does_not_name() {
    let mut world = World::with_site();
    world.put("sites/shop/config/appsettings", json!({ "properties": { "A": "1" } })).expect("settings");
    world
        .put("sites/shop", json!({ "location": "Local", "tags": { "t": "1" }, "properties": { "clientAffinityEnabled": false } }))
        .expect("a site");
    let body = json!({ "id": "/x", "name": "Shop", "location": "local", "kind": "app,linux", "tags": null, "identity": null,
        "properties": { "httpsOnly": "true", "state": "Stopped", "sku": "Free", "enabledHostNames": ["evil"], "invented": { "a": 1 },
            "siteConfig": { "appSettings": null, "linuxFxVersion": null, "numberOfWorkers": 1 } } });
    let site = world.put("sites/shop", body).expect("a site");
    assert_eq!(site.id.name(), "Shop");
    assert_eq!(site.properties["clientAffinityEnabled"], false);
    assert_eq!(site.properties["httpsOnly"], true);
    assert_eq!(site.properties["invented"], json!({ "a": 1 }));
    assert_eq!(site.tags.expect("tags are kept")["t"], "1");
    for gone in ["state", "sku", "enabledHostNames", "siteConfig"] {
        assert!(!site.properties.contains_key(gone), "{gone}");
    }
    assert_eq!(world.at("sites/shop/config/appsettings").properties["A"], "1");
    assert_eq!(world.at("sites/shop/config/web").properties["linuxFxVersion"], "sitecontainers");
}

#[test]
fn a_sites_config_goes_to_its_documents() {
    let mut world = World::with_site();
    let config = json!({
        "AlwaysOn": true,
        "appSettings": [{ "name": "A", "value": true }, { "name": "B", "value": 7 }, { "name": "C", "value": "x" }],
        "connectionStrings": [{ "name": "db", "connectionString": "Server=x", "type": "sqlazure" }],
        "azureStorageAccounts": { "data": { "accountName": "a", "shareName": "s", "mountPath": "/data", "accessKey": "k" } },
        "metadata": [{ "name": "CURRENT_STACK", "value": "python" }],
    });
    world.put("sites/shop", json!({ "location": "local", "properties": { "siteConfig": config } })).expect("a site");
    assert_eq!(json!(world.at("sites/shop/config/appsettings").properties), json!({ "A": "true", "B": "7", "C": "x" }));
    let strings = &world.at("sites/shop/config/connectionstrings").properties;
    assert_eq!(strings["db"], json!({ "value": "Server=x", "type": "SQLAzure" }));
    assert_eq!(world.at("sites/shop/config/azurestorageaccounts").properties["data"]["type"], "AzureFiles");
    assert_eq!(world.at("sites/shop/config/metadata").properties["CURRENT_STACK"], "python");
    let web = world.at("sites/shop/config/web");
    assert_eq!(web.properties["alwaysOn"], true);
    assert!(!web.properties.contains_key("appSettings"));
    // An empty list says nothing.
    let nothing = json!({ "location": "local", "properties": { "siteConfig": { "appSettings": [] } } });
    world.put("sites/shop", nothing).expect("a site");
    assert_eq!(world.at("sites/shop/config/appsettings").properties.len(), 3);
}

#[test]
fn what_a_site_cannot_be_is_refused_with_its_field() {
    let world = World::with_site();
    let plan = id("serverfarms/plan1").to_string();
    let site = |properties| json!({ "location": "local", "properties": properties });
    for (path, body, wanted) in [
        ("sites/-x", site(json!({ "serverFarmId": plan })), (400, "BadRequest", "name")),
        ("sites/a--b", site(json!({ "serverFarmId": plan })), (400, "BadRequest", "name")),
        ("sites/x", site(json!({ "serverFarmId": plan })), (400, "BadRequest", "name")),
        ("sites/new", site(json!({})), (400, "BadRequest", "properties.serverFarmId")),
        ("sites/new", site(json!({ "serverFarmId": "none" })), (404, "NotFound", "properties.serverFarmId")),
        ("sites/new", site(json!({ "serverFarmId": 7 })), (400, "BadRequest", "properties.serverFarmId")),
        (
            "sites/new",
            site(json!({ "serverFarmId": id("sites/shop").to_string() })),
            (400, "BadRequest", "properties.serverFarmId"),
        ),
        ("sites/new", site(json!({ "serverFarmId": plan, "hyperV": true })), (400, "BadRequest", "properties.hyperV")),
        ("sites/new", site(json!({ "serverFarmId": plan, "httpsOnly": "maybe" })), (400, "BadRequest", "properties.httpsOnly")),
        ("sites/new", site(json!({ "serverFarmId": plan, "siteConfig": [] })), (400, "BadRequest", "properties.siteConfig")),
        (
            "sites/new",
            site(json!({ "serverFarmId": plan, "siteConfig": { "linuxFxVersion": "DOCKER|" } })),
            (400, "BadRequest", "properties.siteConfig.linuxFxVersion"),
        ),
        ("sites/shop", json!({ "location": "elsewhere" }), (409, "InvalidResourceLocation", "location")),
        ("sites/shop/slots/production", site(json!({})), (400, "BadRequest", "name")),
        ("sites/none/slots/blue", site(json!({})), (404, "ParentResourceNotFound", "")),
        ("sites/new", json!({ "properties": { "serverFarmId": plan } }), (400, "LocationRequired", "location")),
        (
            "sites/new",
            json!({ "location": "local", "kind": "functionapp", "properties": { "serverFarmId": plan } }),
            (400, "BadRequest", "kind"),
        ),
        ("sites/new", json!([]), (400, "InvalidRequestContent", "")),
        ("sites/new", json!({ "location": {} }), (400, "InvalidRequestContent", "location")),
    ] {
        let mut world = world.clone();
        let (status, code, target) = refusal(world.put(path, body.clone()));
        assert_eq!((status, code.as_str(), target.as_str()), wanted, "{path} {body}");
    }
    let mut world = world;
    world.write(&ResourceId::group(SUB, "rg2"), json!({ "location": "local" }), How::Put).expect("a group");
    let elsewhere = ResourceId::site(SUB, "rg2", "SHOP");
    let taken = refusal(world.write(&elsewhere, site(json!({ "serverFarmId": plan })), How::Put));
    assert_eq!((taken.0, taken.1.as_str()), (409, "Conflict"));
    let missing = refusal(world.patch("sites/nobody", json!({ "properties": {} })));
    assert_eq!((missing.0, missing.1.as_str()), (404, "ResourceNotFound"));
}

#[test]
fn a_slot_takes_place_and_plan_from_its_site() {
    let mut world = World::with_site();
    let slot = world.put("sites/shop/slots/Staging", json!({ "properties": { "siteConfig": {} } })).expect("a slot");
    assert_eq!(slot.location.as_deref(), Some("local"));
    assert_eq!(slot.properties["serverFarmId"], id("serverfarms/plan1").to_string());
    assert_eq!(slot.kind.as_deref(), Some("app,linux"));
}

#[test]
fn identities_are_given_taken_and_named_by_their_ids() {
    let mut world = World::with_site();
    let who = "Microsoft.ManagedIdentity/userAssignedIdentities/Puller";
    let user = world.put(who, json!({ "location": "local" })).expect("an identity");
    let again = world.put(who, json!({ "location": "local", "properties": { "clientId": "mine" } })).expect("an identity");
    assert_eq!(user.properties, again.properties);
    let both = json!({ "type": "SystemAssigned, UserAssigned", "userAssignedIdentities": { id(who).key(): {} } });
    let site = world.put("sites/shop", json!({ "location": "local", "identity": both })).expect("a site");
    let identity = site.identity.expect("an identity");
    assert_eq!(identity["tenantId"], crate::world::TENANT);
    assert_eq!(identity["principalId"].as_str().map(str::len), Some(36));
    assert_eq!(identity["userAssignedIdentities"][id(who).to_string()]["clientId"], user.properties["clientId"]);
    let kept = world.put("sites/shop", json!({ "location": "local", "identity": null })).expect("a site");
    assert_eq!(kept.identity, Some(identity));
    let none = world.put("sites/shop", json!({ "location": "local", "identity": { "type": "None" } })).expect("a site");
    assert_eq!(none.identity, None);
    for bad in [
        json!({ "type": "UserAssigned", "userAssignedIdentities": { "puller": {} } }),
        json!({ "type": "UserAssigned", "userAssignedIdentities": { id("Microsoft.ManagedIdentity/userAssignedIdentities/no").to_string(): {} } }),
        json!({ "type": "UserAssigned" }),
        json!({ "type": "Sometimes" }),
        json!({ "type": "None, SystemAssigned" }),
    ] {
        assert_eq!(refusal(world.put("sites/shop", json!({ "location": "local", "identity": bad.clone() }))).0, 400, "{bad}");
    }
}
