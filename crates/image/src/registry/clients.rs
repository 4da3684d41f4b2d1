//! Clients kept for reuse, one for each registry and credential: tokens and connections are never shared between users.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{USER_AGENT, authorities, open::Open, trouble::Trouble};
use crate::{Credential, ImageName, PullError, Settings};

/// Clients kept at most; the one used longest ago goes first.
const KEPT: usize = 32;

pub(crate) struct Clients {
    trust: Mutex<Trust>,
    connect_timeout: Duration,
    read_timeout: Duration,
    kept: Mutex<Vec<Kept>>,
}

/// Whom to talk to, and how.
#[derive(Clone)]
struct Trust {
    plain_http: Vec<String>,
    extra_roots: Vec<String>,
}

struct Kept {
    registry: String,
    credential: Option<Credential>,
    client: Client,
    open: Option<Open>,
}

impl Clients {
    pub(crate) fn new(settings: &Settings) -> Clients {
        // Fails only if a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        Clients {
            trust: Mutex::new(Trust { plain_http: settings.plain_http.clone(), extra_roots: settings.extra_roots.clone() }),
            connect_timeout: settings.retry.connect_timeout,
            read_timeout: settings.retry.read_timeout,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// Trusts these from now on: a client that was made before is not used again.
    pub(crate) fn trust(&self, plain_http: Vec<String>, extra_roots: Vec<String>) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Trust { plain_http, extra_roots };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns a client, a shorter way to ask if there may be one, and whether the client has been used before.
    pub(super) async fn get(
        &self,
        name: &ImageName,
        credential: Option<&Credential>,
    ) -> Result<(Client, Option<Open>, bool), PullError> {
        let registry = name.registry();
        if let Some((client, open)) = self.take_up(registry, credential) {
            return Ok((client, open, true));
        }
        if !authorities::are_known() {
            return Err(PullError::NoAuthorities { image: name.to_string() });
        }
        let trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let plain = if trust.plain_http.iter().any(|plain| plain == registry) {
            true
        } else {
            name.registry_is_loopback() && !speaks_tls(registry, self.connect_timeout).await
        };
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: trust
                .extra_roots
                .iter()
                .map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone().into_bytes() })
                .collect(),
            read_timeout: Some(self.read_timeout),
            connect_timeout: Some(self.connect_timeout),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| {
            let reason = match Trouble::from(error) {
                Trouble::Tls(reason)
                | Trouble::Lasting(reason)
                | Trouble::Passing(reason)
                | Trouble::Busy(reason)
                | Trouble::Unsupported(reason) => reason,
                Trouble::Refused | Trouble::Missing | Trouble::Mismatch { .. } => "no client can be made".to_owned(),
            };
            PullError::Tls { image: name.to_string(), registry: registry.to_owned(), reason }
        })?;
        let open = match credential {
            None if plain => Open::new(self.connect_timeout, self.read_timeout),
            None | Some(_) => None,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            registry: registry.to_owned(),
            credential: credential.cloned(),
            client: client.clone(),
            open: open.clone(),
        });
        Ok((client, open, false))
    }

    /// Forgets a client whose credential was refused: its token may have been revoked, or the registry has begun to speak TLS.
    pub(crate) fn forget(&self, registry: &str, credential: Option<&Credential>) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.len();
        kept.retain(|one| one.registry != registry || one.credential.as_ref() != credential);
        kept.len() < before
    }

    fn take_up(&self, registry: &str, credential: Option<&Credential>) -> Option<(Client, Option<Open>)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|one| one.registry == registry && one.credential.as_ref() == credential)?;
        let one = kept.remove(at);
        let found = (one.client.clone(), one.open.clone());
        kept.push(one);
        Some(found)
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients { .. }")
    }
}

/// Finds out whether a registry on this host speaks TLS: a TLS server answers a plain request with an alert, by hanging up,
/// or (Go) with a status 400 that says so.
async fn speaks_tls(registry: &str, timeout: Duration) -> bool {
    let address = if registry.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        registry.to_owned()
    } else {
        format!("{registry}:80")
    };
    let ask = async {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(format!("GET /v2/ HTTP/1.1\r\nHost: {registry}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        match (&mut stream).take(4096).read_to_end(&mut answer).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) if answer.is_empty() => return Err(error),
            Ok(_) | Err(_) => {}
        }
        Ok(answer)
    };
    match tokio::time::timeout(timeout, ask).await {
        Ok(Ok(answer)) => {
            let is_http = answer.starts_with(b"HTTP/1.");
            let says_so = answer.windows(12).any(|window| window == b"HTTPS server");
            !is_http || says_so
        }
        // Nobody there, or nobody who talks: plain HTTP reports it as well as TLS would.
        Ok(Err(_)) | Err(_) => false,
    }
}
