//! A real registry as a child process, and images pushed to it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use oci_client::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    secrets::RegistryAuth,
};
use pillion_image::{Credential, Digest, ImageName};
use serde_json::json;
use tempfile::TempDir;

use crate::tarball::Layer;

pub const USER: &str = "ada";
pub const PASSWORD: &str = "correct horse";

/// `docker-registry serve` on a free port, ended with the value.
pub struct Registry {
    child: Child,
    pub host: String,
    auth: RegistryAuth,
    root_certificate: Option<String>,
    dir: TempDir,
    /// The access log's lines.
    log: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    pub fn open() -> Registry {
        Registry::start(RegistryAuth::Anonymous, |_| String::new())
    }

    /// With one user, [`USER`], who has [`PASSWORD`].
    pub fn with_htpasswd() -> Registry {
        Registry::start(RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned()), |dir| {
            let hash = output(Command::new("htpasswd").args(["-nbB", USER, PASSWORD]));
            std::fs::write(dir.join("htpasswd"), hash).expect("a temporary directory");
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}/htpasswd\n", dir.display())
        })
    }

    /// That takes tokens signed by the key whose certificate is in `certificate`, got from `realm`.
    pub fn with_tokens(realm: &str, certificate: &Path, auth: RegistryAuth) -> Registry {
        Registry::start(auth, |_| {
            format!(
                "auth:\n  token:\n    realm: {realm}\n    service: test\n    issuer: test\n    rootcertbundle: {}\n",
                certificate.display()
            )
        })
    }

    /// With a certificate that nobody knows.
    pub fn with_tls() -> Registry {
        let mut registry = Registry::start(RegistryAuth::Anonymous, |dir| {
            self_signed(dir);
            format!("  tls:\n    certificate: {0}/cert.pem\n    key: {0}/key.pem\n", dir.display())
        });
        registry.root_certificate = Some(std::fs::read_to_string(registry.dir.path().join("cert.pem")).expect("made above"));
        registry
    }

    pub fn root_certificate(&self) -> Option<&str> {
        self.root_certificate.as_deref()
    }

    pub fn credential(&self) -> Credential {
        Credential::Password { user: USER.to_owned(), password: PASSWORD.to_owned() }
    }

    fn start(auth: RegistryAuth, more: impl FnOnce(&Path) -> String) -> Registry {
        let dir = TempDir::new().expect("a temporary directory");
        // `http` comes last so that `more` may go on with it.
        let mut config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}/data\n",
            dir.path().display()
        );
        let more = more(dir.path());
        let http = "http:\n  addr: 127.0.0.1:0\n";
        config += &if more.starts_with("  ") { format!("{http}{more}") } else { format!("{more}{http}") };
        let path = dir.path().join("config.yml");
        std::fs::write(&path, config).expect("a temporary directory");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is installed");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let host = loop {
            let line = lines.next().expect("the registry starts").expect("text");
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([',', '"', ' ']).next().expect("an address").to_owned();
            }
        };
        // The registry must never wait for its log to be read.
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        let access = BufReader::new(child.stdout.take().expect("piped")).lines();
        std::thread::spawn(move || for _ in lines {});
        std::thread::spawn(move || access.map_while(Result::ok).for_each(|line| sink.lock().expect("no panic").push(line)));
        Registry { child, host, auth, root_certificate: None, dir, log }
    }

    pub fn name(&self, repository: &str) -> ImageName {
        format!("{}/{repository}", self.host).parse().expect("a valid name")
    }

    fn blob_path(&self, digest: &Digest) -> std::path::PathBuf {
        self.dir.path().join("data/docker/registry/v2/blobs/sha256").join(&digest.hex()[..2]).join(digest.hex()).join("data")
    }

    /// Damages a blob on the registry's disk.
    pub fn flip_byte(&self, digest: &Digest) {
        let path = self.blob_path(digest);
        let mut bytes = std::fs::read(&path).expect("it was pushed");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("writable");
    }

    /// Returns what the registry has been asked for so far, `GET /v2/… ` each, once its own log tells of `last`.
    pub async fn asked_until(&self, last: &str, times: usize) -> Vec<String> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let requests: Vec<String> = {
                let log = self.log.lock().expect("no panic");
                log.iter()
                    .filter_map(|line| line.split('"').nth(1))
                    .filter(|line| line.contains(" /v2/"))
                    .map(str::to_owned)
                    .collect()
            };
            if requests.iter().filter(|request| request.contains(last)).count() >= times {
                return requests;
            }
            assert!(std::time::Instant::now() < deadline, "not asked for {last} {times} times: {requests:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Returns how many times the registry has been asked for a blob, by its own log.
    pub fn blob_downloads(&self, digest: &Digest) -> usize {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|line| line.contains("\"GET /v2/") && line.contains(&format!("/blobs/{digest} "))).count()
    }

    fn client(&self) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if self.root_certificate.is_some() { ClientProtocol::Https } else { ClientProtocol::Http };
        let extra_root_certificates = self
            .root_certificate
            .iter()
            .map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone().into_bytes() })
            .collect();
        Client::try_from(ClientConfig { protocol, extra_root_certificates, ..ClientConfig::default() }).expect("a client")
    }

    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) {
        let client = self.client();
        let reference: Reference = self.name(repository).to_string().parse().expect("valid");
        client.auth(&reference, &self.auth, RegistryOperation::Push).await.expect("it lets us in");
        client.push_blob(&reference, bytes.to_vec(), Digest::of(bytes).as_str()).await.expect("it takes blobs");
    }

    /// Pushes a manifest under the name's tag or, without one, its digest.
    pub async fn push_manifest(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let client = self.client();
        let reference: Reference = self.name(repository).to_string().parse().expect("valid");
        client.auth(&reference, &self.auth, RegistryOperation::Push).await.expect("it lets us in");
        client
            .push_manifest_raw(&reference, bytes.to_vec(), media_type.parse().expect("a media type"))
            .await
            .expect("it takes the manifest");
        Digest::of(bytes)
    }

    /// Pushes an OCI image of these layers, lowest first.
    pub async fn push(&self, repository: &str, layers: &[Layer]) -> Digest {
        self.push_image(repository, layers, &Image::default()).await
    }

    pub async fn push_image(&self, repository: &str, layers: &[Layer], image: &Image) -> Digest {
        for layer in layers {
            self.push_blob(repository, &layer.bytes).await;
        }
        let config = image.config(layers);
        self.push_blob(repository, &config).await;
        let (media_type, manifest) = image.manifest(layers, &config);
        self.push_manifest(repository, media_type, &manifest).await
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What varies between pushed images.
#[derive(Clone)]
pub struct Image {
    pub architecture: &'static str,
    /// Docker's media types instead of OCI's.
    pub docker: bool,
    pub run: serde_json::Value,
}

impl Default for Image {
    fn default() -> Image {
        Image { architecture: "amd64", docker: false, run: json!({"Cmd": ["/bin/true"]}) }
    }
}

impl Image {
    pub fn config(&self, layers: &[Layer]) -> Vec<u8> {
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let document = json!({"os": "linux", "architecture": self.architecture, "config": self.run, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        document.to_string().into_bytes()
    }

    pub fn manifest(&self, layers: &[Layer], config: &[u8]) -> (&'static str, Vec<u8>) {
        let (manifest_type, config_type) = if self.docker {
            ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
        } else {
            ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
        };
        let layer_type = |layer: &Layer| match (self.docker, layer.media_type) {
            (false, media_type) => media_type,
            (true, "application/vnd.oci.image.layer.v1.tar") => "application/vnd.docker.image.rootfs.diff.tar",
            (true, _) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        };
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| json!({"mediaType": layer_type(layer), "digest": layer.digest(), "size": layer.bytes.len()}))
            .collect();
        let document = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": {"mediaType": config_type, "digest": Digest::of(config), "size": config.len()},
            "layers": layers,
        });
        (manifest_type, document.to_string().into_bytes())
    }
}

/// Makes `key.pem` and `cert.pem` for 127.0.0.1.
pub fn self_signed(dir: &Path) {
    output(
        Command::new("openssl")
            .current_dir(dir)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"])
            .args([
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ]),
    );
}

pub fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
