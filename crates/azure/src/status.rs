//! What runs behind a site, as ARM shows it: instances, their state, how the last revision went.

use pillion_arm::{ArmError, ResourceId};
use pillion_control::{AppState, AppStatus, ControlError, InstanceView};
use pillion_fault::{Diagnosis, Words};
use pillion_identity::{Access, Caller};
use pillion_model::{ContainerPhase, InstancePhase, InstanceStatus};
use serde_json::{Map, Value, json};

use crate::{
    Azure,
    service::{allow, refusal, wall_ms},
    site::is_stopped,
};

impl Azure {
    /// Gives the status of the app behind a site; none where it has none yet.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn status_of(&self, caller: &Caller, site: &ResourceId) -> Result<Option<AppStatus>, ArmError> {
        allow(caller, Access::Read, site)?;
        self.known_subscription(site)?;
        if self.public_name_of(site).is_err() {
            return Err(self.absent(site));
        }
        let app = self.app_of(site).await?;
        match self.shared.control.status(&app).await {
            Ok(status) => Ok(Some(status)),
            Err(ControlError::AppNotFound { .. }) => Ok(None),
            Err(wrong) => Err(refusal(&wrong)),
        }
    }

    /// Lists a site's instances.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn instances(&self, caller: &Caller, site: &ResourceId) -> Result<Vec<Value>, ArmError> {
        let status = self.status_of(caller, site).await?;
        let instances = status.map(|status| status.instances).unwrap_or_default();
        Ok(instances.iter().map(|one| self.instance(site, &one.status)).collect())
    }

    fn instance(&self, site: &ResourceId, status: &InstanceStatus) -> Value {
        let containers: Map<String, Value> = status
            .containers
            .iter()
            .map(|one| {
                let memory = json!({ "usage": one.memory_bytes, "limit": one.memory_limit_bytes });
                (one.name.to_string(), json!({ "name": one.name, "id": one.name, "memoryStats": memory }))
            })
            .collect();
        json!({
            "id": format!("{site}/instances/{}", status.id),
            "name": status.id,
            "type": format!("{}/instances", site.type_name()),
            "properties": {
                "name": status.id,
                "machineName": status.id,
                "siteInstanceName": status.id,
                "state": if status.phase == InstancePhase::Ready { "READY" } else { "UNKNOWN" },
                "statusUrl": null,
                "detectorUrl": null,
                "consoleUrl": null,
                "healthCheckUrl": null,
                "containers": containers,
                "physicalZone": null,
            },
        })
    }

    /// Gives each instance's state, or that of the site as a whole where nothing runs.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn site_status(&self, caller: &Caller, site: &ResourceId) -> Result<Vec<Value>, ArmError> {
        let Some(status) = self.status_of(caller, site).await? else {
            let stopped = self.peek(site).is_some_and(|site| is_stopped(&site));
            let (state, details) =
                if stopped { ("Stopped", "The site is stopped.") } else { ("Unknown", "The site has no main container yet.") };
            return Ok(vec![entry("none", state, details, None)]);
        };
        let told = status.diagnosis.as_ref();
        if status.instances.is_empty() {
            let (state, details) = whole(&status);
            return Ok(vec![entry("none", state, &details, told)]);
        }
        // What is wrong with the app as a whole is told with each, unless it is one instance's own trouble.
        let shared = told.filter(|_| status.instances.iter().all(|one| own(one).is_none()));
        let instances = status.instances.iter().map(|one| {
            let (state, details) = phase(&one.status);
            entry(one.status.id.as_str(), state, &details, own(one).or(shared))
        });
        Ok(instances.collect())
    }

    /// Gives how far a deployment has come, for every id the same: that of the newest revision.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn deployment_status(&self, caller: &Caller, site: &ResourceId, id: &str) -> Result<Value, ArmError> {
        let status = self.status_of(caller, site).await?;
        let (word, failed) = match status.as_ref().map(|status| status.state) {
            None | Some(AppState::Starting | AppState::Updating) => ("RuntimeStarting", false),
            Some(AppState::Running | AppState::Degraded) => ("RuntimeSuccessful", false),
            Some(AppState::Failed) => ("RuntimeFailed", true),
            Some(AppState::Stopping | AppState::Stopped | AppState::Deleting) => ("RuntimeSuccessful", false),
        };
        // The old revision may go on serving while the newest one has failed.
        let failed =
            failed || status.as_ref().is_some_and(|status| status.diagnosis.is_some() && status.current != Some(status.target));
        let word = if failed { "RuntimeFailed" } else { word };
        let (ready, wanted) = status.as_ref().map_or((0, 0), |status| (status.ready, status.wanted));
        let errors = status.and_then(|status| status.diagnosis).filter(|_| failed).map(|told| {
            json!([{ "extendedCode": told.fault.code(), "messageTemplate": null, "parameters": [], "innerErrors": [], "details": null,
                "target": told.container, "code": told.fault.code(), "message": told.to_string() }])
        });
        Ok(json!({
            "id": format!("{site}/deploymentStatus/{id}"),
            "name": id,
            "type": format!("{}/deploymentStatus", site.type_name()),
            "properties": {
                "deploymentId": id,
                "status": word,
                "numberOfInstancesInProgress": wanted.saturating_sub(ready),
                "numberOfInstancesSuccessful": ready,
                "numberOfInstancesFailed": if failed { wanted.max(1) } else { 0 },
                "failedInstancesLogs": null,
                "errors": errors,
            },
        }))
    }
}

fn own(instance: &InstanceView) -> Option<&Diagnosis> {
    instance.diagnoses.first().or(match &instance.status.phase {
        InstancePhase::Failed { diagnosis } => Some(diagnosis.as_ref()),
        _ => None,
    })
}

fn entry(instance: &str, state: &str, details: &str, told: Option<&Diagnosis>) -> Value {
    let at = told.map(|_| jiff::Timestamp::from_millisecond(wall_ms() as i64).map(|at| at.to_string()).unwrap_or_default());
    json!({
        "instanceId": instance,
        "state": state,
        "action": null,
        "details": details,
        "lastError": told.map(|told| told.fault.code()),
        "lastErrorTimestamp": at,
        "lastErrorDetails": told.map(|told| {
            let hint = told.hint_in(Words::AppService).map(|hint| format!(" hint: {hint}")).unwrap_or_default();
            format!("{told}{hint}")
        }),
    })
}

fn whole(status: &AppStatus) -> (&'static str, String) {
    match status.state {
        AppState::Stopped => ("Stopped", "The site is stopped.".to_owned()),
        AppState::Stopping => ("Stopping", "The site is stopping.".to_owned()),
        AppState::Deleting => ("Stopping", "The site is being deleted.".to_owned()),
        AppState::Failed => ("Failed", "The newest revision failed and none serves.".to_owned()),
        AppState::Starting | AppState::Updating => ("Starting", "Its images are being pulled.".to_owned()),
        AppState::Running | AppState::Degraded => ("Started", String::new()),
    }
}

fn phase(status: &InstanceStatus) -> (&'static str, String) {
    let waiting: Vec<String> = status
        .containers
        .iter()
        .filter_map(|one| match &one.phase {
            ContainerPhase::Waiting { on } => Some(format!("{} waits for {}", one.name, on.join(", "))),
            ContainerPhase::Running { ready: false, .. } => Some(format!("{} is not ready", one.name)),
            ContainerPhase::BackOff { .. } => Some(format!("{} starts again after a pause", one.name)),
            ContainerPhase::Failed { .. } => Some(format!("{} has failed", one.name)),
            ContainerPhase::Starting
            | ContainerPhase::Running { ready: true, .. }
            | ContainerPhase::Completed
            | ContainerPhase::Stopped => None,
        })
        .collect();
    let state = match status.phase {
        InstancePhase::Pulling => "PullingImages",
        InstancePhase::Starting => "Starting",
        InstancePhase::Ready => "Started",
        InstancePhase::Unready => "Unhealthy",
        InstancePhase::Stopping => "Stopping",
        InstancePhase::Stopped => "Stopped",
        InstancePhase::Failed { .. } => "Failed",
    };
    (state, waiting.join("; "))
}
