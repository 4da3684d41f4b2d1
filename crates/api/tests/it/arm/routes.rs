//! Each route with the status that az's allow-lists take, and the shapes that its commands read.

use serde_json::{Value, json};

use super::world::{World, container_body, plan_body, site_body};

#[tokio::test]
async fn each_route_answers_with_the_status_that_az_takes() {
    let world = World::new().await;
    let (group, plan, site) = (world.group("rg1"), world.web("serverfarms/plan1"), world.web("sites/shop"));
    let slot = format!("{site}/slots/staging");
    let provider = format!("{group}/providers");
    let identity = format!("{provider}/Microsoft.ManagedIdentity/userAssignedIdentities/id1");
    let autoscale = format!("{provider}/Microsoft.Insights/autoscalesettings/scale1");
    let subscription = format!("/subscriptions/{}", world.subscription);
    let scale = json!({ "location": "local", "properties": { "enabled": true, "targetResourceUri": plan,
        "profiles": [{ "name": "default", "capacity": { "default": "1", "maximum": "5", "minimum": "1" }, "rules": [] }] } });
    let settings = json!({ "properties": { "A": "1" } });
    let none = Value::Null;
    let place = json!({ "location": "local" });
    let steps: Vec<(&str, String, Value, u16)> = vec![
        ("HEAD", group.clone(), none.clone(), 404),
        ("GET", group.clone(), none.clone(), 404),
        ("PUT", group.clone(), place.clone(), 201),
        ("PUT", group.clone(), place.clone(), 200),
        ("HEAD", group.clone(), none.clone(), 204),
        ("GET", group.clone(), none.clone(), 200),
        ("PATCH", group.clone(), json!({ "tags": { "k": "v" } }), 200),
        ("GET", plan.clone(), none.clone(), 404),
        ("PUT", plan.clone(), plan_body(), 200),
        ("PUT", plan.clone(), plan_body(), 200),
        (
            "POST",
            format!("{subscription}/providers/Microsoft.Web/checknameavailability"),
            json!({ "name": "shop", "type": "Site" }),
            200,
        ),
        ("PUT", site.clone(), site_body(&plan), 200),
        ("PUT", site.clone(), site_body(&plan), 200),
        ("PATCH", site.clone(), json!({ "properties": { "httpsOnly": true } }), 200),
        ("GET", site.clone(), none.clone(), 200),
        ("HEAD", site.clone(), none.clone(), 204),
        ("GET", format!("{plan}/sites"), none.clone(), 200),
        ("GET", format!("{site}/sitecontainers"), none.clone(), 200),
        ("GET", format!("{site}/sitecontainers/main"), none.clone(), 404),
        ("PUT", format!("{site}/sitecontainers/main"), container_body(), 201),
        ("PUT", format!("{site}/sitecontainers/main"), container_body(), 200),
        ("GET", format!("{site}/sitecontainers/main"), none.clone(), 200),
        ("PUT", format!("{site}/sitecontainers/second"), container_body(), 400),
        ("PUT", slot.clone(), site_body(&plan), 200),
        ("GET", slot.clone(), none.clone(), 200),
        ("GET", format!("{site}/slots"), none.clone(), 200),
        ("PUT", format!("{slot}/sitecontainers/main"), container_body(), 201),
        ("PUT", format!("{site}/config/appsettings"), settings.clone(), 200),
        ("POST", format!("{site}/config/appsettings/list"), none.clone(), 200),
        ("GET", format!("{site}/config/appsettings"), none.clone(), 405),
        ("POST", format!("{site}/config/connectionstrings/list"), none.clone(), 200),
        ("POST", format!("{site}/config/azurestorageaccounts/list"), none.clone(), 200),
        ("POST", format!("{site}/config/metadata/list"), none.clone(), 200),
        ("GET", format!("{site}/config/web"), none.clone(), 200),
        ("PATCH", format!("{site}/config/web"), json!({ "properties": { "healthCheckPath": "/healthz" } }), 200),
        ("PUT", format!("{site}/config/web"), json!({ "properties": { "healthCheckPath": "/healthz" } }), 200),
        ("GET", format!("{site}/config/slotConfigNames"), none.clone(), 200),
        ("PUT", format!("{site}/config/slotConfigNames"), json!({ "properties": { "appSettingNames": ["A"] } }), 200),
        ("GET", format!("{site}/config/logs"), none.clone(), 200),
        ("PUT", format!("{site}/config/logs"), json!({ "properties": {} }), 200),
        ("GET", format!("{site}/config"), none.clone(), 200),
        ("POST", format!("{site}/config/publishingcredentials/list"), none.clone(), 200),
        ("POST", format!("{site}/publishxml"), json!({ "format": "WebDeploy" }), 200),
        ("GET", format!("{site}/basicPublishingCredentialsPolicies"), none.clone(), 200),
        ("GET", format!("{site}/basicPublishingCredentialsPolicies/scm"), none.clone(), 200),
        ("PUT", format!("{site}/basicPublishingCredentialsPolicies/ftp"), json!({ "properties": { "allow": false } }), 200),
        ("GET", format!("{site}/instances"), none.clone(), 200),
        ("GET", format!("{site}/instances/none"), none.clone(), 404),
        ("GET", format!("{site}/siteStatus"), none.clone(), 200),
        ("GET", format!("{site}/deploymentStatus/1"), none.clone(), 200),
        ("GET", format!("{site}/deployments"), none.clone(), 200),
        ("GET", format!("{site}/sourcecontrols/web"), none.clone(), 200),
        ("GET", format!("{site}/hostNameBindings"), none.clone(), 200),
        ("PUT", format!("{site}/extensions/onedeploy"), json!({ "properties": {} }), 501),
        ("POST", format!("{site}/stop"), none.clone(), 200),
        ("POST", format!("{site}/start"), none.clone(), 200),
        ("POST", format!("{site}/restart"), none.clone(), 200),
        ("POST", format!("{site}/dance"), none.clone(), 404),
        ("GET", format!("{site}/providers/Microsoft.Insights/metricDefinitions"), none.clone(), 200),
        ("GET", format!("{site}/providers/Microsoft.Insights/metrics?metricnames=Requests&interval=PT1M"), none.clone(), 200),
        ("GET", format!("{site}/providers/Microsoft.Insights/metrics?metricnames=Luck"), none.clone(), 400),
        ("PUT", identity.clone(), place.clone(), 201),
        ("PUT", identity.clone(), place.clone(), 200),
        ("GET", format!("{provider}/Microsoft.ManagedIdentity/userAssignedIdentities"), none.clone(), 200),
        ("PUT", autoscale.clone(), scale.clone(), 201),
        ("PUT", autoscale.clone(), scale, 200),
        ("GET", autoscale.clone(), none.clone(), 200),
        ("DELETE", autoscale.clone(), none.clone(), 200),
        ("DELETE", autoscale, none.clone(), 204),
        ("DELETE", identity.clone(), none.clone(), 200),
        ("DELETE", identity, none.clone(), 204),
        ("GET", format!("{provider}/Microsoft.Web/sites"), none.clone(), 200),
        ("GET", format!("{provider}/Microsoft.Web/serverfarms"), none.clone(), 200),
        ("GET", format!("{group}/resources"), none.clone(), 200),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments/"), none.clone(), 200),
        (
            "GET",
            format!("{group}/providers/Microsoft.Resources/deployments/?$filter=provisioningState%20eq%20'Failed'"),
            none.clone(),
            200,
        ),
        ("GET", format!("{group}/providers/Microsoft.Resources/deployments/?$filter=name%20eq%20'x'"), none.clone(), 400),
        ("GET", format!("{group}/nonsense"), none.clone(), 404),
        ("DELETE", plan.clone(), none.clone(), 409),
        ("DELETE", format!("{site}/sitecontainers/main"), none.clone(), 200),
        ("DELETE", format!("{site}/sitecontainers/main"), none.clone(), 204),
        ("DELETE", slot.clone(), none.clone(), 200),
        ("DELETE", slot, none.clone(), 404),
        ("DELETE", format!("{site}?deleteEmptyServerFarm=false"), none.clone(), 200),
        ("DELETE", site.clone(), none.clone(), 404),
        ("DELETE", plan.clone(), none.clone(), 200),
        ("DELETE", plan, none.clone(), 204),
        ("DELETE", group.clone(), none.clone(), 202),
        ("GET", "/subscriptions".into(), none.clone(), 200),
        ("GET", subscription.clone(), none.clone(), 200),
        ("GET", "/tenants".into(), none.clone(), 200),
        ("GET", format!("{subscription}/locations"), none.clone(), 200),
        ("GET", format!("{subscription}/resourcegroups"), none.clone(), 200),
        ("GET", format!("{subscription}/resources?$filter=resourceGroup%20eq%20'rg1'"), none.clone(), 200),
        ("GET", format!("{subscription}/providers"), none.clone(), 200),
        ("GET", format!("{subscription}/providers/Microsoft.Web"), none.clone(), 200),
        ("POST", format!("{subscription}/providers/Microsoft.Web/register"), none.clone(), 200),
        ("GET", format!("{subscription}/providers/Microsoft.Nonsense"), none.clone(), 404),
        ("GET", format!("{subscription}/providers/Microsoft.Web/sites"), none.clone(), 200),
        ("GET", format!("{subscription}/providers/Microsoft.Web/serverfarms?detailed=true"), none.clone(), 200),
        ("GET", format!("{subscription}/providers/Microsoft.Web/geoRegions?sku=PREMIUMV3"), none.clone(), 200),
        ("GET", "/providers/Microsoft.Web/webAppStacks".into(), none.clone(), 200),
        ("GET", "/providers/Microsoft.Web/publishingUsers/web".into(), none.clone(), 200),
        ("GET", format!("{subscription}/providers/Microsoft.Insights/eventtypes/management/values"), none.clone(), 200),
        ("GET", format!("{subscription}/operationresults/none"), none.clone(), 404),
        ("GET", "/subscriptions/another".into(), none.clone(), 404),
        ("GET", "/nonsense".into(), none.clone(), 404),
        ("POST", "/subscriptions".into(), none.clone(), 405),
        ("OPTIONS", "/subscriptions".into(), none, 405),
    ];
    for (method, path, body, expected) in steps {
        let answer = world.ask(method, &path, body).await;
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
        assert!(answer.header("x-ms-request-id").is_some() && answer.header("x-ms-correlation-request-id").is_some(), "{path}");
        if answer.status >= 400 && method != "HEAD" {
            let body = answer.json();
            assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{path}");
            for field in [&body["error"]["code"], &body["error"]["message"], &body["Code"], &body["Message"]] {
                assert!(field.as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {body}");
            }
        }
        if matches!(answer.status, 201 | 202) {
            assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        }
    }
}

#[tokio::test]
async fn paths_are_one_in_any_spelling_and_with_any_version() {
    let world = World::new().await;
    world.furnish().await;
    let site = world.web("sites/shop");
    let plain = world.must("GET", &site, Value::Null).await.json();
    let spellings = [
        format!("/{site}?api-version=1999-01-01"),
        site.to_uppercase(),
        site.to_lowercase(),
        format!("{}//sites/shop/", world.web("").trim_end_matches('/')),
        format!("{site}/?api-version=2025-05-31-preview"),
        site.replace("shop", "%73hop"),
    ];
    for spelling in spellings {
        assert_eq!(world.must("GET", &spelling, Value::Null).await.json(), plain, "{spelling}");
    }
}

#[tokio::test]
async fn what_get_shows_can_be_put_back_and_changes_nothing() {
    let world = World::new().await;
    world.furnish().await;
    world.must("PUT", &world.web("sites/shop/config/appsettings"), json!({ "properties": { "A": "1" } })).await;
    for path in [
        world.group("rg1"),
        world.web("serverfarms/plan1"),
        world.web("sites/shop"),
        world.web("sites/shop/sitecontainers/main"),
        world.web("sites/shop/config/web"),
    ] {
        let before = world.must("GET", &path, Value::Null).await.json();
        let mut body = before.clone();
        body["invented"] = json!({ "by": "a client" });
        body["tags"] = if body["tags"].is_null() { Value::Null } else { body["tags"].clone() };
        world.must("PUT", &path, body).await;
        let mut after = world.must("GET", &path, Value::Null).await.json();
        let mut before = before;
        for one in [&mut before, &mut after] {
            if let Some(properties) = one["properties"].as_object_mut() {
                properties.retain(|name, _| !name.starts_with("lastModified"));
            }
        }
        assert_eq!(before, after, "{path}");
    }
    let settings = world.must("POST", &world.web("sites/shop/config/appsettings/list"), Value::Null).await.json();
    assert_eq!(settings["properties"]["A"], "1");
}

#[tokio::test]
async fn a_group_goes_as_an_operation_that_can_be_followed() {
    let world = World::new().await;
    world.furnish().await;
    let answer = world.must("DELETE", &world.group("rg1"), Value::Null).await;
    assert_eq!(answer.status, 202);
    let location = answer.header("location").expect("where to ask").to_owned();
    let path = location.strip_prefix("https://127.0.0.1:8443").expect("an absolute address of this server").to_owned();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let polled = world.must("GET", &path, Value::Null).await;
        if polled.status == 200 {
            assert_eq!(polled.text, "");
            break;
        }
        assert_eq!((polled.status, polled.header("retry-after")), (202, Some("1")));
        assert!(tokio::time::Instant::now() < end, "it never ends");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.ask("GET", &world.group("rg1"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn long_lists_come_in_pages_with_absolute_links() {
    let world = World::new().await;
    for number in 0..5 {
        world.must("PUT", &world.group(&format!("group-{number}")), json!({ "location": "local" })).await;
    }
    let mut path = format!("/subscriptions/{}/resourcegroups?api-version=2024-11-01&$top=2", world.subscription);
    let mut names = Vec::new();
    let mut pages = 0;
    loop {
        let page = world.must("GET", &path, Value::Null).await.json();
        names
            .extend(page["value"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
        pages += 1;
        match page["nextLink"].as_str() {
            Some(next) => path = next.strip_prefix("https://127.0.0.1:8443").expect("an absolute address").to_owned(),
            None => break,
        }
    }
    assert_eq!((pages, names.len()), (3, 5), "{names:?}");
    let wrong =
        world.ask("GET", &format!("/subscriptions/{}/resourcegroups?$skiptoken=x", world.subscription), Value::Null).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_profile_is_xml_that_names_the_sites_own_pages() {
    let world = World::new().await;
    world.furnish().await;
    for (path, user) in [("sites/shop", "$shop"), ("sites/shop/slots/staging", "$shop__staging")] {
        let profile = world.must("POST", &world.web(&format!("{path}/publishxml")), json!({ "format": "WebDeploy" })).await;
        assert_eq!(profile.header("content-type"), Some("application/xml"));
        assert!(profile.text.contains("publishMethod=\"MSDeploy\"") && profile.text.contains(user), "{}", profile.text);
        let listed =
            world.must("POST", &world.web(&format!("{path}/config/publishingcredentials/list")), Value::Null).await.json();
        assert_eq!(listed["properties"]["publishingUserName"], user);
        let password = listed["properties"]["publishingPassword"].as_str().expect("a password");
        assert!(password.len() >= 20 && profile.text.contains(password));
    }
}

#[tokio::test]
async fn an_etag_in_if_match_is_held_to() {
    let world = World::new().await;
    world.furnish().await;
    let path = world.web("sites/shop/sitecontainers/main");
    let etag = world.must("GET", &path, Value::Null).await.header("etag").expect("an etag").to_owned();
    let send = |etag: String, method: &'static str| {
        let (world, path) = (&world, &path);
        async move {
            let body = if method == "PUT" { container_body().to_string() } else { String::new() };
            world.send_with(method, path, Some(&world.owner), body, &[("if-match", &etag)]).await.status
        }
    };
    assert_eq!(send(etag.clone(), "PUT").await, 200);
    assert_eq!(send(etag.clone(), "PUT").await, 412);
    assert_eq!(send(etag, "DELETE").await, 412);
    assert_eq!(send("*".into(), "DELETE").await, 200);
    let exists = world.send_with("PUT", &world.web("sites/shop"), Some(&world.owner), "{}", &[("if-none-match", "*")]).await;
    assert_eq!(exists.status, 412);
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused_with_the_place() {
    let world = World::new().await;
    world.furnish().await;
    let path = world.web("sites/shop/sitecontainers/main");
    for body in ["{", "[]", "nonsense", "{\"properties\": 7}", "\u{feff}{\"properties\"}", "null"] {
        let answer = world.send("PUT", &path, Some(&world.owner), body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    let with_mark = format!("\u{feff}{}", container_body());
    assert_eq!(world.send("PUT", &path, Some(&world.owner), with_mark).await.status, 200);
}
