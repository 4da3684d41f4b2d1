//! A web server with TLS for a few files, as people keep linked templates on one; a file of it can be held back.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{Part, Running, part};

/// Serves the files of its first argument. What is in `held/` is given once; whoever asks again waits for a line on stdin.
const SERVER: &str = r#"
import collections, functools, http.server, ssl, sys, threading

place, address = sys.argv[1:]
free, asked = threading.Event(), collections.Counter()

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        asked[self.path] += 1
        print(self.path, flush=True)
        if self.path.startswith("/held/") and asked[self.path] > 1:
            free.wait()
        super().do_GET()

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer((address, 0), functools.partial(Handler, directory=f"{place}/files"))
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{place}/cert.pem", f"{place}/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
for line in sys.stdin:
    free.set()
"#;

/// A running server on a loopback address; ends when dropped.
pub struct TlsFiles {
    child: Child,
    stdin: ChildStdin,
    asked: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
    origin: String,
}

impl TlsFiles {
    /// Starts one on a port of `address` for these files: path and content.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(address: &str, files: &[(&str, &str)]) -> TlsFiles {
        let dir = tempfile::Builder::new().prefix("pillion-files-").tempdir().expect("a temporary directory");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=files", "-addext", &format!("subjectAltName=IP:{address}")]);
        // What signs itself is trusted as it is; as an authority it could not serve.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let made = Running::start(openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(dir.path())).finish();
        assert_eq!(made.code, 0, "{}", made.said());
        for (path, content) in files {
            let file = dir.path().join("files").join(path);
            let written = fs::create_dir_all(file.parent().expect("a directory")).and_then(|()| fs::write(&file, content));
            written.unwrap_or_else(|error| panic!("{path} is not written: {error}"));
        }
        let mut command = Command::new(part(Part::AzPython));
        command.args(["-c", SERVER]).arg(dir.path()).arg(address).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("the server starts");
        let stdin = child.stdin.take().expect("its input");
        let mut asked = BufReader::new(child.stdout.take().expect("its output"));
        let mut port = String::new();
        asked.read_line(&mut port).expect("the server says its port");
        let origin = format!("https://{address}:{}", port.trim());
        TlsFiles { child, stdin, asked, dir, origin }
    }

    /// Returns the address of a file.
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }

    /// Returns the file of its certificate, which signs itself.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// Waits until a file has been asked for so many times from now on.
    ///
    /// # Panics
    /// The server has ended.
    pub fn until_asked(&mut self, path: &str, times: usize) {
        let mut seen = 0;
        while seen < times {
            let mut line = String::new();
            let read = self.asked.read_line(&mut line).expect("the server's output");
            assert!(read > 0, "the server has ended");
            seen += usize::from(line.trim().trim_start_matches('/') == path);
        }
    }

    /// Gives what is held back to those who wait for it, and to all who ask.
    pub fn let_go(&mut self) {
        writeln!(self.stdin, "go").expect("the server reads");
    }
}

impl Drop for TlsFiles {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
