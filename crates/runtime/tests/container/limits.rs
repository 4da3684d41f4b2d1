//! Memory, processes, resource limits, shared memory.

use pillion_fault::{Exit, OomScope};

use crate::world::World;

#[tokio::test]
async fn a_container_over_its_memory_limit_is_reported_with_the_limit() {
    let world = World::new();
    let mut container = world.container("greedy", &["tail", "/dev/zero"]);
    container.limits.memory = Some(16 << 20);
    let run = world.run(&container).await;
    assert_eq!(run.exit, Exit::Oom { scope: OomScope::Limit { bytes: 16 << 20 } });
}

#[tokio::test]
async fn a_shell_whose_child_ran_out_of_memory_is_reported_too() {
    let world = World::new();
    let mut container = world.shell("tail /dev/zero; exit $?");
    container.limits.memory = Some(16 << 20);
    assert_eq!(world.run(&container).await.exit, Exit::Oom { scope: OomScope::Limit { bytes: 16 << 20 } });
}

#[tokio::test]
async fn an_ordinary_kill_is_not_called_a_lack_of_memory() {
    let world = World::new();
    let mut container = world.shell("sleep 100 & kill -9 $!; wait $!; exit $?");
    container.limits.memory = Some(64 << 20);
    assert_eq!(world.run(&container).await.exit, Exit::Code { code: 137 });
}

#[tokio::test]
async fn processes_beyond_the_limit_are_refused() {
    let world = World::new();
    let mut container = world.shell("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all");
    container.limits.pids = Some(4);
    let run = world.run(&container).await;
    assert!(run.stderr.contains("fork"), "{run:?}");
    assert!(!run.stdout.contains("all"), "{run:?}");
}

#[tokio::test]
async fn resource_limits_are_set_and_clamped_to_the_host() {
    let world = World::new();
    let mut container = world.shell("ulimit -n; ulimit -Hn; ulimit -c");
    container.rlimits = vec![("nofile".into(), 512, u64::MAX - 1), ("core".into(), u64::MAX - 1, u64::MAX - 1)];
    let run = world.run(&container).await;
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.expect("a limit");
    assert_eq!(run.stdout.lines().take(2).collect::<Vec<_>>(), ["512".to_owned(), own.to_string()], "{run:?}");
}

#[tokio::test]
async fn shared_memory_has_the_size_asked_for() {
    let world = World::new();
    let mut container =
        world.shell("df -k /dev/shm | tail -1 | tr -s ' '; dd if=/dev/zero of=/dev/shm/x bs=1M count=9 || echo full");
    container.shm_size = 8 << 20;
    let run = world.run(&container).await;
    assert!(run.stdout.contains(" 8192 ") && run.stdout.ends_with("full\n"), "{run:?}");
}
