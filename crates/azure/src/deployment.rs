//! Template deployments: accepted, stored, run in parallel as dependencies allow, taken up again after a restart.
//!
//! ```text
//! request ─prepare─▶ plan ─launch─▶ run ──graph──▶ evaluate ─▶ put ─▶ operations
//!    │                 │ (stored)     └─nested─▶ run …            └▶ outputs, rollback, release
//!    └─foresee─▶ validate, compare (what-if)
//! ```
//!
//! A deployment is on disk before it is acknowledged, with everything that its plan depends on, time and chance included. So the
//! next server makes the same plan of it and begins again: what is written already is the same, and changes nothing.

mod adapter;
mod compare;
mod complete;
mod foresee;
mod graph;
mod guid;
mod launch;
mod link;
mod live;
mod lookup;
mod moment;
mod nested;
mod prepare;
mod record;
mod request;
mod resources;
mod rollback;
mod run;
mod secrecy;
mod service;
mod settings;
mod shapes;
mod shelf;
mod validate;
mod whole;
mod worker;

pub use link::LinkSettings;
pub use resources::{Foretold, Put, Resources};
pub use service::{Begun, Deployments};
pub use settings::Settings;

/// The longest name that Resource Manager takes.
const LONGEST_NAME: usize = 64;

/// Returns true if a deployment may have this name.
fn is_deployment_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.ends_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_name_is_plain_and_short() {
        for good in ["main", "a.b", "release_(1)-x"] {
            assert!(is_deployment_name(good), "{good}");
        }
        for bad in ["", "a/b", "a b", "ends.", &"x".repeat(65)] {
            assert!(!is_deployment_name(bad), "{bad}");
        }
    }
}
