//! What a service manager is told (`sd_notify(3)`): that the server is up, and that it ends.
//!
//! With `Type=notify` systemd counts the service as started only when the API answers, so that what is ordered after it,
//! or stands behind `systemctl start` in a script, finds it.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Where the manager listens, if there is one.
const SOCKET: &str = "NOTIFY_SOCKET";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Ready,
    Stopping,
}

/// Tells the service manager, if there is one. That it does not listen is its own business: the server runs all the same.
pub fn tell(news: News) {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    if let Err(error) = send(&socket, news) {
        tracing::warn!(socket = %socket.display(), error = &error as &dyn std::error::Error, "the service manager was not told");
    }
}

fn send(socket: &OsStr, news: News) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let text: &[u8] = match news {
        News::Ready => b"READY=1\nSTATUS=Serving\n",
        News::Stopping => b"STOPPING=1\nSTATUS=Ending\n",
    };
    UnixDatagram::unbound()?.send_to_addr(text, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("a datagram is there");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_that_listens_at_a_path_is_told() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str(), News::Ready).expect("it is sent");
        assert!(received(&manager).lines().any(|line| line == "READY=1"));
    }

    #[test]
    fn a_manager_that_listens_at_an_abstract_name_is_told() {
        let name = format!("pillion-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        send(OsStr::new(&format!("@{name}")), News::Stopping).expect("it is sent");
        assert!(received(&manager).lines().any(|line| line == "STOPPING=1"));
    }

    #[test]
    fn a_manager_that_does_not_listen_is_an_error_to_be_told() {
        assert!(send(OsStr::new("/nonexistent/notify"), News::Ready).is_err());
    }
}
