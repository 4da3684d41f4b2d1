//! `logs`: since, tail, and following over restarts and new instances.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use pillion_e2e::{Copy, built, eventually};

use crate::shop::{MAIN, SIDE, Shop};

/// The lines of a command that goes on, as they come.
struct Lines {
    child: std::process::Child,
    lines: mpsc::Receiver<String>,
}

impl Lines {
    fn of(copy: &Copy, args: &[&str]) -> Lines {
        let mut command = Command::new(built("pillion"));
        command.args(args).env("PILLION_ROOT", copy.root()).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Lines { child, lines }
    }

    fn until(&self, wanted: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(30)) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{wanted:?} did not come ({error}); lines so far: {seen:#?}"),
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_and_since_choose_lines_and_each_names_its_container() {
    let shop = Shop::empty();
    shop.apply("[print, one, print, two, print, three, serve, '8080']", "[print, aside, serve, '9000']");
    let all = shop.copy.ok(["logs", "shop"]);
    for line in ["one", "two", "three", "aside"] {
        assert!(all.lines().any(|text| text.ends_with(line)), "{all}");
    }
    let web = shop.copy.ok(["logs", "shop", "-c", "web", "--tail", "1"]);
    assert!(web.lines().count() == 1 && web.contains("puppet listens"), "{web}");
    assert!(!shop.copy.ok(["logs", "shop", "-c", "web"]).contains("aside"));
    assert_eq!(shop.copy.ok(["logs", "shop", "--since", "1h"]).lines().count(), all.lines().count());
    // A line is only as old as the test: nothing is older than no time at all.
    assert_eq!(shop.copy.ok(["logs", "shop", "--since", "0s"]), "");
    let first = shop.copy.ok(["logs", "shop", "-c", "web", "--output", "json"]);
    let line: serde_json::Value = serde_json::from_str(first.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["container"], &line["text"], &line["stream"]), (&"web".into(), &"one".into(), &"stdout".into()));
}

#[test]
fn following_goes_on_over_restarts_new_instances_and_a_new_revision() {
    let shop = Shop::open();
    let lines = Lines::of(&shop.copy, &["logs", "shop", "-f"]);
    lines.until("puppet listens on 8080");
    shop.copy.ok(["restart", "shop", "-c", "web"]);
    lines.until("puppet listens on 8080");
    shop.copy.ok(["scale", "shop", "2"]);
    lines.until("puppet listens on 8080");
    shop.apply("[print, newer, serve, '8080']", SIDE);
    lines.until("newer");
}

#[test]
fn a_reader_that_never_reads_holds_up_no_container() {
    let shop = Shop::empty();
    let words = (0..400).map(|n| format!("print, '{n} {}'", "x".repeat(2000))).collect::<Vec<_>>().join(", ");
    shop.apply(MAIN, &format!("[nap, '200', {words}, print, done, serve, '9000']"));
    let mut stuck = Command::new(built("pillion"));
    stuck.args(["logs", "shop", "-f"]).env("PILLION_ROOT", shop.copy.root()).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut stuck = stuck.spawn().expect("it starts");
    for _ in 0..3 {
        shop.copy.ok(["restart", "shop", "-c", "side"]);
        eventually("the sidecar has printed everything and serves", || {
            let last = shop.copy.ok(["logs", "shop", "-c", "side", "--tail", "2"]);
            last.contains("done") && last.contains("puppet listens")
        });
    }
    assert!(stuck.try_wait().expect("a child").is_none());
    stuck.kill().and_then(|()| stuck.wait()).expect("it is ended");
}
