//! The network of instances: one bridge per root, a veth pair into each sandbox, and the rules between them.
//!
//! Everything is raw netlink: the whole rule set is one batch, so that a bridge is never half guarded, and no
//! command has to be installed. A port of the bridge reaches the bridge itself only (isolated), and sends only with
//! the link-layer address pinned to it (locked), which the rules in turn tie to its IP address.

pub(crate) mod diag;
mod firewall;
mod link;
mod netlink;
mod nft;
mod resolver;
mod rules;

use std::{
    fs, io,
    net::Ipv4Addr,
    os::fd::BorrowedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::spec::NetworkSpec;
use netlink::Socket;

pub use firewall::{ForeignFirewall, foreign_firewall};
pub use resolver::{Resolver, host_resolver};

/// The name of the link inside a sandbox.
pub const GUEST_LINK: &str = "eth0";

/// The bridge that the sandboxes of one root are attached to. Its nf_tables table (family `ip`) has the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// At most 15 bytes.
    pub name: String,
    /// Network address and prefix length.
    pub subnet: (Ipv4Addr, u8),
    /// The bridge's own address, which instances use as their gateway.
    pub gateway: Ipv4Addr,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct NetworkError {
    pub doing: String,
    #[source]
    pub source: io::Error,
}

/// Makes the bridge, its rules and what forwarding needs, or repairs what is missing of them. Idempotent.
///
/// The rules come first: there is no moment in which the bridge works unguarded.
pub fn ensure_bridge(bridge: &BridgeSpec) -> Result<(), NetworkError> {
    let name = bridge.name.as_str();
    rules::apply(bridge).context(|| format!("put the packet filter rules of bridge {name} in force"))?;
    let mut socket = Socket::route().context(|| "open a netlink socket".into())?;
    match link::add_bridge(&mut socket, name, mac_of(bridge.gateway), uplink_mtu()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.context(|| format!("create bridge {name}"))?,
    }
    if !Path::new("/sys/class/net").join(name).join("bridge").exists() {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "a link of this name is there and is no bridge");
        return Err(NetworkError { doing: format!("use {name} as a bridge"), source });
    }
    disable_ipv6(name).context(|| format!("switch IPv6 off on bridge {name}"))?;
    let index = link::index(name).context(|| format!("find bridge {name}"))?;
    let (gateway, prefix) = (bridge.gateway, bridge.subnet.1);
    link::add_address(&mut socket, index, gateway, prefix)
        .context(|| format!("give bridge {name} the address {gateway}/{prefix}"))?;
    link::set_up(&mut socket, index).context(|| format!("bring bridge {name} up"))?;
    enable_forwarding(name).context(|| format!("enable IPv4 forwarding for bridge {name}"))
}

/// Removes the bridge and its rules; fine if there are none.
pub fn teardown(bridge: &str) -> Result<(), NetworkError> {
    let mut socket = Socket::route().context(|| "open a netlink socket".into())?;
    link::remove(&mut socket, bridge).context(|| format!("remove bridge {bridge}"))?;
    rules::remove(bridge).context(|| format!("remove the packet filter rules of bridge {bridge}"))
}

/// Lets a running instance send again after the rules were lost (`nft flush ruleset`) and [`ensure_bridge`] made
/// them anew: until then, no address is pinned and all it sends is dropped. Idempotent.
pub fn repair(spec: &NetworkSpec) -> Result<(), NetworkError> {
    let NetworkSpec::Bridged { bridge, address, .. } = spec else { return Ok(()) };
    rules::pin(bridge, *address, mac_of(*address)).context(|| format!("allow {address} to send through bridge {bridge}"))
}

/// Whether the rules of a bridge are in force, or left over.
pub fn has_rules(bridge: &str) -> Result<bool, NetworkError> {
    rules::exist(bridge).context(|| format!("look for the packet filter rules of bridge {bridge}"))
}

/// Whether the host forwards IPv4 for every link that routes lead to.
pub fn forwarding() -> io::Result<bool> {
    for link in routed_links()? {
        let file = format!("/proc/sys/net/ipv4/conf/{link}/forwarding");
        if fs::read_to_string(file).is_ok_and(|state| state.trim() != "1") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Connects the network namespace `netns` to its bridge; the caller is in the host's namespace.
pub(crate) fn attach(spec: &NetworkSpec, netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
    let NetworkSpec::Bridged { bridge, address, .. } = spec else { return Ok(()) };
    let (host, mac) = (host_link(bridge, *address), mac_of(*address));
    let mut socket = Socket::route().context(|| "open a netlink socket".into())?;
    let master = link::index(bridge).context(|| format!("find bridge {bridge}"))?;
    link::add_veth(&mut socket, &host, master, netns, GUEST_LINK, mac, mtu_of(bridge))
        .context(|| format!("create the link {host} on bridge {bridge} for {address}"))?;
    let port = link::index(&host).context(|| format!("find link {host}"))?;
    disable_ipv6(&host).context(|| format!("switch IPv6 off on link {host}"))?;
    link::isolate_port(&mut socket, port).context(|| format!("isolate the bridge port {host}"))?;
    link::pin_mac(&mut socket, port, mac).context(|| format!("pin the link-layer address of {host}"))?;
    link::pin_address(&mut socket, master, *address, mac).context(|| format!("pin {address} on bridge {bridge}"))?;
    rules::pin(bridge, *address, mac).context(|| format!("allow {address} to send through bridge {bridge}"))?;
    link::set_up(&mut socket, port).context(|| format!("bring link {host} up"))
}

/// Brings up the links of the network namespace that the calling thread is in.
pub(crate) fn configure_inside(spec: &NetworkSpec) -> Result<(), NetworkError> {
    let mut socket = Socket::route().context(|| "open a netlink socket".into())?;
    // A new namespace may inherit the host's choice to have no IPv6; programs expect ::1.
    optional(write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0")).context(|| "enable IPv6 on loopback".into())?;
    let loopback = link::index("lo").context(|| "find the loopback link".into())?;
    link::set_up(&mut socket, loopback).context(|| "bring the loopback link up".into())?;
    match spec {
        NetworkSpec::None => Ok(()),
        NetworkSpec::Bridged { address, prefix, gateway, .. } => {
            disable_ipv6(GUEST_LINK).context(|| format!("switch IPv6 off on {GUEST_LINK}"))?;
            let index = link::index(GUEST_LINK).context(|| format!("find link {GUEST_LINK}"))?;
            link::add_address(&mut socket, index, *address, *prefix).context(|| format!("set the address {address}/{prefix}"))?;
            link::set_up(&mut socket, index).context(|| format!("bring link {GUEST_LINK} up"))?;
            link::add_default_route(&mut socket, index, *gateway).context(|| format!("set the default route to {gateway}"))?;
            await_state(|| link::is_operational(&mut socket, index).unwrap_or(true));
            Ok(())
        }
    }
}

/// Whether a sandbox with `address` is connected to `bridge`.
pub(crate) fn is_attached(bridge: &str, address: Ipv4Addr) -> Result<bool, NetworkError> {
    let host = host_link(bridge, address);
    link::exists(&host).context(|| format!("look for link {host}"))
}

/// Waits until packets pass between the sandbox and the bridge, now that both ends of its link are up.
///
/// The kernel opens a link's queues and the bridge's port a moment later, in the background; a packet lost in between
/// would be sent again only a second later. Called on the host's side.
pub(crate) fn await_forwarding(spec: &NetworkSpec) {
    let NetworkSpec::Bridged { bridge, address, .. } = spec else { return };
    let host = host_link(bridge, *address);
    let is = |file: String, wanted: &str| fs::read_to_string(file).map_or(true, |state| state.trim() == wanted);
    // 3 is BR_STATE_FORWARDING. The bridge itself goes down with its last port.
    await_state(|| {
        is(format!("/sys/class/net/{host}/brport/state"), "3")
            && is(format!("/sys/class/net/{host}/operstate"), "up")
            && is(format!("/sys/class/net/{bridge}/operstate"), "up")
    });
}

/// Looks until `reached`, at growing intervals. Gives up after a while: whatever keeps a link down, an instance may
/// not need it.
fn await_state(mut reached: impl FnMut() -> bool) {
    let (deadline, mut pause) = (Instant::now() + Duration::from_secs(1), Duration::from_micros(100));
    while !reached() {
        if Instant::now() > deadline {
            tracing::warn!("a link is not operational yet");
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
}

/// Undoes [`attach`], whatever of it was done.
pub fn detach(spec: &NetworkSpec) -> Result<(), NetworkError> {
    let NetworkSpec::Bridged { bridge, address, .. } = spec else { return Ok(()) };
    let host = host_link(bridge, *address);
    let mut socket = Socket::route().context(|| "open a netlink socket".into())?;
    link::remove(&mut socket, &host).context(|| format!("remove link {host}"))?;
    rules::unpin(bridge, *address, mac_of(*address)).context(|| format!("forget {address} on bridge {bridge}"))?;
    if link::exists(bridge).context(|| format!("look for bridge {bridge}"))? {
        let master = link::index(bridge).context(|| format!("find bridge {bridge}"))?;
        link::unpin_address(&mut socket, master, *address).context(|| format!("unpin {address} on bridge {bridge}"))?;
    }
    Ok(())
}

/// The host's end of the veth pair of `address`; the same for ever, so that it can be removed knowing the spec only.
pub fn host_link(bridge: &str, address: Ipv4Addr) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bridge.bytes().chain(address.octets()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("pv{:012x}", hash >> 16)
}

/// A link-layer address made from the IP address: locally administered, unicast.
fn mac_of(address: Ipv4Addr) -> link::Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x70, a, b, c, d]
}

/// Forwarding for the bridge and the links that routes lead to, rather than for all: a laptop must not start to
/// route between its networks because it runs an app.
fn enable_forwarding(bridge: &str) -> io::Result<()> {
    if fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?.trim() == "1" {
        return Ok(());
    }
    write(&format!("/proc/sys/net/ipv4/conf/{bridge}/forwarding"), "1")?;
    for link in routed_links()? {
        optional(write(&format!("/proc/sys/net/ipv4/conf/{link}/forwarding"), "1"))?;
    }
    Ok(())
}

/// Names of the links which IPv4 routes of this network namespace lead to.
fn routed_links() -> io::Result<Vec<String>> {
    let mut links: Vec<String> = fs::read_to_string("/proc/thread-self/net/route")?
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|link| *link != "lo")
        .map(str::to_owned)
        .collect();
    links.sort();
    links.dedup();
    Ok(links)
}

/// The MTU of the link of the default route: a bridge with a larger one would make packets that cannot leave.
fn uplink_mtu() -> u32 {
    let routes = fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    routes
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"))
        .map_or(1500, |fields| mtu_of(fields[0]))
}

fn mtu_of(link: &str) -> u32 {
    fs::read_to_string(format!("/sys/class/net/{link}/mtu")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1500)
}

fn disable_ipv6(link: &str) -> io::Result<()> {
    optional(write(&format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"), "1"))
}

/// A kernel without IPv6 has no files for it.
fn optional(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write(path: &str, value: &str) -> io::Result<()> {
    // No O_CREAT: procfs answers it with EACCES where the file is missing.
    io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(path)?, value.as_bytes())
}

trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, NetworkError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T, NetworkError> {
        self.map_err(|source| NetworkError { doing: doing(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_hosts_link_fits_the_kernel_and_differs_by_bridge_and_address() {
        let name = host_link("pillion0", Ipv4Addr::new(10, 88, 0, 2));
        assert!(name.len() <= 15, "{name}");
        assert_ne!(name, host_link("pillion1", Ipv4Addr::new(10, 88, 0, 2)));
        assert_ne!(name, host_link("pillion0", Ipv4Addr::new(10, 88, 0, 3)));
    }
}
