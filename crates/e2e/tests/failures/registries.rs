//! Registries that cannot be reached, or do not let the caller in.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use pillion_e2e::{Copy, Packed, Ran, Registry, Running, Users, built, get, until};

use crate::{
    book,
    stage::{Stage, Told, soon, swap, text},
};

const USERS: Users = Users::One { name: "shop", password: "correct horse" };
/// `shop:correct horse` and `shop:wrong`, base64.
const RIGHT: &str = "c2hvcDpjb3JyZWN0IGhvcnNl";
const WRONG: &str = "c2hvcDp3cm9uZw==";

/// Does what `docker login` does: writes the login where the command line reads it.
fn log_in(copy: &Copy, registry: &str, login: &str) -> PathBuf {
    let dir = copy.root().join("docker");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("config.json"), format!("{{\"auths\":{{\"{registry}\":{{\"auth\":\"{login}\"}}}}}}"))
        .expect("the login is written");
    dir
}

fn pillion(copy: &Copy, docker: &Path, args: &[&str]) -> Ran {
    Running::start(
        Command::new(built("pillion"))
            .args(args)
            .env("PILLION_ROOT", copy.root())
            .env("DOCKER_CONFIG", docker)
            .env("NO_COLOR", "1"),
    )
    .finish()
}

struct Private {
    registry: Registry,
    copy: Copy,
    file: PathBuf,
}

impl Private {
    fn new() -> Private {
        let (registry, copy) = (Registry::start(USERS), Copy::serving());
        let image = format!("{}/web:1", registry.host());
        let docker = log_in(&copy, &registry.host(), RIGHT);
        let packed = Packed::program(&built("puppet"));
        let mut args = vec!["image", "pack", "--push", &image];
        args.extend(packed.args());
        let pushed = pillion(&copy, &docker, &args);
        assert_eq!(pushed.code, 0, "{}", pushed.said());
        let file = copy.file(
            "pillion.yaml",
            &format!(
                "name: shop\ncontainers:\n  web: {{ main: true, image: '{image}', port: 8080, command: [serve, '8080'] }}\n"
            ),
        );
        Private { registry, copy, file }
    }

    fn fails(&self, section: &str, docker: &Path) {
        let told = Told::of(pillion(&self.copy, docker, &["apply", "-f", text(&self.file)]));
        assert!(told.head.contains("container \"web\""), "{}", told.head);
        assert_eq!(told.printed(0), format!("docker login {}", self.registry.host()));
        book::shows(section, &book::normal(&told.head, &[(self.registry.host(), "registry.example")]));
        assert!(self.copy.json(&["status", "shop"]).to_string().contains("RegistryLoginRefused"));
    }

    fn heals(&self) {
        let docker = log_in(&self.copy, &self.registry.host(), RIGHT);
        let ran = pillion(&self.copy, &docker, &["apply", "-f", text(&self.file)]);
        assert_eq!(ran.code, 0, "{}", ran.said());
        assert_eq!(get(&self.copy.url("shop")).expect("an answer").status, 200);
    }
}

#[test]
fn a_registry_that_wants_a_login() {
    let private = Private::new();
    private.fails("Login needed", &private.copy.root().join("nowhere"));
    private.heals();
}

#[test]
fn a_registry_that_refuses_the_login() {
    let private = Private::new();
    private.fails("Login refused", &log_in(&private.copy, &private.registry.host(), WRONG));
    private.heals();
}

#[test]
fn a_registry_that_nobody_answers_at() {
    let stage = Stage::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let wrong = stage.image.replace(&stage.registry.host(), &free);
    let broken = soon(&stage.app_of(&wrong, &["port: 8080", "command: [serve, '8080']"]));
    let told = Told::of(stage.copy.apply(&broken));
    assert!(
        told.head.contains("container \"web\"") && told.hint.contains("check the registry's name in `image:`"),
        "{}",
        told.head
    );
    book::shows("Registry unreachable", &book::normal(&told.head, &[(free.clone(), "registry.example")]));
    stage.heals(&swap(&broken, &free, &stage.registry.host()));
}

/// Takes each connection to a server that says it has had too many.
fn busy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 4096];
                // A client that only looks whether somebody is there says nothing.
                if stream.read(&mut request).is_ok_and(|read| read > 0 && request[0] != 0x16) {
                    let _ = stream.write_all(
                        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                }
            });
        }
    });
    address
}

#[test]
fn a_registry_that_allows_no_more_pulls() {
    let stage = Stage::new();
    let busy = busy();
    let broken =
        soon(&stage.app_of(&stage.image.replace(&stage.registry.host(), &busy), &["port: 8080", "command: [serve, '8080']"]));
    let told = Told::of(stage.copy.apply(&broken));
    assert!(stage.copy.json(&["status", "shop"]).to_string().contains("RegistryRateLimited"));
    assert!(told.head.contains("container \"web\"") && told.hint.contains("apply again later"), "{}", told.head);
    book::shows("Too many pulls", &book::normal(&told.head, &[(busy.clone(), "registry.example")]));
    stage.heals(&swap(&broken, &busy, &stage.registry.host()));
}

/// A registry behind TLS, with a certificate of an authority that this machine does not know; ends with this value.
struct Tls {
    address: String,
    authority: PathBuf,
    child: std::process::Child,
    _dir: tempfile::TempDir,
}

impl Tls {
    /// Puts TLS in front of a registry that speaks plain HTTP.
    fn before(registry: &Registry) -> Tls {
        let dir = tempfile::tempdir().expect("a directory");
        let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("certificate.pem"));
        let authority = dir.path().join("authority.pem");
        let openssl = |args: &[&str]| {
            let ran = Command::new("openssl").current_dir(dir.path()).args(args).stderr(Stdio::null()).status();
            assert!(ran.is_ok_and(|status| status.success()), "openssl {args:?}");
        };
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let own = ["req", "-x509", "-subj", "/CN=An authority of our own", "-keyout", "authority.key", "-out", "authority.pem"];
        openssl(&[&own[..], &new_key[..]].concat());
        let signed = ["req", "-x509", "-CA", "authority.pem", "-CAkey", "authority.key", "-subj", "/CN=registry.example"];
        let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(&[&signed[..], &names[..], &["-keyout", "key.pem", "-out", "certificate.pem"], &new_key[..]].concat());
        let config = dir.path().join("config.yml");
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
            let written = format!(
                "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n  \
                 tls:\n    certificate: {}\n    key: {}\n",
                registry.storage().display(),
                certificate.display(),
                key.display()
            );
            fs::write(&config, written).expect("the configuration is written");
            let mut child = Command::new(pillion_e2e::part(pillion_e2e::Part::Registry))
                .args(["serve", text(&config)])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the registry starts");
            let listens = until("the registry listens or ends", std::time::Duration::from_secs(30), || {
                if child.try_wait().is_ok_and(|status| status.is_some()) {
                    return Some(false);
                }
                TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true)
            });
            if listens {
                return Tls { address: format!("127.0.0.1:{port}"), authority, child, _dir: dir };
            }
        }
        panic!("the registry did not start");
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_whose_certificate_nobody_vouches_for() {
    let stage = Stage::new();
    let tls = Tls::before(&stage.registry);
    let image = stage.image.replace(&stage.registry.host(), &tls.address);
    let broken = soon(&stage.app_of(&image, &["port: 8080", "command: [serve, '8080']"]));
    let told = Told::of(stage.copy.apply(&broken));
    assert!(told.head.contains("container \"web\""), "{}", told.head);
    book::shows("Certificate not trusted", &book::normal(&told.head, &[(tls.address.clone(), "registry.example")]));
    stage.copy.configure(&format!("{}: ['{}']\n", told.printed(0), tls.authority.display()));
    stage.runs(&told, 2);
    stage.heals(&broken);
}

#[test]
fn a_certificate_that_was_replaced_in_its_file_is_taken_by_a_reload() {
    let stage = Stage::new();
    let (tls, other) = (Tls::before(&stage.registry), Tls::before(&stage.registry));
    let image = stage.image.replace(&stage.registry.host(), &tls.address);
    let app = soon(&stage.app_of(&image, &["port: 8080", "command: [serve, '8080']"]));
    let trusted = stage.copy.file("trusted.pem", &fs::read_to_string(&other.authority).expect("a certificate"));
    stage.copy.configure(&format!("registryCertificates: ['{}']\n", trusted.display()));
    stage.copy.ok(["system", "reload"]);
    let told = Told::of(stage.copy.apply(&app));
    assert!(told.head.contains("no TLS connection"), "{}", told.head);

    fs::copy(&tls.authority, &trusted).expect("the certificate is replaced");
    stage.copy.ok(["system", "reload"]);
    stage.heals(&app);
}

/// `0.0.0.0` reaches this machine, but is no loopback name: what listens there must speak TLS or be listed.
#[test]
fn a_registry_without_tls_that_is_not_on_loopback() {
    let stage = Stage::new();
    let image = stage.image.replace("127.0.0.1", "0.0.0.0");
    let broken = soon(&stage.app_of(&image, &["port: 8080", "command: [serve, '8080']"]));
    let told = stage.fails("Registry without TLS", "RegistryTlsFailed", "web", &broken);
    stage.copy.configure(&format!("{}\n", told.printed(1)));
    stage.runs(&told, 2);
    stage.heals(&broken);
}
