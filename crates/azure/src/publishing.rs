//! The publishing profile that `publishxml` hands out.

use pillion_arm::{ArmError, ResourceId};
use pillion_identity::{Caller, Identity};

use crate::{Azure, names::scm_name};

impl Azure {
    /// Gives the profile as XML.
    ///
    /// # Errors
    /// 403, 404.
    pub fn publish_profile(&self, caller: &Caller, identity: &Identity, site: &ResourceId) -> Result<String, ArmError> {
        let credentials = self.publishing_credentials(caller, identity, site)?;
        let text = |name: &str| credentials["properties"][name].as_str().unwrap_or_default().to_owned();
        let (user, password) = (text("publishingUserName"), text("publishingPassword"));
        let scm = self.scm_base(site);
        let address = scm.strip_prefix("https://").unwrap_or(&scm).to_owned();
        let port = self.public_name_of(site).ok().and_then(|name| self.ports().get(&name).copied());
        let app = port.map_or_else(|| format!("https://{address}"), |port| format!("http://127.0.0.1:{port}"));
        let name = scm_name(site);
        let mut profiles = String::new();
        for (method, label) in [("MSDeploy", "Web Deploy"), ("ZipDeploy", "Zip Deploy")] {
            let attributes = [
                ("profileName", format!("{name} - {label}")),
                ("publishMethod", method.to_owned()),
                ("publishUrl", address.clone()),
                ("msdeploySite", name.clone()),
                ("userName", user.clone()),
                ("userPWD", password.clone()),
                ("destinationAppUrl", app.clone()),
                ("SQLServerDBConnectionString", String::new()),
                ("mySQLDBConnectionString", String::new()),
                ("hostingProviderForumLink", String::new()),
                ("controlPanelLink", String::new()),
                ("webSystem", "WebSites".to_owned()),
            ];
            profiles.push_str("<publishProfile");
            for (key, value) in attributes {
                profiles.push_str(&format!(" {key}=\"{}\"", escaped(&value)));
            }
            profiles.push_str("><databases /></publishProfile>");
        }
        Ok(format!("<publishData>{profiles}</publishData>"))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
