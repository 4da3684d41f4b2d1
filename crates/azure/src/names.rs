//! The names by which the control plane and the gateway know sites and slots.

use pillion_arm::ResourceId;
use pillion_model::AppName;
use sha2::{Digest, Sha256};

/// Longest name of an app: an instance's id has the revision and a random part behind it.
const LONGEST: usize = 48;

/// Returns the public name of a site (`shop`) or a slot (`shop--staging`): lower-case; where that is too long, cut and made
/// unique by six characters of its hash. None where it is no site or its name cannot be one.
pub(crate) fn public_name(site: &ResourceId) -> Option<AppName> {
    let production = site.production()?;
    let whole = match site.slot_name() {
        Some(slot) => format!("{}--{}", production.name(), slot),
        None => production.name().to_owned(),
    }
    .to_ascii_lowercase();
    if whole.len() <= LONGEST {
        return whole.parse().ok();
    }
    let hash: String = Sha256::digest(&whole).iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    let head: String = whole.chars().take(LONGEST - 7).collect();
    format!("{}-{hash}", head.trim_end_matches('-')).parse().ok()
}

/// Returns the name that the site's own pages and publishing credentials are known by: `Shop`, `Shop__staging`.
pub(crate) fn scm_name(site: &ResourceId) -> String {
    let production = site.production().map(|site| site.name().to_owned()).unwrap_or_default();
    match site.slot_name() {
        Some(slot) => format!("{production}__{slot}"),
        None => production,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_known_beside_its_site_and_a_long_name_stays_unique() {
        let site = ResourceId::site("s", "g", "Shop");
        assert_eq!(public_name(&site).map(|name| name.to_string()).as_deref(), Some("shop"));
        let slot = site.child("slots", "Staging");
        assert_eq!(public_name(&slot).map(|name| name.to_string()).as_deref(), Some("shop--staging"));
        assert_eq!(scm_name(&slot), "Shop__Staging");
        let long = ResourceId::site("s", "g", &"a".repeat(60));
        let (one, two) = (long.child("slots", "one-slot"), long.child("slots", "two-slot"));
        assert_ne!(public_name(&one), public_name(&two));
        assert!(public_name(&one).is_some());
    }
}
