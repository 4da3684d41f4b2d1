//! The activity log: audit records as ARM shows them.

use pillion_arm::{ArmError, Condition, IdError, Operator, ResourceId, conditions};
use pillion_identity::{Access, Caller};
use pillion_store::AuditRecord;
use serde_json::{Value, json};

use crate::{Azure, read::allow_or_below, service::unavailable};

/// Most records in one answer, and read at once.
const MOST: u32 = 1_000;

/// What `$filter` asks for.
struct Wanted {
    scope: ResourceId,
    since_ms: u64,
    until_ms: u64,
    caller: Option<String>,
    status: Option<String>,
    correlation: Option<String>,
    provider: Option<String>,
}

impl Azure {
    /// Gives the records that a filter asks for, newest first: those the caller may read.
    ///
    /// # Errors
    /// 400 (a filter that is none), 403.
    pub async fn activity(&self, caller: &Caller, filter: &str) -> Result<Vec<Value>, ArmError> {
        let wanted = Wanted::read(&self.shared.settings.subscription, filter)?;
        allow_or_below(caller, &wanted.scope)?;
        self.known_subscription(&wanted.scope)?;
        let mut found = Vec::new();
        let mut before = None;
        // Page by page: a filter may pass over many.
        loop {
            let records = self.shared.store.audit(wanted.scope.key(), wanted.since_ms, before, MOST).await;
            let records = records.map_err(|wrong| unavailable(&wrong))?;
            let readable = |record: &&AuditRecord| wanted.admits(record) && caller.may(Access::Read, &record.entry.target);
            let room = MOST as usize - found.len();
            found.extend(records.iter().filter(readable).take(room).map(event));
            match records.last() {
                Some(oldest) if records.len() == MOST as usize && found.len() < MOST as usize => before = Some(oldest.serial),
                Some(_) | None => return Ok(found),
            }
        }
    }
}

impl Wanted {
    fn read(subscription: &str, filter: &str) -> Result<Wanted, ArmError> {
        let scope = ResourceId::subscription(subscription);
        let mut wanted =
            Wanted { scope, since_ms: 0, until_ms: u64::MAX, caller: None, status: None, correlation: None, provider: None };
        for condition in conditions(filter)? {
            let Condition { field, operator, value } = &condition;
            match (field.as_str(), operator) {
                ("eventtimestamp", Operator::AtLeast) => wanted.since_ms = moment(&condition)?,
                ("eventtimestamp", Operator::AtMost) => wanted.until_ms = moment(&condition)?,
                ("resourcegroupname", Operator::Equal) => wanted.scope = ResourceId::group(subscription, value),
                ("resourceuri" | "resourceid", Operator::Equal) => {
                    wanted.scope = value.parse().map_err(|wrong: IdError| unreadable(&condition, &wrong.to_string()))?;
                }
                ("caller", Operator::Equal) => wanted.caller = Some(value.clone()),
                ("status", Operator::Equal) => wanted.status = Some(value.clone()),
                ("correlationid", Operator::Equal) => wanted.correlation = Some(value.clone()),
                ("resourceprovider", Operator::Equal) => wanted.provider = Some(value.clone()),
                // All there is belongs to them.
                ("eventchannels", Operator::Equal) => {}
                (_, _) => {
                    return Err(condition.refused(
                        "the activity log is filtered by eventTimestamp with ge and le, and by resourceGroupName, resourceId, \
                         resourceUri, resourceProvider, correlationId, caller and status with eq",
                    ));
                }
            }
        }
        Ok(wanted)
    }

    fn admits(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found));
        let entry = &record.entry;
        entry.at_ms <= self.until_ms
            && (is(&self.caller, &entry.caller) || is(&self.caller, &entry.principal))
            && is(&self.status, outcome(entry.status))
            && is(&self.correlation, &entry.correlation)
            && is(&self.provider, provider(&entry.action))
    }
}

fn moment(condition: &Condition) -> Result<u64, ArmError> {
    let text = &condition.value;
    // `az` writes its moments in UTC, and does not say so.
    let unmarked = || text.parse::<jiff::civil::DateTime>().and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
    let at = text.parse::<jiff::Timestamp>().or_else(|wrong| unmarked().map(|at| at.timestamp()).map_err(|_| wrong));
    let at = at.map_err(|wrong| unreadable(condition, &wrong.to_string()))?;
    Ok(at.as_millisecond().max(0) as u64)
}

fn unreadable(condition: &Condition, why: &str) -> ArmError {
    let message = format!("The value '{}' of '{}' in the $filter cannot be read: {why}.", condition.value, condition.field);
    ArmError::new(400, "InvalidFilterInQueryString", message)
}

fn outcome(status: u16) -> &'static str {
    if status >= 400 { "Failed" } else { "Succeeded" }
}

fn provider(action: &str) -> &str {
    action.split('/').next().unwrap_or_default()
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
        "status": named(outcome(entry.status)),
        "subStatus": named(&entry.status.to_string()),
        "resourceId": entry.target,
        "resourceGroupName": id.as_ref().and_then(ResourceId::group_name),
        "resourceType": named(&id.as_ref().map(ResourceId::type_name).unwrap_or_default()),
        "resourceProviderName": named(provider(&entry.action)),
        "subscriptionId": id.as_ref().and_then(ResourceId::subscription_name),
        "description": entry.detail,
        "properties": { "statusCode": entry.status.to_string(), "message": entry.detail },
    })
}
