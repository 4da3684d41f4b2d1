//! What this host offers and what it lacks, each with the fix: the facts behind `pillion system info`.

use std::{fs, path::Path};

use crate::{
    cgroup::{Hierarchy, Mode},
    network,
};

/// Below, overlayfs refuses idmapped layers (tried on 5.15).
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable, e.g. `kernel`.
    pub check: String,
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; none where nothing needs to be done.
    pub fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Fine,
    /// Works, with something missing.
    Degraded,
    /// Instances cannot run.
    Unusable,
}

/// Looks at everything; `bridge` is the bridge of the root that asks.
pub fn host_checks(bridge: &str) -> Vec<Finding> {
    vec![kernel(), user_namespaces(), cgroups(), overlay(), forwarding(), firewall(bridge), resolver()]
}

fn kernel() -> Finding {
    judge_kernel(rustix::system::uname().release().to_str().unwrap_or("unknown"))
}

fn judge_kernel(release: &str) -> Finding {
    let mut numbers = release.split(|byte: char| !byte.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST_KERNEL {
        return fine("kernel", format!("Linux {release}"));
    }
    degraded(
        "kernel",
        format!(
            "Linux {release} is older than {}.{}: root in a container cannot be kept apart from root outside",
            OLDEST_KERNEL.0, OLDEST_KERNEL.1
        ),
        "install a kernel of 6.1 or newer, or set `userNamespace: off` for apps that you trust",
    )
}

fn user_namespaces() -> Finding {
    let number = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if !Path::new("/proc/self/ns/user").exists() {
        return unusable(
            "userNamespaces",
            "the kernel was built without user namespaces".into(),
            "install a distribution kernel",
        );
    }
    match number("/proc/sys/user/max_user_namespaces") {
        Some(0) => unusable("userNamespaces", "user.max_user_namespaces is 0".into(), "sysctl -w user.max_user_namespaces=15000"),
        Some(_) | None => fine("userNamespaces", "allowed".into()),
    }
}

fn cgroups() -> Finding {
    let hierarchy = match Hierarchy::detect() {
        Ok(hierarchy) => hierarchy,
        Err(error) => {
            return unusable("cgroups", error.to_string(), "mount -t cgroup2 none /sys/fs/cgroup");
        }
    };
    let (name, needed): (_, &[&str]) = match hierarchy.mode() {
        Mode::V1 => ("v1", &["memory", "cpu", "pids", "devices", "freezer"]),
        Mode::V2 => ("v2", &["memory", "cpu", "pids"]),
    };
    let there: Vec<&str> = hierarchy.controllers().collect();
    let missing: Vec<&str> = needed.iter().filter(|controller| !there.contains(controller)).copied().collect();
    if missing.is_empty() {
        return fine("cgroups", format!("{name} with {}", there.join(", ")));
    }
    let fix = if missing.contains(&"memory") {
        "boot with `cgroup_enable=memory swapaccount=1` on the kernel command line"
    } else {
        "enable the controllers in the kernel, or remove `cgroup_disable=` from its command line"
    };
    degraded("cgroups", format!("{name} without {}: such limits cannot be set", missing.join(", ")), fix)
}

fn overlay() -> Finding {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.split_whitespace().any(|word| word == "overlay") {
        return fine("overlay", "supported".into());
    }
    // It may be a module that nobody has needed yet.
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let module = fs::read_to_string(format!("/lib/modules/{release}/modules.dep")).unwrap_or_default();
    if module.lines().any(|line| line.contains("/overlay.ko")) {
        return fine("overlay", "supported by a module that is not loaded yet".into());
    }
    unusable("overlay", "the kernel knows no overlay file system".into(), "modprobe overlay, or install a distribution kernel")
}

fn forwarding() -> Finding {
    match network::forwarding() {
        Ok(true) => fine("ipForwarding", "enabled".into()),
        Ok(false) => degraded(
            "ipForwarding",
            "not enabled for the links that routes lead to; `pillion serve` enables it for them".into(),
            "sysctl -w net.ipv4.ip_forward=1",
        ),
        Err(error) => degraded("ipForwarding", format!("unknown: {error}"), "sysctl -w net.ipv4.ip_forward=1"),
    }
}

fn firewall(bridge: &str) -> Finding {
    match network::foreign_firewall(bridge) {
        Ok(None) => fine("firewall", "none drops what instances send out".into()),
        Ok(Some(found)) => {
            degraded("firewall", format!("{} drops what instances send out: {}", found.owner, found.place), &found.fix)
        }
        Err(error) => degraded("firewall", format!("unknown: {error}"), "run as root"),
    }
}

fn resolver() -> Finding {
    let servers = network::host_resolver().nameservers;
    if servers.is_empty() {
        return degraded(
            "nameServers",
            "the host names no IPv4 name server that an instance could reach".into(),
            "name one in /etc/resolv.conf",
        );
    }
    fine("nameServers", servers.join(", "))
}

fn fine(check: &str, found: String) -> Finding {
    Finding { check: check.into(), verdict: Verdict::Fine, found, fix: None }
}

fn degraded(check: &str, found: String, fix: &str) -> Finding {
    Finding { check: check.into(), verdict: Verdict::Degraded, found, fix: Some(fix.into()) }
}

fn unusable(check: &str, found: String, fix: &str) -> Finding {
    Finding { check: check.into(), verdict: Verdict::Unusable, found, fix: Some(fix.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart_by_number_not_by_text() {
        assert_eq!(judge_kernel("6.1.0-28-cloud-amd64").verdict, Verdict::Fine);
        assert_eq!(judge_kernel("6.18.44").verdict, Verdict::Fine);
        assert_eq!(judge_kernel("10.0").verdict, Verdict::Fine);
        assert_eq!(judge_kernel("5.15.0-100-generic").verdict, Verdict::Degraded);
    }

    #[test]
    fn every_finding_that_is_not_fine_says_what_to_do() {
        let findings = host_checks("pt-none");
        assert_eq!(findings.len(), 7);
        for finding in findings {
            assert_eq!(finding.fix.is_none(), finding.verdict == Verdict::Fine, "{finding:?}");
        }
    }
}
