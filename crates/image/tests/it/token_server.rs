//! A token server as registries use it: HTTP basic in, a signed bearer token out.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::registry::{PASSWORD, USER, output, self_signed};

pub struct TokenServer {
    pub realm: String,
    dir: TempDir,
    task: JoinHandle<()>,
}

impl TokenServer {
    pub async fn start() -> TokenServer {
        let dir = TempDir::new().expect("a temporary directory");
        self_signed(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let realm = format!("http://{}/token", listener.local_addr().expect("bound"));
        let path = dir.path().to_owned();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &path).await;
            }
        });
        TokenServer { realm, dir, task }
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, dir: &Path) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(amount @ 1..) => request.extend_from_slice(&buffer[..amount]),
            Ok(0) | Err(_) => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let allowed =
        request.lines().any(|line| line.eq_ignore_ascii_case(&format!("authorization: basic {basic}")) || line.ends_with(&basic));
    let (status, body) = if allowed {
        let scope = request.split_once("scope=").map_or("", |(_, rest)| rest.split(['&', ' ']).next().unwrap_or_default());
        let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let mut parts = scope.split(':').skip(1);
        let (name, actions) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        ("200 OK", json!({"token": token(dir, name, &actions.split(',').collect::<Vec<_>>())}).to_string())
    } else {
        ("401 Unauthorized", json!({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}).to_string())
    };
    let _ = stream
        .write_all(
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
        .await;
}

/// Signs a token as the registry's specification describes it, with the certificate in the header.
fn token(dir: &Path, name: &str, actions: &[&str]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let pem = std::fs::read_to_string(dir.join("cert.pem")).expect("made at the start");
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({
        "iss": "test", "sub": USER, "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": format!("{now}"),
        "access": [{"type": "repository", "name": name, "actions": actions}],
    });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &signed).expect("just made");
    let signature = output(Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(dir.join("key.pem")).arg(file.path()));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
