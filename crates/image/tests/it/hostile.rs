//! What hostile layers do not get: nothing outside their directory is read, written or removed.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use pillion_fault::Fault;
use pillion_image::{ImportError, Limits, PullError, Settings, UnpackError};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    layout::{Imported, import, import_layers},
    tarball::{Compression, Entry, Layer, Tarball},
};

/// A directory that no layer has any business with, and what it looked like before.
struct Outside {
    dir: TempDir,
    before: BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)>,
}

impl Outside {
    fn new() -> Outside {
        let dir = TempDir::new_in("/dev/shm").expect("a temporary directory");
        std::fs::create_dir(dir.path().join("dir")).expect("new");
        std::fs::write(dir.path().join("keep"), "keep").expect("new");
        std::fs::write(dir.path().join("dir/keep"), "keep").expect("new");
        let before = look(dir.path());
        Outside { dir, before }
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().expect("text")
    }

    fn is_untouched(&self) -> bool {
        look(self.dir.path()) == self.before
    }
}

fn look(dir: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = path.symlink_metadata().expect("there");
        let content = if metadata.is_file() { std::fs::read(&path).expect("readable") } else { Vec::new() };
        if metadata.is_dir() {
            todo.extend(std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()));
        }
        // The link count tells of hard links made from elsewhere, the change time of owners and modes.
        seen.insert(path, (metadata.mode(), metadata.nlink(), metadata.ctime(), metadata.ctime_nsec(), content));
    }
    seen
}

async fn bring(tarball: Tarball) -> Imported {
    import(&[tarball.end()], Settings::default()).await
}

fn refusal(imported: Imported) -> (String, String) {
    match imported.result {
        Err(ImportError::Image(PullError::Unpack { source: UnpackError::Refused { entry, reason }, .. })) => (entry, reason),
        other => panic!("it is not refused: {other:?}"),
    }
}

#[tokio::test]
async fn climbing_paths_are_refused_with_entry_and_reason() {
    for path in ["../escape", "a/../../escape", "/../escape", "a/.."] {
        let (entry, reason) = refusal(bring(Tarball::default().add(Entry::file(path, b"x"))).await);
        assert_eq!(entry, path);
        assert!(reason.contains("climbs"), "{reason}");
    }
    let imported = bring(Tarball::default().add(Entry::file("../escape", b"x"))).await;
    match Fault::from(&imported.result.expect_err("it is refused")) {
        Fault::ImageLayerRefused { entry, .. } => assert_eq!(entry, "../escape"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_absolute_path_lands_in_the_layer() {
    let outside = Outside::new();
    let path = format!("{}/keep", outside.path());
    let imported = bring(Tarball::default().add(Entry::file(&path, b"mine"))).await;
    let dir = imported.result.expect("contained").layers[0].clone();
    assert_eq!(std::fs::read(dir.join(path.trim_start_matches('/'))).expect("unpacked"), b"mine");
    assert!(outside.is_untouched());
}

#[tokio::test]
async fn nothing_is_written_linked_or_removed_through_symlinks_that_lead_outside() {
    let outside = Outside::new();
    let (path, climbing) = (outside.path(), format!("{}{}", "../".repeat(40), outside.path().trim_start_matches('/')));
    let (keep, dir_keep) = (format!("{path}/keep"), format!("{climbing}/keep"));
    for target in [path, &climbing] {
        let link = || Tarball::default().add(Entry::symlink("out", target));
        for hostile in [
            link().add(Entry::file("out/new", b"x")),
            link().add(Entry::file("out/keep", b"x")),
            link().add(Entry::file("out/dir/keep", b"x")),
            link().add(Entry::file("out/.wh.keep", b"")),
            link().add(Entry::file("out/.wh.dir", b"")),
            link().add(Entry::file("out/.wh..wh..opq", b"")),
            link().add(Entry::hard_link("mine", "out/keep")),
            link().add(Entry::symlink("out/dir/keep", "x")),
            link().add(Entry { mode: 0o777, uid: 77, ..Entry::dir("out/dir") }),
            link().add(Entry { mode: 0o777, uid: 77, ..Entry::dir("out") }).add(Entry::file("out/keep", b"x")),
            link().add(Entry { device: (1, 3), ..Entry::new(b'3', b"out/null") }),
        ] {
            drop(bring(hostile).await);
            assert!(outside.is_untouched());
        }
    }
    for hostile in [
        Tarball::default().add(Entry::symlink("f", &keep)).add(Entry::file("f", b"x")),
        Tarball::default().add(Entry::symlink("f", &keep)).add(Entry { mode: 0o777, ..Entry::dir("f") }),
        Tarball::default().add(Entry::symlink("f", &keep)).add(Entry::hard_link("g", "f")).add(Entry::file("g", b"x")),
        Tarball::default().add(Entry::hard_link("f", &keep)).add(Entry::file("f", b"x")),
        Tarball::default().add(Entry::hard_link("f", &dir_keep)),
        Tarball::default().add(Entry::symlink("p", "/proc/self/root")).add(Entry::file(&format!("p{keep}"), b"x")),
        Tarball::default().add(Entry::symlink("p", "/proc/self/cwd")).add(Entry::file("p/x", b"x")),
    ] {
        drop(bring(hostile).await);
        assert!(outside.is_untouched());
    }
}

#[tokio::test]
async fn a_symlink_of_one_layer_does_not_lead_the_next_layer_astray() {
    let outside = Outside::new();
    let lower = Tarball::default().add(Entry::symlink("out", outside.path())).end();
    let upper = Tarball::default().add(Entry::file("out/keep", b"x")).add(Entry::file("out/.wh.dir", b"")).end();
    let imported = import(&[lower, upper], Settings::default()).await;
    let image = imported.result.expect("contained");
    assert!(image.layers[1].join("out").symlink_metadata().expect("made").is_dir());
    assert!(outside.is_untouched());
}

#[tokio::test]
async fn a_directory_inside_may_be_reached_through_a_symlink_inside() {
    let imported = bring(
        Tarball::default()
            .add(Entry::dir("usr/lib/"))
            .add(Entry::symlink("lib", "/usr/lib"))
            .add(Entry::file("lib/libc.so", b"x"))
            .add(Entry::file("lib/.wh.old", b"")),
    )
    .await;
    let dir = imported.result.expect("this is honest").layers[0].clone();
    assert_eq!(std::fs::read(dir.join("usr/lib/libc.so")).expect("unpacked"), b"x");
    assert!(dir.join("usr/lib/old").symlink_metadata().is_ok());
}

#[tokio::test]
async fn whiteouts_of_nothing_loops_and_impossible_entries_are_refused() {
    let cases: Vec<(Tarball, &str)> = vec![
        (Tarball::default().add(Entry::file("a/.wh...", b"")), "no name"),
        (Tarball::default().add(Entry::file("a/.wh..", b"")), "no name"),
        (Tarball::default().add(Entry::file("a/.wh.", b"")), "no name"),
        (Tarball::default().add(Entry::symlink("a", "b")).add(Entry::symlink("b", "a")).add(Entry::file("a/x", b"")), "loop"),
        (Tarball::default().add(Entry::file("a", b"")).add(Entry::file("a/x", b"")), "not a directory"),
        (Tarball::default().add(Entry::hard_link("a", "nowhere")), "not in its layer"),
        (Tarball::default().add(Entry::dir("d")).add(Entry::hard_link("a", "d")), "hard link to a directory"),
        (Tarball::default().add(Entry::hard_link("a", "../b")), "climbs"),
        (Tarball::default().add(Entry::symlink("a", "")), "impossible target"),
        (Tarball::default().add(Entry::symlink("./", "x")), "root directory"),
        (Tarball::default().add(Entry::new(b'V', b"volume")), "unknown"),
        (Tarball::default().pax(&[("uid", b"4294967295")]).add(Entry::file("a", b"")), "owner"),
        (Tarball::default().pax(&[("uid", b"-1")]).add(Entry::file("a", b"")), "owner"),
        (Tarball::default().pax(&[("SCHILY.xattr.user.big", &[b'x'; 70_000])]).add(Entry::file("a", b"")), "extended attributes"),
        (Tarball::default().pax(&[("path", b"a\0b")]).add(Entry::file("a", b"")), "NUL"),
        (Tarball::default().add(Entry::file(&"d/".repeat(300), b"")), "deeper"),
        (Tarball::default().add(Entry::file(&"long/".repeat(1000), b"")), "longer"),
    ];
    for (tarball, says) in cases {
        let (entry, reason) = refusal(bring(tarball).await);
        assert!(reason.contains(says), "{entry}: {reason}");
    }
}

#[tokio::test]
async fn sizes_that_lie_and_archives_cut_short_are_broken_and_leave_no_layer() {
    let header_only = |size| Tarball::default().add(Entry { size: Some(size), ..Entry::file("f", b"only this") }).end();
    let mut bad_sum = Tarball::default().add(Entry::file("f", b"x")).end();
    bad_sum[3] ^= 1;
    let mut negative = Tarball::default().add(Entry::file("f", b"x")).end();
    negative[124..136].copy_from_slice(&[0xff; 12]);
    negative[148..156].copy_from_slice(b"        ");
    let sum: u32 = negative[..512].iter().map(|byte| u32::from(*byte)).sum();
    negative[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut cut = Tarball::default().add(Entry::file("f", &[7; 5000])).cut();
    cut.truncate(3000);
    for tar in [header_only(1 << 30), header_only(3000), bad_sum, negative, cut, b"this is no archive at all".repeat(100)] {
        let imported = import(&[tar], Settings::default()).await;
        match &imported.result {
            Err(ImportError::Image(PullError::Unpack { source: UnpackError::Archive { .. }, .. })) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(crate::pull::layer_dirs(imported.root.path()), 0);
        assert!(imported.store.list().expect("readable").is_empty());
    }
}

#[tokio::test]
async fn bombs_are_refused_before_they_fill_anything() {
    let limits = Limits { layer_bytes: 1 << 20, layer_entries: 100, ..Limits::default() };
    let settings = || Settings { limits: limits.clone(), ..Settings::default() };
    let zeros = vec![0; 4 << 20];
    let mut sparse = Tarball::default().add(Entry { ..Entry::new(b'S', b"sparse") }).end();
    sparse[329..345].fill(0);
    sparse[386..410].fill(0);
    sparse[483..495].copy_from_slice(b"77777777777\0");
    sparse[148..156].copy_from_slice(b"        ");
    let sum: u32 = sparse[..512].iter().map(|byte| u32::from(*byte)).sum();
    sparse[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let many = (0..200).fold(Tarball::default(), |tarball, n| tarball.add(Entry::file(&format!("f{n}"), b""))).end();
    let deep =
        (0..4).fold(Tarball::default(), |tarball, n| tarball.add(Entry::file(&format!("{n}/{}x", "d/".repeat(50)), b""))).end();
    for (what, tar) in [
        ("one large file", Tarball::default().add(Entry::file("f", &zeros)).end()),
        ("zeros after the end", [Tarball::default().end(), zeros.clone()].concat()),
        ("a file of holes", sparse),
        ("many entries", many),
        ("many directories that no entry lists", deep),
    ] {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let imported = import_layers(&[Layer::new(&tar, compression)], settings()).await;
            let (_, reason) = refusal(imported);
            assert!(reason.contains("more than"), "{what}: {reason}");
        }
    }
    let header = Tarball::default().pax(&[("comment", &vec![b'x'; 2 << 20])]).add(Entry::file("f", b"x")).end();
    let imported = import(&[header], Settings::default()).await;
    assert!(matches!(imported.result, Err(ImportError::Image(PullError::Unpack { source: UnpackError::Archive { .. }, .. }))));
}

/// Paths that meet each other often, some of them through symlinks.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just("a"), Just("b"), Just("c"), Just(".wh.a"), Just(".wh..wh..opq"), Just(".."), Just("."), Just("")],
        1..4,
    )
    .prop_map(|parts| parts.join("/"))
}

fn target(outside: String) -> impl Strategy<Value = String> {
    prop_oneof![
        path(),
        Just(outside.clone()),
        Just(format!("{}{outside}", "../".repeat(30))),
        Just(format!("{outside}/keep")),
        Just("/proc/self/root".to_owned())
    ]
}

fn tarball(outside: String) -> impl Strategy<Value = Tarball> {
    let entry = (prop_oneof![Just(b'0'), Just(b'1'), Just(b'2'), Just(b'5'), Just(b'3'), Just(b'6')], path(), target(outside));
    proptest::collection::vec(entry, 1..12).prop_map(|entries| {
        entries.into_iter().fold(Tarball::default(), |tarball, (kind, path, link)| {
            tarball.add(Entry { link: link.as_bytes(), mode: 0o777, uid: 42, ..Entry::new(kind, path.as_bytes()) })
        })
    })
}

#[test]
fn whatever_entries_a_layer_has_what_is_outside_stays_as_it_is() {
    let outside = Outside::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut config = ProptestConfig::with_cases(300);
    config.failure_persistence = None;
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let mut unpacked = 0;
    runner
        .run(&tarball(outside.path().to_owned()), |tarball| {
            let imported = runtime.block_on(bring(tarball));
            prop_assert!(outside.is_untouched());
            let is_whole = crate::pull::layer_dirs(imported.root.path()) == 1;
            prop_assert_eq!(imported.result.is_ok(), is_whole);
            Ok(())
        })
        .expect("no counterexample");
    // The strategy must not be so hostile that nothing is ever unpacked.
    for seed in 0..20_u8 {
        let name = format!("a/{seed}");
        unpacked += usize::from(runtime.block_on(bring(Tarball::default().add(Entry::file(&name, b"x")))).result.is_ok());
    }
    assert_eq!(unpacked, 20);
}
