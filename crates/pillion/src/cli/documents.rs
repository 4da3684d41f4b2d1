//! The pages of `docs/reference` that must say what the program does: they are compared with it.

use std::path::PathBuf;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::Cli;
use crate::serve::Settings;

fn page(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(page(name)).expect("the page is there")
}

/// Every key that a definition may have at a place, as decoding itself lists them when it meets one that it does not know.
fn keys_at(place: impl Fn(Value) -> Value) -> Vec<String> {
    let unknown = place(json!({ "no-such-key": 1 }));
    let refused = serde_json::from_value::<pillion_model::App>(unknown).expect_err("an unknown key is refused").to_string();
    let (_, known) = refused.split_once("expected").unwrap_or_else(|| panic!("no keys are listed: {refused}"));
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_the_app_file_has_every_key() {
    let page = read("app-file.md");
    let container = |inside: Value| json!({ "name": "a", "containers": { "c": inside } });
    let within = |key: &'static str| move |inside: Value| container(json!({ key: inside }));
    let listed = |key: &'static str| move |inside: Value| container(json!({ key: [inside] }));
    let mut keys = keys_at(|inside| inside);
    keys.extend(keys_at(container));
    for key in ["resources", "stop", "probe"] {
        keys.extend(keys_at(within(key)));
    }
    for key in ["volumes", "files", "tmpfs"] {
        keys.extend(keys_at(listed(key)));
    }
    keys.extend(keys_at(|inside| container(json!({ "probe": { "http": inside } }))));
    keys.extend(keys_at(|inside| json!({ "name": "a", "containers": {}, "volumes": { "v": inside } })));
    assert!(keys.len() > 50, "{keys:?}");
    // In a table cell, or in the braces of one that has several.
    let written = |key: &String| {
        page.contains(&format!("`{key}`")) || page.contains(&format!("{key},")) || page.contains(&format!("{key} }}"))
    };
    let missing: Vec<_> = keys.iter().filter(|key| !written(key)).collect();
    assert!(missing.is_empty(), "docs/reference/app-file.md does not tell of {missing:?}");
}

/// A line of a table of the page: the heading it stands under, its key, what is accepted and what is refused.
fn examples(page: &str) -> Vec<[String; 4]> {
    let (mut heading, mut found) = ("", Vec::new());
    for line in page.lines() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let ([key, _, _, good, bad, _], true) = (cells.as_slice(), line.starts_with("| `")) {
            found.push([heading, *key, *good, *bad].map(|cell| cell.trim_matches('`').to_owned()));
        }
    }
    found
}

/// An app file that is whole but for `line` of the thing that a table is about.
fn around(heading: &str, key: &str, line: &str) -> String {
    let with = |rest: &[&str]| {
        let others = rest.iter().filter(|other| !other.starts_with(&format!("{key}:")));
        others.copied().chain([line]).collect::<Vec<_>>().join(", ")
    };
    let app = |web: &str, data: &str| {
        format!(
            "name: shop\ncontainers:\n  web: {{ {web} }}\n  cache: {{ image: redis, port: 6379, probe: {{ tcp: 6379 }} }}\n  \
             migrate: {{ image: shop/web:1, runOnce: true }}\nvolumes: {{ data: {{ {data} }} }}\nsettings: {{ DB_URL: x }}\n"
        )
    };
    let web = ["main: true", "image: shop/web:1", "port: 80"];
    match heading {
        "The app" => {
            let rest = ["name: shop", "containers: { web: { main: true, image: shop/web:1 } }"];
            format!("{{ {} }}", with(&rest))
        }
        "A container" => app(&with(&web), ""),
        "A probe" => {
            let timed = ["interval", "timeout", "failures", "within"].contains(&key);
            let probe = if timed { with(&["tcp: 80"]) } else { line.to_owned() };
            app(&[web.join(", "), format!("probe: {{ {probe} }}")].join(", "), "")
        }
        "A mount" => {
            let mount = with(&["volume: data", "path: /data"]);
            app(&[web.join(", "), format!("volumes: [{{ {mount} }}]")].join(", "), "")
        }
        "A volume" => app(&web.join(", "), line),
        other => panic!("a table under {other:?}"),
    }
}

#[test]
fn the_examples_of_the_app_file_are_accepted_and_refused_as_its_page_says() {
    let examples = examples(&read("app-file.md"));
    assert!(examples.len() > 40, "{examples:?}");
    for [heading, key, good, bad] in examples {
        let (good, bad) = (around(&heading, &key, &good), around(&heading, &key, &bad));
        if let Err(problems) = pillion_model::AppFile::parse(&good) {
            panic!("{heading}, {key}: refused: {problems:#?}\n{good}");
        }
        assert!(pillion_model::AppFile::parse(&bad).is_err(), "{heading}, {key}: accepted:\n{bad}");
    }
}

#[test]
fn the_page_of_the_settings_has_every_key() {
    let page = read("settings.md");
    let settings = serde_json::to_value(Settings::default()).expect("settings are JSON");
    for key in settings.as_object().expect("an object").keys() {
        assert!(page.contains(&format!("| `{key}` |")), "docs/reference/settings.md does not tell of `{key}`");
    }
}

/// The help of every verb, one after another.
fn help() -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut text = String::from(
        "# The command line\n\nWhat `--help` says of every verb; `UPDATE_DOCS=1 cargo test -p pillion` writes it anew.\n",
    );
    append(&mut cli, "pillion", &mut text);
    text
}

fn append(command: &mut clap::Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for verb in command.get_subcommands_mut() {
        if verb.get_name() != "help" {
            let path = format!("{path} {}", verb.get_name());
            append(verb, &path, text);
        }
    }
}

#[test]
fn the_page_of_the_command_line_is_what_help_says() {
    let help = help();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page("cli.md"), &help).expect("the page is written");
    }
    assert_eq!(read("cli.md"), help, "UPDATE_DOCS=1 cargo test -p pillion writes it anew");
}
