//! Who may do what: the machine's own certificates, principals with their roles, the tokens they are given, and the
//! brake on guessing. Knows no resource but by its path.

mod access;
mod caller;
mod certificate;
mod chance;
mod device;
mod error;
mod governing;
mod login;
mod principal;
mod proof;
mod service;
mod session;
mod signing;
mod throttle;
mod token;
mod unbroken;

pub use access::{Access, Audience, Grant, Role, RoleError, Scope, ScopeError};
pub use caller::Caller;
pub use certificate::{Certificates, Leaf};
pub use chance::new_id;
pub use device::DeviceCode;
pub use error::{AuthError, IdentityError, LoginError};
pub use login::{AccessToken, TOKEN_LIFETIME};
pub use principal::{Created, NewPrincipal, Principal, PrincipalError, PrincipalKind};
pub use service::{Clock, Identity, PublishingCredential};
