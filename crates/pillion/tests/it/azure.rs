//! The verbs for the TLS endpoint, before a server of the built program.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::run::{pillion, root};

/// A server in a root of its own; it ends, with all it had, when this is dropped.
struct Server {
    root: tempfile::TempDir,
    child: Child,
}

impl Server {
    fn start(settings: &str) -> Server {
        let root = root();
        std::fs::create_dir_all(root.path().join("etc")).expect("the settings directory is made");
        std::fs::write(root.path().join("etc/config.yaml"), settings).expect("the settings are written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pillion"))
            .args(["serve", "--announce"])
            .env("PILLION_ROOT", root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(root.path().join("serve.log")).expect("the log is made"))
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output is piped")).read_line(&mut line).expect("it says a line");
        let server = Server { root, child };
        assert_eq!(
            line,
            "ready\n",
            "{}",
            std::fs::read_to_string(server.root.path().join("serve.log")).expect("the log is read")
        );
        server
    }

    fn ok(&self, args: &[&str]) -> String {
        let ran = pillion(self.root.path(), args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.stdout
    }

    fn json(&self, args: &[&str]) -> Value {
        let words: Vec<&str> = args.iter().copied().chain(["--output", "json"]).collect();
        serde_json::from_str(&self.ok(&words)).expect("JSON")
    }

    /// What `az env` exports under this name.
    fn variable(&self, name: &str) -> String {
        let exports = self.ok(&["az", "env"]);
        let found = exports.lines().find_map(|line| line.strip_prefix(&format!("export {name}='"))?.strip_suffix('\''));
        found.unwrap_or_else(|| panic!("no {name} in {exports}")).to_owned()
    }

    /// Asks openssl to connect as a client that trusts this file and nothing else; returns whether it verified and what it said.
    fn verified(&self, ca: &Path, name: &str) -> (bool, String) {
        let url = self.variable("PILLION_ENDPOINT");
        let address = url.strip_prefix("https://").expect("the endpoint has TLS");
        let how = if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
        let ran = Command::new("openssl")
            .args(["s_client", "-connect", address, "-x509_strict", "-verify_return_error", how, name, "-CAfile"])
            .arg(ca)
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.success() && said.contains("Verify return code: 0 (ok)"), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = pillion(self.root.path(), &["system", "stop"]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn principals_are_made_listed_and_revoked_and_all_of_it_is_in_the_audit_log() {
    let server = Server::start("");
    let made = server.json(&["principal", "create", "deploy", "--role", "reader"]);
    let id = made["appId"].as_str().unwrap();
    assert!(made["password"].as_str().unwrap().len() > 40 && made["tenant"].is_string(), "{made}");
    assert_eq!(made["grants"][0]["role"], "Reader");
    let listed = server.ok(&["principal", "list"]);
    assert!(listed.contains(id) && !listed.contains(made["password"].as_str().unwrap()), "{listed}");
    let again = pillion(server.root.path(), &["principal", "create", "deploy"]);
    assert_eq!(again.code, 4, "{again:?}");
    let elsewhere = pillion(server.root.path(), &["principal", "create", "x", "--scope", "/subscriptions/other"]);
    assert!(elsewhere.code == 1 && elsewhere.stderr.contains("hint: begin it with /subscriptions/"), "{elsewhere:?}");
    server.ok(&["principal", "revoke", "deploy"]);
    assert_eq!(pillion(server.root.path(), &["principal", "revoke", "nobody"]).code, 3);
    let audit = server.json(&["audit"]);
    let actions: Vec<&str> = audit.as_array().unwrap().iter().filter_map(|record| record["action"].as_str()).collect();
    assert_eq!(actions, ["principals/create", "principals/revoke"], "oldest first");
    let approved = pillion(server.root.path(), &["principal", "approve", "AAAA-BBBB", "--as", "deploy"]);
    assert_eq!(approved.code, 3, "{approved:?}");
}

#[test]
fn what_az_env_exports_makes_a_strict_client_trust_the_server() {
    let server = Server::start("");
    let bundle = PathBuf::from(server.variable("REQUESTS_CA_BUNDLE"));
    assert_eq!(server.variable("SSL_CERT_FILE"), bundle.display().to_string());
    let mode = std::fs::metadata(&bundle).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "whoever runs az reads it");
    let ca = bundle.with_file_name("ca.pem");
    for name in ["127.0.0.1", "localhost"] {
        let (verified, said) = server.verified(&ca, name);
        assert!(verified, "{said}");
    }
    assert!(server.ok(&["az", "env", "--shell", "fish"]).contains("set -gx REQUESTS_CA_BUNDLE '"));
    let without = pillion(server.root.path(), &["az", "setup"]);
    assert!(without.code == 1 && without.stderr.contains("there is no `az`"), "{without:?}");
    assert!(server.ok(&["principal", "list"]).lines().count() == 1, "nothing was made for nothing");
}

#[test]
fn names_and_certificates_of_the_settings_are_in_force_after_a_reload() {
    let server = Server::start("");
    let ca = PathBuf::from(server.variable("REQUESTS_CA_BUNDLE")).with_file_name("ca.pem");
    assert!(!server.verified(&ca, "build.example").0);
    let settings = server.root.path().join("etc/config.yaml");
    std::fs::write(&settings, "endpoint: { names: [build.example] }\n").unwrap();
    assert!(server.ok(&["system", "reload"]).contains("endpoint: in force"));
    assert!(server.verified(&ca, "build.example").0);

    let own = server.root.path().join("own");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=own.example", "-addext", "subjectAltName=DNS:own.example", "-keyout"])
        .arg(own.with_extension("key"))
        .arg("-out")
        .arg(own.with_extension("pem"))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    let named = |key: &str| format!("endpoint: {{ certificate: {0}.pem, key: {0}.{key} }}\n", own.display());
    std::fs::write(&settings, named("pem")).unwrap();
    let refused = pillion(server.root.path(), &["system", "reload"]);
    assert!(refused.code == 1 && refused.stderr.contains("certificate cannot be used"), "{refused:?}");
    assert!(server.verified(&ca, "build.example").0, "the old one stays");
    std::fs::write(&settings, named("key")).unwrap();
    server.ok(&["system", "reload"]);
    assert!(server.verified(&own.with_extension("pem"), "own.example").0);
}
