//! What `reference()` and the `list…()` functions see: the resources as they are now.

use std::sync::Arc;

use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_arm_template::{Absent, Extent, References, Seen};
use pillion_identity::{Access, Caller};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{prepare::resource_id, resources::Resources, service::Inner, shapes};

/// What a resource that is not there counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing will make it any more: the deployment fails.
    IsAnError,
    /// It may come yet: validation and what-if leave the expression as it stands.
    MayCome,
}

/// Looks on behalf of a caller. Used on blocking threads only.
pub(crate) struct Lookup {
    pub(crate) runtime: Handle,
    pub(crate) inner: Arc<Inner>,
    pub(crate) caller: Caller,
    pub(crate) missing: Missing,
}

impl Lookup {
    fn resources(&self) -> &dyn Resources {
        &*self.inner.resources
    }

    fn absent(&self, error: &ArmError) -> Absent {
        match (error.status, self.missing) {
            // No deployment makes an operation.
            (404, _) if error.code == "OperationNotFound" => Absent::Refused(error.message.clone()),
            (404, Missing::IsAnError) => Absent::NotFound,
            (404, Missing::MayCome) => Absent::NotDeployed,
            (_, _) => Absent::Refused(error.to_string()),
        }
    }

    fn id(&self, id: &str) -> Result<ResourceId, Absent> {
        resource_id(id).map_err(|error| Absent::Refused(error.message))
    }

    fn deployment(&self, id: &ResourceId) -> Result<Value, Absent> {
        let scope = id.parent().ok_or(Absent::NotFound)?;
        self.inner.allowed(&self.caller, Access::Read, &scope, "read").map_err(|error| Absent::Refused(error.message))?;
        match self.inner.find(id) {
            Some(live) => Ok(shapes::deployment(&live.record())),
            None if self.missing == Missing::MayCome => Err(Absent::NotDeployed),
            None => Err(Absent::NotFound),
        }
    }
}

impl References for Lookup {
    fn reference(&self, id: &str, _api_version: Option<&str>, extent: Extent) -> Result<Seen, Absent> {
        let id = self.id(id)?;
        let mut body = match id.kind() {
            ResourceKind::Deployment => self.deployment(&id)?,
            ResourceKind::Subscription
            | ResourceKind::Group
            | ResourceKind::Plan
            | ResourceKind::Site
            | ResourceKind::Slot
            | ResourceKind::SiteConfig(_)
            | ResourceKind::SiteContainer
            | ResourceKind::PublishingPolicy
            | ResourceKind::UserIdentity
            | ResourceKind::Autoscale
            | ResourceKind::Unknown(_) => {
                self.runtime.block_on(self.resources().get(&self.caller, &id)).map_err(|error| self.absent(&error))?
            }
        };
        Ok(Seen::from(match extent {
            Extent::Full => body,
            Extent::Properties => {
                body.get_mut("properties").map(Value::take).unwrap_or_else(|| Value::Object(Default::default()))
            }
        }))
    }

    fn list(&self, name: &str, id: &str, _api_version: &str, body: Option<&Value>) -> Result<Value, Absent> {
        let id = self.id(id)?;
        let answer = self.resources().act(&self.caller, &id, name, body.cloned());
        self.runtime.block_on(answer).map_err(|error| self.absent(&error))
    }
}
