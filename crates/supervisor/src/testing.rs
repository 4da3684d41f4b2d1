//! Specs for tests.

use pillion_runtime::spec as runtime;

use crate::spec::{Condition, ContainerSpec, InstanceSpec, LogLimits, RestartPolicy};

/// A sidecar without port, probes or dependencies.
pub fn container(name: &str) -> ContainerSpec {
    ContainerSpec {
        run: runtime::ContainerSpec {
            name: name.into(),
            root: runtime::RootSpec { layers: Vec::new(), scratch: "/nonexistent".into(), read_only: false },
            argv: vec!["/bin/true".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            limits: runtime::Limits::default(),
            rlimits: Vec::new(),
            shm_size: 1 << 20,
            terminal: false,
        },
        main: false,
        port: None,
        depends_on: Vec::new(),
        startup: None,
        readiness: None,
        liveness: None,
        restart: RestartPolicy::Always,
        essential: false,
        stop_signal: 15,
        stop_grace_ms: 1_000,
    }
}

/// A main container with port 8080.
pub fn main_container(name: &str) -> ContainerSpec {
    ContainerSpec { main: true, essential: true, port: Some(8080), ..container(name) }
}

pub fn depends(mut spec: ContainerSpec, on: &str, condition: Condition) -> ContainerSpec {
    spec.depends_on.push((on.into(), condition));
    spec
}

pub fn instance(dir: &std::path::Path, containers: Vec<ContainerSpec>) -> InstanceSpec {
    InstanceSpec {
        id: "test-1".into(),
        generation: 1,
        labels: serde_json::Value::Null,
        sandbox: runtime::SandboxSpec {
            dir: dir.into(),
            hostname: "test-1".into(),
            ids: None,
            network: runtime::NetworkSpec::None,
            cgroup: "pillion-test/none".into(),
            host_names: containers.iter().map(|c| c.run.name.clone()).collect(),
        },
        containers,
        log_dir: dir.join("logs"),
        log_limits: LogLimits { file_bytes: 1 << 20, files: 3 },
        gate_owner: (0, 0),
        gate: None,
    }
}
