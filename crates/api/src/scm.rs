//! The sites' own pages, below `/_scm/{site}` (a slot: `/_scm/{site}__{slot}`): status, logs, files, ways into containers.
//!
//! Who asks proves it with the site's publishing credential or with a token for these pages. There are no cookies, and a
//! request that a page of another origin sends is refused, so a browser cannot be made to ask.

mod answer;
mod gate;
mod home;
mod later;
mod logs;
mod ranges;
mod session;
mod settings;
mod shell;
mod site;
mod socket;
mod ssh;
mod startup;
mod status;
mod tunnel;
mod vfs;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use pillion_azure::Azure;
use pillion_identity::{Caller, Identity};

use self::{answer::Refusal, site::Call};

/// What these pages stand on.
pub(crate) struct Scm {
    azure: Azure,
    identity: Identity,
    /// `apps/` of the state: below it lie the apps' persistent volumes.
    apps: PathBuf,
    tunnels: ssh::Tunnels,
}

/// Builds the router. It proves its callers itself.
pub fn router(azure: Azure, identity: Identity, apps: PathBuf) -> Router {
    let tunnels = ssh::Tunnels::new(identity.seed("ssh host key"));
    let scm = Arc::new(Scm { azure, identity, apps, tunnels });
    Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(scm)
}

async fn answer(State(scm): State<Arc<Scm>>, request: Request<Body>) -> Response {
    let answered = async {
        let (call, request) = Call::read(&scm, request).await?;
        let deed = Deed::of(&call, request.method());
        let done = unbroken(async move {
            let response = route(&scm, call, request).await.unwrap_or_else(IntoResponse::into_response);
            if let Some(deed) = deed {
                deed.note(&scm.identity, response.status()).await;
            }
            response
        });
        Ok::<_, Refusal>(done.await)
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

/// Runs `work` to its end even where the client hangs up: what was done is also written down.
async fn unbroken<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime on its way out cancels the task, and that drops this wait too.
            Err(_) => std::future::pending().await,
        },
    }
}

/// What the audit log tells of a request: of every change, and of every way into a container.
struct Deed {
    caller: Caller,
    site: String,
    action: String,
    what: String,
}

impl Deed {
    fn of(call: &Call, method: &Method) -> Option<Deed> {
        let first = call.rest.first().map(|part| part.to_ascii_lowercase()).unwrap_or_default();
        let enters = first == "exec" || (first == "appservicetunnel" && call.query("getstatus").is_none());
        if method.is_safe() && !enters {
            return None;
        }
        let what = format!("{method} /{}", call.rest.join("/"));
        let what = what.chars().filter(|letter| !letter.is_control()).take(200).collect();
        let settings = call.rest.get(1).is_some_and(|part| part.eq_ignore_ascii_case("settings"));
        let action = match (enters, settings) {
            (true, _) => "exec",
            (false, true) => "settings",
            (false, false) => "files",
        };
        Some(Deed { caller: call.caller.clone(), site: call.site.to_string(), action: format!("scm/{action}"), what })
    }

    async fn note(self, identity: &Identity, status: StatusCode) {
        let detail = format!("{} asked its pages for {}.", self.caller.display_name, self.what);
        if let Err(error) = identity.note(&self.caller, &self.action, &self.site, status.as_u16(), detail).await {
            tracing::error!(error = &error as &dyn std::error::Error, "what was done could not be written down");
        }
    }
}

async fn route(scm: &Arc<Scm>, call: Call, request: Request<Body>) -> Result<Response, Refusal> {
    let method = request.method().clone();
    let lower: Vec<String> = call.rest.iter().map(|part| part.to_ascii_lowercase()).collect();
    let path: Vec<&str> = lower.iter().map(String::as_str).collect();
    let reading = matches!(method, Method::GET | Method::HEAD);
    match path.as_slice() {
        [] | [""] if reading => Ok(status::welcome(&call)),
        ["api", "vfs", ..] => vfs::answer(scm, &call, request).await,
        ["api", "sitecontainers"] if reading => status::containers(scm, &call, None).await,
        ["api", "sitecontainers", _] if reading => status::containers(scm, &call, call.rest.get(2)).await,
        ["api", "sitecontainers", _, "logs"] if reading => logs::container(scm, &call).await,
        ["logstream", ..] | ["api", "logstream", ..] if reading => logs::stream(scm, &call).await,
        ["api", "logs", "docker"] if reading => logs::list(scm, &call).await,
        ["api", "logs", "docker", "zip"] | ["dump"] | ["api", "dump"] if reading => logs::archive(scm, &call).await,
        ["api", "startuplogs"] if reading => startup::list(scm, &call).await,
        ["api", "startuplogs", "summary"] if reading => startup::summary(scm, &call).await,
        ["api", "startuplogs", _] if reading => startup::one(scm, &call).await,
        ["api", "troubleshoot", "config"] if reading => status::configuration(scm, &call).await,
        ["api", "settings", ..] => settings::answer(scm, &call, request).await,
        ["exec", "shell"] if reading => shell::open(scm, call, request).await,
        ["exec", "execute"] if method == Method::POST => shell::execute(scm, &call, request).await,
        ["appservicetunnel", "tunnel.ashx"] if reading => tunnel::answer(scm, call, request).await,
        ["api", "deployments", ..] | ["deployments", ..] if reading => Ok(later::deployments(&call, &path)),
        ["api", "publish" | "zipdeploy" | "wardeploy" | "onedeploy" | "zip" | "command" | "deployments", ..] => {
            Ok(later::not_yet(&path))
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "NotFound", "a site has no such page")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_ended_though_nobody_waits_for_it() {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut work = Box::pin(unbroken(async move {
            let _ = gone.await;
            let _ = tell.send("written down");
        }));
        std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx).is_pending())).await;
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("written down"));
    }
}
