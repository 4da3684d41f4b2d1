//! Unpacked layers under a real overlay mount.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use pillion_image::{ImportError, PullError, Settings};

use crate::{
    layout::import,
    registry::output,
    tarball::{Entry, Tarball},
};

/// An overlay of an image's layers, unmounted with the value.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    fn new(root: &Path, layers: &[PathBuf]) -> Mounted {
        let at = root.join("merged");
        for dir in ["merged", "upper", "work"] {
            std::fs::create_dir(root.join(dir)).expect("new");
        }
        // overlayfs wants the highest first.
        let lower: Vec<_> = layers.iter().rev().map(|layer| layer.to_str().expect("text")).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            root.join("upper").display(),
            root.join("work").display()
        );
        output(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&at));
        Mounted { at }
    }

    fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.at.join(path))
            .expect("a directory")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

#[tokio::test]
async fn under_an_overlay_deleted_files_are_gone_and_opaque_directories_start_anew() {
    let lower = Tarball::default()
        .add(Entry::file("etc/gone", b"1"))
        .add(Entry::file("etc/kept", b"1"))
        .add(Entry::file("opaque/old", b"1"))
        .add(Entry::file("replaced/old", b"1"))
        .add(Entry::file("tree/deep/old", b"1"))
        .end();
    let upper = Tarball::default()
        .add(Entry::file("etc/.wh.gone", b""))
        .add(Entry::file("etc/kept", b"2"))
        .add(Entry::file("opaque/.wh..wh..opq", b""))
        .add(Entry::file("opaque/new", b"2"))
        .add(Entry::file(".wh.replaced", b""))
        .add(Entry::file("replaced/new", b"2"))
        .add(Entry::file(".wh.tree", b""))
        .end();
    let imported = import(&[lower, upper], Settings::default()).await;
    let image = imported.result.as_ref().expect("honest layers");
    let mounted = Mounted::new(imported.root.path(), &image.layers);
    assert_eq!(mounted.names(""), ["etc", "opaque", "replaced"]);
    assert_eq!(mounted.names("etc"), ["kept"]);
    assert_eq!(std::fs::read(mounted.at.join("etc/kept")).expect("there"), b"2");
    assert_eq!(mounted.names("opaque"), ["new"]);
    assert_eq!(mounted.names("replaced"), ["new"]);
}

#[tokio::test]
async fn a_layer_whose_root_is_opaque_hides_all_layers_below_it() {
    let lower = Tarball::default().add(Entry::file("old", b"1")).end();
    let middle = Tarball::default().add(Entry::file(".wh..wh..opq", b"")).add(Entry::file("new", b"2")).end();
    let upper = Tarball::default().add(Entry::file("newer", b"3")).end();
    let imported = import(&[lower, middle, upper], Settings::default()).await;
    let image = imported.result.as_ref().expect("honest layers");
    let mounted = Mounted::new(imported.root.path(), &image.layers);
    assert_eq!(mounted.names(""), ["new", "newer"]);
}

#[tokio::test]
async fn an_image_may_have_127_layers_and_no_more() {
    let layers: Vec<_> = (0..128).map(|n| Tarball::default().add(Entry::file(&format!("f{n}"), b"x")).end()).collect();
    let imported = import(&layers[..127], Settings::default()).await;
    let image = imported.result.as_ref().expect("127 are fine");
    assert_eq!(image.layers.len(), 127);
    assert!(image.layers[126].join("f126").is_file());
    match import(&layers, Settings::default()).await.result {
        Err(ImportError::Image(PullError::Unsupported { reason, .. })) => assert!(reason.contains("128 layers"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_same_layer_twice_in_one_image_is_unpacked_once() {
    let layer = Tarball::default().add(Entry::file("f", b"x")).end();
    let imported = import(&[layer.clone(), layer], Settings::default()).await;
    assert_eq!(imported.result.expect("odd but honest").layers.len(), 2);
    assert_eq!(crate::pull::layer_dirs(imported.root.path()), 1);
}
