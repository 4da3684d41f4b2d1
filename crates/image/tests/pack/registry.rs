//! Pushing to a real registry (Debian's `docker-registry`), with and without a password.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use pillion_fault::Fault;
use pillion_image::{
    Credential, ImageName, Retry, Settings,
    pack::{Add, PushError, Recipe, push},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::layouts::Built;

/// A registry of the test's own, ended with it.
pub struct Registry {
    child: Child,
    address: String,
    _dir: TempDir,
}

impl Registry {
    pub fn start(htpasswd: Option<&str>) -> Self {
        // Between the probe and the registry's own bind another test may take the port: then try the next one.
        (0..5).find_map(|_| Self::try_start(htpasswd)).expect("a registry starts")
    }

    fn try_start(htpasswd: Option<&str>) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
        let address = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\nstorage: {{ filesystem: {{ rootdirectory: {0}/data }} }}\nhttp: {{ addr: '{address}' }}\n",
            dir.path().display()
        );
        if let Some(line) = htpasswd {
            fs::write(dir.path().join("htpasswd"), line).expect("written");
            config += &format!("auth: {{ htpasswd: {{ realm: test, path: {}/htpasswd }} }}\n", dir.path().display());
        }
        fs::write(dir.path().join("config.yml"), config).expect("written");
        let mut child = Command::new("docker-registry")
            .args(["serve"])
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's docker-registry is installed");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while log.read_line(&mut line).expect("the log reads") > 0 {
            if line.contains("listening on") {
                // The log must be read on, else the registry blocks.
                thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                let until = Instant::now() + Duration::from_secs(10);
                while std::net::TcpStream::connect(&address).is_err() {
                    assert!(Instant::now() < until, "the registry listens");
                    thread::yield_now();
                }
                return Some(Self { child, address, _dir: dir });
            }
            line.clear();
        }
        child.wait().expect("it ended");
        None
    }

    pub fn name(&self) -> ImageName {
        format!("{}/shop/web:1.4", self.address).parse().expect("a name")
    }

    /// Asks as curl would; returns the answer's head and body.
    fn get(&self, path: &str, accept: &str) -> String {
        let out = Command::new("curl")
            .args(["-sS", "-i", "-H", &format!("Accept: {accept}")])
            .arg(format!("http://{}{path}", self.address))
            .output();
        String::from_utf8_lossy(&out.expect("curl runs").stdout).into_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn image() -> Built {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("page"), "hello").expect("written");
    Built::new(&Recipe { adds: vec![Add { source: dir.path().into(), destination: "/srv".into() }], ..Recipe::default() })
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn a_packed_image_is_pushed_and_the_registry_has_it_under_its_digest() {
    let (registry, built) = (Registry::start(None), image());
    let pushed = push(&built.image.layout, &registry.name(), None, &Settings::default()).await.expect("pushed");
    assert_eq!(pushed.digest, built.image.digest);
    assert_eq!(pushed.pinned, format!("{}/shop/web@{}", registry.address, built.image.digest));
    let answer = registry.get("/v2/shop/web/manifests/1.4", MANIFEST);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(built.image.digest.as_str()), "{answer}");
    let layer = built.manifest()["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    assert!(registry.get(&format!("/v2/shop/web/blobs/{layer}"), "*/*").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_second_push_sends_only_the_manifest() {
    let (registry, built) = (Registry::start(None), image());
    let first = push(&built.image.layout, &registry.name(), None, &Settings::default()).await.expect("pushed");
    let again = push(&built.image.layout, &registry.name(), None, &Settings::default()).await.expect("pushed");
    let manifest = built.manifest().to_string().len() as u64;
    assert!(first.sent > built.image.size, "{first:?}");
    assert_eq!(again.sent, manifest);
}

#[tokio::test]
async fn a_password_is_asked_for_and_counts() {
    // Password `secret`, hashed by bcrypt as the registry demands.
    let registry = Registry::start(Some(&htpasswd("ada", "secret")));
    let built = image();
    let name = registry.name();
    let anonymous = push(&built.image.layout, &name, None, &Settings::default()).await.expect_err("no password");
    assert!(matches!(anonymous, PushError::Refused { user: None, .. }), "{anonymous:?}");
    let wrong = Credential::Password { user: "ada".into(), password: "wrong".into() };
    let refused = push(&built.image.layout, &name, Some(&wrong), &Settings::default()).await.expect_err("a wrong password");
    assert!(matches!(Fault::from(&refused), Fault::RegistryLoginRefused { user: Some(user), .. } if user == "ada"));
    assert!(!format!("{refused:?}").contains("wrong"));
    let right = Credential::Password { user: "ada".into(), password: "secret".into() };
    push(&built.image.layout, &name, Some(&right), &Settings::default()).await.expect("pushed");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let name: ImageName = format!("{address}/a:1").parse().expect("a name");
    let error = push(&image().image.layout, &name, None, &Settings::default()).await.expect_err("nobody listens");
    assert!(
        matches!(Fault::from(&error), Fault::RegistryUnreachable { registry, .. } if registry == address.to_string()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_push_goes_on_after_its_connection_broke() {
    let registry = Registry::start(None);
    let built = Built::new(&Recipe { programs: vec!["/usr/bin/redis-server".into()], ..Recipe::default() });
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let name: ImageName = format!("{}/shop/cache:1", proxy.local_addr().expect("bound")).parse().expect("a name");
    let cuts = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn(cutting_proxy(proxy, registry.address.clone(), Arc::clone(&cuts)));
    let settings = Settings { retry: Retry { first: Duration::from_millis(1), ..Retry::default() }, ..Settings::default() };
    let pushed = push(&built.image.layout, &name, None, &settings).await.expect("pushed in spite of it");
    task.abort();
    assert_eq!(cuts.load(Ordering::SeqCst), 2);
    let answer = registry.get("/v2/shop/cache/manifests/1", MANIFEST);
    assert!(answer.contains(pushed.digest.as_str()), "{answer}");
}

/// Forwards connections, and cuts the first two that carry more than a megabyte to the registry.
async fn cutting_proxy(listener: tokio::net::TcpListener, registry: String, cuts: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let (registry, cuts) = (registry.clone(), Arc::clone(&cuts));
        tokio::spawn(async move {
            let Ok(server) = tokio::net::TcpStream::connect(registry).await else { return };
            let ((mut client_read, mut client_write), (mut server_read, mut server_write)) =
                (client.into_split(), server.into_split());
            let down = tokio::spawn(async move { tokio::io::copy(&mut server_read, &mut client_write).await });
            let (mut piece, mut total) = (vec![0; 64 << 10], 0);
            while let Ok(amount @ 1..) = client_read.read(&mut piece).await {
                total += amount;
                let cut = total > 1 << 20
                    && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < 2).then_some(n + 1)).is_ok();
                if cut || server_write.write_all(&piece[..amount]).await.is_err() {
                    break;
                }
            }
            down.abort();
        });
    }
}

fn htpasswd(user: &str, password: &str) -> String {
    let out = Command::new("htpasswd").args(["-nbB", user, password]).output().expect("apache2-utils is installed");
    String::from_utf8(out.stdout).expect("UTF-8")
}
