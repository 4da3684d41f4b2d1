//! Links, addresses, routes and neighbours, over rtnetlink.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::netlink::{Attrs, CREATE, EXCL, Message, REPLACE, Socket, attributes};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;

const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const IFF_UP: u32 = 1;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const BRPORT_LEARNING: u16 = 8;
const BRPORT_UNICAST_FLOOD: u16 = 9;
const BRPORT_MCAST_FLOOD: u16 = 27;
const BRPORT_ISOLATED: u16 = 33;
const BRPORT_LOCKED: u16 = 39;

const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_MASTER: u8 = 0x04;

/// A link-layer address.
pub(super) type Mac = [u8; 6];

/// Whether the link `name` exists in this network namespace.
pub(super) fn exists(name: &str) -> io::Result<bool> {
    match index(name) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn index(name: &str) -> io::Result<u32> {
    let any = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(rustix::net::netdevice::name_to_index(any.as_fd(), name)?)
}

/// Creates the bridge `name`; `AlreadyExists` if there is a link of this name.
pub(super) fn add_bridge(socket: &mut Socket, name: &str, mac: Mac, mtu: u32) -> io::Result<()> {
    // Snooping would make the host answer multicast queries of its own on the bridge.
    let data = Attrs::new().attr(IFLA_BR_FORWARD_DELAY, &0u32.to_ne_bytes()).attr(IFLA_BR_MCAST_SNOOPING, &[0]);
    socket.request(
        Message::new(NEWLINK, CREATE | EXCL, &link_header(0, 0, 0))
            .text(IFLA_IFNAME, name)
            .attr(IFLA_ADDRESS, &mac)
            .attr(IFLA_MTU, &mtu.to_ne_bytes())
            .nest(IFLA_LINKINFO, Attrs::new().text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, data)),
    )
}

/// Creates a veth pair: `host` here, as a port of `master`, and `guest` with `mac` in the namespace `netns`.
pub(super) fn add_veth(
    socket: &mut Socket,
    host: &str,
    master: u32,
    netns: BorrowedFd<'_>,
    guest: &str,
    mac: Mac,
    mtu: u32,
) -> io::Result<()> {
    let peer = Attrs::after(&link_header(0, 0, 0))
        .text(IFLA_IFNAME, guest)
        .attr(IFLA_ADDRESS, &mac)
        .attr(IFLA_MTU, &mtu.to_ne_bytes())
        .attr(IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
    let info = Attrs::new().text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, Attrs::new().nest(VETH_INFO_PEER, peer));
    socket.request(
        Message::new(NEWLINK, CREATE | EXCL, &link_header(0, 0, 0))
            .text(IFLA_IFNAME, host)
            .attr(IFLA_MTU, &mtu.to_ne_bytes())
            .attr(IFLA_MASTER, &master.to_ne_bytes())
            .nest(IFLA_LINKINFO, info),
    )
}

/// Makes a bridge port talk to the bridge itself only, from the link-layer addresses pinned to it only.
pub(super) fn isolate_port(socket: &mut Socket, port: u32) -> io::Result<()> {
    let flags = Attrs::new()
        .attr(BRPORT_ISOLATED, &[1])
        .attr(BRPORT_LEARNING, &[0])
        .attr(BRPORT_UNICAST_FLOOD, &[0])
        .attr(BRPORT_MCAST_FLOOD, &[0])
        .attr(BRPORT_LOCKED, &[1]);
    socket.request(Message::new(SETLINK, 0, &bridge_header(port)).nest(IFLA_PROTINFO, flags))
}

pub(super) fn set_up(socket: &mut Socket, link: u32) -> io::Result<()> {
    socket.request(Message::new(NEWLINK, 0, &link_header(link, IFF_UP, IFF_UP)))
}

/// Whether the link's own state machine says that packets pass (RFC 2863, `IF_OPER_UP`).
pub(super) fn is_operational(socket: &mut Socket, link: u32) -> io::Result<bool> {
    let (index_at, attributes_at, up) = (4..8, 16, 6);
    let links = socket.dump(Message::new(GETLINK, 0, &link_header(0, 0, 0)))?;
    let wanted = links.iter().find(|reply| reply.body.get(index_at.clone()) == Some(&link.to_ne_bytes()[..]));
    let state = wanted.and_then(|reply| {
        attributes(reply.body.get(attributes_at..)?).find(|(kind, _)| *kind == IFLA_OPERSTATE).map(|(_, state)| state == [up])
    });
    Ok(state.unwrap_or(true))
}

/// Removes a link; false if there was none.
pub(super) fn remove(socket: &mut Socket, name: &str) -> io::Result<bool> {
    match socket.request(Message::new(DELLINK, 0, &link_header(0, 0, 0)).text(IFLA_IFNAME, name)) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn add_address(socket: &mut Socket, link: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let mut header = [0; 8];
    header[0] = AF_INET;
    header[1] = prefix;
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    let message = Message::new(NEWADDR, CREATE | REPLACE, &header);
    socket.request(message.attr(2, &address.octets()).attr(1, &address.octets()))
}

pub(super) fn add_default_route(socket: &mut Socket, link: u32, gateway: Ipv4Addr) -> io::Result<()> {
    let (main, by_administrator, unicast) = (254, 4, 1);
    let header = [AF_INET, 0, 0, 0, main, by_administrator, 0, unicast, 0, 0, 0, 0];
    let message = Message::new(NEWROUTE, CREATE | REPLACE, &header);
    socket.request(message.attr(5, &gateway.octets()).attr(4, &link.to_ne_bytes()))
}

/// Binds `mac` to the bridge port `port`, so that no other port can claim it.
pub(super) fn pin_mac(socket: &mut Socket, port: u32, mac: Mac) -> io::Result<()> {
    let header = neighbour_header(AF_BRIDGE, port, NUD_NOARP, NTF_MASTER);
    socket.request(Message::new(NEWNEIGH, CREATE | REPLACE, &header).attr(2, &mac))
}

/// Binds `address` to `mac` on `link`, so that no answer to an ARP request can change it.
pub(super) fn pin_address(socket: &mut Socket, link: u32, address: Ipv4Addr, mac: Mac) -> io::Result<()> {
    let header = neighbour_header(AF_INET, link, NUD_PERMANENT, 0);
    socket.request(Message::new(NEWNEIGH, CREATE | REPLACE, &header).attr(1, &address.octets()).attr(2, &mac))
}

pub(super) fn unpin_address(socket: &mut Socket, link: u32, address: Ipv4Addr) -> io::Result<()> {
    let header = neighbour_header(AF_INET, link, 0, 0);
    match socket.request(Message::new(DELNEIGH, 0, &header).attr(1, &address.octets())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

fn bridge_header(index: u32) -> [u8; 16] {
    let mut header = link_header(index, 0, 0);
    header[0] = AF_BRIDGE;
    header
}

fn neighbour_header(family: u8, link: u32, state: u16, flags: u8) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = family;
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    header
}
