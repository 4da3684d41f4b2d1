//! Making, adopting and removing.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use pillion_runtime::{
    sandbox::{self, Namespace, Sandbox, SandboxError},
    spec::{NetworkSpec, SandboxSpec},
};

use crate::{
    outside::Outside,
    world::{IDS, World, inside, launcher},
};

#[test]
fn a_sandbox_has_both_loopbacks_its_address_and_low_ports_for_everybody() {
    let mut world = World::new();
    let address = world.address(2);
    let sandbox = world.sandbox("one", 2);

    inside(&sandbox, move || {
        for listener in [
            TcpListener::bind((Ipv4Addr::LOCALHOST, 80)).expect("127.0.0.1"),
            TcpListener::bind((Ipv6Addr::LOCALHOST, 80)).expect("::1"),
            TcpListener::bind((address, 80)).expect("its own address"),
        ] {
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        }
        let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("a sysctl");
        assert_eq!(sysctl("ip_unprivileged_port_start").trim(), "0");
        assert_eq!(sysctl("ping_group_range").split_whitespace().next_back(), Some(&*(IDS.start + 65_535).to_string()));
    });
    sandbox.remove().expect("removed");
}

#[test]
fn a_sandbox_without_a_user_namespace_and_network_is_loopback_only() {
    let mut world = World::new();
    let spec = SandboxSpec { network: NetworkSpec::None, ..world.spec("bare", 2, None) };
    let sandbox = Sandbox::create(&launcher(), &spec).expect("a sandbox");

    assert_eq!(sandbox.namespace(Namespace::User), None);
    inside(&sandbox, || {
        TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("::1");
        let routes = fs::read_to_string("/proc/thread-self/net/route").expect("routes");
        assert_eq!(routes.lines().count(), 1, "only the heading: {routes}");
        let udp = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        assert_eq!(udp.connect("192.0.2.1:9").expect_err("no way out").raw_os_error(), Some(libc::ENETUNREACH));
    });
    sandbox.remove().expect("removed");
}

#[test]
fn the_etc_files_name_every_container_and_change_in_place() {
    use std::os::unix::fs::MetadataExt;
    let mut world = World::new();
    let mut sandbox = world.sandbox("etc", 2);
    let hosts = sandbox.etc("hosts");
    let inode = fs::metadata(&hosts).expect("hosts").ino();
    assert!(fs::read_to_string(&hosts).expect("hosts").contains("127.0.0.1 cache\n"));
    assert_eq!(fs::read_to_string(sandbox.etc("hostname")).expect("hostname"), "etc-host\n");
    assert_eq!(fs::read_to_string(sandbox.etc("resolv.conf")).expect("resolv.conf"), "nameserver 192.0.2.53\n");

    sandbox.set_host_names(&["db".into()]).expect("renamed");

    let text = fs::read_to_string(&hosts).expect("hosts");
    assert!(text.contains("::1 db\n") && !text.contains("cache"), "{text}");
    assert_eq!(fs::metadata(&hosts).expect("hosts").ino(), inode, "containers have this inode mounted");
    let adopted = Sandbox::open(sandbox.dir()).expect("adopted");
    assert_eq!(adopted.spec().host_names, ["db"]);
}

#[test]
fn an_adopted_sandbox_is_the_same_one() {
    let mut world = World::new();
    let made = world.sandbox("adopt", 2);
    let namespace = |sandbox: &Sandbox| {
        let pin = sandbox.namespace(Namespace::Net).expect("a namespace");
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(pin).expect("a pin"))
    };
    let before = namespace(&made);
    let dir = made.dir().to_path_buf();
    drop(made);

    let adopted = Sandbox::open(&dir).expect("adopted");

    assert_eq!(namespace(&adopted), before);
    adopted.remove().expect("removed");
    assert!(Sandbox::open(&dir).is_err(), "nothing is left to adopt");
}

#[test]
fn removal_leaves_no_trace_and_can_be_repeated() {
    let mut world = World::new();
    let before = world.traces();
    let spec = world.spec("gone", 2, Some(IDS));
    let sandbox = Sandbox::create(&launcher(), &spec).expect("a sandbox");
    assert!(world.traces().len() > before.len() + 3, "{:?}", world.traces());

    sandbox.remove().expect("removed");
    sandbox::remove(&spec).expect("removed again");

    let without_parent = |traces: Vec<String>| traces.into_iter().filter(|t| !t.contains("cgroup")).collect::<Vec<_>>();
    assert_eq!(without_parent(world.traces()), without_parent(before));
}

#[test]
fn a_sandbox_that_cannot_be_finished_leaves_nothing_behind() {
    let mut world = World::new();
    let first = world.sandbox("first", 2);
    let before = world.traces().len();
    let mut spec = world.spec("second", 3, Some(IDS));
    // Its bridge is missing, which shows only after the namespaces were made and pinned.
    if let NetworkSpec::Bridged { bridge, .. } = &mut spec.network {
        *bridge = "ptmissing".into();
    }

    let error = Sandbox::create(&launcher(), &spec).expect_err("no bridge");

    assert!(error.to_string().contains("find bridge ptmissing"), "{error}");
    assert!(Sandbox::open(&spec.dir).is_err());
    let left: Vec<_> = world.traces().into_iter().filter(|trace| trace.contains("/second/")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(world.traces().len(), before + 1, "the empty directory of the second");
    first.remove().expect("removed");
}

#[test]
fn what_belongs_to_another_sandbox_is_refused_and_the_other_one_stays_whole() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");
    let first = world.sandbox("first", 2);
    let same_address = world.spec("second", 2, Some(IDS));
    let same_directory = SandboxSpec { dir: first.dir().into(), ..world.spec("third", 3, Some(IDS)) };

    for spec in [same_address, same_directory] {
        let error = Sandbox::create(&launcher(), &spec).expect_err("in use");
        assert!(matches!(error, SandboxError::InUse { .. }), "{error}");
    }

    inside(&first, move || TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("connected"));
    Sandbox::open(first.dir()).expect("still there");
}

#[test]
fn a_supervisor_that_entered_the_network_comes_back_when_it_removes_the_sandbox() {
    let mut world = World::new();
    let mut sandbox = world.sandbox("enter", 2);
    let own = || fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
    let outside = own();

    sandbox.enter_net().expect("entered");
    assert_ne!(own(), outside);
    TcpListener::bind((world.address(2), 80)).expect("the address is local now");

    sandbox.remove().expect("removed");
    assert_eq!(own(), outside);
}

#[test]
fn the_first_packet_of_a_new_sandbox_already_arrives() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");
    // One after the other, so that the bridge loses its last port each time.
    for host in 2..22 {
        let sandbox = world.sandbox(&format!("s{host}"), host);
        // A lost packet is sent again after a second.
        inside(&sandbox, move || TcpStream::connect_timeout(&to, Duration::from_millis(900)).expect("connected"));
        sandbox.remove().expect("removed");
    }
}

#[test]
fn many_sandboxes_made_and_removed_at_once_work_and_leave_nothing() {
    let mut world = World::new();
    let outside = Outside::new(&mut world);
    let server = outside.listen(outside.address);
    let to = server.local_addr().expect("an address");
    let specs: Vec<_> = (2..26).map(|host| (host, world.spec(&format!("s{host}"), host, Some(IDS)))).collect();
    let before = world.traces();

    thread::scope(|scope| {
        for (_, spec) in &specs {
            scope.spawn(|| {
                let sandbox = Sandbox::create(&launcher(), spec).expect("a sandbox");
                inside(&sandbox, move || TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("connected"));
                sandbox.remove().expect("removed");
            });
        }
    });

    let left: Vec<_> = world.traces().into_iter().filter(|trace| !before.contains(trace)).collect();
    assert_eq!(left, Vec::<String>::new());
    for (host, spec) in specs {
        assert!(!spec.dir.exists(), "{host}");
    }
}
