//! How a site comes up, and what is said where it does not: the start ping's settings, pulls that need an identity.

use pillion_e2e::eventually;
use serde_json::Value;

use crate::stage::Stage;

/// What `az webapp troubleshoot status` reads, of the instance or site that is worst off.
fn last_error(stage: &Stage) -> Option<(String, String)> {
    let id = stage.az.json("webapp show -g rg1 -n shop --query id");
    let url = format!("{}/siteStatus?api-version=2024-04-01", id.as_str().expect("an id"));
    let status = stage.az.json(&format!("rest --method get --url {url}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = status["properties"].as_array().unwrap_or_else(|| panic!("no list in {status}"));
    all.iter().find_map(|one| Some((text(&one["lastError"])?, text(&one["lastErrorDetails"])?)))
}

#[test]
fn a_site_whose_warm_up_page_answers_badly_does_not_start_until_its_statuses_say_that_it_is_good() {
    let stage = Stage::new();
    stage.create_shop();
    let settings = "WEBSITE_WARMUP_PATH=/status/418 WEBSITE_WARMUP_STATUSES=200,202 WEBSITES_CONTAINER_START_TIME_LIMIT=10";
    stage.az.ok(format!("webapp config appsettings set -g rg1 -n shop --settings {settings}").split(' '));
    stage.main_container("serve 8080");
    eventually("the start is given up", || last_error(&stage).is_some_and(|(code, _)| code == "ProbeStatus"));
    let (_, details) = last_error(&stage).expect("an error");
    assert!(details.contains("418") && details.contains("WEBSITE_WARMUP_STATUSES"), "{details}");
    stage.az.ok("webapp config appsettings set -g rg1 -n shop --settings WEBSITE_WARMUP_STATUSES=200,418".split(' '));
    stage.until_answers("shop", "/", |answer| answer.status == 200);
    eventually("nothing is wrong any more", || last_error(&stage).is_none());
}

#[test]
fn a_pull_that_needs_an_identity_says_that_there_are_none_yet_and_the_old_version_goes_on() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp identity assign -g rg1 -n shop".split(' '));
    az.ok("webapp sitecontainers update -g rg1 -n shop --container-name main --system-assigned-identity true".split(' '));
    eventually("the revision fails", || last_error(&stage).is_some_and(|(code, _)| code == "IdentityPullNotAvailable"));
    let (_, details) = last_error(&stage).expect("an error");
    assert!(details.contains("authType") && details.contains("UserCredentials"), "{details}");
    assert_eq!(pillion_e2e::get(&stage.url("shop")).expect("it answers").status, 200);
}
