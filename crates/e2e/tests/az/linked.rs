//! Templates behind links, and deployments that are canceled and forgotten on the way.

use pillion_e2e::{NOT_FOUND, Ran, Running, TlsFiles, eventually};
use serde_json::{Value, json};

use crate::stage::{Stage, names};

/// Nobody else in these tests listens here.
const FILES: &str = "127.0.0.44";

const PLAN: &str = r#"{ "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01", "name": "[parameters('name')]", "location": "local",
  "kind": "linux", "sku": { "name": "P1v3", "capacity": 1 }, "properties": { "reserved": true } }"#;

/// A template with one parameter, `name`.
fn template(resources: &str, outputs: &str) -> String {
    format!(
        r#"{{ "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
  "parameters": {{ "name": {{ "type": "string" }} }}, "resources": [ {resources} ], "outputs": {{ {outputs} }} }}"#
    )
}

/// A nested deployment whose template stands behind this link.
fn nested(link: &str) -> String {
    format!(
        r#"{{ "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "part",
  "properties": {{ "mode": "Incremental", "templateLink": {link}, "parameters": {{ "name": {{ "value": "[parameters('name')]" }} }} }} }}"#
    )
}

/// A stage whose server may follow links to the files.
fn stage(files: &TlsFiles) -> Stage {
    let mut stage = Stage::new();
    let certificate = files.certificate();
    stage.copy.configure(&format!(
        "templateLinks:\n  allow: [{FILES}/32]\n  certificates: [{}]\n",
        certificate.to_str().expect("a path")
    ));
    stage.copy.kill_server();
    stage.copy.serve();
    stage
}

#[test]
fn a_template_behind_a_link_is_deployed_with_those_that_it_links_to() {
    let shown = r#""plan": { "type": "string", "value": "[reference('part').outputs.told.value]" }"#;
    let told = r#""told": { "type": "string", "value": "[parameters('name')]" }"#;
    let main = template(&nested(r#"{ "relativePath": "parts/plan.json" }"#), shown);
    let files = TlsFiles::start(FILES, &[("main.json", &main), ("parts/plan.json", &template(PLAN, told))]);
    let stage = stage(&files);
    let create = |name: &str, address: &str| -> Ran {
        let words =
            ["deployment", "group", "create", "-g", "rg1", "-n", name, "--template-uri", address, "--parameters", "name=linked"];
        let mut command = stage.az.command(words.into_iter().chain(["-o", "json"]));
        // `az` reads the template itself, to know its parameters; this is how its Python learns whom to trust.
        Running::start(command.env("SSL_CERT_FILE", files.certificate())).finish()
    };
    let made = create("linked", &format!("{}?sig=not-to-be-shown", files.at("main.json")));
    assert_eq!(made.code, 0, "{}", made.said());
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made["properties"]["outputs"]["plan"]["value"], "linked", "{made}");
    assert_eq!(made["properties"]["templateLink"]["uri"], files.at("main.json"));
    assert!(!made.to_string().contains("not-to-be-shown"), "{made}");
    assert!(names(&stage.az.json("appservice plan list -g rg1")).contains(&"linked"));
    let mut listed = stage.az.json("deployment group list -g rg1");
    let mut listed: Vec<String> = listed.as_array_mut().expect("a list").iter().map(|one| one["name"].to_string()).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["\"linked\"", "\"part\""]);
    // Without it in the settings the address would be refused, as another machine's on this network is.
    let refused = stage.az.run(
        ["deployment", "group", "create", "-g", "rg1", "-n", "elsewhere", "--parameters", "name=x", "--template-file"]
            .into_iter()
            .chain([stage
                .copy
                .file("elsewhere.json", &template(&nested(r#"{ "uri": "https://127.0.0.45/plan.json" }"#), ""))
                .to_str()
                .expect("a path")]),
    );
    assert_eq!(refused.code, 1, "{}", refused.said());
    assert!(refused.said().contains("127.0.0.45"), "{}", refused.said());
}

#[test]
fn a_deployment_is_canceled_in_the_middle_and_forgotten_after_it() {
    let mut files = TlsFiles::start(FILES, &[("held/plan.json", &template(PLAN, ""))]);
    let stage = stage(&files);
    let link = format!(r#"{{ "uri": "{}" }}"#, files.at("held/plan.json"));
    let first = PLAN.replace("[parameters('name')]", "first");
    let after = PLAN.replace("[parameters('name')]", "after").replacen('{', r#"{ "dependsOn": ["part"], "#, 1);
    let file = stage.copy.file("main.json", &template(&[first, nested(&link), after].join(", "), ""));
    let file = file.to_str().expect("a path");
    let words =
        ["deployment", "group", "create", "-g", "rg1", "-n", "slow", "--parameters", "name=part", "--template-file", file];
    stage.az.ok(words.into_iter().chain(["--no-wait"]));
    // The first time is the validation's, which `az` asks for.
    files.until_asked("held/plan.json", 2);
    let state = || stage.az.json("deployment group show -g rg1 -n slow")["properties"]["provisioningState"].clone();
    assert_eq!(state(), "Running");
    let (_, said) = stage.az.refused("deployment group delete -g rg1 -n slow");
    assert!(said.contains("active"), "{said}");
    stage.az.ok("deployment group cancel -g rg1 -n slow".split(' '));
    files.let_go();
    eventually("the deployment is canceled", || state() == "Canceled");
    let (_, said) = stage.az.refused("deployment group cancel -g rg1 -n slow");
    assert!(said.contains("is over"), "{said}");
    let plans = stage.az.json("appservice plan list -g rg1");
    assert!(names(&plans).contains(&"first") && !names(&plans).contains(&"after"), "{plans}");

    stage.az.ok("deployment group delete -g rg1 -n slow".split(' '));
    let (code, said) = stage.az.refused("deployment group show -g rg1 -n slow");
    assert_eq!(code, NOT_FOUND, "{said}");
    let left = stage.az.json("deployment group list -g rg1 --query [].name");
    assert!(left == json!([]) || left == json!(["part"]), "{left}");
    assert!(names(&stage.az.json("appservice plan list -g rg1")).contains(&"first"), "what it made stays");
}

#[test]
fn a_failed_deployment_goes_back_to_an_earlier_one_before_anybody_sees_it() {
    let stage = Stage::new();
    let site = |word: &str, more: &str| {
        let image = &stage.puppet;
        template(
            &format!(
                r#"{{ "type": "Microsoft.Web/serverfarms", "apiVersion": "2024-11-01", "name": "plan1", "location": "local", "kind": "linux",
    "sku": {{ "name": "P1v3", "capacity": 1 }}, "properties": {{ "reserved": true }} }},
  {{ "type": "Microsoft.Web/sites", "apiVersion": "2024-11-01", "name": "[parameters('name')]", "location": "local", "kind": "app,linux,container",
    "dependsOn": ["plan1"], "properties": {{ "serverFarmId": "[resourceId('Microsoft.Web/serverfarms', 'plan1')]",
      "siteConfig": {{ "linuxFxVersion": "SITECONTAINERS", "appSettings": [ {{ "name": "WORD", "value": "{word}" }} ] }} }},
    "resources": [ {{ "type": "sitecontainers", "apiVersion": "2024-11-01", "name": "main", "dependsOn": ["[parameters('name')]"],
      "properties": {{ "image": "{image}", "isMain": true, "targetPort": "8080", "startUpCommand": "serve 8080" }} }} ] }} {more}"#
            ),
            "",
        )
    };
    let good = stage.copy.file("good.json", &site("good", ""));
    // Only once the new plan is there can this be evaluated, so no check before the deployment finds it.
    let broken = format!(
        r#", {}, {{ "type": "Microsoft.Web/sites/sitecontainers", "apiVersion": "2024-11-01", "name": "[concat(parameters('name'), '/side')]",
      "dependsOn": ["[parameters('name')]"],
      "properties": {{ "image": "nowhere", "isMain": false, "targetPort": "[reference('extra').provisioningState]" }} }}"#,
        PLAN.replace("[parameters('name')]", "extra")
    );
    let bad = stage.copy.file("bad.json", &site("bad", &broken));
    let create = |name: &str, file: &std::path::Path, more: &[&str]| {
        let file = file.to_str().expect("a path");
        let words =
            ["deployment", "group", "create", "-g", "rg1", "-n", name, "--template-file", file, "--parameters", "name=tpl"];
        stage.az.run(words.iter().chain(more))
    };
    let made = create("good", &good, &[]);
    assert_eq!(made.code, 0, "{}", made.said());
    let url = stage.url("tpl");
    stage.until_answers_at(&url, "/env", |answer| answer.body.contains("WORD=good"));
    let revision = stage.copy.json(&["status", "tpl"])["current"].clone();
    for back in [&["--rollback-on-error"][..], &["--rollback-on-error", "good"]] {
        let failed = create("next", &bad, back);
        assert_eq!(failed.code, 1, "{}", failed.said());
        assert!(failed.said().contains("targetPort"), "{}", failed.said());
        let shown = stage.az.json("deployment group show -g rg1 -n next");
        assert_eq!(shown["properties"]["provisioningState"], "Failed", "{shown}");
        let back = &shown["properties"]["onErrorDeployment"];
        assert_eq!((&back["deploymentName"], &back["provisioningState"]), (&json!("good"), &json!("Succeeded")), "{shown}");
        assert_eq!(stage.copy.json(&["status", "tpl"])["current"], revision, "what failed never ran");
        assert_eq!(names(&stage.az.json("appservice plan list -g rg1")), ["plan1"], "what the earlier one had not is gone");
    }
    let refused = create("next", &bad, &["--rollback-on-error", "nothing"]);
    assert_eq!(refused.code, 1, "{}", refused.said());
    assert!(refused.said().contains("'nothing'"), "{}", refused.said());
}
