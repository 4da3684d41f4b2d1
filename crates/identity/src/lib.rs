//! Who may do what: the machine's own certificates, principals with their roles, the tokens they are given, and the
//! brake on guessing. Knows no resource but by its path.

mod access;
mod caller;
mod error;
mod service;

pub use access::{Access, Audience, Grant, Role, Scope, ScopeError};
pub use caller::Caller;
pub use error::{AuthError, IdentityError};
pub use service::{Identity, PublishingCredential};
