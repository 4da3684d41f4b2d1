//! Recorded bodies with mutated fields: no answer is a failure of the server, and a refused request changes nothing.
//!
//! `PILLION_FUZZ_SECONDS` makes it longer, `PILLION_FUZZ_SEED` repeats one run; a failure names its seed and request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{World, container_body, plan_body, site_body};

/// Seeds that once found something, or stand for a kind of mutation; run each time.
const KEPT: [u64; 8] = [1, 2, 3, 7, 11, 42, 1729, 65_537];

/// Small and repeatable.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full sequence.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn recorded(world: &World) -> Vec<(&'static str, String, Value)> {
    let (group, plan, site) = (world.group("rg1"), world.web("serverfarms/plan1"), world.web("sites/shop"));
    let provider = format!("{group}/providers");
    vec![
        ("PUT", world.group("rg3"), json!({ "location": "local", "tags": { "k": "v" } })),
        ("PUT", plan.clone(), plan_body()),
        ("PUT", site.clone(), site_body(&plan)),
        ("PATCH", site.clone(), json!({ "properties": { "httpsOnly": true, "clientAffinityEnabled": false } })),
        (
            "PUT",
            format!("{site}/sitecontainers/side"),
            json!({ "properties": { "image": "cache:1", "isMain": false, "targetPort": "6379",
            "startUpCommand": "redis-server --save ''", "authType": "UserCredentials", "userName": "u", "passwordSecret": "p",
            "inheritAppSettingsAndConnectionStrings": true,
            "environmentVariables": [{ "name": "G", "value": "GREETING" }],
            "volumeMounts": [{ "volumeSubPath": "/share", "containerMountPath": "/mnt/share", "readOnly": false, "data": null }] } }),
        ),
        ("PUT", format!("{site}/sitecontainers/main"), container_body()),
        ("PUT", format!("{site}/config/appsettings"), json!({ "properties": { "GREETING": "hello", "N": 1, "B": true } })),
        (
            "PUT",
            format!("{site}/config/connectionstrings"),
            json!({ "properties": { "db": { "value": "v", "type": "SQLAzure" } } }),
        ),
        (
            "PUT",
            format!("{site}/config/slotConfigNames"),
            json!({ "properties": { "appSettingNames": ["A"], "connectionStringNames": null } }),
        ),
        (
            "PUT",
            format!("{site}/config/azurestorageaccounts"),
            json!({ "properties": { "data": { "type": "AzureFiles", "accountName": "a", "shareName": "s", "accessKey": "k", "mountPath": "/data" } } }),
        ),
        (
            "PUT",
            format!("{site}/config/logs"),
            json!({ "properties": { "httpLogs": { "fileSystem": { "retentionInMb": 100, "retentionInDays": 3, "enabled": true } } } }),
        ),
        (
            "PATCH",
            format!("{site}/config/web"),
            json!({ "properties": { "linuxFxVersion": "SITECONTAINERS", "healthCheckPath": "/healthz", "cors": { "allowedOrigins": ["https://a.b"] }, "experiments": { "rampUpRules": [{ "actionHostName": "x", "reroutePercentage": 10, "name": "staging" }] } } }),
        ),
        ("PUT", format!("{site}/slots/staging"), site_body(&plan)),
        ("PUT", format!("{site}/basicPublishingCredentialsPolicies/scm"), json!({ "properties": { "allow": true } })),
        ("PUT", format!("{provider}/Microsoft.ManagedIdentity/userAssignedIdentities/id1"), json!({ "location": "local" })),
        (
            "PUT",
            format!("{provider}/Microsoft.Insights/autoscalesettings/a1"),
            json!({ "location": "local", "properties": { "enabled": true, "targetResourceUri": plan,
            "profiles": [{ "name": "d", "capacity": { "default": "1", "maximum": "5", "minimum": "1" }, "rules": [{ "metricTrigger": { "metricName": "CpuPercentage", "operator": "GreaterThan", "threshold": 70.0, "timeGrain": "PT1M" }, "scaleAction": { "direction": "Increase", "type": "ChangeCount", "value": "1", "cooldown": "PT5M" } }] }] } }),
        ),
        (
            "POST",
            format!("/subscriptions/{}/providers/Microsoft.Web/checknameavailability", world.subscription),
            json!({ "name": "shop", "type": "Site" }),
        ),
        (
            "POST",
            format!("{group}/providers/Microsoft.Resources/deployments/d1/validate"),
            json!({ "properties": { "mode": "Incremental", "parameters": { "n": { "value": "x" } }, "template": { "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "parameters": { "n": { "type": "string" } }, "resources": [], "outputs": { "o": { "type": "string", "value": "[concat(parameters('n'), 'y')]" } } } } }),
        ),
        (
            "GET",
            format!(
                "{site}/providers/Microsoft.Insights/metrics?metricnames=Requests&timespan=2026-01-01T00:00:00Z/2026-01-02T00:00:00Z&interval=PT1M"
            ),
            Value::Null,
        ),
    ]
}

fn odd(chance: &mut Chance) -> Value {
    let choices = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(1e308),
        json!(18_446_744_073_709_551_615_u64),
        json!(""),
        json!(" "),
        json!("../../etc/passwd"),
        json!("\u{0}\u{1}\u{7f}"),
        json!("ä😀\u{202e}"),
        json!("[concat('a')]"),
        json!("/subscriptions/x/resourceGroups/y"),
        json!("x".repeat(70_000)),
        json!([]),
        json!([[[[]]]]),
        json!({}),
        json!({ "value": { "value": null } }),
        json!("COMPOSE|!!!"),
        json!("DOCKER|"),
    ];
    choices[chance.below(choices.len())].clone()
}

/// Changes one place of the body.
fn mutate(value: &mut Value, chance: &mut Chance) {
    match value {
        Value::Object(map) if !map.is_empty() && chance.below(5) > 0 => {
            let key = map.keys().nth(chance.below(map.len())).cloned().unwrap_or_default();
            match chance.below(8) {
                0 => drop(map.shift_remove(&key)),
                1 => {
                    let moved = map.shift_remove(&key).unwrap_or_default();
                    map.insert(key.to_uppercase(), moved);
                }
                2 => drop(map.insert("properties".into(), odd(chance))),
                3 => drop(map.insert(odd(chance).to_string(), odd(chance))),
                _ => {
                    if let Some(inner) = map.get_mut(&key) {
                        mutate(inner, chance);
                    }
                }
            }
        }
        Value::Array(list) if !list.is_empty() && chance.below(4) > 0 => {
            let at = chance.below(list.len());
            if chance.below(3) == 0 {
                let twice = list[at].clone();
                list.push(twice);
            } else {
                mutate(&mut list[at], chance);
            }
        }
        other => *other = odd(chance),
    }
}

fn mutated_path(path: &str, chance: &mut Chance) -> String {
    let (plain, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts: Vec<String> = plain.split('/').map(str::to_owned).collect();
    let at = 1 + chance.below(parts.len() - 1);
    let odd = ["", ".", "..", "%2e%2e", "%00", "a%2fb", "%ff", "$metadata", "-", "x".repeat(300).as_str(), "%F0%9F%98%80", "a'b"]
        [chance.below(12)]
    .to_owned();
    match chance.below(3) {
        0 => parts[at] = odd,
        1 => drop(parts.remove(at)),
        _ => parts.insert(at, odd),
    }
    let queries = ["", "$top=0", "$skiptoken=99999999999999999999", "$filter=%27", "timespan=%25%32", "api-version"];
    let query = if chance.below(2) == 0 { query } else { queries[chance.below(queries.len())] };
    format!("{}?{query}", parts.join("/"))
}

async fn one(world: &World, seed: u64) {
    let mut chance = Chance(seed);
    let all = recorded(world);
    for _ in 0..12 {
        let (method, path, body) = &all[chance.below(all.len())];
        let path = if chance.below(4) == 0 { mutated_path(path, &mut chance) } else { path.clone() };
        let mut body = body.clone();
        for _ in 0..=chance.below(3) {
            mutate(&mut body, &mut chance);
        }
        let mut bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        if chance.below(10) == 0 && !bytes.is_empty() {
            bytes.truncate(chance.below(bytes.len()));
        }
        let method = if chance.below(12) == 0 { ["GET", "DELETE", "POST", "HEAD", "PATCH"][chance.below(5)] } else { *method };
        // Deleting a group is an operation that goes on; it would change what the next refusal is compared with.
        let method = if method == "DELETE" { "GET" } else { method };
        let before = world.snapshot().await;
        let answer = world.send(method, &path, Some(&world.owner), bytes.clone()).await;
        let shown = String::from_utf8_lossy(&bytes).chars().take(2_000).collect::<String>();
        assert!(answer.status < 500, "seed {seed}: {method} {path} {shown}: {} {}", answer.status, answer.text);
        if answer.status >= 400 {
            assert_eq!(world.snapshot().await, before, "seed {seed}: {method} {path} {shown} was refused and changed something");
            if method != "HEAD" {
                assert!(answer.json()["error"]["code"].is_string(), "seed {seed}: {path}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn mutated_requests_are_answered_and_refusals_change_nothing() {
    let world = World::new().await;
    world.furnish().await;
    for (method, path, body) in recorded(&world) {
        let answer = world.ask(method, &path, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("PILLION_FUZZ_SEED") {
        return one(&world, seed).await;
    }
    for seed in KEPT {
        one(&world, seed).await;
    }
    let until = Instant::now() + Duration::from_secs(number("PILLION_FUZZ_SECONDS").unwrap_or(5));
    // Each run tries others; a failure names its seed.
    let mut seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    while Instant::now() < until {
        one(&world, seed).await;
        seed = seed.wrapping_add(1);
    }
}
