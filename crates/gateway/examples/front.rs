//! Puts a gateway in front of one program of this host, for benchmarks: `front <gateway door> <listen port> <program port> [access log]
//! [network namespace]`.
//!
//! Serves the gate itself, with sockets of the program's network namespace, or else of its own; ends when stdin does.

use std::{
    fs::File,
    io::{self, IoSlice, Read},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::PathBuf,
    process::Stdio,
};

use pillion_gateway::{
    Args,
    client::Client,
    protocol::{AppRoute, AppState, InstanceRoute, ListenerSpec, RouteTable},
    spawn,
};
use rustix::{
    net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, sendmsg, socket},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const NOBODY: u32 = 65534;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("front <gateway door> <listen port> <program port> [access log] [network namespace]");
    let (door, listen, program) = (PathBuf::from(word()?), word()?.parse::<u16>()?, word()?.parse::<u16>()?);
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;

    let access_log = words.next().map(PathBuf::from);
    let namespace = words.next().map(File::open).transpose()?;
    let gate = directory.path().join("gate.sock");
    let listener = UnixListener::bind(&gate)?;
    std::fs::set_permissions(&gate, std::fs::Permissions::from_mode(0o666))?;
    std::thread::spawn(move || {
        if let Some(namespace) = namespace {
            // Threads started by this one are in it, too.
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).expect("the namespace can be entered");
        }
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || hand_out(stream));
        }
    });

    let mut args = Args::new(directory.path().join("control.sock"), NOBODY, NOBODY);
    args.access_log = access_log;
    let mut gateway = spawn(&door, &[], &args, Stdio::inherit()).await?;
    let (client, _news) = Client::connect(&args.control).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listen));
    let socket = OwnedFd::from(TcpListener::bind(address)?);
    let instance = InstanceRoute { instance: "bench-1".to_owned(), gate, port: program, draining: false };
    let state = AppState::Serving { hold_ms: 1_000 };
    let hosts = vec!["127.0.0.1".to_owned(), "bench.localhost".to_owned()];
    let app = AppRoute { app: "bench".to_owned(), hosts, state, instances: vec![instance], site: None };
    client.table(RouteTable { generation: 1, apps: vec![app] }).await?;
    client.listen(&[(ListenerSpec { address, app: None }, socket)]).await?;
    println!("{}", gateway.pid);
    tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await??;
    gateway.child.start_kill()?;
    gateway.child.wait().await?;
    Ok(())
}

fn hand_out(mut stream: UnixStream) -> io::Result<()> {
    loop {
        let mut count = [0];
        stream.read_exact(&mut count)?;
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            let sockets: Vec<OwnedFd> =
                (0..count[0] / 2).map(|_| socket(family, SocketType::STREAM, None)).collect::<Result<_, _>>()?;
            let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(128))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
            sendmsg(&stream, &[IoSlice::new(&count)], &mut ancillary, SendFlags::NOSIGNAL)?;
        }
    }
}
