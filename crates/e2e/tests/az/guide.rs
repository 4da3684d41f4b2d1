//! The tutorial, followed word for word: its own commands, with images of this machine in place of Docker Hub's.

use std::{fs, process::Command};

use pillion_e2e::{Copy, Images, Packed, Part, Registry, Running, Users, built, part, workspace};

/// What a test cannot do as a person does: the server runs already, and that one never ends.
const LEFT_OUT: &[&str] = &["pillion serve &", "az webapp sitecontainers log "];
/// This one wants a person at a terminal.
const SSH: &str = "az webapp ssh ";

#[test]
fn the_guide_leads_from_nothing_to_a_running_app_with_a_sidecar_and_its_template_does_too() {
    let registry = Registry::start(Users::Anyone);
    let images = Images::new(&registry);
    let words = |words: &[&'static str]| words.iter().flat_map(|word| ["--cmd", word]).collect::<Vec<_>>();
    let web = Packed::program(&built("puppet")).with(&words(&["serve", "80"])).with(&["--program", "/usr/bin/dash:/bin/sh"]);
    let web = images.push("nginx:1.27", &web);
    let redis = images.push("redis:7", &Packed::program(&part(Part::Redis)).with(&words(&["--dir", "/tmp", "--save", ""])));
    let copy = Copy::serving();
    let guide = fs::read_to_string(workspace().join("docs/guide/az.md")).expect("the guide is there");
    let guide = guide.replace("docker.io/library/nginx:1.27", &web).replace("docker.io/library/redis:7", &redis);
    fs::write(copy.root().join("app.json"), blocks(&guide, "json").concat()).expect("the template is written");
    let mut script = String::from("set -euo pipefail\n");
    for block in blocks(&guide, "sh") {
        if block.starts_with(SSH) {
            script.push_str(&at_terminal(block.trim_end()));
        } else if !LEFT_OUT.iter().any(|left| block.trim_start().starts_with(left)) {
            script.push_str(&block);
        }
    }
    let count = blocks(&guide[..guide.find("## What next").expect("a chapter")], "sh").len();
    assert_eq!(count, 10, "the guide promises ten commands");
    let mut bash = Command::new("bash");
    let programs = [built("pillion"), part(Part::Az)].map(|path| path.parent().expect("a directory").display().to_string());
    let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap_or_default());
    bash.args(["-c", &script]).current_dir(copy.root()).env("PATH", path).env("HOME", copy.root());
    bash.env("PILLION_ROOT", copy.root()).env("AZURE_CORE_NO_COLOR", "true").env("NO_COLOR", "1");
    let ran = Running::start(&mut bash).finish();
    assert_eq!(ran.code, 0, "{}", ran.said());
    assert!(ran.stdout.contains("hello from"), "the app answered: {}", ran.said());
    assert!(ran.stdout.contains("typed-42"), "the shell answered: {}", ran.said());
    assert_eq!(copy.json(&["list"]).as_array().map(Vec::len), Some(0), "the clean-up left nothing");
}

/// Has somebody type at a terminal of its own, again and again, as what is typed too early is thrown away, until the shell
/// that hears it ends. The two instances that the page has asked for come first: those before them end with their shells.
fn at_terminal(command: &str) -> String {
    let settled =
        "timeout 60 sh -c \"until pillion status shop | grep -q 'running .*2 of 2 instances ready'; do sleep 0.2; done\"";
    let typist = "while echo 'echo typed-$((40+2)); exit'; do sleep 1; done";
    format!("{settled}\n({typist}) 2>/dev/null | timeout --foreground 60 script -qec '{command}' /dev/null || true\n")
}

/// Returns the fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned())).collect()
}
