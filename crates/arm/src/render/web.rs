//! `config/web` as GET shows it: every field, with its default where nobody wrote one.

use serde_json::{Value, json};

use crate::Resource;

pub(super) fn properties(web: &Resource) -> Value {
    let mut all = json!({
        "numberOfWorkers": 1,
        "defaultDocuments": ["Default.htm", "Default.html", "index.htm", "index.html", "hostingstart.html"],
        "netFrameworkVersion": "v4.0",
        "phpVersion": "",
        "pythonVersion": "",
        "nodeVersion": "",
        "powerShellVersion": "",
        "linuxFxVersion": "",
        "windowsFxVersion": null,
        "requestTracingEnabled": false,
        "remoteDebuggingEnabled": false,
        "remoteDebuggingVersion": null,
        "httpLoggingEnabled": false,
        "acrUseManagedIdentityCreds": false,
        "acrUserManagedIdentityID": null,
        "logsDirectorySizeLimit": 35,
        "detailedErrorLoggingEnabled": false,
        "publishingUsername": null,
        "appSettings": null,
        "connectionStrings": null,
        "azureStorageAccounts": {},
        "scmType": "None",
        "use32BitWorkerProcess": true,
        "webSocketsEnabled": false,
        "alwaysOn": false,
    });
    let rest = json!({
        "javaVersion": null,
        "javaContainer": null,
        "javaContainerVersion": null,
        "appCommandLine": "",
        "managedPipelineMode": "Integrated",
        "virtualApplications": [
            { "virtualPath": "/", "physicalPath": "site\\wwwroot", "preloadEnabled": false, "virtualDirectories": null }
        ],
        "loadBalancing": "LeastRequests",
        "experiments": { "rampUpRules": [] },
        "limits": null,
        "autoHealEnabled": false,
        "autoHealRules": null,
        "vnetName": "",
        "vnetRouteAllEnabled": false,
        "cors": null,
        "push": null,
        "apiDefinition": null,
        "apiManagementConfig": null,
        "autoSwapSlotName": null,
        "localMySqlEnabled": false,
        "ipSecurityRestrictions": [],
        "ipSecurityRestrictionsDefaultAction": null,
        "scmIpSecurityRestrictions": [],
        "scmIpSecurityRestrictionsDefaultAction": null,
        "scmIpSecurityRestrictionsUseMain": false,
        "http20Enabled": false,
        "minTlsVersion": "1.2",
        "scmMinTlsVersion": "1.2",
        "ftpsState": "Disabled",
        "preWarmedInstanceCount": 0,
        "healthCheckPath": null,
        "websiteTimeZone": null,
        "minimumElasticInstanceCount": 0,
    });
    if let Value::Object(rest) = rest {
        for (name, value) in rest {
            all[name.as_str()] = value;
        }
    }
    for (name, value) in &web.properties {
        all[name.as_str()] = value.clone();
    }
    // What traffic-routing reads must be there, whatever was written.
    if !all["experiments"].is_object() {
        all["experiments"] = json!({ "rampUpRules": Value::Array(Vec::new()) });
    }
    all
}
