//! Settings, connection strings, general configuration and identities, and what they do to running containers.

use serde_json::json;

use crate::stage::{Stage, names, variable};

#[test]
fn settings_reach_every_container_by_both_names_and_a_change_restarts_what_it_touches() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp config appsettings set -g rg1 -n shop --settings COLOUR=red Deep:Key=1 --slot-settings STICKY=yes".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("\nCOLOUR=red"));
    let environment = stage.environment(None);
    assert_eq!(variable(&environment, "APPSETTING_COLOUR"), Some("red"));
    assert_eq!(variable(&environment, "STICKY"), Some("yes"));
    assert_eq!(variable(&environment, "Deep__Key"), Some("1"));
    let listed = az.json("webapp config appsettings list -g rg1 -n shop");
    let sticky = listed.as_array().and_then(|all| all.iter().find(|one| one["name"] == "STICKY")).expect("it is listed");
    assert_eq!(sticky["slotSetting"], json!(true), "{listed}");
    az.ok("webapp config appsettings delete -g rg1 -n shop --setting-names COLOUR".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.status == 200 && !answer.body.contains("COLOUR=red"));
}

#[test]
fn an_app_sees_where_it_runs() {
    let stage = Stage::shop();
    let environment = stage.environment(None);
    for (name, value) in [
        ("WEBSITE_SITE_NAME", "shop"),
        ("WEBSITE_RESOURCE_GROUP", "rg1"),
        ("WEBSITE_ROLE_INSTANCE_ID", "0"),
        ("PORT", "8080"),
        ("HOME", "/home"),
    ] {
        assert_eq!(variable(&environment, name), Some(value), "{name} in {environment:?}");
    }
    let id = variable(&environment, "WEBSITE_INSTANCE_ID").expect("an instance id");
    let listed = stage.az.json("webapp list-instances -g rg1 -n shop");
    assert_eq!(names(&listed), [id], "the app and `az` call the instance the same");
    let url = stage.url("shop");
    assert_eq!(variable(&environment, "WEBSITE_HOSTNAME"), url.strip_prefix("http://"), "clients reach it there");
}

#[test]
fn a_reserved_name_is_refused_and_nothing_changes() {
    let stage = Stage::shop();
    stage.az.ok("webapp config appsettings set -g rg1 -n shop --settings A=1".split(' '));
    let (_, said) = stage.az.refused("webapp config appsettings set -g rg1 -n shop --settings WEBSITE_HOSTNAME=mine B=2");
    assert!(said.contains("WEBSITE_HOSTNAME"), "{said}");
    assert_eq!(names(&stage.az.json("webapp config appsettings list -g rg1 -n shop")), ["A"]);
}

#[test]
fn connection_strings_reach_the_app_with_the_prefix_of_their_type() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp config connection-string set -g rg1 -n shop -t SQLAzure --settings db=Server=one".split(' '));
    az.ok("webapp config connection-string set -g rg1 -n shop -t Custom --settings other=two".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("CUSTOMCONNSTR_other=two"));
    assert_eq!(variable(&stage.environment(None), "SQLAZURECONNSTR_db"), Some("Server=one"));
    let listed = az.json("webapp config connection-string list -g rg1 -n shop");
    assert!(listed.to_string().contains("SQLAzure"), "{listed}");
}

#[test]
fn general_configuration_is_kept_field_by_field() {
    let stage = Stage::shop();
    let az = &stage.az;
    let words = ["webapp", "config", "set", "-g", "rg1", "-n", "shop", "--generic-configurations"];
    az.ok(words.into_iter().chain([r#"{"healthCheckPath":"/healthz"}"#]));
    az.ok("webapp config set -g rg1 -n shop --always-on true --http20-enabled true".split(' '));
    let config = az.json("webapp config show -g rg1 -n shop");
    assert_eq!(
        (&config["healthCheckPath"], &config["alwaysOn"], &config["http20Enabled"]),
        (&json!("/healthz"), &json!(true), &json!(true))
    );
    az.ok("webapp cors add -g rg1 -n shop --allowed-origins https://a.example".split(' '));
    assert_eq!(az.json("webapp cors show -g rg1 -n shop")["allowedOrigins"], json!(["https://a.example"]));
    assert_eq!(az.json("webapp config show -g rg1 -n shop")["healthCheckPath"], "/healthz");
}

#[test]
fn identities_are_made_assigned_and_removed() {
    let stage = Stage::new();
    stage.create_shop();
    let az = &stage.az;
    let made = az.json("identity create -g rg1 -n puller -l local");
    let id = made["id"].as_str().expect("an id");
    assert!(made["clientId"].as_str().is_some_and(|client| client.len() == 36), "{made}");
    let assigned = az.json(&format!("webapp identity assign -g rg1 -n shop --identities [system] {id}"));
    assert!(assigned["principalId"].as_str().is_some_and(|principal| principal.len() == 36), "{assigned}");
    let shown = az.json("webapp identity show -g rg1 -n shop");
    assert_eq!(
        shown["type"].as_str().map(|kind| kind.replace(' ', "")).as_deref(),
        Some("SystemAssigned,UserAssigned"),
        "{shown}"
    );
    az.ok(format!("webapp identity remove -g rg1 -n shop --identities [system] {id}").split(' '));
    let shown = az.json("webapp identity show -g rg1 -n shop");
    assert!(shown.is_null() || shown["type"] == "None", "{shown}");
}

#[test]
fn autoscale_settings_and_storage_mounts_are_kept_and_shown() {
    let stage = Stage::new();
    stage.create_shop();
    let az = &stage.az;
    let plan = az.json("appservice plan show -g rg1 -n plan1")["id"].as_str().expect("an id").to_owned();
    az.ok(format!("monitor autoscale create -g rg1 -n scale --resource {plan} --min-count 1 --max-count 5 --count 1").split(' '));
    let rule = ["monitor", "autoscale", "rule", "create", "-g", "rg1", "--autoscale-name", "scale", "--scale", "out", "1"];
    az.ok(rule.into_iter().chain(["--condition", "CpuPercentage > 70 avg 5m"]));
    let shown = az.json("monitor autoscale show -g rg1 -n scale");
    assert!(shown.to_string().contains("CpuPercentage"), "{shown}");
    assert_eq!(names(&az.json("monitor autoscale list -g rg1")), ["scale"]);
    az.ok("monitor autoscale delete -g rg1 -n scale".split(' '));
    assert_eq!(az.json("monitor autoscale list -g rg1"), json!([]));
    let add = "webapp config storage-account add -g rg1 -n shop --custom-id data --storage-type AzureFiles --account-name a --share-name s --access-key k --mount-path /mnt/s";
    az.ok(add.split(' '));
    let listed = az.json("webapp config storage-account list -g rg1 -n shop");
    assert!(listed.to_string().contains("/mnt/s"), "{listed}");
    az.ok("webapp config storage-account delete -g rg1 -n shop --custom-id data".split(' '));
    assert_eq!(az.json("webapp config storage-account list -g rg1 -n shop"), json!([]));
}

#[test]
fn metrics_are_real_measurements() {
    let stage = Stage::shop();
    let url = stage.url("shop");
    for _ in 0..20 {
        pillion_e2e::get(&url).expect("it answers");
    }
    let id = stage.az.json("webapp show -g rg1 -n shop --query id");
    let id = id.as_str().expect("an id");
    let definitions = stage.az.json(&format!("monitor metrics list-definitions --resource {id}"));
    let text = definitions.to_string();
    for metric in ["CpuTime", "MemoryWorkingSet", "Requests", "Http2xx", "Http5xx", "HttpResponseTime"] {
        assert!(text.contains(metric), "{metric} in {text}");
    }
    pillion_e2e::until("the requests are counted", std::time::Duration::from_secs(100), || {
        let metrics =
            stage.az.json(&format!("monitor metrics list --resource {id} --metric Requests --interval PT1M --aggregation Total"));
        let data = metrics["value"][0]["timeseries"][0]["data"].as_array()?.clone();
        let total: f64 = data.iter().filter_map(|point| point["total"].as_f64()).sum();
        (total >= 20.0).then_some(())
    });
    let plan = stage.az.json("appservice plan show -g rg1 -n plan1 --query id");
    let plan = plan.as_str().expect("an id");
    let shares = stage.az.json(&format!("monitor metrics list --resource {plan} --metric CpuPercentage MemoryPercentage"));
    for metric in shares["value"].as_array().expect("a list") {
        let points = metric["timeseries"][0]["data"].as_array().expect("a list");
        let known: Vec<f64> = points.iter().filter_map(|point| point["average"].as_f64()).collect();
        assert!(known.iter().any(|share| *share > 0.0 && *share < 100.0), "{metric}");
    }
    assert_eq!(shares["value"].as_array().map(Vec::len), Some(2), "{shares}");
}
