//! Warming up before traffic moves: every instance of the source is asked until it answers.

use std::time::Duration;

use pillion_arm::{ArmError, ResourceId, setting_text};
use pillion_control::ControlError;
use pillion_fault::Fault;
use pillion_model::{AppName, HttpCheck, InstanceId, InstancePhase};

use crate::{Azure, names::public_name, service::refusal};

/// The documented limits: a request, and how often it is repeated.
const WITHIN: Duration = Duration::from_secs(90);
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

impl Azure {
    /// Sends the ping of a swap to each instance of the source.
    pub(super) async fn warm_up(&self, source: &ResourceId, target: &ResourceId, app: &AppName) -> Result<(), ArmError> {
        let parts =
            self.peek(source).and_then(|source| self.swapped_parts(&source, app)).or_else(|| self.parts(target, app.clone()));
        let setting = |name: &str| {
            let text = parts.as_ref().and_then(|parts| setting_text(parts.settings.as_deref(), name));
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let path = setting("WEBSITE_SWAP_WARMUP_PING_PATH").unwrap_or_else(|| "/".to_owned());
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let statuses = setting("WEBSITE_SWAP_WARMUP_PING_STATUSES").unwrap_or_else(|| "any".to_owned());
        let failed = |message: String| ArmError::new(409, "SwapWarmUpFailed", message);
        let host = public_name(source).and_then(|name| self.ports().get(&name).copied()).map(|port| format!("127.0.0.1:{port}"));
        let headers = [("host", host), ("user-agent", Some("SiteWarmup".to_owned()))];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let check = HttpCheck { path, port: None, statuses: Some(statuses), headers };
        check.status_ranges().map_err(|wrong| failed(format!("App setting WEBSITE_SWAP_WARMUP_PING_STATUSES: {wrong}.")))?;
        let status = self.shared.control.status(app).await.map_err(|wrong| refusal(&wrong))?;
        // Those that will get requests; what is on its way out need not answer.
        let serving = status.instances.iter().filter(|instance| {
            Some(instance.status.revision) == status.current
                && !instance.draining
                && matches!(instance.status.phase, InstancePhase::Ready | InstancePhase::Unready)
        });
        for instance in serving {
            self.warm_up_instance(app, &instance.status.id, &check).await.map_err(|why| {
                failed(format!(
                    "Instance '{}' of slot '{}' did not answer the warm-up request as it should: {why}.",
                    instance.status.id,
                    source.full_name()
                ))
            })?;
        }
        Ok(())
    }

    /// Asks the instance itself: neither traffic rules nor cookies say who answers.
    async fn warm_up_instance(&self, app: &AppName, instance: &InstanceId, check: &HttpCheck) -> Result<(), String> {
        let mut attempt = 0;
        loop {
            let why = match self.shared.control.check(app, instance, check, WITHIN).await {
                Ok(()) => return Ok(()),
                // Replaced or scaled away meanwhile: what takes its place comes up by itself.
                Err(ControlError::InstanceNotFound { .. }) => return Ok(()),
                Err(ControlError::Engine { diagnosis }) => said(&diagnosis.fault),
                Err(other) => other.to_string(),
            };
            attempt += 1;
            if attempt > RETRIES {
                return Err(why);
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
    }
}

/// What came back, without the probe's name: nobody configured one.
fn said(fault: &Fault) -> String {
    match fault {
        Fault::ProbeStatus { url, status, .. } => format!("GET {url} answered {status}"),
        Fault::ProbeSlow { target, timeout_ms, .. } => format!("{target} did not answer within {} s", timeout_ms / 1000),
        Fault::ProbeRefused { target, reason, .. } => format!("no connection to {target}: {reason}"),
        other => other.to_string(),
    }
}
