//! What a changed definition changes.

use pillion_model::{App, AppFile, ContainerChange, InstanceReason, changes};

const BASE: &str = "
name: shop
containers:
  web: { main: true, image: web:1, port: 8080, env: { A: 1, DB: { fromSetting: DB } } }
  cache: { image: redis:7, port: 6379, volumes: [{ volume: data, path: /data }] }
  log: { image: log:1 }
volumes: { data: { persistent: true } }
settings: { DB: { secret: x }, OTHER: y }
";

fn parse(text: &str) -> App {
    AppFile::parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn changed(from: &str, to: &str) -> pillion_model::AppChanges {
    assert!(BASE.contains(from), "{from}");
    changes(&parse(BASE), &parse(&BASE.replace(from, to)))
}

fn fields(fields: &[&str]) -> ContainerChange {
    ContainerChange::Changed { fields: fields.iter().map(|field| (*field).to_owned()).collect() }
}

#[test]
fn the_same_definition_changes_nothing() {
    assert!(changes(&parse(BASE), &parse(BASE)).is_empty());
}

#[test]
fn a_container_changes_by_the_fields_that_differ_and_the_others_stay() {
    let all = changed("log:1", "log:2, env: { X: 1 }");
    assert_eq!(all.containers["log"], fields(&["image", "env.X"]));
    assert_eq!(all.containers["web"], ContainerChange::Unchanged);
    assert_eq!(all.restarted().map(|name| name.as_str()).collect::<Vec<_>>(), ["log"]);
    assert!(all.new_instance.is_empty() && all.app.is_empty());
}

#[test]
fn a_probe_changes_a_container_without_restarting_it() {
    let all = changed("log:1", "log:1, probe: none, stop: { grace: 3 }");
    assert_eq!(all.containers["log"], fields(&["probe", "stop"]));
    assert_eq!(all.restarted().count(), 0);
}

#[test]
fn containers_come_and_go() {
    let all = changed("log: { image: log:1 }", "trace: { image: t }");
    assert_eq!(all.containers["trace"], ContainerChange::Added);
    assert_eq!(all.containers["log"], ContainerChange::Removed);
    assert!(all.new_instance.is_empty());
}

#[test]
fn a_setting_touches_only_the_containers_that_read_it() {
    let all = changed("DB: { secret: x }", "DB: { secret: z }");
    assert_eq!(all.containers["web"], fields(&["env.DB"]));
    assert_eq!(all.containers["cache"], ContainerChange::Unchanged);
    assert_eq!(all.app, ["settings.DB"]);
    let all = changed("OTHER: y", "OTHER: z");
    assert!(all.containers.values().all(|change| *change == ContainerChange::Unchanged));
}

#[test]
fn hiding_a_setting_restarts_nobody() {
    let all = changed("DB: { secret: x }", "DB: x");
    assert_eq!(all.containers["web"], ContainerChange::Unchanged);
    assert_eq!(all.app, ["settings.DB"]);
}

#[test]
fn scale_hosts_and_deadline_touch_no_container() {
    let all = changed("volumes: {", "scale: 3\nhosts: [a.example]\nreadyWithin: 9\nvolumes: {");
    assert_eq!(all.app, ["scale", "hosts", "readyWithin"]);
    assert!(all.new_instance.is_empty());
    assert_eq!(all.restarted().count(), 0);
}

#[test]
fn what_an_instance_is_built_on_needs_a_new_one() {
    assert_eq!(changed("volumes: { data", "network: none\nvolumes: { data").new_instance, [InstanceReason::Network]);
    assert_eq!(changed("volumes: { data", "userNamespace: off\nvolumes: { data").new_instance, [InstanceReason::UserNamespace]);
    assert_eq!(changed("persistent: true", "persistent: false").new_instance, [InstanceReason::Volume { volume: "data".into() }]);
    let moved = parse(&BASE.replace("main: true, ", "").replace("log: { ", "log: { main: true, "));
    assert_eq!(changes(&parse(BASE), &moved).new_instance, [InstanceReason::Main]);
}

#[test]
fn a_volume_nobody_mounts_needs_nothing_new() {
    let all = changed("data: { persistent: true }", "data: { persistent: true }, spare: {}");
    assert_eq!(all.app, ["volumes.spare"]);
    assert!(all.new_instance.is_empty());
}
