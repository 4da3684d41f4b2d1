//! The listening sockets: shared addresses, and one loopback port for each app.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use pillion_control::Routes;
use pillion_gateway::protocol::ListenerSpec;

use crate::complaint::Complaint;

/// Sockets that a gateway already had.
pub type Inherited = Vec<(ListenerSpec, OwnedFd)>;

/// Every listening socket by its address.
pub struct Sockets {
    shared: BTreeMap<SocketAddr, OwnedFd>,
    apps: BTreeMap<SocketAddr, (String, OwnedFd)>,
    /// Ports of apps that could not be had: tried again with every change.
    missing: BTreeMap<SocketAddr, String>,
}

impl Sockets {
    /// Takes the shared addresses, from `inherited` where they are there.
    ///
    /// # Errors
    /// An address is not free or not ours to take.
    pub fn open(listen: &[SocketAddr], inherited: Inherited) -> Result<Self, Complaint> {
        let mut shared = BTreeMap::new();
        let mut apps = BTreeMap::new();
        for (spec, socket) in inherited {
            match spec.app {
                Some(app) => drop(apps.insert(spec.address, (app, socket))),
                None if listen.contains(&spec.address) => drop(shared.insert(spec.address, socket)),
                // An address that the settings no longer name is closed.
                None => {}
            }
        }
        for &address in listen {
            if shared.contains_key(&address) {
                continue;
            }
            let socket = TcpListener::bind(address).map_err(|error| not_free(address, &error))?;
            let bound = socket.local_addr().unwrap_or(address);
            shared.insert(bound, socket.into());
        }
        Ok(Self { shared, apps, missing: BTreeMap::new() })
    }

    /// Takes other shared addresses: all of them, or none if one cannot be had.
    ///
    /// # Errors
    /// An address is not free or not ours to take.
    pub fn share(&mut self, listen: &[SocketAddr]) -> Result<(), Complaint> {
        let mut fresh = BTreeMap::new();
        for &address in listen.iter().filter(|address| !self.shared.contains_key(address)) {
            let socket = TcpListener::bind(address).map_err(|error| not_free(address, &error))?;
            fresh.insert(socket.local_addr().unwrap_or(address), OwnedFd::from(socket));
        }
        self.shared.retain(|address, _| listen.contains(address));
        self.shared.append(&mut fresh);
        Ok(())
    }

    /// Opens and closes the apps' own ports until they are those of the routes; true if anything changed.
    pub fn fit(&mut self, routes: &Routes) -> bool {
        let wanted: BTreeMap<SocketAddr, &str> = routes
            .apps
            .iter()
            .filter(|route| route.port != 0)
            .map(|route| ((Ipv4Addr::LOCALHOST, route.port).into(), route.app.as_str()))
            .collect();
        let before = self.apps.len();
        self.apps.retain(|address, (app, _)| wanted.get(address) == Some(&app.as_str()));
        let mut changed = before != self.apps.len();
        self.missing.clear();
        for (address, app) in wanted {
            if self.apps.contains_key(&address) {
                continue;
            }
            match TcpListener::bind(address) {
                Ok(socket) => {
                    self.apps.insert(address, (app.to_owned(), socket.into()));
                    changed = true;
                }
                Err(error) => {
                    tracing::warn!(%address, app, error = &error as &dyn std::error::Error, "an app's own port is not free");
                    self.missing.insert(address, format!("{app} cannot have its own port {address}: {error}"));
                }
            }
        }
        changed
    }

    pub fn all(&self) -> Vec<(ListenerSpec, BorrowedFd<'_>)> {
        let shared = self.shared.iter().map(|(&address, socket)| (ListenerSpec { address, app: None }, socket.as_fd()));
        let apps =
            self.apps.iter().map(|(&address, (app, socket))| (ListenerSpec { address, app: Some(app.clone()) }, socket.as_fd()));
        shared.chain(apps).collect()
    }

    pub fn shared(&self) -> Vec<SocketAddr> {
        self.shared.keys().copied().collect()
    }

    pub fn troubles(&self) -> Vec<String> {
        self.missing.values().cloned().collect()
    }
}

fn not_free(address: SocketAddr, error: &std::io::Error) -> Complaint {
    let complaint = Complaint::new(format!("the gateway cannot listen on {address}")).because(Some(error));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => complaint.hint(format!(
            "another program has port {port}: `ss -ltnp sport = :{port}` names it; or choose another with `--listen` or \
             the setting `listen`",
            port = address.port()
        )),
        std::io::ErrorKind::AddrNotAvailable => {
            complaint.hint("this machine does not have that address: correct `--listen` or the setting `listen`")
        }
        _ => complaint,
    }
}

#[cfg(test)]
mod tests {
    use pillion_control::{AppRoute, RouteState};

    use super::*;

    fn routes(apps: &[(&str, u16)]) -> Routes {
        let route = |&(app, port): &(&str, u16)| AppRoute {
            app: app.parse().unwrap(),
            hosts: Vec::new(),
            port,
            state: RouteState::Serving,
            instances: Vec::new(),
            site: None,
        };
        Routes { generation: 1, apps: apps.iter().map(route).collect() }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn an_app_has_its_port_as_long_as_it_has_a_route() {
        let mut sockets = Sockets::open(&["127.0.0.1:0".parse().unwrap()], Vec::new()).unwrap();
        let port = free_port();
        assert!(sockets.fit(&routes(&[("shop", port)])));
        assert!(!sockets.fit(&routes(&[("shop", port)])), "nothing to change");
        assert_eq!(sockets.all().len(), 2);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(sockets.fit(&routes(&[])));
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[test]
    fn a_port_that_somebody_has_is_reported_and_taken_once_it_is_free() {
        let mut sockets = Sockets::open(&[], Vec::new()).unwrap();
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        assert!(!sockets.fit(&routes(&[("shop", port)])));
        assert!(sockets.troubles()[0].contains("shop cannot have its own port"));
        drop(holder);
        assert!(sockets.fit(&routes(&[("shop", port)])));
        assert!(sockets.troubles().is_empty());
    }

    #[test]
    fn a_shared_port_that_is_taken_says_how_to_find_who_has_it() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let complaint = Sockets::open(&[holder.local_addr().unwrap()], Vec::new()).err().unwrap();
        let mut text = Vec::new();
        complaint.print(&mut text, crate::paint::Paint::Plain).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("Address already in use") && text.contains("hint: another program has port"), "{text}");
    }
}
