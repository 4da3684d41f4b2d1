//! Volumes, files and temporary directories, and the links that try to lead them astray.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::PathBuf,
};

use pillion_runtime::spec::MountSpec;

use crate::world::{IDS, World};

fn volume(source: PathBuf, sub_path: Option<&str>, path: &str, read_only: bool) -> MountSpec {
    MountSpec::Volume { source, sub_path: sub_path.map(PathBuf::from), path: path.into(), read_only }
}

#[tokio::test]
async fn a_volume_is_shared_and_outlives_its_containers() {
    let world = World::new();
    let source = world.dir.join("volume");
    let mut writer = world.shell("echo kept > /data/file");
    writer.mounts = vec![volume(source.clone(), None, "/data", false)];
    world.run(&writer).await;
    let mut reader = world.shell("cat /mnt/elsewhere/file; touch /mnt/elsewhere/x; grep elsewhere /proc/self/mountinfo");
    reader.mounts = vec![volume(source.clone(), None, "/mnt/elsewhere", true)];
    let run = world.run(&reader).await;
    assert!(run.stdout.starts_with("kept\n"), "{run:?}");
    assert!(run.stdout.contains("ro,nosuid,nodev"), "{run:?}");
    assert!(run.stderr.contains("Read-only file system"), "{run:?}");
    assert_eq!(source.join("file").metadata().expect("the file").uid(), IDS.start);
}

#[tokio::test]
async fn a_sub_path_is_made_inside_and_narrows_the_volume() {
    let world = World::new();
    let source = world.dir.join("volume");
    let mut container = world.shell("echo x > /data/file; ls /data");
    container.mounts = vec![volume(source.clone(), Some("a/b"), "/data", false)];
    assert_eq!(world.run(&container).await.stdout, "file\n");
    assert!(source.join("a/b/file").is_file());
}

#[tokio::test]
async fn a_link_planted_in_a_volume_does_not_lead_out_of_it() {
    let world = World::new();
    let source = world.dir.join("volume");
    let secret = world.dir.join("secret");
    fs::create_dir_all(&secret).expect("a directory");
    fs::write(secret.join("key"), "s3cret").expect("a file");
    let mut planter = world.shell(&format!(
        "ln -s {} /data/absolute; ln -s ../../../../../../../../{} /data/climbing; ln -s /proc/1/root /data/magic",
        secret.display(),
        secret.display()
    ));
    planter.mounts = vec![volume(source.clone(), None, "/data", false)];
    world.run(&planter).await;
    for link in ["absolute", "climbing", "magic/etc", "absolute/new"] {
        let mut container = world.shell("cat /data/key; ls /data/; echo planted > /data/planted");
        container.mounts = vec![volume(source.clone(), Some(link), "/data", false)];
        if let Ok(run) = world.try_run(&container).await {
            assert!(!run.stdout.contains("s3cret") && !run.stdout.contains("key"), "{link}: {run:?}");
        }
        assert_eq!(fs::read_dir(&secret).expect("listing").count(), 1, "{link}");
    }
}

#[tokio::test]
async fn a_sub_path_that_is_swapped_while_containers_start_never_leads_out() {
    let world = World::new();
    let source = world.dir.join("volume");
    let secret = world.dir.join("secret");
    fs::create_dir_all(&secret).expect("a directory");
    fs::write(secret.join("key"), "s3cret").expect("a file");
    fs::create_dir_all(source.join("real")).expect("a directory");
    symlink(&secret, source.join("bad")).expect("a link");
    fs::create_dir(source.join("sub")).expect("a directory");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (stop, source) = (stop.clone(), source.clone());
        move || {
            let (sub, bad) = (source.join("sub"), source.join("bad"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::renameat_with(rustix::fs::CWD, &sub, rustix::fs::CWD, &bad, rustix::fs::RenameFlags::EXCHANGE)
                    .expect("a swap");
            }
        }
    });
    for round in 0..20 {
        let mut container = world.container(&format!("r{round}"), &["sh", "-c", "cat /data/key; touch /data/made"]);
        container.mounts = vec![volume(source.clone(), Some("sub"), "/data", false)];
        if let Ok(run) = world.try_run(&container).await {
            assert!(!run.stdout.contains("s3cret"), "{run:?}");
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().expect("the swapper");
    assert_eq!(fs::read_dir(&secret).expect("listing").count(), 1);
}

#[tokio::test]
async fn a_mount_target_behind_a_link_in_the_image_stays_in_the_root() {
    let world = World::new();
    let outside = world.dir.join("outside");
    fs::create_dir_all(&outside).expect("a directory");
    symlink(&outside, world.image.join("trap")).expect("a link");
    symlink("../../../../../..", world.image.join("up")).expect("a link");
    let mut container = world.shell("cat /trap/file /up/etc/inside");
    container.mounts = vec![
        MountSpec::File { content: "one\n".into(), mode: 0o644, path: "/trap/file".into() },
        MountSpec::File { content: "two\n".into(), mode: 0o644, path: "/up/etc/inside".into() },
    ];
    assert_eq!(world.run(&container).await.stdout, "one\ntwo\n");
    assert_eq!(fs::read_dir(&outside).expect("listing").count(), 0, "nothing was made outside");
    assert!(!std::path::Path::new("/etc/inside").exists());
}

#[tokio::test]
async fn files_have_their_content_mode_and_owner_and_cannot_be_changed() {
    let world = World::new();
    let mut container = world.shell("cat /etc/app/conf; stat -c '%a %u' /etc/app/conf; echo x > /etc/app/conf || echo refused");
    container.mounts = vec![MountSpec::File { content: "key = 1\n".into(), mode: 0o640, path: "/etc/app/conf".into() }];
    assert_eq!(world.run(&container).await.stdout, "key = 1\n640 0\nrefused\n");
}

#[tokio::test]
async fn a_temporary_directory_has_its_size_and_deeper_mounts_come_after_it() {
    let world = World::new();
    let mut container =
        world.shell("cat /t/in/file; stat -c '%a %u' /t; dd if=/dev/zero of=/t/x bs=1k count=2000 2>/dev/null || echo full");
    container.mounts = vec![
        MountSpec::File { content: "deep\n".into(), mode: 0o644, path: "/t/in/file".into() },
        MountSpec::Tmpfs { path: "/t".into(), size: Some(1 << 20) },
    ];
    assert_eq!(world.run(&container).await.stdout, "deep\n1777 0\nfull\n");
}

#[tokio::test]
async fn a_host_directory_is_mounted_as_it_is() {
    let world = World::new();
    let source = world.dir.join("host");
    fs::create_dir_all(&source).expect("a directory");
    fs::write(source.join("file"), "theirs\n").expect("a file");
    let mut container = world.shell("cat /host/file; touch /host/x || echo refused");
    container.mounts = vec![MountSpec::Host { source, path: "/host".into(), read_only: true }];
    assert_eq!(world.run(&container).await.stdout, "theirs\nrefused\n");
}

#[tokio::test]
async fn names_and_hostname_of_the_sandbox_are_seen_inside() {
    let world = World::new();
    let run = world
        .run_shell("hostname; cat /etc/hostname; grep web /etc/hosts; cat /etc/resolv.conf > /dev/null && echo readable")
        .await;
    assert!(run.stdout.starts_with("box\nbox\n127.0.0.1"), "{run:?}");
    assert!(run.stdout.ends_with("readable\n"), "{run:?}");
}

#[tokio::test]
async fn many_layers_lie_on_top_of_each_other() {
    let world = World::new();
    let mut container = world.shell("cat /top; ls /n | wc -l");
    for number in 0..126 {
        let layer = world.dir.join(format!("layer{number}"));
        fs::create_dir_all(layer.join("n")).expect("a directory");
        fs::write(layer.join("n").join(number.to_string()), "").expect("a file");
        fs::write(layer.join("top"), format!("{number}\n")).expect("a file");
        container.root.layers.push(layer);
    }
    assert_eq!(world.run(&container).await.stdout, "125\n126\n");
}
