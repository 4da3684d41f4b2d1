//! `up`: with a server of its own, in the background, on a terminal, and its end by Ctrl-C.

use std::path::PathBuf;

use pillion_e2e::{Copy, Images, Registry, Terminal, Users, eventually, get};
use rustix::process::Signal;

use crate::{
    screen,
    shop::{MAIN, SIDE, Shop},
};

fn app(copy: &Copy, image: &str) -> PathBuf {
    copy.file(
        "pillion.yaml",
        &format!(
            "name: shop\ncontainers:\n  web: {{ main: true, image: '{image}', port: 8080, command: [serve, '8080'], dependsOn: {{ \
             side: started }} }}\n  side: {{ image: '{image}', port: 9000, command: [serve, '9000'] }}\n"
        ),
    )
}

#[test]
fn up_detach_leaves_an_app_and_a_server_that_system_stop_ends() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let file = app(&copy, &image);
    let up = copy.run(["up".as_ref(), "--detach".as_ref(), "-f".as_ref(), file.as_os_str()]);
    assert_eq!(up.code, 0, "{}", up.said());
    let url = up.stdout.lines().find(|line| line.starts_with("http://127.0.0.1:")).unwrap_or_else(|| panic!("{}", up.said()));
    assert_eq!(get(url).expect("an answer").status, 200);
    copy.ok(["system", "stop"]);
    assert!(get(url).is_err());
    assert!(!copy.run_dir().exists(), "nothing is left below /run");
}

#[test]
fn up_without_a_terminal_prints_plain_lines_and_ends_in_order_by_a_signal() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let file = app(&copy, &image);
    let up = copy.spawn(["up".as_ref(), "-f".as_ref(), file.as_os_str()]);
    eventually("the app is ready", || {
        let status = copy.run(["status", "shop", "--output", "json"]);
        status.code == 0 && status.stdout.contains("\"state\": \"running\"")
    });
    up.signal(Signal::INT);
    let ran = up.finish();
    assert_eq!(ran.code, 0, "{}", ran.said());
    assert!(!ran.said().contains('\u{1b}'), "{}", ran.said());
    assert!(ran.stderr.contains("shop is ready") && ran.stderr.contains("stopping shop in order"), "{}", ran.stderr);
    assert_eq!(copy.run(["list"]).code, 1, "its server went with it");
    assert!(!copy.run_dir().exists(), "nothing is left below /run");
}

#[test]
fn up_on_a_terminal_shows_progress_then_logs_and_stops_by_control_c() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let file = app(&copy, &image);
    let terminal = Terminal::start(&copy.command(["up", "-f", file.to_str().expect("text")]), (120, 40));
    terminal.until("shop is ready");
    terminal.until("puppet listens on 9000");
    assert!(terminal.shows("\u{1b}["), "a terminal gets colours and bars: {}", terminal.text());
    assert!(terminal.shows("web") && terminal.shows("side"), "{}", terminal.text());
    terminal.say("\u{3}");
    terminal.until("stopping shop in order");
    assert_eq!(terminal.finish(), 0);
    assert_eq!(copy.run(["list"]).code, 1);
}

#[test]
fn a_second_control_c_ends_an_app_that_does_not_want_to_stop() {
    let registry = Registry::start(Users::Anyone);
    let image = Images::new(&registry).puppet();
    let copy = Copy::new();
    let file = copy.file(
        "pillion.yaml",
        &format!(
            "name: shop\ncontainers:\n  web:\n    main: true\n    image: '{image}'\n    port: 8080\n    command: [ignore-term, serve, \
             '8080']\n    stop: {{ grace: 100 }}\n"
        ),
    );
    let terminal = Terminal::start(&copy.command(["up", "-f", file.to_str().expect("text")]), (120, 40));
    terminal.until("shop is ready");
    terminal.until("puppet listens");
    let began = std::time::Instant::now();
    terminal.say("\u{3}");
    terminal.until("stopping shop in order");
    terminal.say("\u{3}");
    terminal.until("at once");
    terminal.finish();
    assert!(began.elapsed().as_secs() < 60, "the grace of 100 s was waited for");
    assert_eq!(copy.run(["list"]).code, 1);
}

#[test]
fn progress_on_a_terminal_leaves_one_line_for_each_container_also_of_a_failure() {
    let shop = Shop::empty();
    let side_is_absent = format!("side: {{ image: '{}'", shop.image.replace("puppet:1", "puppet:77"));
    let app = shop.file(MAIN, SIDE).replace(&format!("side: {{ image: '{}'", shop.image), &side_is_absent);
    let file = shop.copy.file("pillion.yaml", &app);
    let terminal = Terminal::start(&shop.copy.command(["apply", "-f", file.to_str().expect("text")]), (120, 40));
    terminal.until("hint:");
    let screen = screen::lines(&terminal.text(), 120);
    for container in ["web", "side"] {
        let shown: Vec<_> = screen.iter().filter(|line| line.trim_start().starts_with(container)).collect();
        assert_eq!(shown.len(), 1, "{screen:#?}");
    }
    assert!(screen.iter().any(|line| line.contains("side") && line.ends_with("failed")), "{screen:#?}");
    assert_eq!(terminal.finish(), 1);
}
