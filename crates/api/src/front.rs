//! What the TLS endpoint answers: one path in, the authority, the sites' own pages or the resource manager out.

mod refusal;
mod unread;

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, Uri, header::HOST, uri::PathAndQuery},
    response::Response,
};
use pillion_identity::Identity;
use tower::ServiceExt;

pub use refusal::refuse;

use self::unread::Unread;
use crate::authority;

/// Where a request came from; every request of the endpoint carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The `https://host:port` by which the client called; every request of the endpoint carries it as an extension.
#[derive(Debug, Clone)]
pub struct Origin(pub String);

/// The routers behind the endpoint.
#[derive(Clone)]
pub struct Front {
    authority: Router,
    arm: Router,
    scm: Router,
}

impl Front {
    /// `arm` gets requests whose caller is proven (an extension [`pillion_identity::Caller`]); `scm` proves its own, below
    /// `/_scm`.
    pub fn new(identity: &Identity, arm: Router, scm: Router) -> Front {
        Front { authority: authority::router(identity.clone()), arm: authority::require_caller(identity.clone(), arm), scm }
    }

    /// Answers one request. `hosts` are the names (with port) that this server goes by.
    pub async fn answer(&self, mut request: Request<Body>, peer: SocketAddr, hosts: &[String]) -> Response {
        // A page on another name that resolves to this machine must not get a browser to speak to it.
        let Some(host) = called_by(&request).filter(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host))) else {
            let message = format!("this server goes by {} only", hosts.join(", "));
            return refuse(StatusCode::MISDIRECTED_REQUEST, "MisdirectedRequest", &message);
        };
        request.extensions_mut().insert(Origin(format!("https://{}", host.to_ascii_lowercase())));
        request.extensions_mut().insert(Peer(peer));
        if let Some(plain) = without_double_slashes(request.uri()) {
            *request.uri_mut() = plain;
        }
        let router = self.router_of(request.uri().path()).clone();
        let (request, unread) = Unread::of(request);
        let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        unread.settle(&mut response).await;
        response
    }

    fn router_of(&self, path: &str) -> &Router {
        let lower = path.to_ascii_lowercase();
        if lower.starts_with("/_scm/") || lower == "/_scm" {
            &self.scm
        } else if authority::is_of_authority(&lower) {
            &self.authority
        } else {
            &self.arm
        }
    }
}

fn called_by(request: &Request<Body>) -> Option<String> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    // A request line may name the host itself.
    request.uri().authority().map(ToString::to_string).or(header)
}

/// `az` glues paths together with one slash too many; a query is left alone.
fn without_double_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && uri.authority().is_none() {
        return None;
    }
    let mut plain = String::with_capacity(path.len());
    for letter in path.chars() {
        if !(letter == '/' && plain.ends_with('/')) {
            plain.push(letter);
        }
    }
    if let Some(query) = uri.query() {
        plain.push('?');
        plain.push_str(query);
    }
    PathAndQuery::try_from(plain).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_collapse_in_the_path_alone() {
        let plain = |text: &str| without_double_slashes(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(plain("//metadata//endpoints?x=//"), Some("/metadata/endpoints?x=//".into()));
        assert_eq!(plain("///"), Some("/".into()));
        assert_eq!(plain("/a/b?c=//d"), None);
        assert_eq!(plain("https://127.0.0.1:8443/a//b"), Some("/a/b".into()));
    }
}
