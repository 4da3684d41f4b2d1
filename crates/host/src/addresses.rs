//! Which instance has which address: handed out lowest first after the last one given, so that a fresh instance
//! does not get the address of one that just went.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use pillion_model::InstanceId;

use crate::Subnet;

#[derive(Debug)]
pub(crate) struct Addresses {
    subnet: Subnet,
    held: BTreeMap<Ipv4Addr, InstanceId>,
    last: Ipv4Addr,
}

impl Addresses {
    pub(crate) fn new(subnet: Subnet) -> Self {
        Addresses { subnet, held: BTreeMap::new(), last: subnet.gateway() }
    }

    /// Marks an adopted instance's address as held.
    pub(crate) fn adopt(&mut self, address: Ipv4Addr, id: InstanceId) {
        self.held.insert(address, id);
    }

    /// Returns the instance's address, a new one if it has none; none if the subnet is full.
    pub(crate) fn take(&mut self, id: &InstanceId) -> Option<Ipv4Addr> {
        if let Some((address, _)) = self.held.iter().find(|(_, holder)| *holder == id) {
            return Some(*address);
        }
        let free = |address: &Ipv4Addr| !self.held.contains_key(address);
        let after = self.subnet.instance_addresses().filter(|a| *a > self.last).find(free);
        let address = after.or_else(|| self.subnet.instance_addresses().find(free))?;
        self.held.insert(address, id.clone());
        self.last = address;
        Some(address)
    }

    pub(crate) fn held(&self) -> BTreeSet<Ipv4Addr> {
        self.held.keys().copied().collect()
    }

    pub(crate) fn release(&mut self, id: &InstanceId) {
        self.held.retain(|_, holder| holder != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> InstanceId {
        format!("app-1-x{n}").parse().expect("valid id")
    }

    #[test]
    fn a_full_subnet_gives_nothing_until_an_address_is_released() {
        let mut addresses = Addresses::new(Subnet { base: Ipv4Addr::new(10, 9, 8, 0), prefix: 29 });
        let given: Vec<_> = (0..5).map(|n| addresses.take(&id(n)).expect("room for five")).collect();
        assert_eq!(given[0], Ipv4Addr::new(10, 9, 8, 2));
        assert_eq!(given[4], Ipv4Addr::new(10, 9, 8, 6));
        assert_eq!(addresses.take(&id(5)), None);
        addresses.release(&id(2));
        assert_eq!(addresses.take(&id(6)), Some(given[2]));
    }

    #[test]
    fn asking_again_gives_the_same_address_and_a_new_instance_gets_a_fresh_one() {
        let mut addresses = Addresses::new(Subnet { base: Ipv4Addr::new(10, 9, 8, 0), prefix: 24 });
        let first = addresses.take(&id(1));
        assert_eq!(addresses.take(&id(1)), first);
        addresses.release(&id(1));
        assert_ne!(addresses.take(&id(2)), first);
    }
}
