//! The types of resources that Pillion knows, and how their names are written.

/// What a resource id names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    Subscription,
    Group,
    Plan,
    Site,
    Slot,
    /// `config/*` of a site or a slot.
    SiteConfig(ConfigName),
    /// `sitecontainers/*` of a site or a slot.
    SiteContainer,
    /// `basicPublishingCredentialsPolicies/{scm,ftp}` of a site or a slot.
    PublishingPolicy,
    /// `Microsoft.ManagedIdentity/userAssignedIdentities/*`.
    UserIdentity,
    /// `Microsoft.Insights/autoscalesettings/*`.
    Autoscale,
    /// `Microsoft.Resources/deployments/*` of a group or of the subscription.
    Deployment,
    /// Anything else: the whole type, lower-case, such as `microsoft.web/sites/sourcecontrols`.
    Unknown(String),
}

/// The documents below `config/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigName {
    Web,
    AppSettings,
    ConnectionStrings,
    SlotConfigNames,
    Logs,
    AzureStorageAccounts,
    Metadata,
}

impl ConfigName {
    pub const ALL: [ConfigName; 7] = [
        ConfigName::Web,
        ConfigName::AppSettings,
        ConfigName::ConnectionStrings,
        ConfigName::SlotConfigNames,
        ConfigName::Logs,
        ConfigName::AzureStorageAccounts,
        ConfigName::Metadata,
    ];

    /// Returns the name as Azure writes it in ids.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfigName::Web => "web",
            ConfigName::AppSettings => "appsettings",
            ConfigName::ConnectionStrings => "connectionstrings",
            ConfigName::SlotConfigNames => "slotConfigNames",
            ConfigName::Logs => "logs",
            ConfigName::AzureStorageAccounts => "azurestorageaccounts",
            ConfigName::Metadata => "metadata",
        }
    }

    /// Reads the name in any case.
    pub fn parse(text: &str) -> Option<ConfigName> {
        Self::ALL.into_iter().find(|name| name.as_str().eq_ignore_ascii_case(text))
    }

    /// Returns true for documents that are read by POST `…/list` and whose values are secrets.
    pub fn listed(self) -> bool {
        match self {
            ConfigName::AppSettings | ConfigName::ConnectionStrings | ConfigName::AzureStorageAccounts | ConfigName::Metadata => {
                true
            }
            ConfigName::Web | ConfigName::SlotConfigNames | ConfigName::Logs => false,
        }
    }
}
