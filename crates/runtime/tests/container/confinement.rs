//! What a container may not do, tried from inside it.

use std::{collections::HashMap, path::Path};

use pillion_fault::Exit;

use crate::{
    program,
    world::{IDS, World},
};

/// The lines `Name: value` of `/proc/self/status`.
pub fn status(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
}

#[tokio::test]
async fn root_inside_is_confined_and_is_not_root_outside() {
    let world = World::new();
    let run = world.run_shell("cat /proc/self/status /proc/self/uid_map; touch /made; stat -c %u /made").await;
    let seen = status(&run.stdout);
    assert_eq!(seen["Seccomp"], "2", "{run:?}");
    assert_eq!(seen["Seccomp_filters"], "2");
    assert_eq!(seen["NoNewPrivs"], "1");
    // Docker's default set less CAP_MKNOD (bit 27).
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(seen[set], "00000000a00425fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(seen[set], "0000000000000000", "{set}");
    }
    // Signals: none ignored, none blocked, none pending.
    for set in ["SigIgn", "SigBlk"] {
        assert_eq!(seen[set], "0000000000000000", "{set}");
    }
    assert_eq!(seen["Groups"], "");
    let map = format!("         0 {} {}", IDS.start, IDS.len);
    let squeezed: Vec<_> = map.split_whitespace().collect();
    assert!(run.stdout.lines().any(|l| l.split_whitespace().collect::<Vec<_>>() == squeezed), "{}", run.stdout);
    assert!(run.stdout.ends_with("\n0\n"), "a new file belongs to root inside: {}", run.stdout);
}

#[tokio::test]
async fn files_a_container_makes_belong_to_its_range_outside() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    let mut container =
        world.shell("touch /made; id -u; id -G; echo $HOME; grep CapEff /proc/self/status; touch /tmp/x || echo refused");
    world.run(&container).await;
    let made = container.root.scratch.join("upper/made");
    assert_eq!(made.metadata().expect("the file").uid(), IDS.start);
    container.user = "web".into();
    let run = world.run(&container).await;
    assert_eq!(run.stdout, "1000\n1000 40\n/home/web\nCapEff:\t0000000000000000\nrefused\n", "{run:?}");
}

#[tokio::test]
async fn denied_calls_fail_with_eperm_and_newer_ones_with_enosys() {
    let world = World::new();
    let calls = [
        ("clone3", libc::SYS_clone3, 0, libc::ENOSYS),
        ("newer", 4095, 0, libc::ENOSYS),
        ("bpf", libc::SYS_bpf, 0, libc::EPERM),
        ("io_uring", libc::SYS_io_uring_setup, 0, libc::EPERM),
        ("unshare", libc::SYS_unshare, 0, libc::EPERM),
        ("keyctl", libc::SYS_keyctl, 0, libc::EPERM),
        ("clone-user", libc::SYS_clone, libc::CLONE_NEWUSER as u32, libc::EPERM),
        ("vsock", libc::SYS_socket, libc::AF_VSOCK as u32, libc::EPERM),
        ("getuid", libc::SYS_getuid, 0, 0),
    ];
    for (name, number, argument, errno) in calls {
        program::write_caller(&world.image.join("bin").join(name), number, argument);
        let run = world.run(&world.container(name, &[&format!("/bin/{name}")])).await;
        assert_eq!(run.exit, Exit::Code { code: errno }, "{name}");
    }
}

#[tokio::test]
async fn kernel_knobs_are_read_only_or_hidden() {
    let world = World::new();
    let run = world
        .run_shell(
            "echo x > /proc/sys/kernel/domainname; echo h > /proc/sys/kernel/core_pattern; mkdir /sys/x; \
             cat /proc/kcore /proc/keys /proc/interrupts 2>/dev/null | wc -c; cat /proc/interrupts | wc -c; ls /sys/firmware; mount -t tmpfs x /tmp; umount /proc; echo end",
        )
        .await;
    assert_eq!(run.stdout, "0\n0\nend\n", "{run:?}");
    let refusals = run
        .stderr
        .lines()
        .filter(|l| l.contains("Read-only file system") || l.contains("not permitted") || l.contains("ermission denied"));
    assert_eq!(refusals.count(), 5, "{}", run.stderr);
}

#[tokio::test]
async fn a_read_only_root_refuses_writes_and_leaves_tmpfs_writable() {
    let world = World::new();
    let mut container = world.shell("touch /x && echo written; touch /t/x && echo temporary");
    container.root.read_only = true;
    container.mounts = vec![pillion_runtime::spec::MountSpec::Tmpfs { path: "/t".into(), size: Some(1 << 20) }];
    let run = world.run(&container).await;
    assert_eq!(run.stdout, "temporary\n", "{run:?}");
}

#[tokio::test]
async fn devices_are_few_and_brought_ones_cannot_be_opened() {
    for ids in [Some(IDS), None] {
        let world = World::with_ids(ids);
        for (name, kind, major, minor) in [("mem", libc::S_IFCHR, 1, 1), ("loop", libc::S_IFBLK, 7, 0)] {
            let path = std::ffi::CString::new(world.image.join(name).to_str().expect("a path")).expect("a path");
            // SAFETY: a NUL-terminated path and plain numbers.
            assert_eq!(unsafe { libc::mknod(path.as_ptr(), kind | 0o666, libc::makedev(major, minor)) }, 0);
        }
        let run = world
            .run_shell("cd /dev; echo * | tr ' ' '\n' | grep -v core | tr '\n' ' '; echo; echo data > /dev/null; head -c 4 /dev/zero | wc -c; head -c1 /mem; head -c1 /loop; mknod /tmp/n c 1 1; echo end")
            .await;
        assert_eq!(
            run.stdout, "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n4\nend\n",
            "{ids:?} {run:?}"
        );
        assert_eq!(
            run.stderr.lines().filter(|l| l.contains("not permitted") || l.contains("ermission denied")).count(),
            3,
            "{ids:?} {}",
            run.stderr
        );
    }
}

#[tokio::test]
async fn the_cgroup_is_seen_but_not_written() {
    let world = World::new();
    let mut container = world.shell(
        "for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do [ -e $f ] && cat $f && echo 1 > $f; done; \
         mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x; echo end",
    );
    container.limits.memory = Some(64 << 20);
    let run = world.run(&container).await;
    assert_eq!(run.stdout, format!("{}\nend\n", 64 << 20), "{run:?}");
    assert!(run.stderr.contains("Read-only") || run.stderr.contains("ermission"), "{}", run.stderr);
}

#[tokio::test]
async fn without_a_user_namespace_no_cgroup_of_v1_is_in_sight() {
    if !Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        // On v2 a read-only mount in a cgroup namespace is safe: it must be there.
        let world = World::with_ids(None);
        assert!(world.run_shell("ls /sys/fs/cgroup").await.stdout.contains("cgroup.procs"));
        return;
    }
    let world = World::with_ids(None);
    let run = world.run_shell("ls /sys/fs/cgroup; grep -c cgroup /proc/self/mounts; grep CapEff /proc/self/status").await;
    assert_eq!(run.stdout, "0\nCapEff:\t00000000a00425fb\n", "{run:?}");
}

#[tokio::test]
async fn a_program_inherits_its_three_streams_and_nothing_else() {
    let world = World::new();
    // The fourth is the listing's own.
    let run = world.run_shell("ls /proc/self/fd").await;
    assert_eq!(run.stdout, "0\n1\n2\n3\n", "{run:?}");
}
