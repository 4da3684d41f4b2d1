//! What has to be on the machine: Debian's packages, and the collector from the Python index.

use std::{fs, path::Path, process::Command};

use pillion_e2e::Part;

use crate::run::{Outcome, run, workspace};

/// A thing to be installed: where it shows that it is there, and which package brings it.
pub struct Need {
    pub shows: &'static str,
    pub package: &'static str,
}

/// Packages of the demo and the tests.
pub const EVERYTHING: &[Need] = &[
    Need { shows: "/usr/bin/cc", package: "gcc" },
    Need { shows: "/usr/bin/docker-registry", package: "docker-registry" },
    Need { shows: "/usr/bin/redis-server", package: "redis-server" },
    Need { shows: "/usr/bin/htpasswd", package: "apache2-utils" },
    Need { shows: "/usr/sbin/nginx", package: "nginx-light" },
    Need { shows: "/usr/bin/openssl", package: "openssl" },
    Need { shows: "/usr/bin/busybox", package: "busybox-static" },
    Need { shows: "/usr/sbin/nft", package: "nftables" },
    Need { shows: "/usr/sbin/ip", package: "iproute2" },
    Need { shows: "/etc/ssl/certs/ca-certificates.crt", package: "ca-certificates" },
    Need { shows: "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", package: "libpython3.11" },
];

/// Packages of the emulated machine, beside [`EVERYTHING`].
pub const EMULATION: &[Need] = &[
    Need { shows: "/usr/bin/qemu-system-x86_64", package: "qemu-system-x86" },
    Need { shows: "/usr/sbin/mkfs.ext4", package: "e2fsprogs" },
    Need { shows: "/usr/bin/mmdebstrap", package: "mmdebstrap" },
    Need { shows: "/usr/bin/strip", package: "binutils" },
];

/// What the benchmark measures Pillion beside.
pub const PEERS: &[Need] = &[
    Need { shows: "/usr/bin/podman", package: "podman" },
    Need { shows: "/usr/sbin/runc", package: "runc" },
    Need { shows: "/usr/bin/conmon", package: "conmon" },
    Need { shows: "/usr/lib/cni/bridge", package: "containernetworking-plugins" },
    Need { shows: "/usr/sbin/iptables", package: "iptables" },
    Need { shows: "/usr/bin/wrk", package: "wrk" },
    Need { shows: "/usr/sbin/mkfs.ext4", package: "e2fsprogs" },
];

/// The version that was tried; it is a pre-release, so nothing newer is taken by itself.
const ROTEL: &str = "rotel==0.0.1a15";

/// Installs what is missing of `needs`, and the collector.
///
/// # Errors
/// This is not a machine with `apt-get`, we are not root, or an installation fails.
pub fn install(needs: &[Need]) -> Outcome {
    install_packages(&missing(needs))?;
    install_rotel()
}

/// Returns the packages that are not on the machine.
pub fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| !Path::new(need.shows).exists()).map(|need| need.package).collect()
}

/// Installs Debian packages by name.
///
/// # Errors
/// As [`install`].
pub fn install_packages(packages: &[&str]) -> Outcome {
    if packages.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(format!("{} must be installed; run this as root, or install them yourself", packages.join(", ")));
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("this machine has no apt-get; install {} by its own package manager", packages.join(", ")));
    }
    eprintln!("installing {} with apt-get", packages.join(", "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    // Debian starts what it installs; the tests start their own and want the ports for themselves.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let guard = !policy.exists();
    if guard {
        write_executable(policy, "#!/bin/sh\nexit 101\n")?;
    }
    let installed = run(Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive"));
    if guard {
        fs::remove_file(policy).map_err(|error| format!("{}: {error}", policy.display()))?;
    }
    installed
}

fn install_rotel() -> Outcome {
    if Part::Rotel.path().exists() {
        return Ok(());
    }
    let target = workspace().join("target/parts/rotel");
    if run(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        install_packages(&["python3-pip"])?;
    }
    eprintln!("installing {ROTEL} from the Python index into target/parts");
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .arg(&target)
        .arg(ROTEL))?;
    if Part::Rotel.path().exists() { Ok(()) } else { Err(format!("{ROTEL} holds no {}", Part::Rotel.path().display())) }
}

/// The version whose wire is known, with its SDK; it brings some 200 packages of its own, so it gets an environment of its own.
const AZ: &[&str] = &["azure-cli==2.91.0", "azure-mgmt-web==11.0.0"];

/// Installs the Azure CLI, which only the tests need.
///
/// # Errors
/// As [`install`].
pub fn install_az() -> Outcome {
    // Written last: an installation that broke off leaves none.
    let finished = workspace().join("target/parts/az/installed");
    let wanted = AZ.join("\n");
    if fs::read_to_string(&finished).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let target = workspace().join("target/parts/az");
    if run(Command::new("python3").args(["-m", "venv", "--help"]).stdout(std::process::Stdio::null())).is_err()
        || run(Command::new("python3").args(["-c", "import ensurepip"])).is_err()
    {
        install_packages(&["python3-venv"])?;
    }
    eprintln!("installing {} from the Python index into target/parts", AZ.join(" and "));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&target))?;
    run(Command::new(Part::AzPython.path()).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(AZ))?;
    fs::write(&finished, wanted).map_err(|error| format!("{}: {error}", finished.display()))
}

pub fn write_executable(path: &Path, text: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("{}: {error}", path.display()))
}
