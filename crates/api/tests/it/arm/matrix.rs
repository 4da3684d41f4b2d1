//! Who may ask what: every route × no token, expired token, wrong audience, a Reader, a Contributor of another group.

use pillion_identity::{Audience, Role};
use serde_json::{Value, json};

use super::world::{World, container_body, plan_body, site_body};

/// What a Reader of the subscription is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Reading is allowed.
    Sees,
    /// It may look, and nothing is there.
    Misses,
    /// It changes something, or shows secrets.
    Refused,
}

fn routes(world: &World) -> Vec<(&'static str, String, Value, Reader)> {
    let (group, plan, site) = (world.group("rg1"), world.web("serverfarms/plan1"), world.web("sites/shop"));
    let slot = format!("{site}/slots/staging");
    let subscription = format!("/subscriptions/{}", world.subscription);
    let group_only = "resourceGroupName%20eq%20'rg1'";
    let place = json!({ "location": "local" });
    let none = Value::Null;
    let empty = json!({ "properties": {} });
    let mut all = vec![
        ("GET", group.clone(), none.clone(), Reader::Sees),
        ("PUT", group.clone(), place.clone(), Reader::Refused),
        ("PATCH", group.clone(), json!({ "tags": {} }), Reader::Refused),
        ("DELETE", group.clone(), none.clone(), Reader::Refused),
        ("GET", format!("{group}/resources"), none.clone(), Reader::Sees),
        ("GET", plan.clone(), none.clone(), Reader::Sees),
        ("PUT", plan.clone(), plan_body(), Reader::Refused),
        ("DELETE", plan.clone(), none.clone(), Reader::Refused),
        ("GET", format!("{plan}/sites"), none.clone(), Reader::Sees),
        ("GET", format!("{group}/providers/Microsoft.Web/sites"), none.clone(), Reader::Sees),
        ("GET", format!("{plan}/providers/Microsoft.Insights/metrics"), none.clone(), Reader::Sees),
        ("GET", format!("{plan}/providers/Microsoft.Insights/metricDefinitions"), none.clone(), Reader::Sees),
        ("GET", format!("{group}/providers/Microsoft.Web/serverfarms"), none.clone(), Reader::Sees),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments/d"), none.clone(), Reader::Misses),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments/d/operations"), none.clone(), Reader::Misses),
        (
            "GET",
            format!("{subscription}/providers/Microsoft.Insights/eventtypes/management/values?$filter={group_only}"),
            none.clone(),
            Reader::Sees,
        ),
        (
            "PUT",
            format!("{group}/providers/Microsoft.Resources/deployments/d"),
            json!({ "properties": { "mode": "Incremental", "template": { "resources": [] } } }),
            Reader::Refused,
        ),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments"), none.clone(), Reader::Sees),
        ("PATCH", plan.clone(), empty.clone(), Reader::Refused),
    ];
    for kind in ["Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.Insights/autoscalesettings"] {
        let list = format!("{group}/providers/{kind}");
        all.push(("GET", list.clone(), none.clone(), Reader::Sees));
        all.push(("GET", format!("{list}/one"), none.clone(), Reader::Misses));
        all.push(("PUT", format!("{list}/one"), place.clone(), Reader::Refused));
        all.push(("DELETE", format!("{list}/one"), none.clone(), Reader::Refused));
    }
    let template = json!({ "properties": { "mode": "Incremental", "template": { "resources": [] } } });
    for (method, tail) in [("PUT", ""), ("POST", "/validate"), ("POST", "/whatIf"), ("DELETE", "")] {
        let path = format!("{subscription}/providers/Microsoft.Resources/deployments/d{tail}");
        let mut body = template.clone();
        body["location"] = "local".into();
        all.push((method, path, body, Reader::Refused));
    }
    for (method, tail, body) in [
        ("POST", "/validate", template.clone()),
        ("POST", "/whatIf", template),
        ("POST", "/cancel", none.clone()),
        ("POST", "/exportTemplate", none.clone()),
        ("DELETE", "", none.clone()),
    ] {
        all.push((method, format!("{group}/providers/Microsoft.Resources/deployments/d{tail}"), body, Reader::Refused));
    }
    for verb in ["slotsswap", "applySlotConfig", "resetSlotConfig"] {
        all.push(("POST", format!("{slot}/{verb}"), json!({ "targetSlot": "production" }), Reader::Refused));
    }
    for at in [&site, &slot] {
        for (method, tail, body, reader) in [
            ("GET", "", none.clone(), Reader::Sees),
            ("PUT", "", site_body(&plan), Reader::Refused),
            ("PATCH", "", empty.clone(), Reader::Refused),
            ("DELETE", "", none.clone(), Reader::Refused),
            ("POST", "/start", none.clone(), Reader::Refused),
            ("POST", "/stop", none.clone(), Reader::Refused),
            ("POST", "/restart", none.clone(), Reader::Refused),
            ("POST", "/publishxml", none.clone(), Reader::Refused),
            ("POST", "/config/publishingcredentials/list", none.clone(), Reader::Refused),
            ("POST", "/config/appsettings/list", none.clone(), Reader::Refused),
            ("POST", "/config/connectionstrings/list", none.clone(), Reader::Refused),
            ("POST", "/config/azurestorageaccounts/list", none.clone(), Reader::Refused),
            ("PUT", "/config/appsettings", empty.clone(), Reader::Refused),
            ("PUT", "/config/connectionstrings", empty.clone(), Reader::Refused),
            ("PATCH", "/config/web", empty.clone(), Reader::Refused),
            ("PUT", "/config/web", empty.clone(), Reader::Refused),
            ("PUT", "/config/slotConfigNames", empty.clone(), Reader::Refused),
            ("PUT", "/config/azurestorageaccounts", empty.clone(), Reader::Refused),
            ("PUT", "/config/metadata", empty.clone(), Reader::Refused),
            ("POST", "/config/metadata/list", none.clone(), Reader::Refused),
            ("GET", "/config/web", none.clone(), Reader::Sees),
            ("GET", "/config/slotConfigNames", none.clone(), Reader::Sees),
            ("GET", "/config/logs", none.clone(), Reader::Sees),
            ("PUT", "/config/logs", empty.clone(), Reader::Refused),
            ("GET", "/sitecontainers", none.clone(), Reader::Sees),
            ("PUT", "/sitecontainers/main", container_body(), Reader::Refused),
            ("DELETE", "/sitecontainers/main", none.clone(), Reader::Refused),
            ("GET", "/basicPublishingCredentialsPolicies/scm", none.clone(), Reader::Sees),
            ("PUT", "/basicPublishingCredentialsPolicies/scm", json!({ "properties": { "allow": false } }), Reader::Refused),
            ("GET", "/sitecontainers/main", none.clone(), if at == &site { Reader::Sees } else { Reader::Misses }),
            ("GET", "/config", none.clone(), Reader::Sees),
            ("GET", "/basicPublishingCredentialsPolicies", none.clone(), Reader::Sees),
            ("GET", "/hostNameBindings", none.clone(), Reader::Sees),
            ("GET", "/deployments", none.clone(), Reader::Sees),
            ("GET", "/sourcecontrols/web", none.clone(), Reader::Sees),
            ("GET", "/instances/none", none.clone(), Reader::Misses),
            ("GET", "/instances/none/deployments", none.clone(), Reader::Sees),
            ("GET", "/siteStatus/none-such", none.clone(), Reader::Misses),
            ("GET", "/instances", none.clone(), Reader::Sees),
            ("GET", "/siteStatus", none.clone(), Reader::Sees),
            ("GET", "/deploymentStatus/1", none.clone(), Reader::Sees),
            ("GET", "/providers/Microsoft.Insights/metrics", none.clone(), Reader::Sees),
            ("GET", "/providers/Microsoft.Insights/metricDefinitions", none.clone(), Reader::Sees),
            ("PUT", "/extensions/onedeploy", empty.clone(), Reader::Refused),
            ("POST", "/containerlogs", none.clone(), Reader::Refused),
            ("POST", "/containerlogs/zip/download", none.clone(), Reader::Refused),
            ("GET", "/publicCertificates", none.clone(), Reader::Sees),
        ] {
            all.push((method, format!("{at}{tail}"), body, reader));
        }
    }
    all
}

fn open(world: &World) -> Vec<String> {
    let subscription = format!("/subscriptions/{}", world.subscription);
    [
        "/locations",
        "/resourcegroups",
        "/resources",
        "/providers",
        "/providers/Microsoft.Web/sites",
        "/providers/Microsoft.Web/geoRegions",
    ]
    .iter()
    .map(|tail| format!("{subscription}{tail}"))
    .chain(["/subscriptions".into(), "/tenants".into(), "/providers/Microsoft.Web/webAppStacks".into()])
    .collect()
}

fn bytes(body: &Value) -> Vec<u8> {
    if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_is_good_here() {
    let world = World::new().await;
    world.furnish().await;
    let before = world.snapshot().await;
    let expired = world.expired().await;
    let other = world.token_for(Role::Owner, "/", Audience::Scm).await;
    let mut forged = world.owner.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let tokens = [None, Some(expired.as_str()), Some(other.as_str()), Some(forged.as_str()), Some("nonsense"), Some("")];
    let all = routes(&world).into_iter().map(|(method, path, body, _)| (method, path, body));
    let lists = open(&world).into_iter().map(|path| ("GET", path, Value::Null));
    for (method, path, body) in all.chain(lists) {
        for token in tokens {
            let answer = world.send(method, &path, token, bytes(&body)).await;
            assert_eq!(answer.status, 401, "{method} {path} with {token:?}: {}", answer.text);
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer authorization_uri="), "{path}: {challenge}");
            assert!(answer.json()["error"]["code"].is_string());
        }
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_reader_sees_and_changes_nothing_and_sees_no_secret() {
    let world = World::new().await;
    world.furnish().await;
    let before = world.snapshot().await;
    let reader = world.token(Role::Reader, &format!("/subscriptions/{}", world.subscription)).await;
    for (method, path, body, expected) in routes(&world) {
        let answer = world.send(method, &path, Some(&reader), bytes(&body)).await;
        match expected {
            Reader::Sees => assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text),
            Reader::Misses => assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text),
            Reader::Refused => {
                assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
                assert_eq!(answer.json()["error"]["code"], "AuthorizationFailed", "{path}");
            }
        }
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_contributor_of_another_group_sees_nothing_of_this_one() {
    let world = World::new().await;
    world.furnish().await;
    let before = world.snapshot().await;
    let stranger = world.token(Role::Contributor, &world.group("rg2")).await;
    for (method, path, body, _) in routes(&world) {
        let answer = world.send(method, &path, Some(&stranger), bytes(&body)).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
    }
    for path in open(&world) {
        let answer = world.send("GET", &path, Some(&stranger), "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(!answer.text.contains("rg1"), "{path}: {}", answer.text);
    }
    assert_eq!(world.snapshot().await, before);
    let own = world.send("PATCH", &world.group("rg2"), Some(&stranger), "{\"tags\":{\"a\":\"b\"}}").await;
    assert_eq!(own.status, 200, "{}", own.text);
}

/// The sites' own pages: they show secrets and open shells, so whoever may not write sees none of them.
const PAGES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/api/sitecontainers"),
    ("GET", "/api/sitecontainers/main"),
    ("GET", "/api/sitecontainers/main/logs"),
    ("GET", "/logstream"),
    ("GET", "/api/logstream"),
    ("GET", "/api/logs/docker"),
    ("GET", "/api/logs/docker/zip"),
    ("GET", "/dump"),
    ("GET", "/api/startuplogs"),
    ("GET", "/api/startuplogs/summary"),
    ("GET", "/api/startuplogs/one"),
    ("GET", "/api/troubleshoot/config"),
    ("GET", "/api/settings"),
    ("POST", "/api/settings"),
    ("GET", "/api/settings/A"),
    ("DELETE", "/api/settings/A"),
    ("GET", "/api/vfs/LogFiles/"),
    ("GET", "/api/vfs/"),
    ("PUT", "/api/vfs/site/a.txt"),
    ("DELETE", "/api/vfs/site/a.txt"),
    ("GET", "/exec/shell"),
    ("POST", "/exec/execute"),
    ("GET", "/AppServiceTunnel/Tunnel.ashx?GetStatus"),
    ("GET", "/AppServiceTunnel/Tunnel.ashx"),
    ("GET", "/api/deployments"),
    ("POST", "/api/zipdeploy"),
    ("POST", "/api/publish"),
    ("GET", "/nothing"),
];

#[tokio::test]
async fn a_sites_own_pages_are_for_whoever_may_write_to_it() {
    let world = World::new().await;
    world.furnish().await;
    let before = world.snapshot().await;
    let refused = [
        (None, 401),
        (Some(world.expired_for(Audience::Scm).await), 401),
        (Some(world.owner.clone()), 401),
        (Some("nonsense".to_owned()), 401),
        (Some(world.token_for(Role::Reader, &world.web("sites/shop"), Audience::Scm).await), 403),
        (Some(world.token_for(Role::Contributor, &world.group("rg2"), Audience::Scm).await), 403),
    ];
    for site in ["shop", "shop__staging", "nobody"] {
        for (method, page) in PAGES {
            for (token, status) in &refused {
                let answer = world.send(method, &format!("/_scm/{site}{page}"), token.as_deref(), "").await;
                // Whether there is a site is told only to who proves to be somebody.
                let expected = if site == "nobody" && *status == 403 { 404 } else { *status };
                assert_eq!(answer.status, expected, "{method} {site}{page} with {token:?}: {}", answer.text);
            }
        }
    }
    assert_eq!(world.snapshot().await, before);
    let writer = world.token_for(Role::Contributor, &world.web("sites/shop"), Audience::Scm).await;
    let own = world.send("GET", "/_scm/shop/api/sitecontainers", Some(&writer), "").await;
    assert_eq!(own.status, 200, "{}", own.text);
}
