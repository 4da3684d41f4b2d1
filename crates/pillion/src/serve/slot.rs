//! A copy's share of what the whole machine has in common: subnet, ids, ports and names in the kernel.
//!
//! The machine's own copy has slot 0. A copy with a root claims the lowest free slot and keeps it as long as its root
//! exists, so that two copies never share a subnet, id or port by accident.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Copies that can run beside the machine's own.
const SLOTS: u16 = 160;

/// Where claims are written; emptied by a reboot, after which no copy runs that could mind.
const CLAIMS: &str = "/run/pillion-copies";

/// The slot this copy had last, in its state.
const LAST: &str = "slot";

/// Above what distributions and systemd give out.
const FIRST_ID: u32 = 0x7000_0000;

/// One copy's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u16);

/// Why no slot could be had.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    #[error("could not read or write the claims in {}", path.display())]
    Claims { path: PathBuf, source: io::Error },
    #[error("{SLOTS} copies of Pillion have claimed their share of this machine (see {CLAIMS})")]
    NoneLeft,
}

impl Slot {
    /// Claims a slot for the copy with this root, or finds the one it has.
    ///
    /// # Errors
    /// The claims cannot be read or written, or none is left.
    pub fn claim(root: Option<&Path>, state: &Path) -> Result<Self, SlotError> {
        let Some(root) = root else { return Ok(Slot(0)) };
        // What apps were given out of this copy's share is still theirs after a stop: the same slot again, if it can be.
        let file = state.join(LAST);
        let last = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let slot = Self::claim_in(Path::new(CLAIMS), root, last)?;
        fs::write(&file, slot.0.to_string()).map_err(|source| SlotError::Claims { path: file, source })?;
        Ok(slot)
    }

    /// Gives the slot back: this copy has nothing on the machine any more that another could collide with.
    ///
    /// # Errors
    /// The claim cannot be removed.
    pub fn release(self, root: Option<&Path>) -> Result<(), SlotError> {
        match root {
            None => Ok(()),
            Some(root) => self.release_in(Path::new(CLAIMS), root),
        }
    }

    fn release_in(self, claims: &Path, root: &Path) -> Result<(), SlotError> {
        let path = claims.join(self.0.to_string());
        let failed = |source| SlotError::Claims { path: path.clone(), source };
        let lock = File::create(claims.join("lock")).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
        match fs::read(&path) {
            Ok(holder) if holder == root.as_os_str().as_encoded_bytes() => fs::remove_file(&path).map_err(failed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn claim_in(claims: &Path, root: &Path, last: Option<u16>) -> Result<Self, SlotError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SlotError::Claims { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(claims).map_err(failed(claims))?;
        let lock = File::create(claims.join("lock")).map_err(failed(claims))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| failed(claims)(e.into()))?;
        let mut free = None;
        for number in 1..=SLOTS {
            let path = claims.join(number.to_string());
            let holder = match fs::read(&path) {
                Ok(holder) => holder,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(failed(&path)(error)),
            };
            if holder == root.as_os_str().as_encoded_bytes() {
                return Ok(Slot(number));
            }
            // A root that is gone has no server, and its instances were its supervisors' to end.
            let gone = holder.is_empty() || !Path::new(&*String::from_utf8_lossy(&holder)).exists();
            if gone && (free.is_none() || last == Some(number)) && Slot(number).is_vacant() {
                free = Some((number, path));
            }
        }
        let (number, path) = free.ok_or(SlotError::NoneLeft)?;
        fs::write(&path, root.as_os_str().as_encoded_bytes()).map_err(failed(&path))?;
        Ok(Slot(number))
    }

    /// Returns false where a program listens on the gateway's port: a stranger's, or one that a killed copy left.
    fn is_vacant(self) -> bool {
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.gateway_port())).is_ok()
    }

    /// The name of the bridge and of the packet filter's table; at most 15 bytes.
    pub fn bridge(self) -> String {
        if self.0 == 0 { "pillion0".into() } else { format!("pillion-{}", self.0) }
    }

    /// The parent of all instance cgroups.
    pub fn cgroup_parent(self) -> PathBuf {
        if self.0 == 0 { "pillion".into() } else { format!("pillion-{}", self.0).into() }
    }

    /// A /18 of its own, clear of what container tools and home routers use by default.
    pub fn subnet(self) -> (Ipv4Addr, u8) {
        let [second, third] = [self.0 / 4, self.0 % 4].map(|n| n as u8);
        (Ipv4Addr::new(10, 200 + second, third * 64, 0), 18)
    }

    /// The first of the host ids that this copy's apps map to.
    pub fn first_id(self) -> u32 {
        // 1,024 apps for the machine's own copy, 128 for each of the others, after one block for gateways.
        let blocks = match u32::from(self.0) {
            0 => 1,
            other => 1 + 1024 + (other - 1) * 128,
        };
        FIRST_ID + blocks * 65_536
    }

    /// The user and group that this copy's gateway runs as: nobody else on the machine is them.
    pub fn gateway_owner(self) -> (u32, u32) {
        let id = FIRST_ID + u32::from(self.0);
        (id, id)
    }

    /// The gateway's port; the machine's own copy has the one people expect.
    pub fn gateway_port(self) -> u16 {
        if self.0 == 0 { 8080 } else { 12_000 + self.0 * 100 }
    }

    /// The TLS endpoint's port.
    pub fn endpoint_port(self) -> u16 {
        if self.0 == 0 { 8443 } else { 12_000 + self.0 * 100 + 99 }
    }

    /// The loopback ports that apps are given; below the kernel's ephemeral ports.
    pub fn app_ports(self) -> std::ops::RangeInclusive<u16> {
        match self.0 {
            // Above the TLS endpoint.
            0 => 8500..=9499,
            other => 12_000 + other * 100 + 1..=12_000 + other * 100 + 98,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_root_keeps_its_slot_and_no_two_roots_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join("claims");
        let roots = ["a", "b"].map(|name| dir.path().join(name));
        roots.iter().for_each(|root| fs::create_dir(root).unwrap());
        let a = Slot::claim_in(&claims, &roots[0], None).unwrap();
        let b = Slot::claim_in(&claims, &roots[1], None).unwrap();
        assert_ne!(a, b);
        assert_eq!(Slot::claim_in(&claims, &roots[0], None).unwrap(), a);
        fs::remove_dir(&roots[0]).unwrap();
        let c = dir.path().join("c");
        assert_eq!(Slot::claim_in(&claims, &c, None).unwrap(), a, "the slot of a root that is gone is free again");
    }

    #[test]
    fn a_slot_that_was_given_back_is_had_again_unless_somebody_took_it() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join("claims");
        let roots = ["a", "b", "c"].map(|name| dir.path().join(name));
        roots.iter().for_each(|root| fs::create_dir(root).unwrap());
        let [a, b] = [0, 1].map(|n| Slot::claim_in(&claims, &roots[n], None).unwrap());
        a.release_in(&claims, &roots[1]).unwrap();
        assert_eq!(Slot::claim_in(&claims, &roots[0], None).unwrap(), a, "only its holder gives it back");
        a.release_in(&claims, &roots[0]).unwrap();
        b.release_in(&claims, &roots[1]).unwrap();
        assert_eq!(Slot::claim_in(&claims, &roots[1], Some(b.0)).unwrap(), b);
        assert_eq!(Slot::claim_in(&claims, &roots[2], Some(b.0)).unwrap(), a, "it has another holder");
    }

    #[test]
    fn no_two_slots_overlap() {
        let slots: Vec<Slot> = (0..=SLOTS).map(Slot).collect();
        let mut ports = BTreeSet::new();
        let mut subnets = BTreeSet::new();
        for slot in &slots {
            assert!(ports.insert(slot.gateway_port()) && ports.insert(slot.endpoint_port()));
            slot.app_ports().for_each(|port| assert!(ports.insert(port), "{port} of {slot:?}"));
            assert!(subnets.insert(slot.subnet()));
            assert!(slot.bridge().len() <= 15);
        }
        assert!(ports.iter().all(|&port| port < 32_768));
        let ids: Vec<u32> = slots.iter().map(|slot| slot.first_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[1] - pair[0] >= 128 * 65_536));
    }
}
