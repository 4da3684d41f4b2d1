//! Further processes in a running container.

use std::{io::Write, os::fd::AsFd};

use pillion_fault::{Exit, Fault};
use pillion_runtime::{
    container::{Running, Stdio, TerminalSize},
    spec::ExecSpec,
};

use crate::{
    confinement::status,
    world::{IDS, Run, World, launcher, read_all},
};

fn line(line: &str) -> ExecSpec {
    ExecSpec { argv: vec!["sh".into(), "-c".into(), line.into()], env: vec![], cwd: None, user: None, terminal: false }
}

async fn exec(container: &Running, exec: &ExecSpec) -> Run {
    let (stdio, pipes) = Stdio::pipes().expect("pipes");
    let running = launcher().exec(container, exec, stdio).await.expect("a process");
    drop(pipes.stdin);
    let (stdout, stderr) = (read_all(pipes.stdout), read_all(pipes.stderr));
    let exit = running.wait().await.expect("an exit");
    Run { exit, stdout: stdout.await.expect("stdout"), stderr: stderr.await.expect("stderr") }
}

async fn end(container: Running) {
    container.kill(libc::SIGKILL).expect("a signal");
    container.wait().await.expect("an exit");
    container.remove().await.expect("nothing left");
}

#[tokio::test]
async fn a_process_beside_the_first_is_confined_like_it() {
    for ids in [Some(IDS), None] {
        let world = World::with_ids(ids);
        let mut spec = world.container("a", &["sleep", "100"]);
        spec.limits.memory = Some(64 << 20);
        let container = world.start(&spec).await;
        let run = exec(&container, &line("cat /proc/self/status; cat /proc/1/cmdline | tr '\\0' ' '")).await;
        let seen = status(&run.stdout);
        assert_eq!((seen["Seccomp"], seen["NoNewPrivs"]), ("2", "1"), "{run:?}");
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(seen[set], "00000000a00425fb", "{set}");
        }
        assert!(run.stdout.ends_with("sleep 100 "), "it sees the container's processes: {run:?}");
        assert_eq!(exec(&container, &line("ls /proc/self/fd")).await.stdout, "0\n1\n2\n3\n");
        let run = exec(&container, &line("for n in user mnt pid net cgroup; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done; cat /proc/self/cgroup > /c; cat /proc/1/cgroup | grep -v -F -f /c")).await;
        assert_eq!(run.stdout, "", "same namespaces, same cgroup: {run:?}");
        end(container).await;
    }
}

#[tokio::test]
async fn a_process_gets_its_user_environment_directory_and_exit_code() {
    let world = World::new();
    let mut spec = world.container("a", &["sleep", "100"]);
    spec.env.push("A=first".into());
    let container = world.start(&spec).await;
    let mut ask = line("id -u; id -G; echo $A $B; pwd; grep CapEff /proc/self/status; exit 5");
    ask.user = Some("web".into());
    ask.env = vec!["A=second".into(), "B=2".into()];
    ask.cwd = Some("/etc".into());
    let run = exec(&container, &ask).await;
    assert_eq!(run.stdout, "1000\n1000 40\nsecond 2\n/etc\nCapEff:\t0000000000000000\n", "{run:?}");
    assert_eq!(run.exit, Exit::Code { code: 5 });
    end(container).await;
}

#[tokio::test]
async fn a_missing_command_is_a_fault_and_harms_nothing() {
    let world = World::new();
    let container = world.start(&world.container("a", &["sleep", "100"])).await;
    let mut ask = line("true");
    ask.argv = vec!["nothere".into()];
    let fault: Fault = launcher().exec(&container, &ask, Stdio::null().expect("null")).await.expect_err("no process").into();
    assert!(matches!(fault, Fault::CommandMissing { .. }), "{fault:?}");
    assert_eq!(exec(&container, &line("echo still here")).await.stdout, "still here\n");
    end(container).await;
}

#[tokio::test]
async fn a_terminal_is_one_and_follows_its_size() {
    let world = World::new();
    let container = world.start(&world.container("a", &["sleep", "100"])).await;
    let size = TerminalSize { columns: 100, rows: 30 };
    let ask = line("tty; stty size; read x; stty size; echo got $x; cat < /dev/tty > /dev/null & exit 3");
    let mut running = launcher().exec(&container, &ask, Stdio::Terminal(size)).await.expect("a process");
    let terminal = running.take_terminal().expect("a terminal");
    terminal.resize(TerminalSize { columns: 120, rows: 40 }).expect("a new size");
    let mut input = std::fs::File::from(terminal.as_fd().try_clone_to_owned().expect("a copy"));
    input.write_all(b"word\n").expect("input");
    let output = read_all(terminal.into_fd());
    assert_eq!(running.wait().await.expect("an exit"), Exit::Code { code: 3 });
    drop(input);
    let output = output.await.expect("output");
    assert!(output.contains("/dev/pts/0"), "{output}");
    assert!(output.contains("40 120"), "{output}");
    assert!(output.contains("got word"), "{output}");
    end(container).await;
}

#[tokio::test]
async fn the_first_process_can_have_a_terminal_too() {
    let world = World::new();
    let mut spec = world.container("a", &["sh", "-c", "tty; stty size"]);
    spec.terminal = true;
    let created = launcher().create(world.sandbox(), &spec, Stdio::Terminal(TerminalSize { columns: 80, rows: 24 })).await;
    let mut running = created.expect("a container").start().await.expect("a start");
    let output = read_all(running.take_terminal().expect("a terminal").into_fd());
    assert_eq!(running.wait().await.expect("an exit"), Exit::Code { code: 0 });
    let output = output.await.expect("output");
    assert!(output.contains("/dev/pts/0") && output.contains("24 80"), "{output}");
    running.remove().await.expect("nothing left");
}
