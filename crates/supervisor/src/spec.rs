//! What an instance is to be. Written whole to `<dir>/spec.json` before the supervisor starts, and after each change.

use std::path::PathBuf;

use pillion_runtime::spec as runtime;
use serde::{Deserialize, Serialize};

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSpec {
    pub id: String,
    /// Counts up with every change of this instance's spec; status carries it back.
    pub generation: u64,
    /// Opaque to the supervisor; given back in the status (an engine keeps app and revision here).
    pub labels: serde_json::Value,
    pub sandbox: runtime::SandboxSpec,
    pub containers: Vec<ContainerSpec>,
    /// `<log_dir>/<container>.log` and its rotated predecessors.
    pub log_dir: PathBuf,
    pub log_limits: LogLimits,
    /// The gateway's uid and gid, which own the socket that hands out connections into the instance.
    pub gate_owner: (u32, u32),
    /// Where that socket is; `<dir>/gate.sock` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLimits {
    pub file_bytes: u64,
    pub files: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    pub run: runtime::ContainerSpec,
    /// The container whose port is *the* port of the instance. Exactly one.
    pub main: bool,
    /// Declared port; for main, none means: detect it (80, then 8080, then the only listener).
    pub port: Option<u16>,
    pub depends_on: Vec<(String, Condition)>,
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    pub restart: RestartPolicy,
    /// Its end (when it is not restarted) is the instance's end.
    pub essential: bool,
    pub stop_signal: i32,
    pub stop_grace_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestartPolicy {
    Always,
    /// Until it ends with 0 once.
    OnFailure,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub check: Check,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub failures: u32,
    /// For startup: how long it may take in all.
    pub within_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum Check {
    /// `port` none: the container's port (declared or detected). `statuses`: inclusive ranges; empty accepts every answer.
    Http {
        port: Option<u16>,
        path: String,
        headers: Vec<(String, String)>,
        statuses: Vec<(u16, u16)>,
    },
    Tcp {
        port: Option<u16>,
    },
    Exec {
        argv: Vec<String>,
    },
}

/// A spec that could never run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("an instance needs exactly one main container, this one has {found}")]
    Mains { found: usize },
    #[error("two containers are named `{name}`")]
    Twice { name: String },
    #[error("`{container}` depends on `{dependency}`, which does not exist")]
    UnknownDependency { container: String, dependency: String },
    #[error("containers depend on each other in a circle: {}", names.join(" → "))]
    Circle { names: Vec<String> },
}

impl InstanceSpec {
    /// Checks what the state machine relies on.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validate(&self) -> Result<(), SpecError> {
        let found = self.containers.iter().filter(|c| c.main).count();
        if found != 1 {
            return Err(SpecError::Mains { found });
        }
        for (at, c) in self.containers.iter().enumerate() {
            if self.containers[..at].iter().any(|earlier| earlier.run.name == c.run.name) {
                return Err(SpecError::Twice { name: c.run.name.clone() });
            }
            for (dependency, _) in &c.depends_on {
                if self.container(dependency).is_none() {
                    let (container, dependency) = (c.run.name.clone(), dependency.clone());
                    return Err(SpecError::UnknownDependency { container, dependency });
                }
            }
        }
        for c in &self.containers {
            self.walk(c, &mut Vec::new())?;
        }
        Ok(())
    }

    pub fn container(&self, name: &str) -> Option<&ContainerSpec> {
        self.containers.iter().find(|c| c.run.name == name)
    }

    fn walk(&self, c: &ContainerSpec, way: &mut Vec<String>) -> Result<(), SpecError> {
        let again = way.contains(&c.run.name);
        way.push(c.run.name.clone());
        if again {
            return Err(SpecError::Circle { names: way.clone() });
        }
        for (dependency, _) in &c.depends_on {
            if let Some(next) = self.container(dependency) {
                self.walk(next, way)?;
            }
        }
        way.pop();
        Ok(())
    }
}
