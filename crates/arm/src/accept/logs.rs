//! `config/logs`: what is logged, and how much of it is kept.

use serde_json::{Map, Value};

use super::{
    Write,
    fields::{Fields, overlay},
};
use crate::{ArmError, Resource};

pub(super) fn accept(mut write: Write<'_>) -> Result<Resource, ArmError> {
    let given = write.properties()?;
    let mut document = write.begin();
    check(&given)?;
    let known = ["applicationLogs", "httpLogs", "failedRequestsTracing", "detailedErrorMessages"];
    overlay(&mut document.properties, given, &known);
    Ok(document)
}

fn check(given: &Map<String, Value>) -> Result<(), ArmError> {
    let fields = Fields::new(given, "properties");
    if let Some(application) = fields.object("applicationLogs")? {
        let at = fields.path("applicationLogs");
        if let Some(files) = Fields::new(application, &at).object("fileSystem")? {
            let levels = ["Off", "Verbose", "Information", "Warning", "Error"];
            Fields::new(files, &format!("{at}.fileSystem")).word("level", &levels)?;
        }
    }
    if let Some(http) = fields.object("httpLogs")? {
        let at = fields.path("httpLogs");
        if let Some(files) = Fields::new(http, &at).object("fileSystem")? {
            let at = format!("{at}.fileSystem");
            let files = Fields::new(files, &at);
            files.number("retentionInMb", 25, 100)?;
            files.number("retentionInDays", 0, 99_999)?;
            files.flag("enabled")?;
        }
    }
    for field in ["failedRequestsTracing", "detailedErrorMessages"] {
        if let Some(map) = fields.object(field)? {
            Fields::new(map, &fields.path(field)).flag("enabled")?;
        }
    }
    Ok(())
}
