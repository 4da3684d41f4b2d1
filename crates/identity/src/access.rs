//! Roles, the scopes they are given at, and what each lets do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What somebody wants to do at a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// To see resources as GET shows them, without secrets.
    Read,
    /// To create, change and act, and to see secrets (`POST …/list`).
    Write,
    Delete,
    /// To decide who else may do what.
    Govern,
}

/// Who a token was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Audience {
    /// The resource manager.
    Arm,
    /// The sites' own management pages.
    Scm,
}

/// What a principal may do at its scope and below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but deciding who may do what.
    Contributor,
    /// To look, but at no secret.
    Reader,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Owner, Role::Contributor, Role::Reader];

    pub fn allows(self, access: Access) -> bool {
        match (self, access) {
            (Role::Owner, Access::Read | Access::Write | Access::Delete | Access::Govern) => true,
            (Role::Contributor, Access::Read | Access::Write | Access::Delete) => true,
            (Role::Contributor, Access::Govern) => false,
            (Role::Reader, Access::Read) => true,
            (Role::Reader, Access::Write | Access::Delete | Access::Govern) => false,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Role::Owner => "Owner",
            Role::Contributor => "Contributor",
            Role::Reader => "Reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; there are Owner, Contributor and Reader")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Role::ALL.into_iter().find(|role| role.word().eq_ignore_ascii_case(text)).ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// A place in the tree of resources: lower-case, single slashes, none at the end; `/` is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

/// Text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; it must be a path such as /subscriptions/ID/resourceGroups/NAME")]
pub struct ScopeError(String);

impl Scope {
    /// The whole tree.
    pub fn root() -> Scope {
        Scope("/".to_owned())
    }

    /// Reads any spelling of a path.
    pub fn of_path(path: &str) -> Scope {
        let mut text = String::with_capacity(path.len() + 1);
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            text.push('/');
            text.push_str(&segment.to_ascii_lowercase());
        }
        if text.is_empty() {
            text.push('/');
        }
        Scope(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if `other` is this place or lies below it.
    pub fn covers(&self, other: &Scope) -> bool {
        self.0 == "/" || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let plain = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '%']);
        let dots = text.split('/').any(|segment| segment == "." || segment == "..");
        if plain && !dots { Ok(Scope::of_path(text)) } else { Err(ScopeError(text.to_owned())) }
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.0
    }
}

/// A role at a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    pub role: Role,
    pub scope: Scope,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_itself_and_what_lies_below_in_any_spelling() {
        let group: Scope = "/subscriptions/S/resourceGroups/Shop/".parse().unwrap();
        for covered in ["/subscriptions/s/resourcegroups/shop", "//subscriptions/s/RESOURCEGROUPS/shop/providers/x"] {
            assert!(group.covers(&Scope::of_path(covered)), "{covered}");
        }
        for other in ["/subscriptions/s", "/subscriptions/s/resourcegroups/shop2", "/", "/subscriptions/s/resourcegroups"] {
            assert!(!group.covers(&Scope::of_path(other)), "{other}");
        }
        assert!(Scope::root().covers(&group));
    }

    #[test]
    fn a_scope_is_a_plain_path() {
        for text in ["", "shop", "/a?b", "/a/../b", "/a b", "/a%2fb"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_role_lets_do_what_its_name_says() {
        let table = [
            (Role::Owner, [true, true, true, true]),
            (Role::Contributor, [true, true, true, false]),
            (Role::Reader, [true, false, false, false]),
        ];
        for (role, expected) in table {
            let allowed = [Access::Read, Access::Write, Access::Delete, Access::Govern].map(|access| role.allows(access));
            assert_eq!(allowed, expected, "{role}");
            assert_eq!(role.word().to_lowercase().parse::<Role>().unwrap(), role);
        }
    }
}
