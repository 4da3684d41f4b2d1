//! A running gateway, the fake gates of its instances, and a plain HTTP client.

use std::{
    ffi::OsStr,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use pillion_gateway::{
    Args, Spawned,
    client::{Client, News},
    protocol::{AppRoute, AppState, InstanceRoute, ListenerSpec, RouteTable},
    spawn,
};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, sendmsg, socket};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpStream, UnixListener, UnixStream},
    sync::mpsc,
};

/// Nothing here takes longer; only a failing test waits for it.
pub const SOON: Duration = Duration::from_secs(20);
pub const NOBODY: u32 = 65534;

pub struct Rig {
    pub directory: TempDir,
    pub gateway: Running,
    pub client: Client,
    pub news: mpsc::Receiver<News>,
    pub generation: u64,
    pub address: SocketAddr,
    pub sockets: Vec<(ListenerSpec, OwnedFd)>,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Args)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut args = Args::new(directory.path().join("control.sock"), NOBODY, NOBODY);
        change(&mut args);
        let door = Path::new(env!("CARGO_BIN_EXE_pillion-gateway-door"));
        let gateway = Running(spawn(door, &[] as &[&OsStr], &args, Stdio::inherit()).await.unwrap());
        let (client, news) = Client::connect(&args.control).await.unwrap();
        let (socket, address) = listening();
        let sockets = vec![(ListenerSpec { address, app: None }, socket)];
        client.listen(&sockets).await.unwrap();
        Self { directory, gateway, client, news, generation: 0, address, sockets }
    }

    pub fn control(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// Adds a listener for one app and returns where it is.
    pub async fn listen_for(&mut self, app: &str) -> SocketAddr {
        let (socket, address) = listening();
        self.sockets.push((ListenerSpec { address, app: Some(app.to_owned()) }, socket));
        self.client.listen(&self.sockets).await.unwrap();
        address
    }

    /// Puts these apps in force.
    pub async fn table(&mut self, apps: Vec<AppRoute>) {
        self.generation += 1;
        self.client.table(RouteTable { generation: self.generation, apps }).await.unwrap();
    }

    /// An instance at this port of the test's own loopback, with a gate of its own.
    pub fn instance(&self, name: &str, port: u16) -> InstanceRoute {
        self.instance_with(name, port, [AddressFamily::INET, AddressFamily::INET6])
    }

    /// An instance whose supervisor makes half of its sockets in one family, half in the other.
    pub fn instance_with(&self, name: &str, port: u16, families: [AddressFamily; 2]) -> InstanceRoute {
        let gate = self.directory.path().join(format!("{name}.gate"));
        if !gate.exists() {
            let listener = UnixListener::bind(&gate).unwrap();
            std::fs::set_permissions(&gate, std::fs::Permissions::from_mode(0o666)).unwrap();
            tokio::spawn(serve_gate(listener, families));
        }
        InstanceRoute { instance: name.to_owned(), gate, port, draining: false }
    }

    /// The usual table: app `shop` at `shop.localhost` with one instance on this port.
    pub async fn shop(&mut self, port: u16) {
        let instance = self.instance("shop-1", port);
        self.table(vec![serving("shop", vec![instance])]).await;
    }

    pub async fn next_news(&mut self) -> News {
        tokio::time::timeout(SOON, self.news.recv()).await.expect("news in time").expect("a gateway that lives")
    }

    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Sends one request on a connection of its own and returns the answer.
    pub async fn ask(&self, request: &str) -> Answer {
        let mut wire = self.connect().await;
        wire.send(request).await;
        wire.answer().await
    }

    pub async fn get(&self, host: &str, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }
}

/// A gateway process that ends with the test.
pub struct Running(pub Spawned);

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone in tests of its end.
        let _ = self.0.child.start_kill();
    }
}

pub fn serving(app: &str, instances: Vec<InstanceRoute>) -> AppRoute {
    in_state(app, AppState::Serving { hold_ms: 10_000 }, instances)
}

pub fn in_state(app: &str, state: AppState, instances: Vec<InstanceRoute>) -> AppRoute {
    AppRoute { app: app.to_owned(), hosts: vec![format!("{app}.localhost")], state, instances, site: None }
}

pub fn draining(mut instance: InstanceRoute) -> InstanceRoute {
    instance.draining = true;
    instance
}

pub fn listening() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

/// A port that nothing listens on, kept from others by a bound socket.
pub fn refusing() -> (OwnedFd, u16) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let port = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap().port();
    (socket, port)
}

async fn serve_gate(listener: UnixListener, families: [AddressFamily; 2]) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(hand_out(stream, families));
    }
}

/// The supervisor's side of the gate, with sockets of the test's own namespace.
async fn hand_out(mut stream: UnixStream, families: [AddressFamily; 2]) -> io::Result<()> {
    loop {
        let half = usize::from(stream.read_u8().await?) / 2;
        for family in families {
            let sockets: Vec<OwnedFd> = (0..half).map(|_| socket(family, SocketType::STREAM, None)).collect::<Result<_, _>>()?;
            stream.writable().await?;
            stream
                .async_io(Interest::WRITABLE, || {
                    let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(128))];
                    let mut ancillary = SendAncillaryBuffer::new(&mut space);
                    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
                    Ok(sendmsg(&stream, &[IoSlice::new(&[half as u8])], &mut ancillary, SendFlags::NOSIGNAL)?)
                })
                .await?;
        }
    }
}

/// A connection that speaks HTTP byte by byte.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The head as it came, lower-cased.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("JSON, not {self:?}"))
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads more; false: the other side closed.
    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        // A reset is an end too.
        tokio::time::timeout(SOON, read).await.expect("bytes in time").unwrap_or(0) > 0
    }

    /// Reads up to and including a text.
    pub async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(text.len()).position(|window| window == text.as_bytes()) {
                let rest = self.buffer.split_off(at + text.len());
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            assert!(self.fill().await, "closed before {text:?}; got {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    pub async fn rest(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Reads one answer to a request that was not HEAD.
    pub async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await.to_ascii_lowercase();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        if let Some(length) = answer.header("content-length").map(|length| length.parse::<usize>().unwrap()) {
            while self.buffer.len() < length {
                assert!(self.fill().await, "closed within the body of {answer:?}");
            }
            let rest = self.buffer.split_off(length);
            answer.body = String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.until("\r\n").await;
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                if size == 0 {
                    self.until("\r\n").await;
                    break;
                }
                while self.buffer.len() < size + 2 {
                    assert!(self.fill().await, "closed within a chunk of {answer:?}");
                }
                let rest = self.buffer.split_off(size + 2);
                answer.body.push_str(std::str::from_utf8(&self.buffer[..size]).unwrap());
                self.buffer = rest;
            }
        } else if status >= 200 && status != 204 && status != 304 {
            answer.body = self.rest().await;
        }
        answer
    }
}
