//! `config/web`: how a site runs. Whatever is not given stays, in a PUT too.

use base64::Engine as _;
use serde_json::{Map, Value};

use super::{
    Accepted, Write,
    fields::{Fields, find, overlay, set, take},
    front, site_config,
};
use crate::{ArmError, Resource};

/// The spelling of known fields; templates write them in other cases, too.
const WEB_FIELDS: [&str; 53] = [
    "numberOfWorkers",
    "defaultDocuments",
    "netFrameworkVersion",
    "phpVersion",
    "pythonVersion",
    "nodeVersion",
    "powerShellVersion",
    "linuxFxVersion",
    "windowsFxVersion",
    "requestTracingEnabled",
    "remoteDebuggingEnabled",
    "remoteDebuggingVersion",
    "httpLoggingEnabled",
    "acrUseManagedIdentityCreds",
    "acrUserManagedIdentityID",
    "logsDirectorySizeLimit",
    "detailedErrorLoggingEnabled",
    "scmType",
    "use32BitWorkerProcess",
    "webSocketsEnabled",
    "alwaysOn",
    "javaVersion",
    "javaContainer",
    "javaContainerVersion",
    "appCommandLine",
    "managedPipelineMode",
    "virtualApplications",
    "loadBalancing",
    "experiments",
    "limits",
    "autoHealEnabled",
    "autoHealRules",
    "tracingOptions",
    "vnetName",
    "vnetRouteAllEnabled",
    "cors",
    "push",
    "apiDefinition",
    "apiManagementConfig",
    "autoSwapSlotName",
    "localMySqlEnabled",
    "ipSecurityRestrictions",
    "ipSecurityRestrictionsDefaultAction",
    "scmIpSecurityRestrictions",
    "scmIpSecurityRestrictionsDefaultAction",
    "scmIpSecurityRestrictionsUseMain",
    "http20Enabled",
    "minTlsVersion",
    "ftpsState",
    "healthCheckPath",
    "websiteTimeZone",
    "preWarmedInstanceCount",
    "minimumElasticInstanceCount",
];

const FLAGS: [&str; 15] = [
    "requestTracingEnabled",
    "remoteDebuggingEnabled",
    "httpLoggingEnabled",
    "acrUseManagedIdentityCreds",
    "detailedErrorLoggingEnabled",
    "use32BitWorkerProcess",
    "webSocketsEnabled",
    "alwaysOn",
    "autoHealEnabled",
    "vnetRouteAllEnabled",
    "localMySqlEnabled",
    "http20Enabled",
    "scmIpSecurityRestrictionsUseMain",
    "functionsRuntimeScaleMonitoringEnabled",
    "elasticWebAppScaleLimitEnabled",
];

/// Never stored: computed, or somebody else's secret.
const READ_ONLY: [&str; 4] = ["machineKey", "publishingPassword", "publishingUsername", "azureStorageAccountsInternal"];

pub(super) fn accept(mut write: Write<'_>) -> Result<Accepted, ArmError> {
    let mut given = write.properties()?;
    let mut document = write.begin();
    let mut also = Vec::new();
    if let Some(site) = write.id.parent() {
        also = site_config::documents(&site, &mut given, "properties", write.around)?;
    }
    merge(&mut document, given, "properties", write.around.max_instances())?;
    Ok(Accepted { resource: document, also })
}

/// Checks a bag of fields and writes it over the document. Settings and the like have been taken out of it.
pub(super) fn merge(document: &mut Resource, mut given: Map<String, Value>, at: &str, max: u32) -> Result<(), ArmError> {
    for field in READ_ONLY {
        take(&mut given, field);
    }
    let fields = Fields::new(&given, at);
    let mut read: Vec<(&'static str, Value)> = Vec::new();
    for flag in FLAGS {
        read.extend(fields.flag(flag)?.map(|value| (flag, Value::Bool(value))));
    }
    // A count of 0 is how some tools write that none was chosen.
    if find(&given, "numberOfWorkers") != Some(&Value::from(0)) {
        let count = fields.number("numberOfWorkers", 1, i64::from(max.max(1)))?;
        read.extend(count.map(|count| ("numberOfWorkers", Value::from(count))));
    }
    if let Some(mode) = fields.text("linuxFxVersion")? {
        check_mode(mode.trim(), &fields.path("linuxFxVersion"))?;
        read.push(("linuxFxVersion", Value::from(mode.trim())));
    }
    if let Some(command) = fields.text("appCommandLine")? {
        if command.contains('\0') {
            return Err(ArmError::bad_request(fields.path("appCommandLine"), "A command cannot hold a zero byte."));
        }
        read.push(("appCommandLine", Value::from(command)));
    }
    if let Some(path) = fields.text("healthCheckPath")? {
        let path = path.trim().to_owned();
        if !path.is_empty() && (!path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control())) {
            let target = fields.path("healthCheckPath");
            let message =
                format!("The parameter {target} has an invalid value: '{path}' does not begin with '/', or holds spaces.");
            return Err(ArmError::bad_request(target, message));
        }
        read.push(("healthCheckPath", Value::from(path)));
    }
    if let Some(experiments) = fields.object("experiments")? {
        check_experiments(experiments, &fields.path("experiments"))?;
    }
    front::access_rules(&given, at)?;
    front::cors(&given, at)?;
    for object in ["limits", "push", "apiDefinition", "autoHealRules"] {
        fields.object(object)?;
    }
    take(&mut given, "numberOfWorkers");
    front::number_priorities(&mut given);
    for (name, value) in read {
        set(&mut given, name, value);
    }
    overlay(&mut document.properties, given, &WEB_FIELDS);
    Ok(())
}

fn check_mode(mode: &str, target: &str) -> Result<(), ArmError> {
    let refuse = |reason: &str| {
        let message = format!("The parameter LinuxFxVersion has an invalid value: {reason}.");
        Err(ArmError::bad_request(target, message))
    };
    if mode.is_empty() || mode.eq_ignore_ascii_case("SITECONTAINERS") {
        return Ok(());
    }
    let Some((kind, rest)) = mode.split_once('|') else {
        return refuse("it is SITECONTAINERS, DOCKER|image, COMPOSE|base64 or STACK|version");
    };
    match kind.to_ascii_uppercase().as_str() {
        "DOCKER" if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            refuse("after DOCKER| stands the name of an image")
        }
        "COMPOSE" | "KUBE" => match base64::engine::general_purpose::STANDARD.decode(rest.trim()) {
            Ok(text) if std::str::from_utf8(&text).is_ok() && !text.is_empty() => Ok(()),
            Ok(_) | Err(_) => refuse("after COMPOSE| stands the compose file in base64"),
        },
        "" => refuse("before | stands the kind"),
        _ => Ok(()),
    }
}

fn check_experiments(experiments: &Map<String, Value>, at: &str) -> Result<(), ArmError> {
    let fields = Fields::new(experiments, at);
    let mut sum = 0.0;
    for (index, rule) in fields.list("rampUpRules")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{at}.rampUpRules[{index}]");
        let Value::Object(rule) = rule else {
            return Err(ArmError::bad_request(at.clone(), format!("The parameter {at} must be an object.")));
        };
        let rule = Fields::new(rule, &at);
        if rule.text("actionHostName")?.is_none() && rule.text("name")?.is_none() {
            return Err(ArmError::bad_request(
                rule.path("actionHostName"),
                "A routing rule names its slot by actionHostName or name.",
            ));
        }
        let share = rule.get("reroutePercentage").map(|value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        });
        match share.unwrap_or(Some(0.0)) {
            Some(share) if (0.0..=100.0).contains(&share) => sum += share,
            Some(_) | None => {
                let path = rule.path("reroutePercentage");
                return Err(ArmError::bad_request(path.clone(), format!("The parameter {path} must be a number from 0 to 100.")));
            }
        }
    }
    if sum > 100.0 {
        return Err(ArmError::bad_request(fields.path("rampUpRules"), "The percentages of all slots together exceed 100."));
    }
    Ok(())
}
