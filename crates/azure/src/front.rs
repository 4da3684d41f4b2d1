//! How a site's requests are received and spread: over TLS only, from whom, the affinity cookie, the parts that go to its slots.

use pillion_arm::{ArmError, ConfigName, Resource, ResourceKind, access_rules, cors};
use pillion_control::{Share, SiteFront};
use pillion_model::{Access, AccessRules, Cors};
use serde_json::{Map, Value};

use crate::{Azure, names::public_name};

impl Azure {
    /// Reads what a site says of it. Rules for slots that are not there have no effect.
    pub(crate) fn site_front(&self, site: &Resource) -> SiteFront {
        let affinity = site.property("clientAffinityEnabled").and_then(Value::as_bool).unwrap_or(true);
        let https_only = site.property("httpsOnly").and_then(Value::as_bool).unwrap_or(false);
        let index = self.index();
        let web = index.get(&site.id.config(ConfigName::Web)).map(|entry| entry.resource.clone());
        let properties = web.as_ref().map(|web| &web.properties);
        let (access, cors) = properties.map_or_else(Default::default, |web| received(site, web));
        let mut shares = Vec::new();
        if site.id.kind() == ResourceKind::Site {
            let rules = properties.and_then(|web| web.get("experiments")?.get("rampUpRules")?.as_array().cloned());
            for rule in rules.into_iter().flatten() {
                let host = rule["actionHostName"].as_str().and_then(|host| host.split(['.', ':']).next()).unwrap_or_default();
                let prefix = format!("{}-", site.id.name());
                let from_host =
                    host.get(prefix.len()..).filter(|_| host.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase()));
                let named = rule["name"].as_str().or(from_host.map(|rest| rest.trim_start_matches('-'))).unwrap_or_default();
                let Some(slot) = index.get(&site.id.child("slots", named)) else { continue };
                let Some(app) = public_name(&slot.resource.id) else { continue };
                let percent = match &rule["reroutePercentage"] {
                    Value::Number(number) => number.as_f64(),
                    Value::String(text) => text.trim().parse().ok(),
                    Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
                };
                let share = (percent.unwrap_or(0.0).clamp(0.0, 100.0) * 100.0).round() as u32;
                shares.push(Share { slot: slot.resource.id.name().to_owned(), app, share });
            }
        }
        SiteFront { affinity, https_only, access, cors, shares }
    }
}

/// What was stored was checked. Should a rule be unreadable all the same, nobody gets in by mistake.
fn received(site: &Resource, web: &Map<String, Value>) -> (AccessRules, Option<Cors>) {
    let ignored = |error: ArmError| tracing::warn!(site = %site.id, %error, "a setting of the site's front end cannot be read");
    let access = access_rules(web, "properties").map_err(ignored);
    let cors = cors(web, "properties").map_err(ignored);
    (access.unwrap_or(AccessRules { rules: Vec::new(), others: Access::Deny }), cors.unwrap_or_default())
}
