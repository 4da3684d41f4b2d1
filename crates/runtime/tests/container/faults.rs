//! What does not start, and what is said about it.

use std::{fs, os::unix::fs::PermissionsExt};

use pillion_fault::Fault;
use pillion_runtime::{
    container::Stdio,
    spec::{ContainerSpec, MountSpec},
};

use crate::{
    program,
    world::{World, launcher},
};

async fn fault(world: &World, container: &ContainerSpec) -> Fault {
    world.try_run(container).await.expect_err("a container that cannot start")
}

fn file(world: &World, name: &str, content: &str, mode: u32) {
    let path = world.image.join("bin").join(name);
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[tokio::test]
async fn a_missing_command_is_named_with_where_it_was_looked_for() {
    let world = World::new();
    let missing = fault(&world, &world.container("a", &["nothere"])).await;
    assert_eq!(missing, Fault::CommandMissing { command: "nothere".into(), searched: vec!["/bin".into(), "/usr/bin".into()] });
    let missing = fault(&world, &world.container("b", &["/opt/nothere"])).await;
    assert_eq!(missing, Fault::CommandMissing { command: "/opt/nothere".into(), searched: vec![] });
}

#[tokio::test]
async fn a_file_that_may_not_be_executed_is_named() {
    let world = World::new();
    file(&world, "plain", "#!/bin/sh\n", 0o644);
    for command in ["plain", "/bin/plain", "/etc"] {
        let refused = fault(&world, &world.container("a", &[command])).await;
        assert_eq!(refused, Fault::CommandNotExecutable { command: command.into() });
    }
}

#[tokio::test]
async fn a_wrong_format_says_what_the_file_is() {
    let world = World::new();
    file(&world, "script", "echo no first line\n", 0o755);
    file(&world, "lost", "#!/usr/bin/python9\n", 0o755);
    file(&world, "windows", "#!/bin/sh\r\necho\r\n", 0o755);
    program::write_foreign(&world.image.join("bin/foreign"));
    fs::copy("/bin/ls", world.image.join("bin/dynamic")).expect("a dynamic program");
    for (command, word) in [("script", "`#!`"), ("foreign", "riscv64")] {
        match fault(&world, &world.container("a", &[command])).await {
            Fault::CommandWrongFormat { command: named, detail } => {
                assert_eq!(named, command);
                assert!(detail.contains(word), "{detail}");
            }
            other => panic!("{command}: {other:?}"),
        }
    }
    for (command, word) in [("lost", "/usr/bin/python9"), ("windows", "/bin/sh\\r"), ("dynamic", "ld-linux")] {
        match fault(&world, &world.container("a", &[command])).await {
            Fault::InterpreterMissing { command: named, interpreter } => {
                assert_eq!(named, command);
                assert!(interpreter.contains(word), "{interpreter:?}");
            }
            other => panic!("{command}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn no_command_an_unknown_user_and_a_bad_directory_are_told_apart() {
    let world = World::new();
    assert!(matches!(fault(&world, &world.container("a", &[])).await, Fault::NoCommand { .. }));
    let mut container = world.container("a", &["true"]);
    container.user = "ghost".into();
    assert_eq!(fault(&world, &container).await, Fault::UserUnknown { user: "ghost".into() });
    container.user = "70000".into();
    assert!(matches!(fault(&world, &container).await, Fault::StartFailed { reason, .. } if reason.contains("65536")));
    let mut container = world.container("a", &["true"]);
    container.cwd = "/etc/passwd".into();
    assert_eq!(fault(&world, &container).await, Fault::WorkingDirectoryMissing { path: "/etc/passwd".into() });
}

#[tokio::test]
async fn a_missing_working_directory_is_made() {
    let world = World::new();
    let mut container = world.container("a", &["sh", "-c", "pwd; touch here && echo mine"]);
    container.cwd = "/srv/app/deep".into();
    assert_eq!(world.run(&container).await.stdout, "/srv/app/deep\nmine\n");
}

#[tokio::test]
async fn a_mount_that_cannot_be_made_is_named_with_its_reason() {
    let world = World::new();
    let mut container = world.container("a", &["true"]);
    for (mount, reason) in [
        (MountSpec::Host { source: "/nothere".into(), path: "/data".into(), read_only: false }, "No such file"),
        (MountSpec::Tmpfs { path: "/proc/x".into(), size: None }, "own"),
        (MountSpec::Tmpfs { path: "relative".into(), size: None }, "absolute"),
        (MountSpec::Tmpfs { path: "/".into(), size: None }, "root"),
        (MountSpec::File { content: String::new(), mode: 0o644, path: "/bin".into() }, "directory"),
    ] {
        container.mounts = vec![mount];
        match fault(&world, &container).await {
            Fault::MountFailed { reason: said, .. } => assert!(said.contains(reason), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_failed_start_leaves_no_cgroup_and_the_name_can_be_used_again() {
    let world = World::new();
    let container = world.container("again", &["nothere"]);
    fault(&world, &container).await;
    let cgroup = pillion_runtime::cgroup::Cgroup::at(&world.sandbox().cgroup.join("again")).expect("a cgroup");
    assert!(!cgroup.exists());
    assert_eq!(world.run(&world.container("again", &["echo", "now"])).await.stdout, "now\n");
}

#[tokio::test]
async fn a_container_that_is_given_up_leaves_nothing() {
    let world = World::new();
    let container = world.container("waiting", &["sleep", "100"]);
    let created = launcher().create(world.sandbox(), &container, Stdio::null().expect("null")).await.expect("a container");
    let pid = created.pid();
    created.discard().await.expect("nothing left");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_volume_that_hides_the_command_is_named() {
    let world = World::new();
    let opt = world.image.join("opt/app");
    fs::create_dir_all(&opt).expect("a directory");
    fs::write(opt.join("serve"), "#!/bin/sh\necho served\n").expect("a file");
    fs::set_permissions(opt.join("serve"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut container = world.container("a", &["/opt/app/serve"]);
    assert_eq!(world.run(&container).await.stdout, "served\n");
    let source = world.dir.join("cache");
    container.mounts = vec![MountSpec::Volume { source, sub_path: None, path: "/opt/app".into(), read_only: false }];
    let hidden = Fault::VolumeHidesFiles { path: "/opt/app/serve".into(), mount: "/opt/app".into(), volume: "cache".into() };
    assert_eq!(fault(&world, &container).await, hidden);
    container.argv = vec!["/opt/app/other".into()];
    assert!(matches!(fault(&world, &container).await, Fault::CommandMissing { .. }), "what the image lacks is just missing");
}

#[tokio::test]
async fn a_full_disk_is_called_that() {
    let world = World::new();
    let full = world.dir.join("full");
    fs::create_dir(&full).expect("a directory");
    // One inode for the root itself: there is no room for a single directory more.
    rustix::mount::mount("full", &full, "tmpfs", rustix::mount::MountFlags::empty(), c"nr_inodes=1").expect("a full disk");
    let mut container = world.container("a", &["true"]);
    container.root.scratch = full.join("scratch");
    let fault = fault(&world, &container).await;
    rustix::mount::unmount(&full, rustix::mount::UnmountFlags::DETACH).expect("an unmounted disk");
    assert!(matches!(fault, Fault::DiskFull { .. }), "{fault:?}");
}
