//! One request over the API's socket, read as far as it needs to be.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long an answer may take to begin. Streams and waits begin at once or are long by nature.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as bytes would be: nothing in it needs to make sense.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The status and, for what ends, the body.
#[derive(Debug, Clone)]
pub struct Told {
    pub status: u16,
    pub body: String,
}

/// Asks; none where no answer began in time or the connection ended before one.
pub fn ask(socket: &Path, asked: &Asked) -> Option<Told> {
    let mut stream = UnixStream::connect(socket).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out is set");
    let mut head = format!("{} {} HTTP/1.1\r\nHost: pillion\r\nConnection: close\r\n", asked.method, asked.target);
    for (name, value) in &asked.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", asked.body.len()));
    stream.write_all(head.as_bytes()).ok()?;
    // A server that refuses early may close before it has taken all.
    let _ = stream.write_all(&asked.body);
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some(end) = text.find("\r\n\r\n") else { continue };
        // A success of unknown length may be a stream without an end; a refusal always says its length.
        let measured = text[..end].to_ascii_lowercase().contains("content-length:");
        if !measured || bytes.len() > 1 << 20 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Some(Told { status, body })
}
