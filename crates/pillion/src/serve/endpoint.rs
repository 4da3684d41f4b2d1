//! The TLS endpoint of this copy: its port, its certificate and the renewal of it, the files that tell clients what to trust.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use pillion_api::{
    Endpoint, Failure, Front, ServerCertificate, serve_tls,
    wire::{EndpointInfo, Warning},
};
use pillion_azure::{Azure, deployment::Deployments};
use pillion_identity::{Identity, Leaf};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::settings::{EndpointSettings, Settings};
use crate::{complaint::Complaint, layout::Layout};

/// How often certificates, keys for tokens and old logins are looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// Where distributions keep the certificates that the system trusts.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// The endpoint's port, taken or not.
pub struct Port {
    listener: Option<TcpListener>,
    address: SocketAddr,
    trouble: Option<String>,
}

impl Port {
    /// Takes the port. One that the settings name must be free; without its usual port the server goes on and says so.
    ///
    /// # Errors
    /// The port that the settings name is not to be had.
    pub async fn take(settings: &Settings, otherwise: u16) -> Result<Port, Complaint> {
        let set = settings.endpoint.as_ref().and_then(|endpoint| endpoint.listen);
        let address = set.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, otherwise)));
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                Ok(Port { listener: Some(listener), address, trouble: None })
            }
            Err(error) if set.is_some() => Err(Complaint::new(format!("could not listen on {address} for the TLS endpoint"))
                .because(Some(&error))
                .hint("end what listens there, or set another address: `endpoint: { listen: … }` in the settings")),
            Err(error) => {
                let trouble = format!("the TLS endpoint for az is off: {address} could not be taken ({error})");
                Ok(Port { listener: None, address, trouble: Some(trouble) })
            }
        }
    }

    /// Host and port as clients on this machine write them.
    pub fn authority(&self) -> String {
        let ip = if self.address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.address.ip() };
        SocketAddr::new(ip, self.address.port()).to_string()
    }
}

/// The endpoint of a running server.
pub struct TlsEndpoint {
    identity: Identity,
    run: PathBuf,
    apps: PathBuf,
    address: SocketAddr,
    authority: String,
    certificate: ServerCertificate,
    hosts: watch::Sender<Vec<String>>,
    trouble: Option<String>,
    /// What the settings in force say.
    settings: Mutex<EndpointSettings>,
}

impl TlsEndpoint {
    /// Makes the certificate, and the files that tell what to trust.
    ///
    /// # Errors
    /// The certificate that the settings name cannot be used, or a file cannot be written.
    pub fn open(layout: &Layout, identity: &Identity, settings: &Settings, port: &Port) -> Result<TlsEndpoint, Complaint> {
        let settings = settings.endpoint.clone().unwrap_or_default();
        let failed = |error: Box<dyn std::error::Error>| {
            Complaint::new("could not set up the TLS endpoint's certificate").because(Some(&*error))
        };
        let leaf = certificate(identity, &settings, port.address).map_err(failed)?;
        let certificate = ServerCertificate::new(&leaf.chain, &leaf.key).map_err(|error| failed(error.into()))?;
        let endpoint = TlsEndpoint {
            identity: identity.clone(),
            run: layout.run().to_owned(),
            apps: layout.state().join("apps"),
            address: port.address,
            authority: port.authority(),
            certificate,
            hosts: watch::Sender::new(hosts(&settings, port.address)),
            trouble: port.trouble.clone(),
            settings: Mutex::new(settings),
        };
        endpoint.publish().map_err(failed)?;
        Ok(endpoint)
    }

    /// Begins to answer on the port, if it was to be had.
    pub fn start(
        &self,
        port: Port,
        azure: &Azure,
        deployments: &Deployments,
        stop: watch::Receiver<bool>,
    ) -> JoinHandle<io::Result<()>> {
        let arm = pillion_api::arm::router(azure.clone(), self.identity.clone(), deployments.clone());
        let scm = pillion_api::scm::router(azure.clone(), self.identity.clone(), self.apps.clone());
        let endpoint = Endpoint {
            front: Front::new(&self.identity, arm, scm),
            certificate: self.certificate.clone(),
            hosts: self.hosts.subscribe(),
        };
        tokio::spawn(async move {
            match port.listener {
                Some(listener) => serve_tls(listener, endpoint, stop).await,
                None => Ok(()),
            }
        })
    }

    /// Looks now and then whether a certificate, a key or a login is due, until told to stop.
    pub async fn keep_fresh(&self, mut stop: watch::Receiver<bool>) {
        let mut clock = tokio::time::interval(LOOK);
        loop {
            // Both arms only wait, so losing a race loses nothing.
            tokio::select! {
                _ = clock.tick() => {}
                _ = stop.wait_for(|&stop| stop) => return,
            }
            if let Err(error) = self.identity.maintain().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "keys for tokens were not looked after");
            }
            if let Err(error) = self.renew_current() {
                tracing::warn!(error = &*error, "the endpoint's certificate was not looked after");
            }
        }
    }

    /// Takes names and certificate from the settings, while connections go on.
    ///
    /// # Errors
    /// They cannot be used; then the old ones stay.
    pub fn reload(&self, settings: &Settings) -> Result<(), Failure> {
        let fresh = settings.endpoint.clone().unwrap_or_default();
        // Held until the new ones are in force: the timer must not bring the old ones back meanwhile.
        let mut current = self.settings();
        self.renew(&fresh).map_err(|error| {
            let mut message = format!("the TLS endpoint's certificate cannot be used: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                message.push_str(&format!(": {cause}"));
                source = cause.source();
            }
            Failure::bad_request("SettingsInvalid", message)
        })?;
        *current = fresh;
        Ok(())
    }

    /// Says where the endpoint is.
    ///
    /// # Errors
    /// Its port was not to be had.
    pub fn info(&self) -> Result<EndpointInfo, Failure> {
        if let Some(trouble) = &self.trouble {
            let failure = Failure::new(hyper::StatusCode::SERVICE_UNAVAILABLE, "EndpointOff", trouble.clone());
            return Err(failure.hint(FREE_IT));
        }
        Ok(EndpointInfo {
            url: format!("https://{}", self.authority),
            tenant: self.identity.tenant().to_owned(),
            subscription: self.identity.subscription().to_owned(),
            ca_file: ca_file(&self.run).display().to_string(),
            bundle_file: bundle_file(&self.run).display().to_string(),
        })
    }

    /// What is in the way of the endpoint.
    pub fn warning(&self) -> Option<Warning> {
        self.trouble.clone().map(|message| Warning { message, fix: Some(FREE_IT.to_owned()) })
    }

    /// Renews by the settings in force, which cannot change meanwhile.
    fn renew_current(&self) -> Result<(), Box<dyn std::error::Error>> {
        let current = self.settings();
        self.renew(&current)
    }

    fn renew(&self, settings: &EndpointSettings) -> Result<(), Box<dyn std::error::Error>> {
        let leaf = certificate(&self.identity, settings, self.address)?;
        self.certificate.exchange(&leaf.chain, &leaf.key)?;
        self.hosts.send_replace(hosts(settings, self.address));
        self.publish()
    }

    /// Writes the files that everybody may read.
    fn publish(&self) -> Result<(), Box<dyn std::error::Error>> {
        let ca = self.identity.certificates().authority(self.identity.now_ms())?;
        let system = SYSTEM_BUNDLES.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        write(&ca_file(&self.run), &ca)?;
        // Programs that take one file would otherwise trust nothing else any more.
        write(&bundle_file(&self.run), &format!("{ca}{system}"))?;
        Ok(())
    }

    fn settings(&self) -> std::sync::MutexGuard<'_, EndpointSettings> {
        self.settings.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

const FREE_IT: &str = "end what listens there, or set `endpoint: { listen: ADDRESS }` in the settings; then restart the server";

/// Removes the files that told what to trust.
pub fn withdraw(run: &Path) {
    for file in [ca_file(run), bundle_file(run)] {
        let _ = fs::remove_file(file);
    }
}

fn ca_file(run: &Path) -> PathBuf {
    run.join("ca.pem")
}

fn bundle_file(run: &Path) -> PathBuf {
    run.join("ca-bundle.pem")
}

/// Returns the certificate that the settings name, else one from this machine's own authority.
fn certificate(identity: &Identity, settings: &EndpointSettings, at: SocketAddr) -> Result<Leaf, Box<dyn std::error::Error>> {
    match (&settings.certificate, &settings.key) {
        (Some(chain), Some(key)) => {
            let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
            Ok(Leaf { chain: read(chain)?, key: read(key)? })
        }
        (Some(_) | None, Some(_) | None) => Ok(identity.certificates().leaf(&names(settings, at), identity.now_ms())?),
    }
}

/// The names that clients may call this server by.
fn names(settings: &EndpointSettings, at: SocketAddr) -> Vec<String> {
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let own = (!at.ip().is_unspecified()).then(|| at.ip().to_string());
    for name in own.into_iter().chain(settings.names.iter().map(|name| name.to_ascii_lowercase())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn hosts(settings: &EndpointSettings, at: SocketAddr) -> Vec<String> {
    let port = at.port();
    let with_port = |name: String| match name.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{name}:{port}"),
    };
    let mut hosts: Vec<String> = names(settings, at).into_iter().map(with_port).collect();
    if port == 443 {
        // Clients leave the usual port out.
        hosts.extend(names(settings, at));
    }
    hosts
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_goes_by_its_addresses_and_the_names_it_was_given() {
        let settings = EndpointSettings { names: vec!["Build.Example".into()], ..EndpointSettings::default() };
        let at = "192.0.2.7:8443".parse().unwrap();
        assert_eq!(names(&settings, at), ["127.0.0.1", "localhost", "192.0.2.7", "build.example"]);
        let hosts = hosts(&settings, "[::]:443".parse().unwrap());
        assert_eq!(hosts, ["127.0.0.1:443", "localhost:443", "build.example:443", "127.0.0.1", "localhost", "build.example"]);
    }

    #[tokio::test]
    async fn a_port_in_use_switches_the_endpoint_off_unless_it_was_asked_for() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let port = Port::take(&Settings::default(), address.port()).await.unwrap();
        assert!(port.listener.is_none() && port.trouble.unwrap().contains(&address.to_string()));
        let endpoint = EndpointSettings { listen: Some(address), ..EndpointSettings::default() };
        let settings = Settings { endpoint: Some(endpoint), ..Settings::default() };
        assert!(Port::take(&settings, 1).await.is_err());
    }
}
