//! The server's settings: `/etc/pillion/config.yaml`, every key with a default.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pillion_azure::deployment::LinkSettings;
use pillion_host::{LogLimits, Tuning};
use pillion_model::Cidr;
use serde::{Deserialize, Serialize};

/// In bytes; a log that is rotated with every few lines helps nobody.
const SMALLEST_LOG: u64 = 4096;

/// What the administrator decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Where the gateway listens; 127.0.0.1:8080 where absent.
    pub listen: Vec<SocketAddr>,
    /// Host directories, and what lies below them, that app files may mount. None where absent.
    pub allow_host_paths: Vec<PathBuf>,
    /// Registries (`host[:port]`) that are spoken to without TLS, beside those on loopback.
    pub insecure_registries: Vec<String>,
    /// Certificates (PEM) of registries to trust beside the system's.
    pub registry_certificates: Vec<PathBuf>,
    pub logs: Logs,
    /// A file for the gateway's access log, one JSON object a request. None where absent.
    pub access_log: Option<PathBuf>,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose word the gateway takes for who asked, and how. None where absent.
    pub trusted_proxies: Vec<String>,
    /// Instances an app may have at most; 30 where absent.
    pub max_instances: Option<u32>,
    /// Seconds that requests under way may hold up the stop of an instance; 30 where absent.
    pub drain_seconds: Option<u64>,
    /// The TLS endpoint for `az`, the SDKs and pipelines.
    pub endpoint: Option<EndpointSettings>,
    /// Where linked templates may come from, beside public addresses.
    pub template_links: TemplateLinks,
}

/// What linked templates may be fetched from that is not public.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TemplateLinks {
    /// Networks such as `10.0.0.0/8`.
    pub allow: Vec<String>,
    /// Certificates (PEM) to trust beside the system's.
    pub certificates: Vec<PathBuf>,
}

/// Where the TLS endpoint listens and how it proves itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EndpointSettings {
    /// 127.0.0.1:8443 where absent.
    pub listen: Option<SocketAddr>,
    /// Names that clients may call it by, beside its addresses and `localhost`; they go into its certificate.
    pub names: Vec<String>,
    /// A certificate (PEM, with its chain) to use instead of one from Pillion's own authority.
    pub certificate: Option<PathBuf>,
    /// The certificate's key (PEM).
    pub key: Option<PathBuf>,
}

/// How much of each container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Logs {
    pub file_bytes: u64,
    pub files: u32,
}

impl Default for Logs {
    fn default() -> Self {
        Self { file_bytes: 10 << 20, files: 5 }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("could not read the settings {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the settings {} are not right", path.display())]
    Invalid { path: PathBuf, source: Box<serde_saphyr::Error> },
    #[error("the settings {} are not right: `{key}` {reason}", path.display())]
    Value { path: PathBuf, key: &'static str, reason: String },
    #[error("the settings {} name a certificate that cannot be read: {}", path.display(), certificate.display())]
    Certificate { path: PathBuf, certificate: PathBuf, source: io::Error },
}

impl Settings {
    /// Reads the settings; a file that is missing or empty has the defaults.
    ///
    /// # Errors
    /// The file cannot be read or does not fit.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(SettingsError::Read { path: path.to_owned(), source }),
        };
        let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if empty {
            return Ok(Self::default());
        }
        let read: Self = serde_saphyr::from_str(&text)
            .map_err(|source| SettingsError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        read.check().map_err(|(key, reason)| SettingsError::Value { path: path.to_owned(), key, reason })?;
        Ok(read)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let relative = |paths: &[PathBuf]| paths.iter().find(|path| path.is_relative()).map(|path| path.display().to_string());
        if let Some(path) = relative(&self.allow_host_paths) {
            return Err(("allowHostPaths", format!("must have absolute paths, and {path} is not one")));
        }
        if let Some(path) = relative(&self.registry_certificates) {
            return Err(("registryCertificates", format!("must have absolute paths, and {path} is not one")));
        }
        if self.access_log.as_ref().is_some_and(|path| path.is_relative()) {
            return Err(("accessLog", "must be an absolute path".into()));
        }
        if let Some(wrong) = self.trusted_proxies.iter().find_map(|network| network.parse::<Cidr>().err()) {
            return Err(("trustedProxies", format!("must name addresses or networks: {wrong}")));
        }
        if let Some(registry) = self.insecure_registries.iter().find(|registry| registry.contains('/') || registry.is_empty()) {
            return Err((
                "insecureRegistries",
                format!("must name registries as `host` or `host:port`, and {registry:?} is none"),
            ));
        }
        if self.max_instances == Some(0) {
            return Err(("maxInstances", "must be at least 1".into()));
        }
        if let Some(path) = relative(&self.template_links.certificates) {
            return Err(("templateLinks", format!("must have absolute paths, and {path} is not one")));
        }
        if let Some(wrong) = self.template_links.allow.iter().find_map(|network| network.parse::<Cidr>().err()) {
            return Err(("templateLinks", format!("must allow networks: {wrong}")));
        }
        if let Some(wrong) = self.endpoint.as_ref().and_then(EndpointSettings::wrong) {
            return Err(("endpoint", wrong));
        }
        if self.logs.files == 0 || self.logs.file_bytes < SMALLEST_LOG {
            return Err(("logs", format!("must keep at least one file of at least {SMALLEST_LOG} bytes")));
        }
        Ok(())
    }

    /// Refuses an access log that cannot be opened. Nobody asks when the server starts: sites are served without it then.
    ///
    /// # Errors
    /// What the gateway would meet.
    pub fn try_access_log(&self, path: &Path) -> Result<(), SettingsError> {
        let Some(log) = &self.access_log else { return Ok(()) };
        pillion_gateway::probe_access_log(log).map_err(|failure| {
            let reason = format!("names a file that cannot be opened: {}: {failure}", log.display());
            SettingsError::Value { path: path.to_owned(), key: "accessLog", reason }
        })
    }

    /// Reads the certificates that the settings name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn certificates(&self, path: &Path) -> Result<Vec<String>, SettingsError> {
        let read = |certificate: &PathBuf| {
            let text = std::fs::read_to_string(certificate).and_then(|text| match text.contains("-----BEGIN CERTIFICATE-----") {
                true => Ok(text),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no PEM certificate")),
            });
            text.map_err(|source| SettingsError::Certificate { path: path.to_owned(), certificate: certificate.clone(), source })
        };
        self.registry_certificates.iter().map(read).collect()
    }

    /// Says how linked templates are fetched.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn links(&self, path: &Path) -> Result<LinkSettings, SettingsError> {
        let links = &self.template_links;
        let certificates = links.certificates.iter().map(|certificate| {
            let read = std::fs::read(certificate);
            read.map_err(|source| SettingsError::Certificate { path: path.to_owned(), certificate: certificate.clone(), source })
        });
        Ok(LinkSettings {
            allow: links.allow.iter().filter_map(|network| network.parse().ok()).collect(),
            certificates: certificates.collect::<Result<_, _>>()?,
            ..LinkSettings::default()
        })
    }

    /// Returns the proxies that the gateway believes.
    pub fn trusted_proxies(&self) -> Vec<Cidr> {
        // What does not parse was refused when the settings were read.
        self.trusted_proxies.iter().filter_map(|network| network.parse().ok()).collect()
    }

    pub fn max_instances(&self) -> u32 {
        self.max_instances.unwrap_or(30)
    }

    pub fn drain_within(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.unwrap_or(30))
    }

    /// Returns where the gateway listens: what is set, or this copy's own port on loopback.
    pub fn listen_or(&self, otherwise: u16) -> Vec<SocketAddr> {
        if self.listen.is_empty() { vec![([127, 0, 0, 1], otherwise).into()] } else { self.listen.clone() }
    }

    /// Returns what the engine can take over while it runs.
    pub fn tuning(&self) -> Tuning {
        let logs = LogLimits { file_bytes: self.logs.file_bytes, files: self.logs.files };
        Tuning { allowed_host_paths: self.allow_host_paths.clone(), logs }
    }

    /// Names the settings that differ, as they are written.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let [a, b] = [self, other].map(|s| serde_json::to_value(s).unwrap_or_default());
        let keys = a.as_object().into_iter().flat_map(|map| map.keys());
        keys.filter(|key| a[key.as_str()] != b[key.as_str()]).cloned().collect()
    }
}

impl EndpointSettings {
    fn wrong(&self) -> Option<String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Some("needs both `certificate` and `key`, or neither".into());
        }
        if let Some(path) = self.certificate.iter().chain(&self.key).find(|path| path.is_relative()) {
            return Some(format!("must have absolute paths, and {} is not one", path.display()));
        }
        let plain = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
        let name = self.names.iter().find(|name| !plain(name))?;
        Some(format!("must have names without scheme and port, and {name:?} is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_an_unknown_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        assert_eq!(Settings::read(&path).unwrap(), Settings::default());
        std::fs::write(&path, "# nothing\n").unwrap();
        assert_eq!(Settings::read(&path).unwrap(), Settings::default());
        std::fs::write(&path, "trustedProxies: [127.0.0.1, '10.0.0.0/8', '::1']\n").unwrap();
        let read = Settings::read(&path).unwrap();
        let proxies: Vec<String> = read.trusted_proxies().iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]);
        assert_eq!(read.changed(&Settings::default()), ["trustedProxies"]);
        std::fs::write(&path, "listen: ['0.0.0.0:80']\nlogs: { files: 2 }\n").unwrap();
        let read = Settings::read(&path).unwrap();
        assert_eq!(read.listen, ["0.0.0.0:80".parse().unwrap()]);
        assert_eq!(read.logs, Logs { files: 2, ..Logs::default() });
        assert_eq!(read.changed(&Settings::default()), ["listen", "logs"]);
        for (text, key) in [
            ("allowHostPaths: [srv]", "allowHostPaths"),
            ("maxInstances: 0", "maxInstances"),
            ("logs: { fileBytes: 1 }", "logs"),
            ("insecureRegistries: ['http://here']", "insecureRegistries"),
            ("trustedProxies: ['10.0.0.0/33']", "trustedProxies"),
            ("trustedProxies: ['127.0.0.1', proxy.example]", "trustedProxies"),
            ("endpoint: { certificate: /c.pem }", "endpoint"),
            ("endpoint: { certificate: c.pem, key: /k.pem }", "endpoint"),
            ("endpoint: { names: ['https://here'] }", "endpoint"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Settings::read(&path), Err(SettingsError::Value { key: refused, .. }) if refused == key), "{text}");
        }
        std::fs::write(&path, "listne: []\n").unwrap();
        assert!(matches!(Settings::read(&path), Err(SettingsError::Invalid { .. })));
    }
}
