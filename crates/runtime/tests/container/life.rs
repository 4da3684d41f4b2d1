//! Start, exit codes, signals, output.

use pillion_fault::Exit;

use crate::world::World;

#[tokio::test]
async fn a_container_prints_and_ends_with_its_exit_code() {
    let world = World::new();
    let run = world.run_shell("echo hello; echo oops >&2; exit 7").await;
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("hello\n", "oops\n"));
    assert_eq!(run.exit, Exit::Code { code: 7 });
}
