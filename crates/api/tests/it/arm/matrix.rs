//! Who may ask what: every route × no token, expired token, wrong audience, a Reader, a Contributor of another group.

use pillion_identity::{Audience, Role};
use serde_json::{Value, json};

use super::world::{World, container_body, plan_body, site_body};

/// What a Reader of the subscription is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Reading is allowed.
    Sees,
    /// It changes something, or shows secrets.
    Refused,
}

fn routes(world: &World) -> Vec<(&'static str, String, Value, Reader)> {
    let (group, plan, site) = (world.group("rg1"), world.web("serverfarms/plan1"), world.web("sites/shop"));
    let slot = format!("{site}/slots/staging");
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
        ("PUT", format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"), place, Reader::Refused),
        ("PUT", format!("{group}/providers/Microsoft.Insights/autoscalesettings/a"), empty.clone(), Reader::Refused),
        (
            "PUT",
            format!("{group}/providers/Microsoft.Resources/deployments/d"),
            json!({ "properties": { "mode": "Incremental", "template": { "resources": [] } } }),
            Reader::Refused,
        ),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments"), none.clone(), Reader::Sees),
        ("PATCH", plan.clone(), empty.clone(), Reader::Refused),
    ];
    let template = json!({ "properties": { "mode": "Incremental", "template": { "resources": [] } } });
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
            ("GET", "/instances", none.clone(), Reader::Sees),
            ("GET", "/siteStatus", none.clone(), Reader::Sees),
            ("GET", "/deploymentStatus/1", none.clone(), Reader::Sees),
            ("GET", "/providers/Microsoft.Insights/metrics", none.clone(), Reader::Sees),
            ("GET", "/providers/Microsoft.Insights/metricDefinitions", none.clone(), Reader::Sees),
            ("PUT", "/extensions/onedeploy", empty.clone(), Reader::Refused),
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
