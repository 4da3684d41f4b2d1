//! Who reaches whom.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use pillion_runtime::{
    network,
    sandbox::{Namespace, Sandbox},
};

use crate::{
    outside::{Outside, ip_in},
    world::{World, inside},
};

/// Packets are dropped, not refused: what must not arrive is given this long to arrive.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

fn connect_from(sandbox: &Sandbox, to: SocketAddr) -> io::Result<TcpStream> {
    inside(sandbox, move || TcpStream::connect_timeout(&to, LONG_ENOUGH))
}

#[test]
fn an_instance_reaches_the_outside_under_the_hosts_address() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let server = outside.listen(outside.address);

    connect_from(&sandbox, server.local_addr().expect("an address")).expect("connected");

    let (_, peer) = server.accept().expect("accepted");
    assert_eq!(peer.ip(), IpAddr::V4(outside.host), "masqueraded");
}

#[test]
fn instances_do_not_reach_each_other_over_tcp_or_udp() {
    let mut world = World::new();
    let (a, b) = (world.sandbox("a", 2), world.sandbox("b", 3));
    let listener = inside(&b, || TcpListener::bind("0.0.0.0:0").expect("a listener"));
    let udp = inside(&b, || UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    udp.set_read_timeout(Some(LONG_ENOUGH)).expect("set");
    let to = |port| SocketAddr::new(world.address(3).into(), port);
    let (tcp_to, udp_to) = (to(listener.local_addr().expect("").port()), to(udp.local_addr().expect("").port()));

    connect_from(&b, tcp_to).expect("it listens there");
    connect_from(&a, tcp_to).expect_err("a neighbour's port");

    inside(&a, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        // Sent into the void, or refused at once: both are fine.
        let _ = socket.send_to(b"hello", udp_to);
    });
    udp.recv(&mut [0; 16]).expect_err("a neighbour's datagram");
}

#[test]
fn an_instance_reaches_none_of_the_hosts_addresses() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let listener = TcpListener::bind("0.0.0.0:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();

    for address in [world.bridge.gateway, outside.host] {
        let to = SocketAddr::new(address.into(), port);
        TcpStream::connect_timeout(&to, LONG_ENOUGH).expect("the host reaches itself");
        connect_from(&sandbox, to).expect_err("the host");
    }
}

#[test]
fn a_port_that_the_host_redirects_elsewhere_is_not_a_way_around() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let server = outside.listen(outside.address);
    let real = server.local_addr().expect("an address");
    // What `docker run -p` does: the host's own address, redirected before routing.
    let table = format!("{}dnat", world.name);
    let published = SocketAddr::new(outside.host.into(), real.port());
    let rules = format!(
        "table ip {table} {{ chain p {{ type nat hook prerouting priority -100; \
         ip daddr {} tcp dport {} dnat to {real}; }}; }}",
        published.ip(),
        published.port()
    );
    let nft = |arguments: &[&str]| {
        assert!(Command::new("nft").args(arguments).status().expect("nft runs").success(), "{arguments:?}");
    };
    nft(&[&rules]);

    let reached = connect_from(&sandbox, published);

    nft(&["delete", "table", "ip", &table]);
    reached.expect_err("a port published by the host");
    connect_from(&sandbox, real).expect("the outside itself is reachable");
}

#[test]
fn rules_that_someone_flushed_are_made_anew_for_running_instances() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");
    let deleted = Command::new("nft").args(["delete", "table", "ip", &world.name]).status().expect("nft runs");
    assert!(deleted.success());

    network::ensure_bridge(&world.bridge).expect("made anew");
    connect_from(&sandbox, to).expect_err("nothing is pinned yet");
    network::repair(&sandbox.spec().network).expect("pinned");
    network::repair(&sandbox.spec().network).expect("idempotent");

    connect_from(&sandbox, to).expect("as before");
}

#[test]
fn the_host_and_the_outside_do_not_reach_an_instance() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let listener = inside(&sandbox, || TcpListener::bind("0.0.0.0:0").expect("a listener"));
    let to = SocketAddr::new(world.address(2).into(), listener.local_addr().expect("an address").port());

    connect_from(&sandbox, to).expect("it listens there");
    TcpStream::connect_timeout(&to, LONG_ENOUGH).expect_err("any user of the host could");
    outside.run(move || TcpStream::connect_timeout(&to, LONG_ENOUGH)).expect_err("whoever routes through the host could");
}

#[test]
fn link_local_addresses_with_the_clouds_metadata_are_out_of_reach() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let metadata = outside.listen(outside.metadata);
    let to = metadata.local_addr().expect("an address");

    TcpStream::connect_timeout(&to, LONG_ENOUGH).expect("the host reaches it");
    connect_from(&sandbox, to).expect_err("metadata");
}

#[test]
fn an_instance_cannot_send_under_another_address() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let (own, stolen) = (world.address(2), world.address(77));
    let pin = sandbox.namespace(Namespace::Net).expect("a namespace");
    ip_in(&pin, &format!("addr add {stolen}/24 dev eth0"));
    let receiver = outside.udp();
    let to = receiver.local_addr().expect("an address");
    let send = |from: Ipv4Addr, text: &'static [u8]| {
        inside(&sandbox, move || {
            UdpSocket::bind((from, 0)).expect("a socket").send_to(text, to).expect("sent");
        });
    };

    send(stolen, b"stolen");
    send(own, b"own");

    let mut buffer = [0; 16];
    receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let length = receiver.recv(&mut buffer).expect("the second one");
    assert_eq!(&buffer[..length], b"own", "the first one was dropped");
}

#[test]
fn an_instance_cannot_send_under_another_link_layer_address() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let sandbox = world.sandbox("one", 2);
    let pin = sandbox.namespace(Namespace::Net).expect("a namespace");
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");
    connect_from(&sandbox, to).expect("connected");

    ip_in(&pin, "link set eth0 address 02:00:00:00:00:99");

    connect_from(&sandbox, to).expect_err("a stranger on this port");
}

#[test]
fn a_neighbour_that_answers_for_anothers_address_gets_nothing() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let (victim, thief) = (world.sandbox("victim", 2), world.sandbox("thief", 3));
    let pin = thief.namespace(Namespace::Net).expect("a namespace");
    ip_in(&pin, &format!("addr add {}/24 dev eth0", world.address(2)));
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");

    // The host answers the victim, although the thief would answer an ARP request for its address too.
    for _ in 0..3 {
        connect_from(&victim, to).expect("connected");
    }
}

#[test]
fn the_bridge_carries_no_ipv6() {
    let mut world = World::new();
    let sandbox = world.sandbox("one", 2);
    let on_host = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    assert!(!on_host.contains(&world.name), "{on_host}");
    let inside = inside(&sandbox, || fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default());
    assert!(inside.lines().all(|line| line.ends_with(" lo")), "{inside}");
}
