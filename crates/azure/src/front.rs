//! How a site's requests are received and spread: over TLS only, the affinity cookie, the parts that go to its slots.

use pillion_arm::{ConfigName, Resource, ResourceKind};
use pillion_control::{Share, SiteFront};
use serde_json::Value;

use crate::{Azure, names::public_name};

impl Azure {
    /// Reads what a site says of it. Rules for slots that are not there have no effect.
    pub(crate) fn site_front(&self, site: &Resource) -> SiteFront {
        let affinity = site.property("clientAffinityEnabled").and_then(Value::as_bool).unwrap_or(true);
        let https_only = site.property("httpsOnly").and_then(Value::as_bool).unwrap_or(false);
        let mut shares = Vec::new();
        if site.id.kind() == ResourceKind::Site {
            let index = self.index();
            let web = index.get(&site.id.config(ConfigName::Web)).map(|entry| entry.resource.clone());
            let rules = web.as_ref().and_then(|web| web.property("experiments")?.get("rampUpRules")?.as_array().cloned());
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
        SiteFront { affinity, https_only, shares }
    }
}
