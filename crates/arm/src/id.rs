//! Resource ids: read in every spelling that az and templates use, written in Azure's own, compared without case.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ConfigName, ResourceKind};

/// Text that names no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no resource id: {rule}")]
pub struct IdError {
    pub given: String,
    pub rule: &'static str,
}

/// The id of one resource. Words that belong to the path are kept in Azure's spelling, names as they were first written.
/// Equality, order and hash are those of [`ResourceId::key`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId {
    subscription: Option<String>,
    group: Option<String>,
    /// One for each `/providers/` of the path: an extension resource has more than one.
    providers: Vec<Provider>,
    key: String,
}

#[derive(Debug, Clone)]
struct Provider {
    namespace: String,
    /// Type and name, outermost first.
    resources: Vec<(String, String)>,
}

/// Longest path that is looked at.
const MAX_LENGTH: usize = 2048;
const MAX_DEPTH: usize = 24;

/// How Azure writes types and namespaces; others are kept as given.
const WORDS: [&str; 27] = [
    "Microsoft.Web",
    "Microsoft.Resources",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Authorization",
    "sites",
    "slots",
    "serverfarms",
    "config",
    "sitecontainers",
    "instances",
    "deployments",
    "deploymentStatus",
    "siteStatus",
    "sourcecontrols",
    "hostNameBindings",
    "basicPublishingCredentialsPolicies",
    "userAssignedIdentities",
    "autoscalesettings",
    "extensions",
    "metrics",
    "metricDefinitions",
    "operations",
    "operationStatuses",
    "operationresults",
    "locations",
    "publishingCredentials",
];

impl ResourceId {
    /// Returns the id of a subscription.
    pub fn subscription(subscription: &str) -> ResourceId {
        Self::build(Some(subscription.to_owned()), None, Vec::new())
    }

    /// Returns the id of a group.
    pub fn group(subscription: &str, group: &str) -> ResourceId {
        Self::build(Some(subscription.to_owned()), Some(group.to_owned()), Vec::new())
    }

    /// Returns the id of a site.
    pub fn site(subscription: &str, group: &str, site: &str) -> ResourceId {
        Self::group(subscription, group).resource("Microsoft.Web", "sites", site)
    }

    /// Returns the id of a plan.
    pub fn plan(subscription: &str, group: &str, plan: &str) -> ResourceId {
        Self::group(subscription, group).resource("Microsoft.Web", "serverfarms", plan)
    }

    /// Returns the id of a resource of a provider below this scope (a subscription, a group, or a resource to extend).
    pub fn resource(&self, namespace: &str, kind: &str, name: &str) -> ResourceId {
        let mut providers = self.providers.clone();
        providers.push(Provider { namespace: word(namespace), resources: vec![(word(kind), named(kind, name))] });
        Self::build(self.subscription.clone(), self.group.clone(), providers)
    }

    /// Returns the id of a child: `site.child("slots", "staging")`. Of a scope without provider it is the scope itself.
    pub fn child(&self, kind: &str, name: &str) -> ResourceId {
        let mut providers = self.providers.clone();
        if let Some(last) = providers.last_mut() {
            last.resources.push((word(kind), named(kind, name)));
        }
        Self::build(self.subscription.clone(), self.group.clone(), providers)
    }

    /// Returns the id of a config document of this site or slot.
    pub fn config(&self, name: ConfigName) -> ResourceId {
        self.child("config", name.as_str())
    }

    /// Reads a path that begins with a resource: the longest id, and the segments after it (a collection or an action).
    /// `/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop/start` is the site and `["start"]`. None of an
    /// id where the path stands at the tenant (`/providers/Microsoft.Web/webAppStacks`).
    ///
    /// # Errors
    /// [`IdError`] where the path is too long, too deep or holds control characters.
    pub fn split(path: &str) -> Result<(Option<ResourceId>, Vec<String>), IdError> {
        let error = |rule| IdError { given: path.chars().take(200).collect(), rule };
        if path.len() > MAX_LENGTH {
            return Err(error("it has more than 2048 characters"));
        }
        if path.contains(|c: char| c.is_control() || c == '\\' || c == '?' || c == '#') {
            return Err(error("it holds a character that ids never hold"));
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_DEPTH {
            return Err(error("it has too many parts"));
        }
        if parts.iter().any(|part| *part == "." || *part == "..") {
            return Err(error("it holds `.` or `..`"));
        }
        Ok(split(&parts))
    }

    /// Returns the id in one spelling: lower-case, single slashes, none at the end. Ids are the same where their keys are.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the last name of the path: the subscription, the group or the resource.
    pub fn name(&self) -> &str {
        match self.providers.last().and_then(|last| last.resources.last()) {
            Some((_, name)) => name,
            None => self.group.as_deref().or(self.subscription.as_deref()).unwrap_or_default(),
        }
    }

    /// Returns the names of the last provider joined by slashes, as Azure shows them: `shop/staging`.
    pub fn full_name(&self) -> String {
        match self.providers.last() {
            Some(last) => last.resources.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("/"),
            None => self.name().to_owned(),
        }
    }

    /// Returns the whole type, such as `Microsoft.Web/sites/slots`.
    pub fn type_name(&self) -> String {
        match self.providers.last() {
            Some(last) => {
                let types = last.resources.iter().map(|(kind, _)| kind.as_str());
                [last.namespace.as_str()].into_iter().chain(types).collect::<Vec<_>>().join("/")
            }
            None if self.group.is_some() => "Microsoft.Resources/resourceGroups".to_owned(),
            None => "Microsoft.Resources/subscriptions".to_owned(),
        }
    }

    pub fn subscription_name(&self) -> Option<&str> {
        self.subscription.as_deref()
    }

    pub fn group_name(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Returns the group that holds this resource (or that this is).
    pub fn group_id(&self) -> Option<ResourceId> {
        Some(Self::group(self.subscription.as_deref()?, self.group.as_deref()?))
    }

    /// Returns what kind of resource this is.
    pub fn kind(&self) -> ResourceKind {
        let Some(last) = self.providers.last() else {
            return if self.group.is_some() { ResourceKind::Group } else { ResourceKind::Subscription };
        };
        let whole = self.type_name().to_ascii_lowercase();
        let below_site = whole.strip_prefix("microsoft.web/sites/").map(|rest| rest.strip_prefix("slots/").unwrap_or(rest));
        match (whole.as_str(), below_site) {
            ("microsoft.web/serverfarms", _) => ResourceKind::Plan,
            ("microsoft.web/sites", _) => ResourceKind::Site,
            ("microsoft.web/sites/slots", _) => ResourceKind::Slot,
            ("microsoft.managedidentity/userassignedidentities", _) => ResourceKind::UserIdentity,
            ("microsoft.insights/autoscalesettings", _) => ResourceKind::Autoscale,
            ("microsoft.resources/deployments", _) => ResourceKind::Deployment,
            (_, Some("sitecontainers")) => ResourceKind::SiteContainer,
            (_, Some("basicpublishingcredentialspolicies")) => ResourceKind::PublishingPolicy,
            (_, Some("config")) => match last.resources.last().and_then(|(_, name)| ConfigName::parse(name)) {
                Some(name) => ResourceKind::SiteConfig(name),
                None => ResourceKind::Unknown(whole),
            },
            (_, _) => ResourceKind::Unknown(whole),
        }
    }

    /// Returns what this resource lies in: its parent resource, its group, its subscription.
    pub fn parent(&self) -> Option<ResourceId> {
        let mut providers = self.providers.clone();
        match providers.last_mut() {
            Some(last) => {
                last.resources.pop();
                if last.resources.is_empty() {
                    providers.pop();
                }
                Some(Self::build(self.subscription.clone(), self.group.clone(), providers))
            }
            None if self.group.is_some() => self.subscription.as_deref().map(Self::subscription),
            None => None,
        }
    }

    /// Returns the site or slot that this is or lies in.
    pub fn site_or_slot(&self) -> Option<ResourceId> {
        let mut at = self.clone();
        loop {
            match at.kind() {
                ResourceKind::Site | ResourceKind::Slot => return Some(at),
                ResourceKind::Subscription | ResourceKind::Group => return None,
                ResourceKind::Plan
                | ResourceKind::SiteConfig(_)
                | ResourceKind::SiteContainer
                | ResourceKind::PublishingPolicy
                | ResourceKind::UserIdentity
                | ResourceKind::Autoscale
                | ResourceKind::Deployment
                | ResourceKind::Unknown(_) => at = at.parent()?,
            }
        }
    }

    /// Returns the production site of a site, slot or anything below either.
    pub fn production(&self) -> Option<ResourceId> {
        let site = self.site_or_slot()?;
        if site.kind() == ResourceKind::Slot { site.parent() } else { Some(site) }
    }

    /// Returns the slot's name where this is a slot or lies in one.
    pub fn slot_name(&self) -> Option<String> {
        let site = self.site_or_slot()?;
        (site.kind() == ResourceKind::Slot).then(|| site.name().to_owned())
    }

    /// Returns the id with the spelling of `parent` for the part that is the parent's; the same id where it is none.
    #[must_use]
    pub fn spelled_under(&self, parent: &ResourceId) -> ResourceId {
        let tail = if self.within(parent) { self.to_string().get(parent.key.len()..).map(str::to_owned) } else { None };
        tail.and_then(|tail| format!("{parent}{tail}").parse().ok()).unwrap_or_else(|| self.clone())
    }

    /// Returns true where `self` is `scope` or lies in it.
    pub fn within(&self, scope: &ResourceId) -> bool {
        self.key.strip_prefix(scope.key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn build(subscription: Option<String>, group: Option<String>, providers: Vec<Provider>) -> ResourceId {
        let mut id = ResourceId { subscription, group, providers, key: String::new() };
        id.key = id.to_string().to_ascii_lowercase();
        id
    }
}

/// Finds the longest id at the beginning.
fn split(parts: &[&str]) -> (Option<ResourceId>, Vec<String>) {
    let is = |at: usize, word: &str| parts.get(at).is_some_and(|part| part.eq_ignore_ascii_case(word));
    let text = |at: usize| parts.get(at).map(|part| (*part).to_owned());
    let (mut subscription, mut group, mut at) = (None, None, 0);
    if is(0, "subscriptions") && parts.len() > 1 {
        (subscription, at) = (text(1), 2);
        if is(2, "resourceGroups") && parts.len() > 3 {
            (group, at) = (text(3), 4);
        }
    }
    let mut providers = Vec::new();
    while is(at, "providers") && at + 3 < parts.len() {
        let mut resources = Vec::new();
        let mut next = at + 2;
        while next + 1 < parts.len() && !is(next, "providers") {
            resources.push((word(parts[next]), named(parts[next], parts[next + 1])));
            next += 2;
        }
        providers.push(Provider { namespace: word(parts[at + 1]), resources });
        at = next;
    }
    let id = (subscription.is_some() || !providers.is_empty()).then(|| ResourceId::build(subscription, group, providers));
    (id, parts[at.min(parts.len())..].iter().map(|part| (*part).to_owned()).collect())
}

fn word(given: &str) -> String {
    let known = WORDS.iter().find(|word| word.eq_ignore_ascii_case(given));
    known.map_or_else(|| given.to_owned(), |word| (*word).to_owned())
}

/// Names of config documents and policies are words, too.
fn named(kind: &str, name: &str) -> String {
    match kind.to_ascii_lowercase().as_str() {
        "config" => ConfigName::parse(name).map_or_else(|| name.to_owned(), |known| known.as_str().to_owned()),
        "basicpublishingcredentialspolicies" => name.to_ascii_lowercase(),
        _ => name.to_owned(),
    }
}

impl FromStr for ResourceId {
    type Err = IdError;

    fn from_str(given: &str) -> Result<Self, IdError> {
        let error = |rule| IdError { given: given.chars().take(200).collect(), rule };
        if !given.starts_with('/') {
            return Err(error("it begins with `/subscriptions/`"));
        }
        match ResourceId::split(given)? {
            (Some(id), rest) if rest.is_empty() => Ok(id),
            (Some(_), _) => Err(error("types and names come in pairs")),
            (None, _) => Err(error("it begins with `/subscriptions/`")),
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subscription) = &self.subscription {
            write!(f, "/subscriptions/{subscription}")?;
        }
        if let Some(group) = &self.group {
            write!(f, "/resourceGroups/{group}")?;
        }
        for provider in &self.providers {
            write!(f, "/providers/{}", provider.namespace)?;
            for (kind, name) in &provider.resources {
                write!(f, "/{kind}/{name}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for ResourceId {
    type Error = IdError;
    fn try_from(given: String) -> Result<Self, IdError> {
        given.parse()
    }
}
impl From<ResourceId> for String {
    fn from(id: ResourceId) -> String {
        id.to_string()
    }
}
impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for ResourceId {}
impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
impl std::hash::Hash for ResourceId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
