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
