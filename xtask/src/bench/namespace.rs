//! A network namespace joined to the host by a veth pair: where a program lives that both front ends forward to.

use std::{path::PathBuf, process::Command};

use crate::run::{Outcome, output};

/// The two ends of the pair, from the range that RFC 5737 sets aside for examples.
const HOST: &str = "198.51.100.1/30";
const INSIDE: &str = "198.51.100.2";

/// A namespace, deleted with its veth pair when dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one whose loopback and veth are up.
    ///
    /// # Errors
    /// The kernel refuses, or another run is under way: the addresses are the same.
    pub fn new() -> Outcome<Namespace> {
        let name = format!("bench-{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Namespace { name };
        let (veth, name) = (format!("bv{}", std::process::id()), namespace.name.as_str());
        ip(&["link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["address", "add", HOST, "dev", &veth])?;
        ip(&["link", "set", &veth, "up"])?;
        ip(&["-netns", name, "address", "add", &format!("{INSIDE}/30"), "dev", "eth0"])?;
        for link in ["lo", "eth0"] {
            ip(&["-netns", name, "link", "set", link, "up"])?;
        }
        Ok(namespace)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the namespace's file, by which a thread enters it.
    pub fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Returns the address of its end of the veth pair.
    pub fn address(&self) -> &'static str {
        INSIDE
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its end of the pair goes with it, and the host's end with that.
        if let Err(reason) = ip(&["netns", "delete", &self.name]) {
            eprintln!("bench: the network namespace {} is not deleted: {reason}", self.name);
        }
    }
}

fn ip(words: &[&str]) -> Outcome {
    output(Command::new("ip").args(words)).map(drop)
}
