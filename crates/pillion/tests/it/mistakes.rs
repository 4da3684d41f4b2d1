//! What the command line says when something is wrong: exit code, sentence, causes, hint.

use crate::run::{pillion, root};

#[test]
fn a_verb_or_option_that_does_not_exist_is_a_matter_of_usage() {
    let root = root();
    for args in [&["aply"][..], &["scale", "shop", "many"], &["exec", "shop"], &["logs", "shop", "--since", "5w"], &["show"]] {
        let ran = pillion(root.path(), args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty());
    }
    assert!(pillion(root.path(), &["aply"]).stderr.contains("'apply'"));
}

#[test]
fn without_a_server_every_verb_says_so_and_how_to_start_one() {
    let root = root();
    for args in [
        &["list"][..],
        &["show", "shop"],
        &["status", "shop"],
        &["logs", "shop"],
        &["events", "shop"],
        &["scale", "shop", "2"],
        &["restart", "shop"],
        &["delete", "shop", "--yes"],
        &["sidecar", "list", "shop"],
        &["image", "list"],
        &["principal", "list"],
        &["audit"],
        &["az", "env"],
        &["system", "info"],
        &["system", "stop"],
    ] {
        let ran = pillion(root.path(), args);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: no Pillion server is running"), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: start one with `sudo pillion serve`"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn an_app_file_that_is_missing_is_not_found() {
    let ran = pillion(root().path(), &["apply"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: could not read the app file pillion.yaml\n  because No such file or directory (os error 2)\nhint: name it with `-f FILE`\n"
    );
}

#[test]
fn mistakes_in_an_app_file_are_told_with_line_and_column_before_any_server_is_asked() {
    let root = root();
    let file = root.path().join("pillion.yaml");
    std::fs::write(&file, "name: shop\ncontainers:\n  web:\n    main: true\n    image: web:1\n    prot: 80\n").unwrap();
    for verb in ["apply", "up"] {
        let ran = pillion(root.path(), &[verb]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert_eq!(
            ran.stderr,
            "error: pillion.yaml has 1 problem\n  because pillion.yaml:6:5: containers.web.prot: unknown key `prot`\nhint: did you mean `port`?\n"
        );
    }
}

#[test]
fn a_name_that_no_app_can_have_is_refused_before_it_becomes_a_path() {
    let ran = pillion(root().path(), &["status", "../../etc"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("`../../etc` is not a valid app name"), "{}", ran.stderr);
}

#[test]
fn a_docker_configuration_that_cannot_be_read_names_the_file_and_no_secret() {
    let root = root();
    std::fs::create_dir(root.path().join(".docker")).unwrap();
    std::fs::write(root.path().join(".docker/config.json"), r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#).unwrap();
    std::fs::write(
        root.path().join("pillion.yaml"),
        "name: shop\ncontainers:\n  web: { main: true, image: 'r.example/web:1' }\n",
    )
    .unwrap();
    let ran = pillion(root.path(), &["apply"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains(".docker/config.json") && ran.stderr.contains("r.example"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("c2VjcmV0"));
}
