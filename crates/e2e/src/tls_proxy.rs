//! nginx before the gateway, with TLS on 443 and without on 80, as people put one there.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Part, Running, part, until};

/// A running proxy on a loopback address that nobody else uses; ends when dropped.
pub struct TlsProxy {
    child: Child,
    dir: tempfile::TempDir,
}

impl TlsProxy {
    /// Starts one on `address` that passes everything on to `upstream`, `host:port`.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(address: &str, upstream: &str) -> TlsProxy {
        let dir = tempfile::Builder::new().prefix("pillion-proxy-").tempdir().expect("a temporary directory");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=proxy", "-addext", &format!("subjectAltName=IP:{address}")]);
        let made = Running::start(openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(dir.path())).finish();
        assert_eq!(made.code, 0, "{}", made.said());
        let place = dir.path().display();
        let conf = format!(
            "daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    server {{
        listen {address}:80;
        listen {address}:443 ssl;
        ssl_certificate {place}/cert.pem;
        ssl_certificate_key {place}/key.pem;
        location / {{
            proxy_pass http://{upstream};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"
        );
        fs::write(dir.path().join("nginx.conf"), conf).expect("the proxy's configuration is written");
        let mut command = Command::new(part(Part::Nginx));
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf")).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the proxy starts");
        let proxy = TlsProxy { child, dir };
        until("the proxy listens", Duration::from_secs(20), || {
            TcpStream::connect((address, 443)).ok()?;
            TcpStream::connect((address, 80)).ok()
        });
        proxy
    }

    /// Returns the file of its certificate, which signs itself.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        // SIGTERM takes its workers along.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
