//! The server killed in the middle of what takes long: after its restart that goes on or is rolled back, and says so.

use std::time::Duration;

use pillion_e2e::{Dice, Running, eventually, until};
use serde_json::json;

use crate::{
    slots::{environment_at, slot_url, with_slot},
    stage::{Stage, variable},
    templates::{template, write},
};

/// Runs `az LINE`, and kills the server a chance moment after the audit log has `action`; then starts another.
fn killed_during(stage: &mut Stage, line: &str, action: &str, dice: &mut Dice) {
    let before = count(stage, action);
    let mut az = Running::start(&mut stage.az.command(line.split(' ')));
    until(&format!("the server has begun {action}"), Duration::from_secs(60), || (count(stage, action) > before).then_some(()));
    dice.linger(Duration::from_millis(400));
    stage.copy.kill_server();
    stage.copy.serve();
    // Whether `az` saw it through depends on the moment.
    az.kill();
}

fn count(stage: &Stage, action: &str) -> usize {
    let audit = stage.copy.run(["audit", "--output", "json"]);
    audit.stdout.to_lowercase().matches(&action.to_lowercase()).count()
}

#[test]
fn a_template_deployment_goes_on_after_the_server_was_killed_in_it() {
    let mut stage = Stage::new();
    let mut dice = Dice::seeded("killing the server in a deployment");
    for round in 0..3 {
        let file = write(&stage, "app.json", &template(&stage.puppet, &format!("word{round}")));
        let line = format!("deployment group create -g rg1 -n d{round} --template-file {file} --parameters appName=tpl");
        killed_during(&mut stage, &line, "Microsoft.Resources/deployments/write", &mut dice);
        until("the deployment has ended", Duration::from_secs(60), || {
            let state = stage.az.json(&format!("deployment group show -g rg1 -n d{round} --query properties.provisioningState"));
            match state.as_str() {
                Some("Succeeded") => Some(()),
                Some("Failed" | "Canceled") => {
                    panic!("it failed: {:#}", stage.az.json(&format!("deployment group show -g rg1 -n d{round}")))
                }
                _ => None,
            }
        });
        stage.until_answers("tpl", "/env", |answer| answer.body.contains(&format!("WORD=word{round}")));
    }
}

#[test]
fn a_swap_is_whole_or_not_at_all_after_the_server_was_killed_in_it() {
    let mut stage = with_slot();
    let mut dice = Dice::seeded("killing the server in a swap");
    let (production, staging) = (stage.url("shop"), slot_url(&stage));
    for _ in 0..3 {
        killed_during(&mut stage, "webapp deployment slot swap -g rg1 -n shop --slot staging", "slotsswap", &mut dice);
        until("both slots run a version each, with their own place", Duration::from_secs(60), || {
            let seen = [&production, &staging].map(|url| {
                pillion_e2e::get(&format!("{url}/env")).ok().filter(|answer| answer.status == 200)?;
                let environment = environment_at(url);
                Some((variable(&environment, "VERSION")?.to_owned(), variable(&environment, "PLACE")?.to_owned()))
            });
            let [Some((first, here)), Some((second, there))] = seen else { return None };
            (first != second && here == "production" && there == "staging").then_some(())
        });
        let settings = stage.az.json("webapp config appsettings list -g rg1 -n shop").to_string();
        let version = environment_at(&production);
        let version = variable(&version, "VERSION").expect("a version");
        assert!(settings.contains(version), "what is shown is what runs: {settings}, {version}");
        eventually("the log says how it ended", || {
            let said = stage.copy.ok(["audit", "--output", "json"]);
            said.contains("were swapped") || said.contains("had been made") || said.contains("rolled back")
        });
    }
}

#[test]
fn the_deletion_of_a_group_goes_on_after_the_server_was_killed_in_it() {
    let mut stage = Stage::shop();
    let mut dice = Dice::seeded("killing the server in a deletion");
    killed_during(&mut stage, "group delete -n rg1 --yes", "resourceGroups/delete", &mut dice);
    until("the group is gone", Duration::from_secs(60), || (stage.az.json("group exists -n rg1") == json!(false)).then_some(()));
    assert_eq!(stage.az.json("webapp list"), json!([]));
    assert_eq!(stage.copy.json(&["list"]), json!([]));
}
