//! Directories into images: what is kept, what is fixed, what is refused.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use pillion_image::pack::{Add, PackError, Recipe};
use serde_json::json;
use tempfile::TempDir;

use crate::layouts::{Built, bytes};

fn tree() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = dir.path();
    fs::create_dir_all(at.join("sub/deep")).expect("made");
    fs::write(at.join("sub/deep/file"), "content").expect("written");
    fs::write(at.join("run.sh"), "#!/bin/sh\n").expect("written");
    fs::set_permissions(at.join("run.sh"), fs::Permissions::from_mode(0o750)).expect("set");
    symlink("sub/deep/file", at.join("link")).expect("linked");
    symlink("/nowhere", at.join("dangling")).expect("linked");
    let long: PathBuf = ["a".repeat(120), "b".repeat(120)].iter().collect();
    fs::create_dir_all(at.join(long.parent().expect("two parts"))).expect("made");
    fs::write(at.join(long), "long").expect("written");
    dir
}

fn adding(source: &Path, destination: &str) -> Recipe {
    Recipe { adds: vec![Add { source: source.into(), destination: destination.into() }], ..Recipe::default() }
}

#[test]
fn a_directory_keeps_modes_links_and_long_names() {
    let dir = tree();
    let built = Built::new(&adding(dir.path(), "/srv/www"));
    let root = built.unpack().join("srv/www");
    assert_eq!(fs::read_to_string(root.join("link")).expect("the link leads to the file"), "content");
    assert_eq!(fs::read_link(root.join("dangling")).expect("kept"), Path::new("/nowhere"));
    assert_eq!(fs::metadata(root.join("run.sh")).expect("packed").permissions().mode() & 0o7777, 0o750);
    assert_eq!(fs::read_to_string(root.join("a".repeat(120)).join("b".repeat(120))).expect("packed"), "long");
}

#[test]
fn the_same_files_give_the_same_bytes_wherever_and_whenever_they_are_packed() {
    let (one, two) = (tree(), tree());
    fs::File::open(two.path().join("run.sh")).expect("there").set_modified(std::time::UNIX_EPOCH).expect("set");
    let recipe = |dir: &TempDir| Recipe { name: Some("shop/web:1".into()), ports: vec![80], ..adding(dir.path(), "/app") };
    let (one, two) = (Built::new(&recipe(&one)), Built::new(&recipe(&two)));
    assert_eq!(bytes(&one.image.layout), bytes(&two.image.layout));
}

#[test]
fn entries_are_sorted_owned_by_root_and_carry_one_time() {
    let dir = tree();
    let built = Built::new(&Recipe { epoch: Some(1_000_000_000), ..adding(dir.path(), "/app") });
    let listing = built.listing();
    assert!(listing.iter().all(|line| line.contains(" 0/0 ") && line.contains("2001-09-09 01:46:40")), "{listing:#?}");
    let names: Vec<&str> = listing.iter().filter_map(|line| line.split("01:46:40 ").nth(1)).collect();
    let parts = |name: &&str| PathBuf::from(name.split(" -> ").next().expect("a name"));
    assert!(names.iter().map(parts).is_sorted(), "{names:#?}");
    assert_eq!(built.config()["created"], "2001-09-09T01:46:40Z");
}

#[test]
fn the_base_has_users_and_a_temporary_directory_for_everybody() {
    let dir = tree();
    let built = Built::new(&Recipe { ca_certificates: true, ..adding(dir.path(), "/app") });
    let root = built.unpack();
    assert_eq!(fs::metadata(root.join("tmp")).expect("made").permissions().mode() & 0o7777, 0o1777);
    assert!(fs::read_to_string(root.join("etc/passwd")).expect("made").starts_with("root:x:0:0:"));
    assert!(fs::read_to_string(root.join("etc/nsswitch.conf")).expect("made").contains("hosts: files dns"));
    assert!(
        fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).expect("taken along").contains("BEGIN CERTIFICATE")
    );
}

#[test]
fn what_is_added_wins_over_the_base() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("passwd"), "app:x:1:1::/:/\n").expect("written");
    let built = Built::new(&adding(dir.path(), "/etc"));
    let root = built.unpack();
    assert_eq!(fs::read_to_string(root.join("etc/passwd")).expect("packed"), "app:x:1:1::/:/\n");
}

#[test]
fn a_file_goes_to_its_destination_or_into_it() {
    let dir = tree();
    let file = dir.path().join("run.sh");
    let recipe = Recipe {
        adds: vec![
            Add { source: file.clone(), destination: "/bin/start".into() },
            Add { source: file, destination: "/opt/".into() },
        ],
        ..Recipe::default()
    };
    let built = Built::new(&recipe);
    let root = built.unpack();
    assert!(root.join("bin/start").is_file() && root.join("opt/run.sh").is_file());
}

#[test]
fn the_config_says_what_the_recipe_says() {
    let dir = tree();
    let recipe = Recipe {
        entrypoint: vec!["/app/run.sh".into()],
        cmd: vec!["--now".into()],
        env: vec![("A".into(), "1".into()), ("B".into(), "x=y".into())],
        working_dir: Some("/app".into()),
        user: Some("1000:1000".into()),
        ports: vec![8080],
        labels: [("team".to_owned(), "shop".to_owned())].into(),
        stop_signal: Some("SIGQUIT".into()),
        name: Some("shop/web:1.4".into()),
        ..adding(dir.path(), "/app")
    };
    let built = Built::new(&recipe);
    assert_eq!(
        built.config()["config"],
        json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1", "B=x=y"],
            "Entrypoint": ["/app/run.sh"],
            "Cmd": ["--now"],
            "WorkingDir": "/app",
            "User": "1000:1000",
            "StopSignal": "SIGQUIT",
            "ExposedPorts": { "8080/tcp": {} },
            "Labels": { "team": "shop" },
        })
    );
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(built.image.layout.join("index.json")).expect("there")).expect("JSON");
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "shop/web:1.4");
    assert_eq!(index["manifests"][0]["platform"]["os"], "linux");
}

#[test]
fn packing_again_replaces_the_layout_but_nothing_else() {
    let dir = tree();
    let built = Built::new(&adding(dir.path(), "/app"));
    let again = adding(dir.path(), "/other").build(&built.image.layout).expect("a layout may be replaced");
    assert_ne!(again.digest, built.image.digest);
    let error = adding(dir.path(), "/app").build(dir.path()).expect_err("a directory with files is not a layout");
    assert!(matches!(error, PackError::OutputTaken { .. }));
}

#[test]
fn what_cannot_be_in_an_image_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("bound");
    let out = dir.path().join("out");
    let error = adding(dir.path(), "/app").build(&out).expect_err("a socket is no file");
    assert!(error.to_string().contains("socket") && error.to_string().contains("neither file"), "{error}");
    for text in ["nothing", "a:relative", ":/x"] {
        assert!(matches!(text.parse::<Add>(), Err(PackError::AddInvalid(_))), "{text}");
    }
    assert_eq!("a:b:/c".parse::<Add>().expect("the last colon counts"), Add { source: "a:b".into(), destination: "/c".into() });
}

#[test]
fn a_whole_root_keeps_its_own_linker_and_libraries() {
    let donor = Built::new(&Recipe { programs: vec!["/usr/bin/id".into()], ..Recipe::default() });
    let root = donor.unpack();
    let built = Built::new(&adding(&root, "/"));
    let out = std::process::Command::new("/usr/sbin/chroot")
        .arg(built.unpack())
        .args(["/usr/bin/id", "-un"])
        .output()
        .expect("chroot runs");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "root\n");
}
