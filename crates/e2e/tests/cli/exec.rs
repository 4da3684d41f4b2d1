//! `exec`: streams, exit codes, a terminal that changes its size.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use pillion_e2e::{Images, Packed, Terminal, built, eventually};

use crate::shop::Shop;

#[test]
fn exit_codes_and_streams_pass_through() {
    let shop = Shop::open();
    let ran = shop.copy.run(["exec", "shop", "--", "/bin/puppet", "print", "out", "warn", "err", "exit", "7"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (7, "out\n", "err\n"));
    let ran = shop.copy.run(["exec", "shop", "-c", "side", "--", "/bin/puppet", "die", "9"]);
    assert_eq!(ran.code, 137, "{}", ran.said());
    let ran = shop.copy.run(["exec", "shop", "--", "/bin/nothing"]);
    assert!(ran.code != 0 && ran.stderr.contains("/bin/nothing"), "{}", ran.said());
}

#[test]
fn input_reaches_the_command_and_a_terminal_has_the_callers_size() {
    let shop = Shop::empty();
    let busybox = Packed::program("/bin/busybox".as_ref()).with(&["--cmd", "sleep", "--cmd", "1000"]);
    let image = Images::new(&shop.registry).push("busybox:1", &busybox);
    let puppet = &shop.image;
    let file = format!(
        "name: shop\ncontainers:\n  web: {{ main: true, image: '{puppet}', port: 8080, command: [serve, '8080'] }}\n  box: {{ \
         image: '{image}' }}\n"
    );
    let applied = shop.copy.apply(&file);
    assert_eq!(applied.code, 0, "{}", applied.said());

    let mut cat = Command::new(built("pillion"))
        .args(["exec", "shop", "-c", "box", "--", "/bin/busybox", "cat"])
        .env("PILLION_ROOT", shop.copy.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("exec starts");
    let mut given = vec![b'x'; 200_000];
    given.extend_from_slice(b"\nend\n");
    let mut stdin = cat.stdin.take().expect("a pipe");
    let copy = given.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy));
    let got = cat.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends").expect("all is taken");
    assert!(got.status.success() && got.stdout == given, "{} of {} bytes came back", got.stdout.len(), given.len());

    let terminal =
        Terminal::start(&shop.copy.command(["exec", "shop", "-c", "box", "-t", "--", "/bin/busybox", "sh"]), (100, 30));
    // A shell throws away what was typed before its prompt.
    terminal.until("# ");
    terminal.say("/bin/busybox stty size\n");
    terminal.until("30 100");
    terminal.resize((132, 50));
    eventually("the command's terminal has the new size", || {
        terminal.say("/bin/busybox stty size\n");
        terminal.shows("50 132")
    });
    terminal.say("exit 3\n");
    assert_eq!(terminal.finish(), 3);
}
