//! Trust and login: registration of the cloud, the ways to log in, what a role may do.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use pillion_e2e::{Az, Copy, Part, Running, built, endpoint, part, until};
use serde_json::Value;

use crate::stage::names;

fn principal(copy: &Copy, role: &str, scope: Option<&str>) -> Value {
    let mut words = vec!["principal", "create", "--role", role];
    words.extend(scope.iter().flat_map(|scope| ["--scope", scope]));
    copy.json(&words)
}

#[test]
fn the_cloud_is_registered_by_its_address_and_a_service_principal_logs_in() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    az.register(&copy);
    let owner = principal(&copy, "owner", None);
    let logged_in: Value = serde_json::from_str(&az.ok(az.login(&owner))).expect("login prints JSON");
    assert_eq!(logged_in[0]["state"], "Enabled", "{logged_in}");
    let account = az.json("account show");
    assert_eq!(account["user"]["type"], "servicePrincipal", "{account}");
    let locations = az.json("account list-locations");
    assert!(!names(&locations).is_empty());
    let token = az.json("account get-access-token");
    assert_eq!(token["accessToken"].as_str().map(|token| token.split('.').count()), Some(3), "a signed token");
}

#[test]
fn a_wrong_secret_is_refused_with_a_reason() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    az.register(&copy);
    let owner = principal(&copy, "owner", None);
    let mut login = az.login(&owner);
    login[5] = "wrong".into();
    let refused = az.run(&login);
    assert_eq!(refused.code, 1, "{}", refused.said());
    assert!(refused.said().contains("AADSTS7000215"), "{}", refused.said());
}

#[test]
fn a_revoked_principal_is_out_at_once() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    az.register(&copy);
    let owner = principal(&copy, "owner", None);
    az.ok(az.login(&owner));
    az.ok(["group", "create", "-n", "before", "-l", "local"]);
    copy.ok(["principal", "revoke", owner["appId"].as_str().expect("an id")]);
    let (_, said) = az.refused("group create -n after -l local");
    assert!(!said.contains("Traceback"), "{said}");
    let other = Az::logged_in(&copy, "owner", None);
    assert_eq!(names(&other.json("group list")).iter().filter(|name| **name == "after").count(), 0);
}

#[test]
fn a_reader_reads_and_a_contributor_of_one_group_writes_only_there() {
    let copy = Copy::serving();
    let owner = Az::logged_in(&copy, "owner", None);
    owner.ok(["group", "create", "-n", "mine", "-l", "local"]);
    owner.ok(["group", "create", "-n", "theirs", "-l", "local"]);
    let subscription = owner.json("account show")["id"].as_str().expect("a subscription").to_owned();

    let reader = Az::logged_in(&copy, "reader", None);
    assert!(names(&reader.json("group list")).contains(&"mine"));
    let (code, said) = reader.refused("appservice plan create -g mine -n plan1 --is-linux --sku P1V3 -l local");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("does not have authorization"), "{said}");

    let scope = format!("/subscriptions/{subscription}/resourceGroups/mine");
    let contributor = Az::logged_in(&copy, "contributor", Some(&scope));
    contributor.ok("appservice plan create -g mine -n plan1 --is-linux --sku P1V3 -l local".split(' '));
    let (_, said) = contributor.refused("appservice plan create -g theirs -n plan1 --is-linux --sku P1V3 -l local");
    assert!(said.contains("does not have authorization"), "{said}");
    assert_eq!(owner.json("appservice plan list -g theirs"), Value::Array(Vec::new()));
}

#[test]
fn a_caller_without_a_token_is_told_how_to_get_one() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    let url = format!("{}/subscriptions?api-version=2022-12-01", endpoint(&copy));
    let program = format!(
        "import requests\nr = requests.get({url:?})\nprint(r.status_code, r.headers['WWW-Authenticate'], r.json()['error']['code'])"
    );
    let ran = pillion_e2e::Running::start(&mut az.python(&program)).finish();
    assert_eq!(ran.code, 0, "{}", ran.said());
    assert!(ran.stdout.starts_with("401 Bearer "), "{}", ran.said());
    assert!(ran.stdout.trim().ends_with("AuthenticationFailed"), "{}", ran.said());
}

#[test]
fn every_write_is_in_the_audit_log_with_who_did_it() {
    let copy = Copy::serving();
    let az = Az::logged_in(&copy, "owner", None);
    az.ok(["group", "create", "-n", "rg1", "-l", "local"]);
    let audit = copy.json(&["audit"]);
    let text = audit.to_string();
    assert!(text.contains("/resourceGroups/rg1") || text.contains("/resourcegroups/rg1"), "{audit:#}");
}

#[test]
fn a_user_logs_in_by_name_and_password() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    az.register(&copy);
    let alice = copy.json(&["principal", "create", "alice", "--user", "--role", "owner"]);
    let refused = az.run(["login", "-u", "alice", "-p", "wrong"]);
    assert_ne!(refused.code, 0, "{}", refused.said());
    assert!(!refused.said().contains("Traceback"), "{}", refused.said());
    az.ok(["login", "-u", "alice", "-p", alice["password"].as_str().expect("a password")]);
    let account = az.json("account show");
    assert_eq!(account["user"]["type"], "user", "{account}");
    assert!(account["user"]["name"].as_str().is_some_and(|name| name.starts_with("alice")), "{account}");
    az.ok(["group", "create", "-n", "rg1", "-l", "local"]);
}

#[test]
fn a_user_logs_in_by_a_code_once_it_is_approved() {
    let copy = Copy::serving();
    let az = Az::unauthenticated(&copy);
    az.register(&copy);
    copy.json(&["principal", "create", "alice", "--user", "--role", "reader"]);
    let said = az.directory().join("said");
    let mut command = az.command(["login", "--use-device-code"]);
    // It shows the code as a warning.
    command.env("AZURE_CORE_ONLY_SHOW_ERRORS", "false").stdin(Stdio::null()).stdout(Stdio::null());
    let mut waiting = command.stderr(fs::File::create(&said).expect("a file")).spawn().expect("az starts");
    let code = until("az shows a code", Duration::from_secs(60), || user_code(&fs::read_to_string(&said).ok()?));
    copy.ok(["principal", "approve", &code, "--as", "alice"]);
    let ended = waiting.wait().expect("az ends");
    assert!(ended.success(), "{}", fs::read_to_string(&said).unwrap_or_default());
    assert_eq!(az.json("account show")["user"]["type"], "user");
    let (_, said) = az.refused("group create -n rg1 -l local");
    assert!(said.contains("does not have authorization"), "{said}");
}

/// Finds `WDJB-MJHT` or the like.
fn user_code(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let part = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    words.map(str::to_owned).find(|word| word.split_once('-').is_some_and(|(one, two)| part(one) && part(two)))
}

#[test]
fn a_second_setup_revokes_what_the_first_made_and_nobody_else() {
    let copy = Copy::serving();
    let bystander = principal(&copy, "reader", None);
    let setup = || {
        let mut command = Command::new(built("pillion"));
        let az = part(Part::Az);
        let path = format!("{}:{}", az.parent().expect("a directory").display(), std::env::var("PATH").unwrap_or_default());
        command.args(["az", "setup"]).env("PATH", path).env("HOME", copy.root()).env("PILLION_ROOT", copy.root());
        let ran = Running::start(&mut command).finish();
        assert_eq!(ran.code, 0, "{}", ran.said());
        let all = copy.json(&["principal", "list"]);
        let good = all.as_array().expect("a list").iter().filter(|one| one["revokedMs"].is_null());
        good.map(|one| one["appId"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let first = setup();
    let second = setup();
    assert_eq!((first.len(), second.len()), (2, 2), "{first:?}, then {second:?}");
    let bystander = bystander["appId"].as_str().expect("an id").to_owned();
    assert!(first.contains(&bystander) && second.contains(&bystander));
    assert_ne!(first, second, "the second login has a principal of its own");
}
