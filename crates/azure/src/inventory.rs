//! What there is across groups: `resources` with its filter, and whether a name is free.

use pillion_arm::{ArmError, Operator, Resource, ResourceId, ResourceKind, Surroundings, check_tag, conditions, site_name};
use pillion_identity::{Access, Caller};
use serde_json::{Value, json};

use crate::{Azure, read::allow_or_below};

/// What `$filter` may ask for: conditions joined by `and`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    group: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    part_of_name: Option<String>,
    tag: Option<String>,
    tag_value: Option<String>,
    location: Option<String>,
}

impl Azure {
    /// Lists the top-level resources of a subscription or a group that match a filter.
    ///
    /// # Errors
    /// 400 (a filter that is none), 403, 404.
    pub async fn resources(&self, caller: &Caller, scope: &ResourceId, filter: &str) -> Result<Vec<Value>, ArmError> {
        allow_or_below(caller, scope)?;
        self.known_subscription(scope)?;
        let filter = Filter::read(filter)?;
        if scope.kind() == ResourceKind::Group && self.index().get(scope).is_none() && !self.is_native(scope) {
            return Err(ArmError::group_not_found(scope.name()));
        }
        let mut all = Vec::new();
        {
            let index = self.index();
            let own = index.within(scope).map(|entry| entry.resource.as_ref());
            all.extend(
                own.filter(|one| top_level(&one.id) && caller.may(Access::Read, one.id.key()) && filter.admits(one)).map(item),
            );
        }
        let native = self.native_group();
        if native.within(scope) && caller.may(Access::Read, native.key()) {
            for kind in [ResourceKind::Plan, ResourceKind::Site] {
                for body in self.native_list(&ResourceId::subscription(&self.shared.settings.subscription), &kind).await? {
                    let Some(id) = body["id"].as_str().and_then(|id| id.parse::<ResourceId>().ok()) else { continue };
                    let one = Resource { location: Some(crate::settings::LOCATION.into()), ..Resource::new(id, 0) };
                    if filter.admits(&one) {
                        all.push(item(&one));
                    }
                }
            }
        }
        Ok(all)
    }

    /// Says whether a site may have this name.
    ///
    /// # Errors
    /// 403; 400 where no name is given.
    pub fn name_available(&self, caller: &Caller, scope: &ResourceId, body: &Value) -> Result<Value, ArmError> {
        allow_or_below(caller, scope)?;
        self.known_subscription(scope)?;
        let Some(name) = body.get("name").and_then(Value::as_str) else {
            return Err(ArmError::bad_request("name", "The parameter name is required."));
        };
        let unavailable = |reason: &str, message: String| json!({ "nameAvailable": false, "reason": reason, "message": message });
        if let Err(why) = site_name(name) {
            return Ok(unavailable("Invalid", why));
        }
        Ok(match self.around(|around| around.site_named(name)) {
            Some(_) => unavailable("AlreadyExists", format!("Hostname '{name}' already exists. Please select a different name.")),
            None => json!({ "nameAvailable": true, "reason": "", "message": "" }),
        })
    }
}

fn top_level(id: &ResourceId) -> bool {
    match id.kind() {
        ResourceKind::Plan | ResourceKind::Site | ResourceKind::Slot | ResourceKind::UserIdentity | ResourceKind::Autoscale => {
            true
        }
        ResourceKind::Subscription
        | ResourceKind::Group
        | ResourceKind::SiteConfig(_)
        | ResourceKind::SiteContainer
        | ResourceKind::PublishingPolicy
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => false,
    }
}

fn item(resource: &Resource) -> Value {
    let at = |ms: u64| jiff::Timestamp::from_millisecond(ms as i64).map(|at| at.to_string()).unwrap_or_default();
    let identity = resource.identity.clone();
    json!({
        "id": resource.id.to_string(),
        "name": resource.id.full_name(),
        "type": resource.id.type_name(),
        "kind": resource.kind,
        "sku": resource.sku,
        "location": resource.location,
        "tags": resource.tags,
        "identity": identity,
        "createdTime": at(resource.created_ms),
        "changedTime": at(resource.changed_ms),
        "provisioningState": "Succeeded",
    })
}

impl Filter {
    fn read(text: &str) -> Result<Filter, ArmError> {
        let mut filter = Filter::default();
        for condition in conditions(text)? {
            let place = match (condition.field.as_str(), condition.operator) {
                ("resourcegroup", Operator::Equal) => &mut filter.group,
                ("resourcetype", Operator::Equal) => &mut filter.kind,
                ("name", Operator::Equal) => &mut filter.name,
                ("name", Operator::Contains) => &mut filter.part_of_name,
                ("tagname", Operator::Equal) => &mut filter.tag,
                ("tagvalue", Operator::Equal) => &mut filter.tag_value,
                ("location", Operator::Equal) => &mut filter.location,
                (_, _) => {
                    return Err(condition.refused(
                        "resources are filtered by resourceGroup, resourceType, name, location, tagName and tagValue with eq, or by \
                         substringof('text', name)",
                    ));
                }
            };
            *place = Some(condition.value);
        }
        check_tag(filter.tag.as_ref(), filter.tag_value.as_ref())?;
        Ok(filter)
    }

    fn admits(&self, one: &Resource) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found));
        let name = one.id.full_name();
        is(&self.group, one.id.group_name().unwrap_or_default())
            && is(&self.kind, &one.id.type_name())
            && (is(&self.name, &name) || is(&self.name, one.id.name()))
            && is(&self.location, one.location.as_deref().unwrap_or_default())
            && self.part_of_name.as_ref().is_none_or(|part| name.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
            && self.tag.as_ref().is_none_or(|tag| {
                one.tags.iter().flatten().any(|(name, value)| name.eq_ignore_ascii_case(tag) && is(&self.tag_value, value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_asks_for_what_resources_have_and_else_is_refused() {
        let filter = Filter::read("resourceGroup eq 'rg and co' and resourceType eq 'Microsoft.Web/sites'").unwrap();
        assert_eq!(filter.group.as_deref(), Some("rg and co"));
        assert_eq!(filter.kind.as_deref(), Some("Microsoft.Web/sites"));
        assert_eq!(Filter::read("").unwrap(), Filter::default());
        assert_eq!(Filter::read("substringof('Sho', name)").unwrap().part_of_name.as_deref(), Some("Sho"));
        for wrong in ["color eq 'red'", "name ge 'a'", "substringof('a', location)", "name eq 'a' or name eq 'b'"] {
            assert!(Filter::read(wrong).is_err(), "{wrong}");
        }
    }
}
