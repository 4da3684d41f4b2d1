//! A machine beyond the host, reached by a link of its own: the internet of these tests.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::Command,
};

use pillion_runtime::{
    network,
    sandbox::{Namespace, Sandbox},
    spec::{NetworkSpec, SandboxSpec},
};

use crate::world::{World, inside, launcher};

pub struct Outside {
    sandbox: Sandbox,
    link: String,
    /// The host's address on the link.
    pub host: Ipv4Addr,
    /// The address of the machine.
    pub address: Ipv4Addr,
    /// A link-local address of the machine, as clouds use for their metadata.
    pub metadata: Ipv4Addr,
}

impl Outside {
    pub fn new(world: &mut World) -> Self {
        let spec = SandboxSpec { network: NetworkSpec::None, ..world.spec("outside", 250, None) };
        let sandbox = Sandbox::create(&launcher(), &spec).expect("a namespace");
        let link = format!("{}o", world.name);
        let [_, second, third, _] = world.bridge.subnet.0.octets();
        let (host, address) = (Ipv4Addr::new(198, 18 | (second & 1), third, 1), Ipv4Addr::new(198, 18 | (second & 1), third, 2));
        let metadata = Ipv4Addr::new(169, 254, second, third);
        let pin = sandbox.namespace(Namespace::Net).expect("a namespace").display().to_string();
        let peer = format!("{link}p");
        ip(&format!("link add {link} type veth peer name {peer} netns {pin}"));
        ip(&format!("addr add {host}/24 dev {link}"));
        ip(&format!("link set {link} up"));
        ip(&format!("route add {metadata}/32 dev {link}"));
        let outside = Self { sandbox, link, host, address, metadata };
        outside.ip(&format!("addr add {address}/24 dev {peer}"));
        outside.ip(&format!("addr add {metadata}/32 dev {peer}"));
        outside.ip(&format!("link set {peer} up"));
        outside.ip(&format!("route add default via {host}"));
        // The link is younger than the bridge: making sure again lets it forward.
        network::ensure_bridge(&world.bridge).expect("idempotent");
        outside
    }

    pub fn listen(&self, address: Ipv4Addr) -> TcpListener {
        inside(&self.sandbox, move || TcpListener::bind((address, 0)).expect("a listener"))
    }

    pub fn udp(&self) -> UdpSocket {
        let address = self.address;
        inside(&self.sandbox, move || UdpSocket::bind((address, 0)).expect("a socket"))
    }

    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        inside(&self.sandbox, work)
    }

    fn ip(&self, arguments: &str) {
        let pin = self.sandbox.namespace(Namespace::Net).expect("a namespace");
        ip_in(&pin, arguments);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.link));
    }
}

/// Runs `ip` in a network namespace.
pub fn ip_in(pin: &std::path::Path, arguments: &str) {
    let arguments = arguments.split(' ');
    let status = Command::new("nsenter").arg(format!("--net={}", pin.display())).arg("ip").args(arguments).status();
    assert!(status.expect("nsenter runs").success());
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}
