//! [`Caller`]: whoever makes a request, and what they may do.

use crate::{Access, Grant, Role, Scope};

/// Somebody whose identity is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The principal's id; the audit log names it.
    pub principal: String,
    pub display_name: String,
    pub grants: Vec<Grant>,
}

impl Caller {
    /// Whoever speaks over the Unix socket: its mode lets in root and the group only, and that equals root.
    pub fn machine() -> Caller {
        Caller {
            principal: "machine".to_owned(),
            display_name: "local administrator".to_owned(),
            grants: vec![Grant { role: Role::Owner, scope: Scope::root() }],
        }
    }

    /// Returns true if a role at this scope or above lets do it. `path` is a resource id in any spelling.
    pub fn may(&self, access: Access, path: &str) -> bool {
        let path = Scope::of_path(path);
        self.grants.iter().any(|grant| grant.role.allows(access) && grant.scope.covers(&path))
    }

    /// Returns true if something at or below `path` may be seen: then the way there is shown too, and lists of what lies
    /// below hold the parts that [`Caller::may`] allows.
    pub fn may_see_below(&self, path: &str) -> bool {
        let path = Scope::of_path(path);
        self.grants.iter().any(|grant| grant.scope.covers(&path) || path.covers(&grant.scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_reaches_down_and_shows_the_way_to_it() {
        let grant = Grant { role: Role::Contributor, scope: "/subscriptions/s/resourceGroups/a".parse().unwrap() };
        let caller = Caller { principal: "p".into(), display_name: "p".into(), grants: vec![grant] };
        assert!(caller.may(Access::Write, "/subscriptions/S/resourcegroups/A/providers/Microsoft.Web//sites/x"));
        assert!(!caller.may(Access::Read, "/subscriptions/s/resourceGroups/b"));
        assert!(!caller.may(Access::Read, "/subscriptions/s"));
        assert!(caller.may_see_below("/subscriptions/s"));
        assert!(!caller.may_see_below("/subscriptions/s/resourceGroups/b"));
        assert!(Caller::machine().may(Access::Govern, "/"));
    }
}
