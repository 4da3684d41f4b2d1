//! Volumes, files and disks.

use std::{fs, path::Path, process::Command};

use pillion_e2e::{Copy, Images, Packed, built};

use crate::stage::{Stage, swap, text};

#[test]
fn a_volume_that_hides_the_program() {
    let stage = Stage::new();
    let app = stage.app(&["port: 8080", "command: [serve, '8080']", "volumes: [{ volume: data, path: /bin }]"]);
    let broken = format!("{app}volumes: {{ data: {{}} }}\n");
    let told = stage.fails("Volume hides files", "VolumeHidesFiles", "web", &broken);
    assert!(told.head.contains("\"data\""), "{}", told.head);
    stage.heals(&swap(&broken, "path: /bin", "path: /data"));
}

#[test]
fn a_volume_where_nothing_can_be_mounted() {
    let stage = Stage::new();
    let app = stage.app(&["port: 8080", "command: [serve, '8080']", "volumes: [{ volume: data, path: /bin/puppet }]"]);
    let broken = format!("{app}volumes: {{ data: {{}} }}\n");
    let told = stage.fails("Mount failed", "MountFailed", "web", &broken);
    assert!(told.hint.starts_with("mount the volume elsewhere"), "{}", told.head);
    stage.heals(&swap(&broken, "path: /bin/puppet", "path: /data"));
}

#[test]
fn a_write_where_nothing_may_be_written() {
    let stage = Stage::new();
    let cache = tempfile::tempdir().expect("a directory");
    let packed = Packed::program(&built("puppet")).with(&["--dir", &format!("{}:/cache", text(cache.path()))]);
    let image = Images::new(&stage.registry).push("cached:1", &packed);
    let broken = stage.app_of(&image, &["port: 8080", "command: [write, /cache/index, x, serve, '8080']", "readOnly: true"]);
    let told = stage.fails("Read-only write", "ReadOnlyWrite", "web", &broken);
    stage.heals(&swap(&broken, "readOnly: true", &format!("readOnly: true\n    {}", told.printed(0))));
}

#[test]
fn a_host_directory_that_is_not_allowed() {
    let stage = Stage::new();
    let photos = stage.copy.root().join("photos");
    fs::create_dir(&photos).expect("a directory");
    let app = stage.app(&["port: 8080", "command: [serve, '8080']", "volumes: [{ volume: photos, path: /photos }]"]);
    let broken = format!("{app}volumes: {{ photos: {{ hostPath: {} }} }}\n", text(&photos));
    let told = stage.refused("Host directory refused", "web", &broken);
    stage.copy.configure(&format!("{}\n", told.printed(0)));
    stage.runs(&told, 1);
    stage.heals(&broken);
}

/// A small disk, mounted until dropped.
struct Disk<'a>(&'a Path);

impl Disk<'_> {
    fn resize(&self, options: &str) {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", text(self.0)]).status();
        assert!(done.is_ok_and(|status| status.success()), "{options}");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", text(self.0)]).status();
    }
}

#[test]
fn a_disk_that_is_full() {
    let mut copy = Copy::new();
    let images = copy.root().join("lib/images");
    fs::create_dir_all(&images).expect("a directory");
    let disk = Disk(&images);
    disk.resize("size=1m");
    copy.serve();
    let stage = Stage::with(copy);
    let broken = crate::stage::soon(&stage.app(&["port: 8080", "command: [serve, '8080']"]));
    let told = stage.fails("Disk full", "DiskFull", "web", &broken);
    assert!(told.hint.starts_with("free space on the disk"), "{}", told.head);
    disk.resize("remount,size=500m");
    stage.heals(&broken);
    drop(stage);
    drop(disk);
}
