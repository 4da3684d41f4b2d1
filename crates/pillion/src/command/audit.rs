//! `pillion audit`: who did what.

use std::time::Duration;

use pillion_api::wire::AuditLine;

use super::Context;
use crate::{
    cli::{AuditArgs, Format},
    client::{Ask, encoded},
    complaint::Complaint,
    output::{self, Table},
};

/// How often a follower looks for more.
const LOOK: Duration = Duration::from_secs(1);

pub async fn run(context: &Context, args: AuditArgs) -> Result<(), Complaint> {
    let path = |limit: u32| {
        let target = args.target.as_deref().map(|target| format!("&target={}", encoded(target))).unwrap_or_default();
        format!("/v1/audit?limit={limit}{target}")
    };
    let mut newest: Vec<AuditLine> = context.client.ask(Ask::get(path(args.limit))).await?;
    newest.reverse();
    if !args.follow {
        return output::print_as(&newest, context.format(Format::Table), |records| {
            let mut table = Table::new(&["WHEN", "WHO", "WHAT", "STATUS", "DETAIL"]);
            for record in records {
                table.row(cells(record));
            }
            table.text("")
        });
    }
    let mut last = 0;
    loop {
        for record in newest.iter().filter(|record| record.serial > last) {
            let format = context.format(Format::Table);
            output::print_as(record, format, |record| cells(record).join("  ") + "\n")?;
        }
        last = newest.iter().map(|record| record.serial).fold(last, u64::max);
        tokio::time::sleep(LOOK).await;
        newest = context.client.ask(Ask::get(path(1000))).await?;
        newest.reverse();
    }
}

fn cells(record: &AuditLine) -> [String; 5] {
    let when = i64::try_from(record.at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let when = when.map(|when| when.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
    let who = if record.caller.is_empty() { "-".to_owned() } else { record.caller.clone() };
    let detail = if record.detail.is_empty() { record.target.clone() } else { record.detail.clone() };
    [when, who, record.action.clone(), record.status.to_string(), detail]
}
