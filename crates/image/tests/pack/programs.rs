//! Programs of this host run from what was packed, and from nothing else.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use pillion_image::pack::{Add, PackError, Recipe};

use crate::layouts::{Built, chain};

/// Runs a program with `root` as its root directory, and with the /proc by which the dynamic linker learns `$ORIGIN`.
pub fn run(root: &Path, argv: &[&str]) -> Output {
    Command::new("/usr/bin/unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc=/proc"])
        .arg(format!("--root={}", root.display()))
        .args(argv)
        .env_clear()
        .output()
        .expect("unshare runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn program(path: &str) -> Recipe {
    Recipe { programs: vec![path.into()], ..Recipe::default() }
}

fn compile(dir: &Path, args: &[&str]) {
    let done = Command::new("cc").current_dir(dir).args(args).output().expect("cc runs");
    assert!(done.status.success(), "{}", text(&done));
}

#[test]
fn redis_runs_from_its_packed_image_alone() {
    let built = Built::new(&program("/usr/bin/redis-server"));
    assert_eq!(built.image.warnings, Vec::<String>::new());
    let root = built.unpack();
    let version = run(&root, &["/usr/bin/redis-server", "--version"]);
    assert!(version.status.success() && text(&version).starts_with("Redis server v="), "{}", text(&version));
    assert_eq!(built.config()["config"]["Entrypoint"], serde_json::json!(["/usr/bin/redis-server"]));
    // It is a link on Debian: both the link and its target are there.
    assert_eq!(
        fs::symlink_metadata("/usr/bin/redis-server").expect("redis").is_symlink(),
        fs::symlink_metadata(root.join("usr/bin/redis-server")).expect("packed").is_symlink()
    );
}

#[test]
fn users_are_looked_up_inside_the_image() {
    let built = Built::new(&program("/usr/bin/id"));
    let root = built.unpack();
    let id = run(&root, &["/usr/bin/id", "nobody"]);
    assert_eq!(text(&id).trim(), "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)");
}

#[test]
fn a_script_brings_its_interpreter() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let script = dir.path().join("hello");
    fs::write(&script, "#!/bin/sh\necho hello $1\n").expect("written");
    let recipe = Recipe {
        programs: vec!["/bin/sh".into()],
        adds: vec![Add { source: script, destination: "/app/hello".into() }],
        ..Recipe::default()
    };
    let built = Built::new(&recipe);
    assert_eq!(text(&run(&built.unpack(), &["/bin/sh", "/app/hello", "you"])), "hello you\n");
}

#[test]
fn a_library_beside_the_program_is_found_by_origin() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = dir.path();
    fs::create_dir(at.join("lib")).expect("made");
    fs::write(at.join("inner.c"), "int inner(void) { return 40; }").expect("written");
    fs::write(at.join("outer.c"), "int inner(void); int outer(void) { return inner() + 2; }").expect("written");
    fs::write(at.join("main.c"), "int outer(void); int main(void) { return outer(); }").expect("written");
    compile(at, &["-shared", "-fPIC", "-o", "lib/libinner.so.1", "-Wl,-soname,libinner.so.1", "inner.c"]);
    compile(at, &["-shared", "-fPIC", "-o", "lib/libouter.so.1", "-Wl,-soname,libouter.so.1", "outer.c", "lib/libinner.so.1"]);
    // DT_RPATH, which counts for what is loaded in turn, unlike DT_RUNPATH.
    compile(
        at,
        &[
            "-o",
            "prog",
            "main.c",
            "lib/libouter.so.1",
            "-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib",
            "-Wl,--allow-shlib-undefined",
        ],
    );
    let prog = at.join("prog");
    let built = Built::new(&program(prog.to_str().expect("UTF-8")));
    let root = built.unpack();
    let done = run(&root, &[prog.to_str().expect("UTF-8")]);
    assert_eq!(done.status.code(), Some(42), "{}", text(&done));
}

#[test]
fn a_program_in_an_added_directory_gets_its_libraries() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::copy("/usr/bin/id", dir.path().join("who")).expect("copied");
    let recipe = Recipe { adds: vec![Add { source: dir.path().into(), destination: "/opt/tools".into() }], ..Recipe::default() };
    let built = Built::new(&recipe);
    let done = run(&built.unpack(), &["/opt/tools/who", "-u"]);
    assert_eq!(text(&done), "0\n");
}

#[test]
fn an_added_program_for_another_system_is_a_warning_but_as_the_entrypoint_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = dir.path();
    fs::write(at.join("main.c"), "int main(void) { return 0; }").expect("written");
    compile(at, &["-o", "prog", "main.c", "-Wl,--dynamic-linker=/lib/ld-pillion-none.so.1"]);
    let recipe = Recipe { adds: vec![Add { source: at.join("prog"), destination: "/app/prog".into() }], ..Recipe::default() };
    let built = Built::new(&recipe);
    assert_eq!(built.image.warnings.len(), 1);
    assert!(
        built.image.warnings[0].ends_with("/prog needs /lib/ld-pillion-none.so.1, which this host does not have"),
        "{:?}",
        built.image.warnings
    );
    let error = Recipe { entrypoint: vec!["/app/prog".into()], ..recipe }.build(&at.join("out")).expect_err("it cannot start");
    assert!(chain(&error).contains("ld-pillion-none.so.1"), "{}", chain(&error));
}

#[test]
fn a_static_program_needs_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("main.c"), "int main(void) { return 7; }").expect("written");
    compile(dir.path(), &["-static", "-o", "prog", "main.c"]);
    let prog = dir.path().join("prog");
    let built = Built::new(&program(prog.to_str().expect("UTF-8")));
    assert!(built.image.libraries.is_empty());
    assert_eq!(run(&built.unpack(), &[prog.to_str().expect("UTF-8")]).status.code(), Some(7));
}

#[test]
fn a_missing_library_is_named_with_the_program_that_needs_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = dir.path();
    fs::write(at.join("lib.c"), "int f(void) { return 0; }").expect("written");
    fs::write(at.join("main.c"), "int f(void); int main(void) { return f(); }").expect("written");
    compile(at, &["-shared", "-fPIC", "-o", "libpillion-gone.so.1", "-Wl,-soname,libpillion-gone.so.1", "lib.c"]);
    compile(at, &["-o", "prog", "main.c", "libpillion-gone.so.1"]);
    fs::remove_file(at.join("libpillion-gone.so.1")).expect("removed");
    let error = program(at.join("prog").to_str().expect("UTF-8")).build(&at.join("out")).expect_err("a library is missing");
    assert!(
        matches!(&error, PackError::LibraryMissing { library, .. } if library == "libpillion-gone.so.1"),
        "{}",
        chain(&error)
    );
    assert!(!at.join("out").exists());
}

#[test]
fn what_is_no_program_is_refused() {
    let error = program("/etc/passwd").build(Path::new("/nonexistent/out")).expect_err("a text is no program");
    assert_eq!(error.to_string(), "\"/etc/passwd\" cannot be packed: it is neither an ELF program nor a script");
    let error = program("/usr/bin/no-such").build(Path::new("/nonexistent/out")).expect_err("it does not exist");
    assert!(chain(&error).contains("No such file"), "{}", chain(&error));
    let error = Recipe::default().build(Path::new("/nonexistent/out")).expect_err("nothing was asked for");
    assert!(matches!(error, PackError::Empty));
}
