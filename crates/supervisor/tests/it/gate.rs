//! Sockets from inside: what the gateway gets, and who may ask.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
};

use pillion_runtime::sockets::receive_fds;
use pillion_supervisor::GATE_SOCKET;

use crate::world::{World, web};

#[tokio::test]
async fn a_socket_from_the_gate_reaches_main_from_outside() {
    let world = World::started(vec![web(8080)]);
    world.until_ready().await;
    let path = world.dir.join(GATE_SOCKET);
    let found = std::fs::metadata(&path).expect("a gate");
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (12_345, 12_345, 0o600));

    let mut gate = UnixStream::connect(&path).expect("an open gate");
    gate.write_all(&[4]).expect("asked");
    let (_, mut sockets) = receive_fds(gate.as_fd(), &mut [0; 8]).expect("sockets");
    assert_eq!(sockets.len(), 4);
    let socket = sockets.remove(0);
    rustix::io::ioctl_fionbio(&socket, false).expect("made blocking");
    let address: SocketAddr = ([127, 0, 0, 1], 8080).into();
    rustix::net::connect(&socket, &address).expect("connected");
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.contains(" 200 OK") && answer.ends_with("hello\n"), "{answer}");
    assert!(TcpStream::connect(address).is_err(), "the port is open inside only");
    world.stop().await;
}

#[tokio::test]
async fn the_gate_may_lie_elsewhere() {
    let mut world = World::new(vec![web(8080)]);
    let elsewhere = world.dir.join("elsewhere.sock");
    world.spec.gate = Some(elsewhere.clone());
    world.start();
    let mut gate = UnixStream::connect(&elsewhere).expect("an open gate");
    gate.write_all(&[1]).expect("asked");
    let (_, sockets) = receive_fds(gate.as_fd(), &mut [0; 8]).expect("a socket");
    assert_eq!(sockets.len(), 1);
    world.stop().await;
    assert!(!elsewhere.exists());
}
