//! Secure values: used, and seen by nobody.

use pillion_arm::ArmError;
use serde_json::{Value, json};

use super::world::{World, group, item, site, template};

const SECRET: &str = "correct-horse-battery-staple";

fn request() -> Vec<u8> {
    let mut one = item("one", &[]);
    one["properties"]["passwordSecret"] = json!("[parameters('password')]");
    one["properties"]["url"] = json!("[format('user:{0}@host', parameters('password'))]");
    let mut whole = template(vec![one]);
    whole["parameters"] = json!({ "password": { "type": "secureString" }, "plain": { "type": "string" } });
    whole["outputs"] = json!({
        "shown": { "type": "string", "value": "[parameters('plain')]" },
        "hidden": { "type": "secureString", "value": "[parameters('password')]" },
        "leaky": { "type": "string", "value": "[concat('it is ', parameters('password'))]" },
    });
    let parameters = json!({ "password": { "value": SECRET }, "plain": { "value": "word" } });
    json!({ "properties": { "mode": "Incremental", "template": whole, "parameters": parameters } }).to_string().into_bytes()
}

fn assert_silent(what: &Value) {
    assert!(!what.to_string().contains(SECRET), "{what}");
}

#[tokio::test]
async fn a_secure_value_reaches_its_resource_and_is_shown_nowhere() {
    let world = World::new().await;
    let deployed = world.deploy("main", request()).await;
    assert_eq!(deployed["provisioningState"], "Succeeded", "{deployed}");
    assert_eq!(world.fake.body("one").expect("it is there")["properties"]["passwordSecret"], SECRET);
    assert_eq!(deployed["parameters"]["password"], json!({ "type": "SecureString" }));
    assert_eq!(deployed["parameters"]["plain"]["value"], "word");
    assert_eq!(deployed["outputs"]["hidden"], json!({ "type": "SecureString" }));
    assert_eq!(deployed["outputs"]["shown"]["value"], "word");
    assert_silent(&deployed);
    world.operations("main").iter().for_each(assert_silent);
    assert_silent(&world.deployments.export(&world.caller, &group(), "main").await.expect("a template"));
    let listed = world.deployments.list(&world.caller, &group()).await.expect("a list");
    listed.iter().for_each(assert_silent);
}

#[tokio::test]
async fn an_error_that_quotes_a_secure_value_is_shown_without_it() {
    let world = World::new().await;
    let quoting = ArmError::new(400, "BadRequest", format!("`user:{SECRET}@host` is no address.")).because(vec![ArmError::new(
        400,
        "Inner",
        format!("{SECRET} is weak."),
    )]);
    world.fake.fail("one", quoting);
    let deployed = world.deploy("main", request()).await;
    assert_eq!(deployed["provisioningState"], "Failed");
    assert_silent(&deployed);
    assert!(deployed["error"].to_string().contains("is no address."), "{deployed}");
    let refused = world.deployments.validate(&world.caller, &group(), "main", request()).await.expect_err("it is refused");
    assert_silent(&refused.to_body());
}

#[tokio::test]
async fn what_if_shows_that_a_secret_changes_and_not_what_it_is() {
    let world = World::new().await;
    world.fake.insert(&site("one"), json!({ "properties": { "httpsOnly": false, "passwordSecret": "the-old-secret-one", "url": "user:the-old-secret-one@host" } }));
    let answer = world.deployments.what_if(&world.caller, &group(), "main", request()).await.expect("an answer");
    assert_silent(&answer);
    let change = &answer["properties"]["changes"][0];
    assert_eq!(change["changeType"], "Modify", "{answer}");
    assert!(!change["delta"].to_string().contains("the-old-secret-one"), "{change}");
}

#[tokio::test]
async fn nothing_on_disk_holds_a_secure_value_in_the_clear() {
    let world = World::new().await;
    world.fake.hold("one");
    world.begin("main", request()).await.expect("accepted");
    world.fake.until(|seen| !seen.is_empty()).await;
    let clear = |root: &std::path::Path| {
        let files = std::fs::read_dir(root).expect("a directory").map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).expect("a file"));
        files.into_iter().any(|bytes| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()))
    };
    assert!(!clear(world.root.path()), "while it is under way");
    world.fake.let_go("one");
    world.ended("main").await;
    assert!(!clear(world.root.path()), "after it");
}
