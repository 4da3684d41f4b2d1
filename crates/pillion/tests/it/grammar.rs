//! The grammar: help of every verb as a golden file, and an example in each.

use std::path::PathBuf;

use crate::run::{pillion, root};

const VERBS: &[&str] = &[
    "",
    "serve",
    "up",
    "apply",
    "list",
    "show",
    "status",
    "logs",
    "exec",
    "events",
    "restart",
    "stop",
    "start",
    "scale",
    "delete",
    "sidecar",
    "sidecar add",
    "sidecar update",
    "sidecar remove",
    "image",
    "image pull",
    "image pack",
    "system",
];

#[test]
fn the_help_of_every_verb_is_as_recorded() {
    let root = root();
    let mut wrong = Vec::new();
    for verb in VERBS {
        let mut args: Vec<&str> = verb.split_whitespace().collect();
        args.push("--help");
        let ran = pillion(root.path(), &args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{verb}");
        let name = if verb.is_empty() { "pillion".to_owned() } else { verb.replace(' ', "-") };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &ran.stdout).expect("the golden file is written");
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != ran.stdout {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "the help of {wrong:?} has changed: look at it with UPDATE_GOLDEN=1 and git diff");
}

#[test]
fn every_help_teaches_by_example() {
    let root = root();
    for verb in VERBS {
        let mut args: Vec<&str> = verb.split_whitespace().collect();
        args.push("--help");
        let help = pillion(root.path(), &args).stdout;
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("`{verb}` shows no example:\n{help}"));
        let first = verb.split_whitespace().next().unwrap_or("up");
        assert!(examples.contains(&format!("pillion {first}")), "`{verb}`:\n{examples}");
    }
}

#[test]
fn roles_of_the_binary_are_no_verbs_for_people() {
    let help = pillion(root().path(), &["--help"]).stdout;
    for role in ["gateway", "supervise", "__runtime"] {
        assert!(!help.contains(&format!("  {role}")), "{help}");
    }
}
