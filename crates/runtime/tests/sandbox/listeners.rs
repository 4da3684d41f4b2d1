//! Listening sockets and the containers that hold them.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork, getpid},
};
use pillion_runtime::{
    cgroup::Cgroup,
    listeners::{is_listening, listeners},
    sandbox::{Namespace, Sandbox},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::world::{World, inside};

/// A process in `cgroup` and the sandbox's network that listens on `port`.
struct Server(Pid);

impl Server {
    fn start(sandbox: &Sandbox, cgroup: &Cgroup, port: u16) -> Self {
        let netns = std::fs::File::open(sandbox.namespace(Namespace::Net).expect("a namespace")).expect("opened");
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        // SAFETY: the child uses what glibc keeps usable across a fork (allocation), and never returns.
        match unsafe { fork() }.expect("forked") {
            ForkResult::Child => {
                cgroup.add(getpid().as_raw()).expect("moved");
                move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
                rustix::thread::set_name(c"cache-server").expect("named");
                let _listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("listening");
                writer.write_all(b"!").expect("told");
                loop {
                    nix::unistd::pause();
                }
            }
            ForkResult::Parent { child } => {
                drop(writer);
                reader.read_exact(&mut [0]).expect("it listens");
                Self(child)
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGKILL).expect("killed");
        waitpid(self.0, None).expect("reaped");
    }
}

#[test]
fn a_listening_port_is_seen_with_the_container_and_process_that_hold_it() {
    let mut world = World::new();
    let sandbox = world.sandbox("one", 2);
    let cgroups = ["web", "cache"].map(|name| (name.to_owned(), sandbox.cgroup().create_child(name).expect("a child")));
    assert!(!inside(&sandbox, || is_listening(6379).expect("looked")));

    let server = Server::start(&sandbox, &cgroups[1].1, 6379);

    let (listening, found) =
        inside(&sandbox, move || (is_listening(6379).expect("looked"), listeners(&cgroups).expect("looked")));
    assert!(listening);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].address, SocketAddr::from(([0, 0, 0, 0], 6379)));
    assert_eq!(found[0].container.as_deref(), Some("cache"));
    assert_eq!(found[0].process.as_deref(), Some("cache-server"));
    drop(server);
    assert!(!inside(&sandbox, || is_listening(6379).expect("looked")));
}
