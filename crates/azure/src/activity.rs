//! The activity log: audit records as ARM shows them.

use pillion_arm::{ArmError, ResourceId};
use pillion_identity::Caller;
use pillion_store::AuditRecord;
use serde_json::{Value, json};

use crate::{Azure, read::allow_or_below, service::unavailable};

/// Most records in one answer.
const MOST: u32 = 1_000;

impl Azure {
    /// Gives the records about `scope` and what lies in it since a moment, newest first: those the caller may read.
    ///
    /// # Errors
    /// 403.
    pub async fn activity(&self, caller: &Caller, scope: &ResourceId, since_ms: u64) -> Result<Vec<Value>, ArmError> {
        allow_or_below(caller, scope)?;
        self.known_subscription(scope)?;
        let records = self.shared.store.audit(scope.key(), since_ms, None, MOST).await.map_err(|wrong| unavailable(&wrong))?;
        let readable = records.iter().filter(|record| caller.may(pillion_identity::Access::Read, &record.entry.target));
        Ok(readable.map(event).collect())
    }
}

fn event(record: &AuditRecord) -> Value {
    let entry = &record.entry;
    let at = jiff::Timestamp::from_millisecond(entry.at_ms as i64).map(|at| at.to_string()).unwrap_or_default();
    let id: Option<ResourceId> = entry.target.parse().ok();
    let failed = entry.status >= 400;
    let named = |value: &str| json!({ "value": value, "localizedValue": value });
    json!({
        "id": format!("{}/events/{}/ticks/{}", entry.target, record.serial, entry.at_ms),
        "eventDataId": record.serial.to_string(),
        "eventTimestamp": at,
        "submissionTimestamp": at,
        "correlationId": entry.correlation,
        "operationId": entry.correlation,
        "caller": entry.caller,
        "claims": { "http://schemas.microsoft.com/identity/claims/objectidentifier": entry.principal },
        "channels": "Operation",
        "category": named("Administrative"),
        "level": if failed { "Error" } else { "Informational" },
        "operationName": named(&entry.action),
        "eventName": named("EndRequest"),
        "status": named(if failed { "Failed" } else { "Succeeded" }),
        "subStatus": named(&entry.status.to_string()),
        "resourceId": entry.target,
        "resourceGroupName": id.as_ref().and_then(ResourceId::group_name),
        "resourceType": named(&id.as_ref().map(ResourceId::type_name).unwrap_or_default()),
        "resourceProviderName": named(entry.action.split('/').next().unwrap_or_default()),
        "subscriptionId": id.as_ref().and_then(ResourceId::subscription_name),
        "description": entry.detail,
        "properties": { "statusCode": entry.status.to_string(), "message": entry.detail },
    })
}
