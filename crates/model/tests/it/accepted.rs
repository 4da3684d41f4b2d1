//! What an app file may hold.

use pillion_model::{App, AppFile, Bytes, Check, Condition, EnvValue, HttpCheck, Probe, Setting, Ulimit};

fn parse(text: &str) -> App {
    AppFile::parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn with_web(extra: &str) -> App {
    parse(&format!("name: shop\ncontainers:\n  web:\n    main: true\n    image: web\n{extra}"))
}

const DOCUMENTED: &str = r#"
name: shop
containers:
  web:
    main: true
    image: registry.example/shop/web:1.4
    port: 8080
    env: { LOG_LEVEL: info, DB_URL: { fromSetting: DB_URL } }
    dependsOn: { cache: healthy }
  cache:
    image: docker.io/library/redis:7
    port: 6379
    probe: { tcp: 6379 }
    resources: { memory: 128Mi, cpu: 0.5 }
    volumes: [{ volume: cache, path: /data }]
volumes: { cache: { persistent: true } }      # default: lives and dies with the instance
settings: { DB_URL: { secret: "…" } }
scale: 2
"#;

#[test]
fn the_documented_app_file_is_read_as_it_says() {
    let app = parse(DOCUMENTED);
    assert_eq!((app.name.as_str(), app.scale, app.ready_within), ("shop", 2, 230));
    let (web, cache) = (&app.containers["web"], &app.containers["cache"]);
    assert_eq!(app.main().map(|(name, _)| name.as_str()), Some("web"));
    assert_eq!(web.port, Some(8080));
    assert_eq!(web.env["LOG_LEVEL"], EnvValue::Literal("info".into()));
    assert_eq!(web.env["DB_URL"], EnvValue::FromSetting { from_setting: "DB_URL".into() });
    assert_eq!(web.depends_on["cache"], Condition::Healthy);
    assert_eq!(cache.probe.as_ref().map(|probe| &probe.check), Some(&Check::Tcp(6379)));
    assert_eq!((cache.resources.memory, cache.resources.cpu), (Some(Bytes(128 << 20)), Some(0.5)));
    assert_eq!((cache.volumes[0].volume.as_str(), cache.volumes[0].path.as_str()), ("cache", "/data"));
    assert!(app.volumes["cache"].persistent);
    assert_eq!(app.settings["DB_URL"], Setting::Secret { secret: "…".into() });
}

#[test]
fn json_is_read_like_yaml() {
    let yaml = parse(DOCUMENTED);
    let json = serde_json::to_string(&serde_json::to_value(&yaml).expect("JSON")).expect("JSON");
    assert_eq!(parse(&json), yaml);
    assert_eq!(serde_json::from_str::<App>(&json).expect("the same shape on the wire"), yaml);
    let escaped = r#"{"name":"shop","containers":{"web":{"main":true,"image":"web","env":{"A":"\ud83d\ude00\/\t"}}}}"#;
    assert_eq!(parse(escaped).containers["web"].env["A"], EnvValue::Literal("\u{1f600}/\t".into()));
}

#[test]
fn a_command_is_a_list_or_a_line_split_as_a_shell_would() {
    for (written, wanted) in [
        ("[redis-server, --port, 6379, --daemonize, no]", vec!["redis-server", "--port", "6379", "--daemonize", "no"]),
        (r#"sh -c 'echo "$HOME" | wc' a\ b"#, vec!["sh", "-c", r#"echo "$HOME" | wc"#, "a b"]),
        ("[]", vec![]),
    ] {
        let app = with_web(&format!("    command: {written}\n    entrypoint: {written}"));
        assert_eq!(
            app.containers["web"].command.as_deref(),
            Some(wanted.iter().map(|w| w.to_string()).collect::<Vec<_>>().as_slice())
        );
        assert_eq!(app.containers["web"].entrypoint, app.containers["web"].command);
    }
}

#[test]
fn environment_values_keep_the_text_they_were_written_with() {
    let app = with_web(
        "    env: { A: 0080, B: 1.50, C: true, D: \"\", E: 0x1f, F: no, G: '{}', H: \"null\" }\nsettings: { N: 007, S: { secret: 42 } }",
    );
    let env = &app.containers["web"].env;
    let text = |name: &str| match &env[name] {
        EnvValue::Literal(text) => text.clone(),
        EnvValue::FromSetting { .. } | EnvValue::FromInstance { .. } => panic!("{name} is a literal"),
    };
    let all: Vec<String> = ["A", "B", "C", "D", "E", "F", "G", "H"].map(text).to_vec();
    assert_eq!(all, ["0080", "1.50", "true", "", "0x1f", "no", "{}", "null"]);
    assert_eq!(app.settings["N"], Setting::Plain("007".into()));
    assert_eq!(app.settings["S"], Setting::Secret { secret: "42".into() });
}

#[test]
fn probes_have_short_and_long_forms() {
    let probe = |written: &str| {
        let app = with_web(&format!("    port: 80\n    probe: {written}"));
        app.containers["web"].probe.clone().expect("a probe")
    };
    let bare = |check| Probe { check, interval: None, timeout: None, failures: None, within: None };
    let http = |path: &str| HttpCheck { path: path.into(), port: None, statuses: None, headers: Default::default() };
    assert_eq!(probe("none"), bare(Check::None(true)));
    assert_eq!(probe("{ tcp: 6379 }"), bare(Check::Tcp(6379)));
    assert_eq!(probe("{ http: /healthz }"), bare(Check::Http(http("/healthz"))));
    assert_eq!(probe("{ exec: [redis-cli, ping] }"), probe("{ exec: redis-cli ping }"));
    let full = probe(
        "{ http: { path: /up, port: 81, statuses: '200-299,401', headers: { Host: a.example, X-N: 1 } }, interval: 5, timeout: 500ms, failures: 2, within: 2m }",
    );
    assert_eq!((full.interval, full.timeout, full.failures, full.within), (Some(5.0), Some(0.5), Some(2), Some(120.0)));
    let Check::Http(check) = full.check else { panic!("an HTTP probe") };
    assert_eq!(check.status_ranges(), Ok(vec![(200, 299), (401, 401)]));
    assert_eq!(check.headers["X-N"], "1");
    let one = probe("{ http: { path: /, statuses: 204 } }");
    let Check::Http(check) = one.check else { panic!("an HTTP probe") };
    assert_eq!(check.status_ranges(), Ok(vec![(204, 204)]));
}

#[test]
fn short_forms_stand_for_long_ones() {
    let app = parse(
        "
name: shop
x: &image shop/web:1
containers:
  web: { main: true, image: web, dependsOn: [a, b], user: 1000, ulimits: { nofile: 1024, core: unlimited, nproc: { soft: 1, hard: 2 } } }
  a: { image: a, stop: { grace: 1m30s, signal: SIGRTMIN+3 }, shmSize: 1.5Gi }
  b: { image: b, files: [{ path: /etc/b.conf, content: x, mode: 0600 }] }
volumes: { data: }
readyWithin: 90s
userNamespace: off
network: none
"
        .replace("x: &image shop/web:1\n", "")
        .as_str(),
    );
    let (web, a, b) = (&app.containers["web"], &app.containers["a"], &app.containers["b"]);
    assert_eq!((web.depends_on["a"], web.depends_on["b"]), (Condition::Started, Condition::Started));
    assert_eq!(web.user.as_deref(), Some("1000"));
    assert_eq!(web.ulimits["nofile"], Ulimit { soft: 1024, hard: 1024 });
    assert_eq!(web.ulimits["core"], Ulimit { soft: u64::MAX, hard: u64::MAX });
    assert_eq!(web.ulimits["nproc"], Ulimit { soft: 1, hard: 2 });
    assert_eq!((a.stop.grace, a.shm_size), (Some(90.0), Some(Bytes(3 << 29))));
    assert_eq!(b.files[0].mode.as_deref(), Some("0600"));
    assert_eq!(app.ready_within, 90);
    assert!(!app.volumes["data"].persistent);
}

#[test]
fn anchors_repeat_what_they_name() {
    let app = parse(
        "name: shop\ncontainers:\n  web: { main: true, image: &i shop:1, env: &e { A: 1 } }\n  side: { image: *i, env: *e }",
    );
    assert_eq!(app.containers["side"].image, "shop:1");
    assert_eq!(app.containers["side"].env, app.containers["web"].env);
}
