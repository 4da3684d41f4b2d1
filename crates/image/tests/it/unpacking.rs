//! What honest layers turn into.

use std::{
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use pillion_image::Settings;

use crate::{
    layout::{Imported, import},
    tarball::{Entry, Tarball},
};

async fn unpacked(tarball: Tarball) -> (Imported, PathBuf) {
    let imported = import(&[tarball.end()], Settings::default()).await;
    let dir = imported.result.as_ref().expect("an honest layer").layers[0].clone();
    (imported, dir)
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0)
}

#[tokio::test]
async fn owners_modes_and_times_are_kept_even_those_of_directories_with_files_in_them() {
    let (_kept, dir) = unpacked(
        Tarball::default()
            .add(Entry { mode: 0o1777, uid: 5, gid: 6, mtime: 1000, ..Entry::dir("tmp/") })
            .add(Entry { mode: 0o4755, uid: 1000, gid: 2000, mtime: 2000, ..Entry::file("tmp/su", b"x") })
            .add(Entry { uid: 3, gid: 4, mtime: 3000, ..Entry::symlink("tmp/link", "su") })
            .add(Entry { mode: 0o711, uid: 9, ..Entry::dir("./") }),
    )
    .await;
    let look = |path: &str| {
        let metadata = dir.join(path).symlink_metadata().expect(path);
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.mtime())
    };
    assert_eq!(look("tmp"), (0o1777, 5, 6, 1000));
    assert_eq!(look("tmp/su"), (0o4755, 1000, 2000, 2000));
    assert_eq!(look("tmp/link"), (0o777, 3, 4, 3000));
    assert_eq!((look("").0, look("").1), (0o711, 9));
}

#[tokio::test]
async fn pax_records_override_what_the_header_says() {
    let long = format!("{}/leaf", "d".repeat(200));
    let (_kept, dir) = unpacked(
        Tarball::default()
            .pax(&[("path", long.as_bytes()), ("uid", b"60000000"), ("mtime", b"1234567890.123456789"), ("comment", b"hello")])
            .add(Entry::file("short", b"x")),
    )
    .await;
    let metadata = dir.join(long).symlink_metadata().expect("unpacked");
    assert_eq!((metadata.uid(), metadata.mtime(), metadata.mtime_nsec()), (60_000_000, 1_234_567_890, 123_456_789));
}

#[tokio::test]
async fn extended_attributes_and_file_capabilities_are_kept_but_not_those_of_the_overlay() {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (_kept, dir) = unpacked(
        Tarball::default()
            .pax(&[("SCHILY.xattr.user.note", b"a=b"), ("SCHILY.xattr.security.capability", &capability)])
            .add(Entry { mode: 0o755, uid: 7, ..Entry::file("ping", b"x") })
            .pax(&[
                ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                ("SCHILY.xattr.security.selinux", b"x"),
            ])
            .add(Entry::dir("dir/")),
    )
    .await;
    assert_eq!(xattr(&dir.join("ping"), "user.note").as_deref(), Some(&b"a=b"[..]));
    assert_eq!(xattr(&dir.join("ping"), "security.capability").as_deref(), Some(&capability[..]));
    for name in ["trusted.overlay.redirect", "trusted.overlay.opaque", "security.selinux"] {
        assert_eq!(xattr(&dir.join("dir"), name), None, "{name}");
    }
}

#[tokio::test]
async fn hard_links_devices_fifos_and_symlinks_are_made() {
    let (_kept, dir) = unpacked(
        Tarball::default()
            .add(Entry::file("a", b"shared"))
            .add(Entry::hard_link("sub/b", "./a"))
            .add(Entry::hard_link("sub/b", "a"))
            .add(Entry { device: (1, 3), mode: 0o666, ..Entry::new(b'3', b"null") })
            .add(Entry { device: (7, 0), mode: 0o660, gid: 6, ..Entry::new(b'4', b"loop") })
            .add(Entry { mode: 0o600, ..Entry::new(b'6', b"pipe") })
            .add(Entry::symlink("up", "../../../outside"))
            .add(Entry::symlink("self", "a"))
            .add(Entry::hard_link("self2", "self")),
    )
    .await;
    let look = |path: &str| dir.join(path).symlink_metadata().expect(path);
    assert_eq!(look("a").ino(), look("sub/b").ino());
    assert_eq!(
        (look("null").file_type().is_char_device(), look("null").rdev(), look("null").mode() & 0o777),
        (true, rustix::fs::makedev(1, 3), 0o666)
    );
    assert_eq!((look("loop").file_type().is_block_device(), look("loop").gid()), (true, 6));
    assert!(look("pipe").file_type().is_fifo());
    assert_eq!(std::fs::read_link(dir.join("up")).expect("a symlink"), Path::new("../../../outside"));
    assert!(look("self2").is_symlink(), "a hard link to a symlink is one more name of the symlink");
}

#[tokio::test]
async fn names_that_are_not_utf_8_are_kept_as_they_are() {
    let (_kept, dir) = unpacked(Tarball::default().add(Entry { content: b"x", ..Entry::new(b'0', b"caf\xe9/\xff\xfe") })).await;
    assert_eq!(std::fs::read(dir.join(OsStr::from_bytes(b"caf\xe9/\xff\xfe"))).expect("unpacked"), b"x");
}

#[tokio::test]
async fn a_later_entry_of_the_same_name_replaces_an_earlier_one_whatever_it_was() {
    let (_kept, dir) = unpacked(
        Tarball::default()
            .add(Entry::file("a", b"file"))
            .add(Entry::dir("a/"))
            .add(Entry::file("a/b", b"in a directory"))
            .add(Entry::file("c/d/e", b"deep"))
            .add(Entry::file("c", b"now a file"))
            .add(Entry::symlink("f", "c"))
            .add(Entry::file("f", b"not through the link")),
    )
    .await;
    assert_eq!(std::fs::read(dir.join("a/b")).expect("unpacked"), b"in a directory");
    assert_eq!(std::fs::read(dir.join("c")).expect("unpacked"), b"now a file");
    assert_eq!(std::fs::read(dir.join("f")).expect("unpacked"), b"not through the link");
}

#[tokio::test]
async fn whiteouts_become_overlayfs_form_and_spare_what_the_same_layer_brings() {
    let (_kept, dir) = unpacked(
        Tarball::default()
            .add(Entry::file("etc/.wh.gone", b""))
            .add(Entry::file("opaque/.wh..wh..opq", b""))
            .add(Entry::file("opaque/new", b"x"))
            .add(Entry::file("both", b"mine"))
            .add(Entry::file(".wh.both", b""))
            .add(Entry::file(".wh.dir", b""))
            .add(Entry::file("dir/new", b"x"))
            .add(Entry::file("kept/new", b"x"))
            .add(Entry::file(".wh.kept", b""))
            .add(Entry::file(".wh..wh.plnk/1.2", b"aufs"))
            .add(Entry::file(".wh..wh.aufs", b"aufs")),
    )
    .await;
    assert!(is_whiteout(&dir.join("etc/gone")));
    assert_eq!(xattr(&dir.join("opaque"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(std::fs::read(dir.join("opaque/new")).expect("unpacked"), b"x");
    assert_eq!(std::fs::read(dir.join("both")).expect("kept"), b"mine");
    for name in ["dir", "kept"] {
        assert_eq!(xattr(&dir.join(name), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]), "{name} hides what is below it");
        assert_eq!(std::fs::read(dir.join(name).join("new")).expect("unpacked"), b"x");
    }
    let mut names: Vec<_> = std::fs::read_dir(&dir).expect("there").map(|entry| entry.expect("there").file_name()).collect();
    names.sort();
    assert_eq!(names, ["both", "dir", "etc", "kept", "opaque"]);
}

#[tokio::test]
async fn a_sparse_file_has_its_holes_and_its_size() {
    // An old GNU sparse header: one piece of 5 bytes at 1 MiB, and the end at 2 MiB.
    let mut tar = Tarball::default().add(Entry { content: b"piece", ..Entry::new(b'S', b"sparse") }).end();
    let mut put = |at: usize, text: &str| tar[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(329, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    put(386, &format!("{:011o}\0{:011o}\0", 1 << 20, 5));
    put(483, &format!("{:011o}\0", 2 << 20));
    put(148, "        ");
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let imported = import(&[tar], Settings::default()).await;
    let path = imported.result.expect("an honest layer").layers[0].join("sparse");
    let metadata = path.symlink_metadata().expect("unpacked");
    assert_eq!(metadata.len(), 2 << 20);
    assert!(metadata.blocks() * 512 < 1 << 20, "it is sparse");
    assert_eq!(&std::fs::read(path).expect("unpacked")[1 << 20..][..6], b"piece\0");
}

#[tokio::test]
async fn an_archive_may_end_without_its_blocks_of_zeros_or_be_empty() {
    for tar in [Tarball::default().add(Entry::file("f", b"x")).cut(), Vec::new(), vec![0; 1024]] {
        import(&[tar], Settings::default()).await.result.expect("an honest layer");
    }
}
