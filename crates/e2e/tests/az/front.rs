//! Access restrictions and CORS: what `az` sets, and what a running app then answers to whom.

use pillion_e2e::{Running, eventually, get};
use serde_json::json;

use crate::stage::Stage;

/// Asks as a browser does for a page of another origin, and prints the status and who may read the answer.
const PAGE: &str = r#"
import requests, sys
url, origin, method = sys.argv[1:]
headers = {"Origin": origin}
if method == "OPTIONS":
    headers["Access-Control-Request-Method"] = "PUT"
answer = requests.request(method, url, headers=headers)
print(answer.status_code, answer.headers.get("Access-Control-Allow-Origin"), answer.headers.get("Access-Control-Allow-Methods"))
"#;

#[test]
fn access_restrictions_keep_requests_out_and_let_them_in_again() {
    let stage = Stage::shop();
    let az = &stage.az;
    let url = stage.url("shop");
    let status = || get(&url).expect("the gateway answers").status;
    let rule = |verb: &str, more: &str| format!("webapp config access-restriction {verb} -g rg1 -n shop --rule-name {more}");
    az.ok(rule("add", "office --priority 100 --ip-address 192.0.2.0/24").split(' '));
    eventually("everybody else is refused", || status() == 403);
    let shown = az.json("webapp config access-restriction show -g rg1 -n shop");
    assert_eq!(shown["ipSecurityRestrictions"][0]["ipAddress"], "192.0.2.0/24", "{shown}");
    assert_eq!(shown["ipSecurityRestrictions"][0]["priority"], 100, "{shown}");
    az.ok(rule("add", "here --priority 200 --ip-address 127.0.0.0/8").split(' '));
    eventually("this machine is let in", || status() == 200);
    az.ok(rule("add", "no --priority 50 --action Deny --ip-address 127.0.0.1/32").split(' '));
    eventually("the rule of the higher priority decides", || status() == 403);
    let answer = get(&url).expect("the gateway answers");
    assert!(answer.body.contains("IpForbidden") && answer.body.contains("127.0.0.1"), "{}", answer.body);
    for name in ["no --action Deny", "here", "office"] {
        az.ok(rule("remove", name).split(' '));
    }
    eventually("without rules everybody is let in", || status() == 200);
    let tag = r#"{"ipSecurityRestrictions":[{"ipAddress":"AzureCloud","tag":"ServiceTag","action":"Deny","priority":60}]}"#;
    let (_, refused) = az.refused(&format!("webapp config set -g rg1 -n shop --generic-configurations {tag}"));
    assert!(refused.contains("ipSecurityRestrictions[0].tag"), "{refused}");
    let (_, refused) = az.refused(&rule("add", "bad --priority 60 --ip-address 10.0.0.0/33"));
    assert!(refused.contains("10.0.0.0/33"), "{refused}");
    assert_eq!(status(), 200);
}

#[test]
fn pages_of_allowed_origins_may_read_what_the_app_answers() {
    let stage = Stage::shop();
    let az = &stage.az;
    let url = stage.url("shop");
    let page = |origin: &str, method: &str| {
        let mut python = az.python(PAGE);
        python.args([&url, origin, method]);
        let ran = Running::start(&mut python).finish();
        assert_eq!(ran.code, 0, "{}", ran.said());
        ran.stdout.trim().to_owned()
    };
    assert_eq!(page("https://page.example", "GET"), "200 None None");
    az.ok("webapp cors add -g rg1 -n shop --allowed-origins https://page.example http://localhost:3000".split(' '));
    eventually("the origin may read", || page("https://page.example", "GET") == "200 https://page.example None");
    assert_eq!(page("http://localhost:3000", "OPTIONS"), "204 http://localhost:3000 PUT");
    assert_eq!(page("https://evil.example", "GET"), "200 None None");
    assert_eq!(page("https://evil.example", "OPTIONS"), "403 None None");
    let shown = az.json("webapp cors show -g rg1 -n shop");
    assert_eq!(shown["allowedOrigins"], json!(["https://page.example", "http://localhost:3000"]), "{shown}");
    az.ok("webapp cors remove -g rg1 -n shop --allowed-origins".split(' '));
    eventually("the app speaks for itself again", || page("https://page.example", "OPTIONS").starts_with("200 None"));
    let everybody = r#"{"cors":{"allowedOrigins":["*"],"supportCredentials":true}}"#;
    let (_, refused) = az.refused(&format!("webapp config set -g rg1 -n shop --generic-configurations {everybody}"));
    assert!(refused.contains("cors.supportCredentials"), "{refused}");
}
