//! The server's settings: `/etc/pillion/config.yaml`, every key with a default.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

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
    /// Instances an app may have at most; 30 where absent.
    pub max_instances: Option<u32>,
    /// Seconds that requests under way may hold up the stop of an instance; 30 where absent.
    pub drain_seconds: Option<u64>,
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
        serde_saphyr::from_str(&text).map_err(|source| SettingsError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }

    /// Reads the certificates that the settings name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn certificates(&self, path: &Path) -> Result<Vec<String>, SettingsError> {
        let read = |certificate: &PathBuf| {
            std::fs::read_to_string(certificate).map_err(|source| SettingsError::Certificate {
                path: path.to_owned(),
                certificate: certificate.clone(),
                source,
            })
        };
        self.registry_certificates.iter().map(read).collect()
    }

    /// Names the settings that differ, as they are written.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let [a, b] = [self, other].map(|s| serde_json::to_value(s).unwrap_or_default());
        let keys = a.as_object().into_iter().flat_map(|map| map.keys());
        keys.filter(|key| a[key.as_str()] != b[key.as_str()]).cloned().collect()
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
        std::fs::write(&path, "listen: ['0.0.0.0:80']\nlogs: { files: 2 }\n").unwrap();
        let read = Settings::read(&path).unwrap();
        assert_eq!(read.listen, ["0.0.0.0:80".parse().unwrap()]);
        assert_eq!(read.logs, Logs { files: 2, ..Logs::default() });
        assert_eq!(read.changed(&Settings::default()), ["listen", "logs"]);
        std::fs::write(&path, "listne: []\n").unwrap();
        assert!(matches!(Settings::read(&path), Err(SettingsError::Invalid { .. })));
    }
}
