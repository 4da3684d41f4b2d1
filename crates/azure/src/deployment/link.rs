//! Fetching linked templates: over https, from addresses that may be asked, within limits.
//!
//! Every hop is checked anew: its scheme, and all the addresses that its name has at that moment. The connection then goes to
//! those very addresses, so a name that changes its mind in between gains nothing.

mod address;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use pillion_model::Cidr;
use reqwest::{Url, header::LOCATION, redirect::Policy};

/// Redirects that are followed.
const MOST_HOPS: usize = 5;

/// How linked templates may be fetched.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// Networks that are not public and may be asked all the same.
    pub allow: Vec<Cidr>,
    /// PEM certificates trusted beside the system's.
    pub certificates: Vec<Vec<u8>>,
    /// For one template, its redirects included.
    pub within: Duration,
    pub max_bytes: usize,
}

impl Default for LinkSettings {
    fn default() -> Self {
        LinkSettings { allow: Vec::new(), certificates: Vec::new(), within: Duration::from_secs(20), max_bytes: 4 * 1024 * 1024 }
    }
}

/// Why a linked template was not fetched. Query strings hold access tokens, so none is shown.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("`{uri}` is not an address that a template can be fetched from: {why}")]
    Address { uri: String, why: String },
    #[error(
        "`{uri}` leads to {address}, {what}; the server's setting `templateLinks.allow` names networks that may be asked all the same"
    )]
    Refused { uri: String, address: IpAddr, what: &'static str },
    #[error("the name of `{uri}` has no address")]
    Unknown { uri: String, source: Option<std::io::Error> },
    #[error("`{uri}` redirects more than {MOST_HOPS} times")]
    Circles { uri: String },
    #[error("`{uri}` answered {status}")]
    Status { uri: String, status: u16 },
    #[error("`{uri}` is longer than {max} bytes")]
    Long { uri: String, max: usize },
    #[error("`{uri}` did not come within {seconds} s")]
    Late { uri: String, seconds: u64 },
    #[error("`{uri}` cannot be fetched: {why}")]
    Transport { uri: String, why: String },
}

/// Fetches the text behind a link.
///
/// # Errors
/// Says which hop failed and why.
pub async fn fetch(uri: &str, settings: &LinkSettings) -> Result<Vec<u8>, LinkError> {
    let late = || LinkError::Late { uri: shown(uri), seconds: settings.within.as_secs() };
    tokio::time::timeout(settings.within, follow(uri, settings)).await.map_err(|_| late())?
}

async fn follow(uri: &str, settings: &LinkSettings) -> Result<Vec<u8>, LinkError> {
    let mut next = parse(uri)?;
    for _ in 0..=MOST_HOPS {
        let mut response = ask(&next, settings).await?;
        let status = response.status();
        if status.is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let target = target.ok_or_else(|| LinkError::Status { uri: shown(next.as_str()), status: status.as_u16() })?;
            next = next
                .join(target)
                .map_err(|source| LinkError::Address { uri: shown(target), why: source.to_string() })
                .and_then(checked)?;
            continue;
        }
        if !status.is_success() {
            return Err(LinkError::Status { uri: shown(next.as_str()), status: status.as_u16() });
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&next, &error))? {
            if text.len() + chunk.len() > settings.max_bytes {
                return Err(LinkError::Long { uri: shown(next.as_str()), max: settings.max_bytes });
            }
            text.extend_from_slice(&chunk);
        }
        return Ok(text);
    }
    Err(LinkError::Circles { uri: shown(uri) })
}

fn parse(uri: &str) -> Result<Url, LinkError> {
    Url::parse(uri).map_err(|source| LinkError::Address { uri: shown(uri), why: source.to_string() }).and_then(checked)
}

fn checked(url: Url) -> Result<Url, LinkError> {
    let wrong = |why: &str| Err(LinkError::Address { uri: shown(url.as_str()), why: why.into() });
    if url.scheme() != "https" {
        return wrong("only https is spoken");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it holds a user name or a password");
    }
    Ok(url)
}

async fn ask(url: &Url, settings: &LinkSettings) -> Result<reqwest::Response, LinkError> {
    let unknown = |source| LinkError::Unknown { uri: shown(url.as_str()), source };
    let host = url.host_str().ok_or_else(|| unknown(None))?;
    let port = url.port_or_known_default().unwrap_or(443);
    let name = host.trim_matches(['[', ']']);
    let addresses: Vec<SocketAddr> = match name.parse::<IpAddr>() {
        Ok(literal) => vec![SocketAddr::new(literal, port)],
        Err(_) => tokio::net::lookup_host((name, port)).await.map_err(|source| unknown(Some(source)))?.collect(),
    };
    if addresses.is_empty() {
        return Err(unknown(None));
    }
    for address in addresses.iter().map(SocketAddr::ip) {
        if let Some(what) = address::not_public(address)
            && !settings.allow.iter().any(|network| network.contains(address))
        {
            return Err(LinkError::Refused { uri: shown(url.as_str()), address, what });
        }
    }
    let client = client(name, &addresses, settings).map_err(|error| transport(url, &error))?;
    client.get(url.clone()).send().await.map_err(|error| transport(url, &error))
}

fn client(name: &str, addresses: &[SocketAddr], settings: &LinkSettings) -> Result<reqwest::Client, reqwest::Error> {
    // A second call finds the provider of the first one installed, which is the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut trusted = Vec::new();
    for pem in &settings.certificates {
        trusted.extend(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    reqwest::Client::builder()
        .https_only(true)
        .no_proxy()
        .redirect(Policy::none())
        .resolve_to_addrs(name, addresses)
        .connect_timeout(settings.within)
        .tls_certs_merge(trusted)
        .build()
}

fn transport(url: &Url, error: &reqwest::Error) -> LinkError {
    // The error's own text repeats the address with its query; the sources below it do not.
    let mut why = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if !why.is_empty() {
            why.push_str(": ");
        }
        why.push_str(&cause.to_string());
        source = cause.source();
    }
    LinkError::Transport { uri: shown(url.as_str()), why: if why.is_empty() { "the connection failed".into() } else { why } }
}

/// The address without its query and its user.
fn shown(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(mut url) => {
            url.set_query(None);
            url.set_fragment(None);
            match (url.set_username(""), url.set_password(None)) {
                (Ok(()), Ok(())) => url.into(),
                // An address that cannot have a user is none that was asked.
                _ => url.scheme().to_owned(),
            }
        }
        Err(_) => uri.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect(),
    }
}
