//! Template deployments by `az deployment`.

use pillion_e2e::get;
use serde_json::{Value, json};

use crate::stage::{Stage, names};

/// A template that makes a plan, an app with a sidecar and its settings; written as people write them.
pub fn template(image: &str, word: &str) -> String {
    format!(
        r#"// An app with a sidecar.
{{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {{
    "appName": {{ "type": "string", "minLength": 2 }},
    "secret": {{ "type": "securestring", "defaultValue": "hush" }} /* never shown */
  }},
  "variables": {{ "plan": "[concat(parameters('appName'),
      '-plan')]" }},
  "resources": [
    {{ "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01", "name": "[variables('plan')]", "location": "[resourceGroup().location]",
      "kind": "linux", "sku": {{ "name": "P1v3", "capacity": 1 }}, "properties": {{ "reserved": true }} }},
    {{ "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": "[parameters('appName')]", "location": "[resourceGroup().location]",
      "kind": "app,linux,container",
      "dependsOn": [ "[resourceId('Microsoft.Web/serverfarms', variables('plan'))]" ],
      "properties": {{ "serverFarmId": "[resourceId('Microsoft.Web/serverfarms', variables('plan'))]",
        "siteConfig": {{ "linuxFxVersion": "sitecontainers", "appSettings": [ {{ "name": "WORD", "value": "{word}" }}, {{ "name": "TOKEN", "value": "[parameters('secret')]" }} ] }} }},
      "resources": [
        {{ "type": "sitecontainers", "apiVersion": "2024-11-01", "name": "main", "dependsOn": [ "[parameters('appName')]" ],
          "properties": {{ "image": "{image}", "isMain": true, "targetPort": "8080", "startUpCommand": "serve 8080" }} }} ] }},
    {{ "type": "Microsoft.Web/sites/sitecontainers", "apiVersion": "2024-11-01", "name": "[concat(parameters('appName'), '/side', copyIndex(1))]",
      "copy": {{ "name": "sides", "count": 2 }},
      "dependsOn": [ "[resourceId('Microsoft.Web/sites', parameters('appName'))]" ],
      "properties": {{ "image": "{image}", "isMain": false, "targetPort": "[string(add(9000, copyIndex(1)))]", "startUpCommand": "[format('serve {{0}}', add(9000, copyIndex(1)))]" }} }}
  ],
  "outputs": {{ "host": {{ "type": "string", "value": "[reference(resourceId('Microsoft.Web/sites', parameters('appName'))).defaultHostName]" }} }}
}}"#
    )
}

pub fn write(stage: &Stage, name: &str, text: &str) -> String {
    stage.copy.file(name, text).to_str().expect("a path").to_owned()
}

fn create(stage: &Stage, name: &str, file: &str, more: &[&str]) -> pillion_e2e::Ran {
    let words = ["deployment", "group", "create", "-g", "rg1", "-n", name, "--template-file", file, "-o", "json"];
    stage.az.run(words.iter().chain(more))
}

#[test]
fn a_template_makes_a_running_app_with_sidecars_and_a_second_time_changes_nothing() {
    let stage = Stage::new();
    let file = write(&stage, "app.json", &template(&stage.puppet, "one"));
    let parameters = ["--parameters", "appName=tpl"];
    let words = ["deployment", "group", "what-if", "-g", "rg1", "--template-file", &file];
    let foretold = stage.az.ok(words.into_iter().chain(parameters));
    assert!(foretold.contains("linuxFxVersion") && foretold.contains("WORD"), "a new site shows its configuration: {foretold}");
    assert!(!foretold.contains("hush"), "{foretold}");
    let made = create(&stage, "first", &file, &parameters);
    assert_eq!(made.code, 0, "{}", made.said());
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    assert!(made["properties"]["outputs"]["host"]["value"].as_str().is_some_and(|host| host.contains("tpl")), "{made}");
    assert!(!made.to_string().contains("hush"), "{made}");
    let url = stage.url("tpl");
    stage.until_answers_at(&url, "/env", |answer| answer.body.contains("TOKEN=hush") && answer.body.contains("WORD=one"));
    stage.until_answers_at(&url, "/peer/9002/", |answer| answer.body.starts_with("hello"));
    let revision = stage.copy.json(&["status", "tpl"])["current"].clone();

    let again = create(&stage, "second", &file, &parameters);
    assert_eq!(again.code, 0, "{}", again.said());
    assert_eq!(stage.copy.json(&["status", "tpl"])["current"], revision, "the same template changes nothing");
    let what_if =
        stage.az.ok(["deployment", "group", "what-if", "-g", "rg1", "--template-file", &file, "--no-pretty-print", "-o", "json"]
            .into_iter()
            .chain(parameters));
    assert!(!what_if.contains("\"Create\""), "{what_if}");

    let changed = write(&stage, "changed.json", &template(&stage.puppet, "two"));
    let what_if = stage.az.ok([
        "deployment",
        "group",
        "what-if",
        "-g",
        "rg1",
        "--template-file",
        &changed,
        "--no-pretty-print",
        "-o",
        "json",
    ]
    .into_iter()
    .chain(parameters));
    assert!(what_if.contains("\"Modify\""), "{what_if}");
    let third = create(&stage, "third", &changed, &parameters);
    assert_eq!(third.code, 0, "{}", third.said());
    stage.until_answers_at(&url, "/env", |answer| answer.body.contains("WORD=two"));

    let listed = stage.az.json("deployment group list -g rg1");
    let mut found = names(&listed);
    found.sort_unstable();
    assert_eq!(found, ["first", "second", "third"]);
    let operations = stage.az.json("deployment operation group list -g rg1 -n first");
    assert!(operations.to_string().contains("sitecontainers"), "{operations}");
    let exported = stage.az.json("deployment group export -g rg1 -n first");
    assert!(exported["resources"].is_array(), "{exported}");
    assert!(!stage.az.json("deployment group show -g rg1 -n first").to_string().contains("hush"));
}

#[test]
fn a_template_with_a_mistake_is_refused_naming_the_place_and_makes_nothing() {
    let stage = Stage::new();
    let text = template(&stage.puppet, "one");
    for (name, broken, named) in [
        ("unknown", text.replace("concat(parameters('appName'),", "concatt(parameters('appName'),"), "concatt"),
        ("missing", text.replace("variables('plan')]\", \"location\"", "variables('plam')]\", \"location\""), "plam"),
        (
            "cycle",
            text.replace(
                r#""kind": "linux", "sku""#,
                r#""dependsOn": [ "[resourceId('Microsoft.Web/sites', parameters('appName'))]" ], "kind": "linux", "sku""#,
            ),
            "ircular",
        ),
    ] {
        let file = write(&stage, &format!("{name}.json"), &broken);
        let ran = create(&stage, name, &file, &["--parameters", "appName=tpl"]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.said());
        assert!(ran.said().contains(named), "{name} should name {named}: {}", ran.said());
    }
    assert_eq!(stage.az.json("webapp list"), json!([]));
}

#[test]
fn a_failed_resource_is_reported_with_its_operation_and_the_others_are_made() {
    let stage = Stage::new();
    // Only once the site is there can this be evaluated, so no check before the deployment finds it.
    let port = r#""[if(equals(copyIndex(), 1), reference(resourceId('Microsoft.Web/sites', parameters('appName'))).defaultHostName, '9001')]""#;
    let text = template(&stage.puppet, "one").replace(r#""[string(add(9000, copyIndex(1)))]""#, port);
    let file = write(&stage, "half.json", &text);
    let ran = create(&stage, "half", &file, &["--parameters", "appName=tpl"]);
    assert_eq!(ran.code, 1, "{}", ran.said());
    assert!(ran.said().contains("targetPort"), "{}", ran.said());
    let operations = stage.az.json("deployment operation group list -g rg1 -n half").to_string();
    assert!(operations.contains("Failed") && operations.contains("Succeeded"), "{operations}");
    assert_eq!(stage.az.json("deployment group show -g rg1 -n half")["properties"]["provisioningState"], "Failed");
    let by_state = |state: &str| {
        let filter = format!("provisioningState eq '{state}'");
        let listed =
            stage.az.ok(["deployment", "group", "list", "-g", "rg1", "--filter", &filter, "--query", "[].name", "-o", "tsv"]);
        listed.trim().to_owned()
    };
    assert_eq!((by_state("Failed"), by_state("Succeeded")), ("half".to_owned(), String::new()));
}

#[test]
fn complete_mode_removes_what_the_template_does_not_name() {
    let stage = Stage::new();
    stage.az.ok("webapp create -g rg1 -p plan1 -n old --sitecontainers-app".split(' '));
    let file = write(&stage, "app.json", &template(&stage.puppet, "one"));
    let ran = create(&stage, "whole", &file, &["--parameters", "appName=tpl", "--mode", "Complete"]);
    assert_eq!(ran.code, 0, "{}", ran.said());
    assert_eq!(names(&stage.az.json("webapp list -g rg1")), ["tpl"]);
    assert_eq!(names(&stage.az.json("appservice plan list -g rg1")), ["tpl-plan"]);
}

#[test]
fn a_subscription_deployment_makes_a_group_and_what_is_in_it() {
    let stage = Stage::new();
    let inner = template(&stage.puppet, "one");
    let inner = &inner[inner.find('{').expect("a template")..];
    let text = format!(
        r#"{{ "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#", "contentVersion": "1.0.0.0",
  "resources": [
    {{ "type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "rg9", "location": "local", "properties": {{}} }},
    {{ "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner", "resourceGroup": "rg9",
      "dependsOn": [ "[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'rg9')]" ],
      "properties": {{ "mode": "Incremental", "expressionEvaluationOptions": {{ "scope": "inner" }},
        "parameters": {{ "appName": {{ "value": "deep" }} }}, "template": {inner} }} }} ] }}"#
    );
    let file = write(&stage, "sub.json", &text);
    let valid =
        stage.az.run(["deployment", "sub", "validate", "-l", "local", "-n", "all", "--template-file", &file, "-o", "json"]);
    assert_eq!(valid.code, 0, "{}", valid.said());
    let compared =
        stage.az.run(["deployment", "sub", "what-if", "-l", "local", "-n", "all", "--template-file", &file, "--no-pretty-print"]);
    assert_eq!(compared.code, 0, "{}", compared.said());
    assert!(compared.stdout.contains("rg9") && compared.stdout.contains("Create"), "{}", compared.said());
    assert_eq!(stage.az.json("group exists -n rg9"), serde_json::json!(false), "neither makes anything");
    let ran = stage.az.run(["deployment", "sub", "create", "-l", "local", "-n", "all", "--template-file", &file, "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.said());
    let hosts = stage.az.json("webapp show -g rg9 -n deep --query enabledHostNames");
    let url = format!("http://{}", hosts[0].as_str().expect("a host"));
    stage.until_answers_at(&url, "/", |answer| answer.status == 200);
    assert_eq!(get(&url).expect("it answers").status, 200);
}
