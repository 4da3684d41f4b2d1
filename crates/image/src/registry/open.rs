//! Asking a plain-HTTP registry that lets everybody in, without asking before each manifest whether it does.
//!
//! The client would: it remembers tokens, but not that none is wanted, so that every manifest costs two requests. Only
//! answers that are plainly good are taken from here; whatever else happens is the client's to find out, and to explain.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use oci_client::Reference;
use tokio::sync::OnceCell;

/// A registry spoken to without TLS and without a credential. Cheap to clone.
#[derive(Clone)]
pub(super) struct Open {
    http: reqwest::Client,
    /// Whether it wants no tokens; asked once.
    lets_in: Arc<OnceCell<bool>>,
}

impl Open {
    pub(super) fn new(connect_timeout: Duration, read_timeout: Duration) -> Option<Open> {
        let http = reqwest::Client::builder()
            .user_agent(super::USER_AGENT)
            .connect_timeout(connect_timeout)
            .read_timeout(read_timeout)
            .build()
            .ok()?;
        Some(Open { http, lets_in: Arc::default() })
    }

    /// Fetches a manifest; none if that takes more than asking.
    pub(super) async fn manifest(&self, reference: &Reference, accepted: &[&str], limit: u64) -> Option<Bytes> {
        let base = format!("http://{}/v2/", reference.resolve_registry());
        let lets_in = || async {
            let answer = self.http.get(&base).send().await.ok()?;
            Some(answer.status() == reqwest::StatusCode::OK)
        };
        // Not remembered if there was no answer.
        if !*self.lets_in.get_or_try_init(|| async { lets_in().await.ok_or(()) }).await.ok()? {
            return None;
        }
        let which = reference.digest().or(reference.tag())?;
        let url = format!("{base}{}/manifests/{which}", reference.repository());
        let answer = self.http.get(url).header(reqwest::header::ACCEPT, accepted.join(", ")).send().await.ok()?;
        let is_small = answer.content_length().is_some_and(|length| length <= limit);
        if answer.status() != reqwest::StatusCode::OK || !is_small {
            return None;
        }
        answer.bytes().await.ok()
    }
}
