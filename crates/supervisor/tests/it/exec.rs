//! Processes beside a container's first, over the control socket.

use std::time::Duration;

use pillion_fault::{Exit, Fault};
use pillion_runtime::spec::ExecSpec;
use pillion_supervisor::{ClientError, ExecInput, ExecOutput, ExecSession};

use crate::world::{PATIENCE, World, web};

fn line(line: &str) -> ExecSpec {
    ExecSpec {
        argv: vec!["sh".into(), "-c".into(), line.into()],
        env: vec!["COLOUR=blue".into()],
        cwd: None,
        user: None,
        terminal: false,
    }
}

/// Reads until the exit.
async fn finish(session: &mut ExecSession) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = async {
        loop {
            match session.output.recv().await.expect("an exit comes last") {
                ExecOutput::Stdout(bytes) => out.extend(bytes),
                ExecOutput::Stderr(bytes) => err.extend(bytes),
                ExecOutput::Exit(exit) => return exit,
            }
        }
    };
    let exit = tokio::time::timeout(PATIENCE, all).await.expect("it ends");
    (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned(), exit)
}

#[tokio::test]
async fn streams_exit_and_environment_go_both_ways() {
    let world = World::started(vec![web(8080)]);
    world.until_ready().await;
    let mut session = world.client().await.exec("web", line("cat; echo $COLOUR >&2; exit 7"), None).await.expect("a session");
    session.input.send(ExecInput::Data(b"two\nlines\n".to_vec())).await.expect("sent");
    session.input.send(ExecInput::Close).await.expect("sent");
    assert_eq!(finish(&mut session).await, ("two\nlines\n".into(), "blue\n".into(), Exit::Code { code: 7 }));

    let mut session = world.client().await.exec("web", line("seq 1 200000"), None).await.expect("a session");
    let (out, _, exit) = finish(&mut session).await;
    assert_eq!((out.lines().count(), exit), (200_000, Exit::Code { code: 0 }));
    world.stop().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_that_changes() {
    let world = World::started(vec![web(8080)]);
    world.until_ready().await;
    let exec = ExecSpec { terminal: true, ..line("stty size; read x; stty size; exit 3") };
    let mut session = world.client().await.exec("web", exec, Some((100, 30))).await.expect("a session");
    let mut seen = String::new();
    while !seen.contains('\n') {
        if let Some(ExecOutput::Stdout(bytes)) = session.output.recv().await {
            seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    session.input.send(ExecInput::Resize { columns: 120, rows: 40 }).await.expect("sent");
    session.input.send(ExecInput::Data(b"\n".to_vec())).await.expect("sent");
    let (rest, _, exit) = finish(&mut session).await;
    seen.push_str(&rest);
    assert!(seen.starts_with("30 100") && seen.contains("40 120"), "{seen:?}");
    assert_eq!(exit, Exit::Code { code: 3 });
    world.stop().await;
}

#[tokio::test]
async fn a_session_that_is_dropped_ends_its_process() {
    let world = World::started(vec![web(8080)]);
    world.until_ready().await;
    let before = world.pids().len();
    let session = world.client().await.exec("web", line("exec sleep 1000"), None).await.expect("a session");
    assert!(world.pids().len() > before);
    drop(session);
    let deadline = std::time::Instant::now() + PATIENCE;
    while world.pids().len() > before {
        assert!(std::time::Instant::now() < deadline, "the process stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_with_the_reason() {
    let world = World::started(vec![web(8080)]);
    world.until_ready().await;
    let refusal = |result: Result<ExecSession, ClientError>| match result {
        Err(ClientError::Refused { reason, fault }) => (reason, fault),
        other => panic!("{other:?}"),
    };
    let absent = world.client().await.exec("nobody", line("true"), None).await;
    assert_eq!(refusal(absent), ("container `nobody` does not run".to_owned(), None));
    let exec = ExecSpec { argv: vec!["nonesuch".into()], ..line("") };
    let (reason, fault) = refusal(world.client().await.exec("web", exec, None).await);
    assert!(reason.contains("nonesuch") && matches!(fault.as_deref(), Some(Fault::CommandMissing { .. })), "{reason} {fault:?}");
    world.stop().await;
}
