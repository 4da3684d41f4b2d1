//! What a PUT or PATCH may say, and what is stored of it.

mod autoscale;
mod container;
mod fields;
mod front;
mod group;
mod identity;
mod logs;
mod paths;
mod plan;
mod settings;
mod site;
mod site_config;
mod storage;
mod web;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{ArmError, ConfigName, Resource, ResourceId, ResourceKind, Surroundings, initial};
use fields::{scalar, tags, take};

pub use front::{access_rules, cors};
pub(crate) use plan::SIZES;
pub use plan::{PlanRoom, plan_room};
pub(crate) use settings::CONNECTION_TYPES;
pub use site::site_name;

/// How a body is written over what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Put,
    Patch,
}

/// What a write leads to. Everything here is stored in one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub resource: Resource,
    /// Other documents that the body wrote, too: a site's `siteConfig` goes to its config documents.
    pub also: Vec<Resource>,
}

/// Checks a body and makes the resource to store of it. `null` is not given, unknown fields are kept, read-only ones dropped.
/// `old` is what is stored under this id (for config documents none where nobody wrote them yet).
///
/// # Errors
/// The refusal to answer, with the field named.
pub fn accept(
    id: &ResourceId,
    old: Option<&Resource>,
    body: Value,
    how: How,
    around: &dyn Surroundings,
) -> Result<Accepted, ArmError> {
    // A new resource is spelled as what it lies in was first written.
    let stored =
        id.parent().filter(|_| old.is_none()).and_then(|parent| around.find(&parent)).or_else(|| around.find(&id.group_id()?));
    let spelled = match (old, &stored) {
        (Some(old), _) => old.id.clone(),
        (None, Some(parent)) => id.spelled_under(&parent.id),
        (None, None) => id.clone(),
    };
    let id = &spelled;
    let write = Write { id, old, given: Given::read(body)?, how, around };
    write.parent_exists()?;
    if old.is_none() && how == How::Patch && initial(id).is_none() {
        return Err(ArmError::not_found(id));
    }
    let alone = |resource| Accepted { resource, also: Vec::new() };
    match id.kind() {
        ResourceKind::Group => group::accept(write).map(alone),
        ResourceKind::Plan => plan::accept(write).map(alone),
        ResourceKind::Site | ResourceKind::Slot => site::accept(write),
        ResourceKind::SiteConfig(name) => match name {
            ConfigName::Web => web::accept(write),
            ConfigName::AppSettings => settings::app_settings(write).map(alone),
            ConfigName::ConnectionStrings => settings::connection_strings(write).map(alone),
            ConfigName::SlotConfigNames => settings::slot_config_names(write).map(alone),
            ConfigName::Metadata => settings::metadata(write).map(alone),
            ConfigName::AzureStorageAccounts => storage::accept(write).map(alone),
            ConfigName::Logs => logs::accept(write).map(alone),
        },
        ResourceKind::SiteContainer => container::accept(write).map(alone),
        ResourceKind::PublishingPolicy => settings::policy(write).map(alone),
        ResourceKind::UserIdentity => identity::user_identity(write).map(alone),
        ResourceKind::Autoscale => autoscale::accept(write).map(alone),
        ResourceKind::Subscription | ResourceKind::Deployment | ResourceKind::Unknown(_) => Err(ArmError::new(
            400,
            "InvalidResourceType",
            format!("Resources of type '{}' cannot be written here.", id.type_name()),
        )),
    }
}

/// Checks that nothing stands in the way of a deletion.
///
/// # Errors
/// 409 naming what does.
pub fn deletable(id: &ResourceId, around: &dyn Surroundings) -> Result<(), ArmError> {
    match id.kind() {
        ResourceKind::Plan => {
            let sites = around.on_plan(id);
            let names: Vec<String> = sites.iter().map(ResourceId::full_name).collect();
            if names.is_empty() {
                return Ok(());
            }
            Err(ArmError::conflict(format!(
                "Server farm '{}' cannot be deleted because it has web app(s) {} assigned to it.",
                id.name(),
                names.join(", ")
            )))
        }
        ResourceKind::SiteConfig(_) | ResourceKind::PublishingPolicy | ResourceKind::Subscription => Err(ArmError::new(
            405,
            "MethodNotAllowed",
            format!("Resources of type '{}' live as long as what they belong to.", id.type_name()),
        )),
        ResourceKind::Group
        | ResourceKind::Site
        | ResourceKind::Slot
        | ResourceKind::SiteContainer
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => Ok(()),
    }
}

/// One write on its way.
struct Write<'a> {
    id: &'a ResourceId,
    old: Option<&'a Resource>,
    given: Given,
    how: How,
    around: &'a dyn Surroundings,
}

/// The body's parts; what is null is none.
struct Given {
    location: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    kind: Option<String>,
    sku: Option<Map<String, Value>>,
    identity: Option<Map<String, Value>>,
    properties: Option<Map<String, Value>>,
}

impl Given {
    fn read(body: Value) -> Result<Given, ArmError> {
        let Value::Object(mut body) = body else {
            return Err(ArmError::content("The request body must be a JSON object."));
        };
        let mut text = |name: &'static str| match take(&mut body, name) {
            None => Ok(None),
            Some(value) => {
                scalar(&value).map(Some).ok_or_else(|| ArmError::content(format!("The field '{name}' must be text.")).at(name))
            }
        };
        let (location, kind) = (text("location")?, text("kind")?);
        let mut object = |name: &'static str| match take(&mut body, name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(ArmError::content(format!("The field '{name}' must be an object.")).at(name)),
        };
        let (sku, identity, properties) = (object("sku")?, object("identity")?, object("properties")?);
        let tags = take(&mut body, "tags").map(|value| tags(&value)).transpose()?;
        let location = location.filter(|text| !text.trim().is_empty());
        Ok(Given { location, tags, kind, sku, identity, properties })
    }
}

impl Write<'_> {
    /// Everything lies in a group that exists; what belongs to a site, in a site that exists.
    fn parent_exists(&self) -> Result<(), ArmError> {
        if let Some(group) = self.id.group_id().filter(|group| group != self.id)
            && self.around.find(&group).is_none()
        {
            return Err(ArmError::group_not_found(group.name()));
        }
        match self.id.parent() {
            Some(parent) if matches!(parent.kind(), ResourceKind::Site | ResourceKind::Slot) => {
                if self.around.find(&parent).is_some() {
                    return Ok(());
                }
                Err(ArmError::new(
                    404,
                    "ParentResourceNotFound",
                    format!(
                        "Failed to perform '{}' on resource(s) of type '{}', because the parent resource '{parent}' could not be found.",
                        if self.how == How::Put { "write" } else { "update" },
                        self.id.type_name()
                    ),
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns the resource to write on: the old one, or a new one under the id as given.
    fn begin(&self) -> Resource {
        let now = self.around.now_ms();
        match self.old {
            Some(old) => Resource { changed_ms: now, ..old.clone() },
            None => Resource {
                created_ms: now,
                changed_ms: now,
                ..initial(self.id).unwrap_or_else(|| Resource::new(self.id.clone(), now))
            },
        }
    }

    /// Takes over location and tags; a resource that exists stays where it is.
    fn place(&mut self, resource: &mut Resource) -> Result<(), ArmError> {
        match (self.given.location.take(), &resource.location) {
            (None, None) => {
                return Err(ArmError::new(400, "LocationRequired", "The location property is required for this definition.")
                    .at("location"));
            }
            (None, Some(_)) => {}
            (Some(given), Some(there)) => {
                if !same_location(&given, there) {
                    let group = self.id.group_name().unwrap_or_default();
                    return Err(ArmError::new(
                        409,
                        "InvalidResourceLocation",
                        format!(
                            "The resource '{}' already exists in location '{there}' in resource group '{group}'. A resource with \
                             the same name cannot be created in location '{given}'. Please select a new resource name.",
                            self.id.name()
                        ),
                    )
                    .at("location"));
                }
            }
            (Some(given), None) => resource.location = Some(given),
        }
        if let Some(tags) = self.given.tags.take() {
            resource.tags = Some(tags);
        }
        Ok(())
    }

    /// Returns the properties of a document that a PUT cannot do without.
    fn properties(&mut self) -> Result<Map<String, Value>, ArmError> {
        self.given.properties.take().ok_or_else(|| {
            ArmError::bad_request("properties", "The parameter properties has an invalid value: it must be an object.")
        })
    }
}

/// `West Europe` and `westeurope` are one place.
fn same_location(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(' ', "");
    plain(one) == plain(other)
}
