//! What is said of wrong app files, as golden text; run with `PILLION_GOLDEN=write` to write it anew.

use std::{fmt::Write, path::Path};

use pillion_model::AppFile;

/// Wrong files: a title, and the file (`web` stands for a correct main container).
fn cases() -> Vec<(&'static str, String)> {
    let web = "name: shop\ncontainers:\n  web:\n    main: true\n    image: web\n";
    let and = |rest: &str| format!("{web}{rest}");
    let sidecars: String = (1..=10).map(|n| format!("  s{n}: {{ image: s }}\n")).collect();
    let bomb = format!("a: &a0 [x]\n{}", (1..30).map(|n| format!("b{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)).collect::<String>());
    vec![
        ("an unknown key", and("    prot: 8080\n")),
        ("several unknown keys at once", and("    prot: 80\n    colour: red\nscales: 3\n")),
        ("an unknown key in a probe", and("    probe: { htpp: / }\n")),
        ("an unknown key in a short form", and("    env: { A: { fromSettings: B } }\n")),
        ("a wrong type", and("    port: eighty\n")),
        ("a number out of range", and("    port: 70000\n")),
        ("a list where keys stand", "name: shop\ncontainers: [web]\n".into()),
        ("a container that is only a name", "name: shop\ncontainers: { web: redis }\n".into()),
        ("a word that is none of the known", and("    dependsOn: { web: helthy }\n")),
        ("a switch that is neither true nor false", and("    readOnly: yes\n")),
        ("a doubled key", and("    image: other\n")),
        ("a doubled container", and("  web: { image: x }\n")),
        ("a missing image", "name: shop\ncontainers:\n  web: { main: true }\n".into()),
        ("a missing name", "containers:\n  web: { main: true, image: web }\n".into()),
        ("a bad container name", and("  Side_Car: { image: x }\n")),
        ("a bad size", and("    resources: { memory: 128 MiB }\n")),
        ("a bad length of time", and("    probe: { tcp: 80, timeout: soon }\n")),
        ("two checks in one probe", and("    probe: { tcp: 80, http: / }\n")),
        ("a probe without a check", and("    probe: { timeout: 1 }\n")),
        ("an open quote in a command", and("    command: \"sh -c 'oops\"\n")),
        ("an environment value that is nothing", and("    env: { A: }\n")),
        ("an empty file", "# nothing\n".into()),
        ("two documents", and("---\nname: other\n")),
        ("a tab", "name: shop\ncontainers:\n\tweb: {}\n".into()),
        ("an open bracket", "name: shop\ncontainers: { web: { image: x }\n".into()),
        ("broken JSON", "{\"name\": \"shop\", \"containers\": }".into()),
        ("a foreign tag", and("    user: !env USER\n")),
        ("an alias of nothing", and("    user: *u\n")),
        ("a bomb of aliases", bomb),
        ("no container", "name: shop\ncontainers: {}\n".into()),
        ("no main", "name: shop\ncontainers:\n  web: { image: web }\n".into()),
        ("two mains", and("  api: { main: true, image: api }\n")),
        ("ten sidecars", and(&sidecars)),
        ("a main that runs once", and("    runOnce: true\n")),
        ("an essential container that runs once", and("  m: { image: m, runOnce: true, essential: true }\n")),
        ("a port taken", and("  cache: { image: c, port: 6379 }\n  cache2: { image: c, port: 6379 }\n")),
        ("port 0", and("    port: 0\n")),
        ("an unknown dependency", and("    dependsOn: { cahce: healthy }\n  cache: { image: c }\n")),
        ("a dependency on itself", and("    dependsOn: [web]\n")),
        (
            "a circle",
            and(
                "    dependsOn: [a]\n  a: { image: a, dependsOn: [b] }\n  b: { image: b, dependsOn: [c] }\n  c: { image: c, dependsOn: [a] }\n",
            ),
        ),
        ("completed of a container that keeps running", and("    dependsOn: { a: completed }\n  a: { image: a }\n")),
        ("an unknown volume", and("    volumes: [{ volume: dta, path: /data }]\nvolumes: { data: {} }\n")),
        (
            "mounts that cannot be",
            and(
                "    volumes:\n    - { volume: d, path: data }\n    - { volume: d, path: /a/../b }\n    - { volume: d, path: / }\n    - { volume: d, path: /proc/x }\n    - { volume: d, path: /x, subPath: ../up }\n    tmpfs: [{ path: /x }]\nvolumes: { d: {} }\n",
            ),
        ),
        ("host paths that cannot be", and("volumes: { a: { hostPath: srv }, b: { hostPath: / } }\n")),
        ("an unknown setting", and("    env: { A: { fromSetting: DBURL } }\nsettings: { DB_URL: x }\n")),
        ("no settings at all", and("    env: { A: { fromSetting: DB_URL } }\n")),
        ("a bad variable name", and("    env: { \"A=B\": 1, \"A B\": 2 }\n")),
        (
            "bad probes",
            and(
                "    probe: { http: healthz, interval: 0, failures: 0 }\n    startup: { exec: [] }\n    liveness: { http: { path: /, statuses: 200-99 } }\n  side: { image: s, probe: { http: / } }\n",
            ),
        ),
        (
            "bad limits",
            and(
                "    resources: { memory: 1Mi, cpu: 0, pids: 0 }\n    ulimits: { nofiles: 3, core: { soft: 2, hard: 1 } }\n    stop: { signal: SIGNONE, grace: 99h }\n    shmSize: 0\n",
            ),
        ),
        (
            "bad words",
            and(
                "    user: 'a b'\n    workingDir: srv\n    files: [{ path: /f, content: '', mode: 999 }]\nhosts: ['http://a', A.example, a.example]\nscale: 5000\nreadyWithin: 0\n",
            ),
        ),
        ("an image name with a space", "name: shop\ncontainers:\n  web: { main: true, image: 'my web' }\n".into()),
        ("an app name that is too long", format!("name: {}\ncontainers:\n  web: {{ main: true, image: web }}\n", "a".repeat(49))),
    ]
}

#[test]
fn every_problem_reads_as_agreed() {
    let mut text = String::new();
    for (title, file) in cases() {
        let problems = AppFile::parse(&file).expect_err(title);
        writeln!(text, "{title}").expect("writing to a string");
        for problem in &problems {
            let place = problem.place.map_or_else(|| "-".to_owned(), |place| format!("{}:{}", place.line, place.column));
            writeln!(text, "  {place} {:?} {problem}", problem.code).expect("writing to a string");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/problems.txt");
    if std::env::var_os("PILLION_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, &text).expect("writing the golden file");
    }
    let golden = std::fs::read_to_string(&path).expect("tests/golden/problems.txt");
    for (line, (got, agreed)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(got, agreed, "line {} of golden/problems.txt", line + 1);
    }
    assert_eq!(text, golden);
}
