//! Start, exit codes, signals, output, restarts.

use std::time::{Duration, Instant};

use pillion_fault::Exit;
use pillion_runtime::container::Stdio;

use crate::world::{World, launcher};

/// The processes that wait for a container to make.
fn helpers() -> Vec<i32> {
    let children = std::fs::read_dir("/proc/self/task").expect("own threads").flatten().filter_map(|thread| {
        let children = std::fs::read_to_string(thread.path().join("children")).ok()?;
        Some(children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
    });
    let waits = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).skip(1).take(2).eq([&b"__runtime"[..], b"create"]))
    };
    children.flatten().filter(waits).collect()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_helper_started_ahead_makes_a_container_and_one_that_died_waiting_is_passed_over() {
    let world = World::new();
    let launcher = launcher();
    launcher.make_ready(2).expect("helpers");
    until("two helpers wait", || helpers().len() == 2).await;
    let first = helpers();
    launcher.make_ready(1).expect("a helper");
    until("three helpers wait", || helpers().len() == 3).await;
    // The last started is the first taken.
    let dead = helpers().into_iter().find(|helper| !first.contains(helper)).expect("a third helper");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(dead), nix::sys::signal::Signal::SIGKILL).expect("a signal sent");
    until("two helpers wait", || helpers().len() == 2).await;

    let stdio = Stdio::null().expect("null");
    let created = launcher.create(world.sandbox(), &world.shell("exit 3"), stdio).await.expect("a container");
    let running = created.start().await.expect("a started container");
    // Only now: until its `execve` a container's first process is a copy of its helper.
    until("one helper waits", || helpers().len() == 1).await;
    assert_eq!(running.wait().await.expect("an exit"), Exit::Code { code: 3 });
    running.remove().await.expect("nothing left");

    launcher.stand_down();
    until("no helper waits", || helpers().is_empty()).await;
}

#[tokio::test]
async fn a_container_prints_and_ends_with_its_exit_code() {
    let world = World::new();
    let run = world.run_shell("echo hello; echo oops >&2; exit 7").await;
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("hello\n", "oops\n"));
    assert_eq!(run.exit, Exit::Code { code: 7 });
}

#[tokio::test]
async fn a_signal_that_ends_a_container_is_told() {
    let world = World::new();
    let running = world.start(&world.container("a", &["sleep", "100"])).await;
    running.kill(libc::SIGKILL).expect("a signal sent");
    assert_eq!(running.wait().await.expect("an exit"), Exit::Signal { signal: libc::SIGKILL, core: false });
    running.kill(libc::SIGTERM).expect("a signal to what is gone is no error");
    running.remove().await.expect("nothing left");
}

#[tokio::test]
async fn a_program_that_handles_a_signal_gets_it() {
    let world = World::new();
    let mut container = world.container("a", &["sh", "-c", "trap 'exit 9' TERM; touch /up; while :; do sleep 0.01; done"]);
    container.env.push("X=1".into());
    let running = world.start(&container).await;
    let up = container.root.scratch.join("upper/up");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !up.exists() {
        assert!(std::time::Instant::now() < deadline, "the program never came up");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    running.kill(libc::SIGTERM).expect("a signal sent");
    assert_eq!(running.wait().await.expect("an exit"), Exit::Code { code: 9 });
    running.remove().await.expect("nothing left");
}

#[tokio::test]
async fn what_a_container_wrote_is_there_after_a_restart_and_the_image_is_untouched() {
    let world = World::new();
    let container = world.container("a", &["sh", "-c", "cat /n 2>/dev/null; echo one >> /n"]);
    assert_eq!(world.run(&container).await.stdout, "");
    assert_eq!(world.run(&container).await.stdout, "one\n");
    assert!(!world.image.join("n").exists());
}

#[tokio::test]
async fn containers_of_one_sandbox_start_at_once_and_share_its_network() {
    let world = World::new();
    let containers: Vec<_> =
        (0..10).map(|_| world.shell("readlink /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/ipc; hostname")).collect();
    let runs = futures_join(containers.iter().map(|c| world.run(c))).await;
    assert!(runs.iter().all(|run| run.stdout == runs[0].stdout && run.stdout.ends_with("box\n")), "{runs:?}");
    let own = std::fs::read_link("/proc/self/ns/net").expect("a link");
    assert!(!runs[0].stdout.contains(own.to_str().expect("text")));
}

/// Runs futures side by side on this thread.
async fn futures_join<F: std::future::Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut futures {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn a_container_sees_only_its_own_processes_and_mounts() {
    let world = World::new();
    let run = world.run_shell("echo $$; ls /proc | grep -c '^[0-9]'; grep -c pillion-ct /proc/self/mountinfo").await;
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], "1");
    assert!(lines[1].parse::<u32>().expect("a number") <= 4, "{run:?}");
    let host = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let root = world.dir.join("scratch");
    assert!(!host.contains(root.to_str().expect("text")), "nothing of the container is mounted on the host");
}

#[tokio::test]
async fn programs_find_home_and_path_in_their_environment() {
    let world = World::new();
    let mut container = world.container("a", &["env"]);
    container.env = vec!["LEVEL=1".into()];
    let run = world.run(&container).await;
    let mut lines: Vec<_> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["HOME=/root", "LEVEL=1", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
}

#[tokio::test]
async fn many_starts_leave_no_process_mount_cgroup_or_descriptor() {
    let world = World::new();
    // The first start opens what the process keeps for good.
    world.run_shell("true").await;
    let before = left_behind(&world);
    for _ in 0..10 {
        let containers: Vec<_> =
            (0..6).map(|n| world.container(&format!("n{n}"), &["sh", "-c", "sleep 100 & echo done"])).collect();
        let runs = futures_join(containers.iter().map(|c| world.run(c))).await;
        assert!(runs.iter().all(|run| run.stdout == "done\n"), "{runs:?}");
    }
    assert_eq!(left_behind(&world), before);
}

/// Counts this process's children, descriptors, mounts, and the sandbox's cgroups.
fn left_behind(world: &World) -> [usize; 4] {
    let count = |path: &str| std::fs::read_dir(path).expect("listing").count();
    // Other tests mount as well; only what lies below this world counts.
    let own = world.dir.to_str().expect("text");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().filter(|l| l.contains(own)).count();
    let children = std::fs::read_dir("/proc/self/task").expect("threads").flatten();
    let children =
        children.map(|t| std::fs::read_to_string(t.path().join("children")).unwrap_or_default().split_whitespace().count()).sum();
    let trees = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(|tree| std::path::Path::new(tree).join(&world.sandbox().cgroup));
    let groups = trees
        .iter()
        .filter_map(|tree| std::fs::read_dir(tree).ok())
        .map(|dir| dir.flatten().filter(|e| e.path().is_dir()).count())
        .sum();
    [children, count("/proc/self/fd"), mounts, groups]
}
