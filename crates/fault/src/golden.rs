//! Every sentence and hint as a golden file, `golden/faults.txt`; run with `PILLION_GOLDEN=write` to write it anew.

use std::{fmt::Write, path::Path};

use crate::{Diagnosis, Exit, Fault, Listener, OomScope, ProbeKind, Words};

/// Returns every variant at least once; [`place`] makes the compiler demand a new variant's entry here.
fn every() -> Vec<Fault> {
    let s = str::to_owned;
    let image = || s("registry.example/shop/web:1.4");
    let registry = || s("registry.example");
    let listener = |address: &str| Listener {
        address: address.parse().expect("a socket address"),
        container: Some(s("web")),
        process: Some(s("node")),
    };
    let exited = |exit| Fault::Exited { exit, after_ms: 12 };
    let status = |status| Fault::ProbeStatus { probe: ProbeKind::Readiness, url: s("http://127.0.0.1:8080/healthz"), status };
    vec![
        Fault::ImageNameInvalid { image: s("Shop Web"), reason: s("it holds a space") },
        Fault::ImageNotFound { image: image(), registry: registry() },
        Fault::ImageNotFound { image: s("docker.io/library/rediss:7"), registry: s("docker.io") },
        Fault::ImageTagNotFound { image: s("localhost:5000/web:1.5"), tag: s("1.5") },
        Fault::RegistryUnreachable { image: image(), registry: registry(), reason: s("connection refused") },
        Fault::RegistryLoginRefused { image: image(), registry: registry(), user: None },
        Fault::RegistryLoginRefused { image: image(), registry: registry(), user: Some(s("ada")) },
        Fault::RegistryRateLimited { image: s("redis:7"), registry: s("docker.io"), retry_after_s: Some(60) },
        Fault::RegistryRateLimited { image: s("redis:7"), registry: s("docker.io"), retry_after_s: None },
        Fault::RegistryTlsFailed { image: image(), registry: registry(), reason: s("unknown issuer") },
        Fault::ImagePlatformMissing {
            image: image(),
            wanted: s("linux/amd64"),
            available: vec![s("linux/arm64"), s("windows/amd64")],
        },
        Fault::ImageDigestMismatch { image: image(), expected: s("sha256:aa"), got: s("sha256:bb") },
        Fault::ImageLayerRefused { image: image(), entry: s("../../etc/passwd"), reason: s("its path climbs with `..`") },
        Fault::ImageUnsupported { image: image(), reason: s("its manifest is of Docker schema 1") },
        Fault::DiskFull { path: s("/var/lib/pillion"), doing: s("unpacking a layer") },
        Fault::CommandMissing { command: s("serve"), searched: vec![s("/usr/local/bin"), s("/usr/bin")] },
        Fault::CommandMissing { command: s("/app/serve"), searched: vec![] },
        Fault::CommandNotExecutable { command: s("/app/start.sh") },
        Fault::CommandWrongFormat { command: s("/app/start"), detail: s("it is for arm64") },
        Fault::InterpreterMissing { command: s("/app/start.sh"), interpreter: s("/bin/bash") },
        Fault::LibraryMissing { command: s("/app/serve"), library: s("libssl.so.3") },
        Fault::NoCommand { image: image() },
        Fault::WorkingDirectoryMissing { path: s("/srv") },
        Fault::UserUnknown { user: s("www") },
        Fault::MountFailed { path: s("/etc/passwd"), reason: s("not a directory") },
        Fault::StartFailed { doing: s("setting its limits"), reason: s("permission denied") },
        exited(Exit::Code { code: 0 }),
        exited(Exit::Code { code: 1 }),
        exited(Exit::Code { code: 127 }),
        exited(Exit::Signal { signal: 11, core: true }),
        exited(Exit::Signal { signal: 9, core: false }),
        exited(Exit::Signal { signal: 15, core: false }),
        exited(Exit::Signal { signal: 31, core: false }),
        exited(Exit::Signal { signal: 64, core: false }),
        exited(Exit::Oom { scope: OomScope::Limit { bytes: 128 << 20 } }),
        exited(Exit::Oom { scope: OomScope::Host }),
        Fault::PidsLimit { limit: 64 },
        Fault::PortNeverOpened { port: Some(8080), waited_ms: 230_000 },
        Fault::PortNeverOpened { port: None, waited_ms: 1500 },
        Fault::OtherPortOpened { wanted: 8080, found: vec![listener("0.0.0.0:3000"), listener("[::]:3000")] },
        Fault::OtherPortOpened { wanted: 8080, found: vec![] },
        Fault::PortTaken { port: 6379, holder: s("cache") },
        status(404),
        status(403),
        status(503),
        status(418),
        Fault::ProbeSlow { probe: ProbeKind::Liveness, target: s("http://127.0.0.1:8080/healthz"), timeout_ms: 1000 },
        Fault::ProbeSlow { probe: ProbeKind::Startup, target: s("127.0.0.1:6379"), timeout_ms: 100 },
        Fault::ProbeRefused { probe: ProbeKind::Startup, target: s("127.0.0.1:6379"), reason: s("connection refused") },
        Fault::ProbeExec {
            probe: ProbeKind::Readiness,
            command: s("redis-cli ping"),
            exit: Exit::Code { code: 1 },
            output: s("\nNOAUTH\n"),
        },
        Fault::DependencyNeverReady { dependency: s("cache"), condition: s("healthy"), waited_ms: 230_000 },
        Fault::DependencyFailed { dependency: s("migrate"), condition: s("completed") },
        Fault::VolumeHidesFiles { path: s("/app/serve"), mount: s("/app"), volume: s("data") },
        Fault::ReadOnlyWrite { path: s("/var/cache/app/index") },
        Fault::NotReadyInTime { waited_ms: 230_000 },
        Fault::SettingMissing { variable: s("DB_URL"), setting: s("DB_URL") },
        Fault::SettingRefused { setting: s("WEBSITES_PORT"), reason: s("\"eighty\" is no port") },
        Fault::DefinitionRefused { field: s("containers.web.port"), reason: s("`cache` has it") },
        Fault::ComposeNotYetSupported { mode: s("COMPOSE") },
        Fault::CodeNotYetSupported { stack: s("PYTHON|3.12") },
        Fault::IdentityPullNotAvailable { image: image(), identity: s("the system-assigned identity") },
        Fault::HostUnsupported {
            feature: s("id-mapped mounts"),
            reason: s("its kernel is 5.10"),
            fix: s("use kernel 6.1 or newer, or set `userNamespace: off`"),
        },
        Fault::HostPathRefused { path: s("/srv/photos") },
        Fault::SupervisorLost { reason: s("killed by signal 9") },
        Fault::Internal { doing: s("reading its state"), reason: s("database is locked") },
    ]
}

const PLACES: usize = 46;

/// Returns a variant's place, 0 to [`PLACES`]: a match without `_`, so that no variant can be forgotten.
fn place(fault: &Fault) -> usize {
    match fault {
        Fault::ImageNameInvalid { .. } => 0,
        Fault::ImageNotFound { .. } => 1,
        Fault::ImageTagNotFound { .. } => 2,
        Fault::RegistryUnreachable { .. } => 3,
        Fault::RegistryLoginRefused { .. } => 4,
        Fault::RegistryRateLimited { .. } => 5,
        Fault::RegistryTlsFailed { .. } => 6,
        Fault::ImagePlatformMissing { .. } => 7,
        Fault::ImageDigestMismatch { .. } => 8,
        Fault::ImageLayerRefused { .. } => 9,
        Fault::ImageUnsupported { .. } => 10,
        Fault::DiskFull { .. } => 11,
        Fault::CommandMissing { .. } => 12,
        Fault::CommandNotExecutable { .. } => 13,
        Fault::CommandWrongFormat { .. } => 14,
        Fault::InterpreterMissing { .. } => 15,
        Fault::LibraryMissing { .. } => 16,
        Fault::NoCommand { .. } => 17,
        Fault::WorkingDirectoryMissing { .. } => 18,
        Fault::UserUnknown { .. } => 19,
        Fault::MountFailed { .. } => 20,
        Fault::StartFailed { .. } => 21,
        Fault::Exited { .. } => 22,
        Fault::PidsLimit { .. } => 23,
        Fault::PortNeverOpened { .. } => 24,
        Fault::OtherPortOpened { .. } => 25,
        Fault::PortTaken { .. } => 26,
        Fault::ProbeStatus { .. } => 27,
        Fault::ProbeSlow { .. } => 28,
        Fault::ProbeRefused { .. } => 29,
        Fault::ProbeExec { .. } => 30,
        Fault::DependencyNeverReady { .. } => 31,
        Fault::DependencyFailed { .. } => 32,
        Fault::VolumeHidesFiles { .. } => 33,
        Fault::ReadOnlyWrite { .. } => 34,
        Fault::NotReadyInTime { .. } => 35,
        Fault::SettingMissing { .. } => 36,
        Fault::HostUnsupported { .. } => 37,
        Fault::HostPathRefused { .. } => 38,
        Fault::SupervisorLost { .. } => 39,
        Fault::Internal { .. } => 40,
        Fault::SettingRefused { .. } => 41,
        Fault::DefinitionRefused { .. } => 42,
        Fault::ComposeNotYetSupported { .. } => 43,
        Fault::CodeNotYetSupported { .. } => 44,
        Fault::IdentityPullNotAvailable { .. } => 45,
    }
}

#[test]
fn every_fault_has_an_entry() {
    let mut seen = [false; PLACES];
    for fault in every() {
        seen[place(&fault)] = true;
    }
    assert_eq!(seen.iter().position(|seen| !seen), None);
}

#[test]
fn every_sentence_and_hint_reads_as_agreed() {
    let mut text = String::new();
    for fault in every() {
        let code = serde_json::to_value(&fault).expect("a fault is JSON")["code"].clone();
        assert_eq!(code, fault.code());
        let hint = fault.hint().unwrap_or_else(|| "-".to_owned());
        writeln!(text, "{}\n  {fault}\n  {hint}", fault.code()).expect("writing to a string");
        if let Some(other) = fault.hint_in(Words::AppService).filter(|other| *other != hint) {
            writeln!(text, "  App Service: {other}").expect("writing to a string");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/faults.txt");
    if std::env::var_os("PILLION_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("making golden/");
        std::fs::write(&path, &text).expect("writing the golden file");
    }
    let golden = std::fs::read_to_string(&path).expect("golden/faults.txt");
    for (line, (got, agreed)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(got, agreed, "line {} of golden/faults.txt", line + 1);
    }
    assert_eq!(text, golden);
}

#[test]
fn every_fault_survives_json_inside_a_diagnosis() {
    for fault in every() {
        let diagnosis = Diagnosis { container: Some("web".into()), fault, log_tail: vec!["last".into()] };
        let json = serde_json::to_string(&diagnosis).expect("a diagnosis is JSON");
        assert_eq!(serde_json::from_str::<Diagnosis>(&json).expect(&json), diagnosis);
    }
}
