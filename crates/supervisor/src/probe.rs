//! One check of a container: HTTP and TCP over the instance's own loopback, or a program inside.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
    time::Duration,
};

use pillion_fault::{Exit, Fault};
use pillion_runtime::spec::ExecSpec;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    machine::{Asked, ExecStdio, Process},
    spec::Check,
};

/// An answer's first line is not longer.
const STATUS_LINE_MAX: usize = 4 << 10;
/// Bytes kept of what a failed exec check printed.
const OUTPUT_MAX: u64 = 1 << 10;

pub(crate) async fn run(process: Rc<dyn Process>, asked: Asked<'_>) -> Result<(), Fault> {
    let Asked { kind: probe, check, port: own, timeout_ms } = asked;
    let within = Duration::from_millis(timeout_ms.max(1));
    match check {
        Check::Tcp { port } => {
            let port = port.or(own).ok_or_else(|| no_port(probe, "tcp"))?;
            let target = format!("tcp port {port}");
            match timeout(within, connect(port)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(Fault::ProbeRefused { probe, target, reason: said(&error) }),
                Err(_) => Err(Fault::ProbeSlow { probe, target, timeout_ms }),
            }
        }
        Check::Http { port, path, headers, statuses } => {
            let port = port.or(own).ok_or_else(|| no_port(probe, path))?;
            let url = format!("http://localhost:{port}{path}");
            match timeout(within, ask(port, path, headers)).await {
                Ok(Ok(status)) if statuses.is_empty() || statuses.iter().any(|(low, high)| (*low..=*high).contains(&status)) => {
                    Ok(())
                }
                Ok(Ok(status)) => Err(Fault::ProbeStatus { probe, url, status }),
                Ok(Err(error)) => Err(Fault::ProbeRefused { probe, target: url, reason: said(&error) }),
                Err(_) => Err(Fault::ProbeSlow { probe, target: url, timeout_ms }),
            }
        }
        Check::Exec { argv } => {
            let command = argv.join(" ");
            match timeout(within, exec(process, argv.clone())).await {
                Ok(Ok((Exit::Code { code: 0 }, _))) => Ok(()),
                Ok(Ok((exit, output))) => Err(Fault::ProbeExec { probe, command, exit, output }),
                Ok(Err(fault)) => Err(Fault::ProbeRefused { probe, target: command, reason: fault.to_string() }),
                Err(_) => Err(Fault::ProbeSlow { probe, target: command, timeout_ms }),
            }
        }
    }
}

fn no_port(probe: pillion_fault::ProbeKind, target: &str) -> Fault {
    Fault::ProbeRefused { probe, target: target.into(), reason: "the container has no port yet".into() }
}

/// What an error means, without its number.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        _ => error.to_string(),
    }
}

/// 127.0.0.1, then ::1: as the gateway connects.
async fn connect(port: u16) -> io::Result<TcpStream> {
    match TcpStream::connect((IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await {
        Ok(stream) => Ok(stream),
        Err(first) => TcpStream::connect((IpAddr::V6(Ipv6Addr::LOCALHOST), port)).await.map_err(|_| first),
    }
}

/// Asks for a page and returns the answer's status; the rest of the answer is not read.
async fn ask(port: u16, path: &str, headers: &[(String, String)]) -> io::Result<u16> {
    let mut stream = connect(port).await?;
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !given("host") {
        request.push_str(&format!("host: localhost:{port}\r\n"));
    }
    if !given("user-agent") {
        request.push_str("user-agent: pillion-probe\r\n");
    }
    for (name, value) in headers {
        // A line end inside would be another header.
        let clean = |text: &str| text.replace(['\r', '\n'], " ");
        request.push_str(&format!("{}: {}\r\n", clean(name), clean(value)));
    }
    request.push_str("accept: */*\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    loop {
        let line = status_line(&mut stream).await?;
        match status(&line) {
            // 1xx is not the answer yet, but an upgrade is one.
            Some(status) if !(100..200).contains(&status) || status == 101 => return Ok(status),
            Some(_) => while !status_line(&mut stream).await?.is_empty() {},
            None => {
                let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not HTTP: {shown:?}")));
            }
        }
    }
}

/// Reads up to a line end, byte by byte: a probe reads one line, and what follows is the container's.
async fn status_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without an answer"));
        }
        match byte[0] {
            b'\n' => {
                line.pop_if(|last| *last == b'\r');
                return Ok(line);
            }
            other if line.len() < STATUS_LINE_MAX => line.push(other),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's first line has no end")),
        }
    }
}

fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    version.strip_prefix("HTTP/1.")?;
    rest.get(..3)?.parse().ok().filter(|status| (100..1000).contains(status))
}

async fn exec(process: Rc<dyn Process>, argv: Vec<String>) -> Result<(Exit, String), Fault> {
    let failed = |error: io::Error| Fault::StartFailed { doing: "running a probe".into(), reason: error.to_string() };
    let mut output =
        File::from(rustix::fs::memfd_create("probe", rustix::fs::MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?);
    let null = File::open("/dev/null").map_err(failed)?;
    let stdio = ExecStdio::Given {
        stdin: null.into(),
        stdout: output.try_clone().map_err(failed)?.into(),
        stderr: output.try_clone().map_err(failed)?.into(),
    };
    let spec = ExecSpec { argv, env: Vec::new(), cwd: None, user: None, terminal: false };
    // In a task, so that a time-out in the middle of starting still leaves someone who ends and reaps what was started.
    let starting = tokio::task::spawn_local(async move { process.exec(&spec, stdio).await.map(|child| Child(Some(child))) });
    let mut child = starting.await.map_err(|error| failed(io::Error::other(error)))??;
    let exit = child.wait().await;
    let mut bytes = Vec::new();
    // Both descriptors share one offset, which stands at the end.
    output.rewind().and_then(|()| (&output).take(OUTPUT_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    Ok((exit, String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

/// A check that takes too long is dropped in the middle of its wait: its process must be killed, and reaped.
struct Child(Option<Box<dyn Process>>);

impl Child {
    async fn wait(&mut self) -> Exit {
        let Some(process) = &self.0 else { return Exit::Signal { signal: 9, core: false } };
        let exit = process.wait().await;
        self.0 = None;
        exit
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            process.signal(9);
            tokio::task::spawn_local(async move { process.wait().await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answered(answer: &'static str) -> io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = vec![0; 1024];
            let got = stream.read(&mut request).await.expect("read");
            stream.write_all(answer.as_bytes()).await.expect("written");
            String::from_utf8_lossy(&request[..got]).into_owned()
        });
        let status = ask(port, "/health?deep=1", &[("X-Probe".into(), "a\r\nevil: 1".into())]).await;
        let request = server.await.expect("served");
        assert!(request.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("\nevil"), "{request}");
        status
    }

    #[tokio::test]
    async fn the_status_of_an_answer_is_read() {
        assert_eq!(answered("HTTP/1.1 204 No Content\r\n\r\n").await.expect("a status"), 204);
        assert_eq!(answered("HTTP/1.0 503 Busy\r\ncontent-length: 9\r\n\r\n").await.expect("a status"), 503);
    }

    #[tokio::test]
    async fn an_interim_answer_is_passed_over() {
        assert_eq!(answered("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await.expect("a status"), 200);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_http_says_what_came() {
        let error = answered("-ERR unknown command\r\n").await.expect_err("not HTTP");
        assert!(error.to_string().contains("-ERR unknown command"), "{error}");
    }
}
