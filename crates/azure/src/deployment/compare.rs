//! what-if: what a deployment would change, as a difference between what is stored and what would be.

use std::{collections::HashSet, sync::Arc};

use pillion_arm::{ArmError, ResourceId, ResourceKind};
use pillion_arm_template::{ChangeKind, Delta, diff};
use pillion_identity::Caller;
use serde_json::{Map, Value, json};

use super::{
    complete::doomed,
    foresee::{Foreseen, foresee},
    prepare::Prepared,
    record::Mode,
    resources::Foretold,
    secrecy::{Secrets, hide, hide_texts, mask},
    service::Inner,
    whole::whole,
};

/// Answers as `whatIf` does.
///
/// # Errors
/// The template is wrong.
pub(crate) async fn what_if(inner: &Arc<Inner>, caller: &Caller, prepared: &Prepared) -> Result<Value, ArmError> {
    let foresight = foresee(inner, caller, prepared).await?;
    let written: HashSet<ResourceId> = foresight.writes.iter().map(|foreseen| foreseen.id.clone()).collect();
    let mut changes = Changes { ids_only: prepared.ids_only, written: &written, shown: Vec::new() };
    let mut wrong = Vec::new();
    for foreseen in foresight.writes {
        match &foreseen.outcome {
            Ok(foretold) => changes.compare(&foreseen, foretold),
            Err(_) if !foreseen.known => changes.add(&foreseen.id, "Deploy", None, None, None),
            Err(error) => wrong.push(error.clone()),
        }
    }
    if !wrong.is_empty() {
        let message = "The deployment would fail: see the details for the resources that are refused.";
        let error = ArmError::new(400, "InvalidTemplateDeployment", message).because(wrong);
        return Ok(json!({ "status": "Failed", "error": error.to_arm() }));
    }
    for (id, why) in &foresight.closed {
        changes.unsupported(id, why);
    }
    let record = &prepared.record;
    if record.scope.kind() == ResourceKind::Group {
        let there = inner.resources.within(caller, &record.scope).await?;
        let gone: HashSet<ResourceId> = match record.mode {
            Mode::Complete => doomed(there.clone(), &written).into_iter().collect(),
            Mode::Incremental => HashSet::new(),
        };
        for id in there.iter().filter(|id| !written.contains(id)) {
            let body = inner.resources.get(caller, id).await.ok();
            match gone.contains(id) {
                true => changes.add(id, "Delete", body, None, None),
                false => changes.add(id, "Ignore", body.clone(), body, None),
            }
        }
    }
    Ok(json!({ "status": "Succeeded", "properties": { "correlationId": record.correlation, "changes": changes.shown } }))
}

struct Changes<'a> {
    ids_only: bool,
    /// What the deployment's resources write by themselves.
    written: &'a HashSet<ResourceId>,
    shown: Vec<Value>,
}

impl Changes<'_> {
    fn compare(&mut self, foreseen: &Foreseen, foretold: &Foretold) {
        let version = foreseen.api_version.as_str();
        let secrets = &foreseen.secrets;
        let after = || Some(shown(&foretold.id, foretold.after.clone(), version, secrets));
        match &foretold.before {
            None => {
                let after = shown(&foretold.id, whole(foretold, self.written), version, secrets);
                self.add(&foretold.id, "Create", None, Some(after), None);
            }
            Some(before) => {
                let deltas = diff(before, &foretold.after);
                let kind = if deltas.is_empty() { "NoChange" } else { "Modify" };
                let deltas = deltas.iter().map(|delta| wire(&foretold.id, "", delta, secrets)).collect();
                let before = Some(shown(&foretold.id, before.clone(), version, secrets));
                self.add(&foretold.id, kind, before, after(), Some(deltas));
                // Documents that come with a new resource are shown in it; with an old one they are changes of their own.
                for other in foretold.also.iter().filter(|other| other.before.as_ref() != Some(&other.after)) {
                    let alone = Foretold { also: Vec::new(), ..other.clone() };
                    self.compare(foreseen, &alone);
                }
            }
        }
    }

    fn add(&mut self, id: &ResourceId, kind: &str, before: Option<Value>, after: Option<Value>, delta: Option<Vec<Value>>) {
        let mut change =
            Map::from_iter([("resourceId".to_owned(), json!(id.to_string())), ("changeType".to_owned(), json!(kind))]);
        if !self.ids_only {
            let parts = [("before", before), ("after", after), ("delta", delta.map(Value::Array))];
            change.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
        }
        // A document may be written by its site and by itself: the last word counts.
        let same = |other: &Value| other["resourceId"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(&id.to_string()));
        self.shown.retain(|other| !same(other));
        self.shown.push(Value::Object(change));
    }

    fn unsupported(&mut self, id: &ResourceId, why: &str) {
        self.shown.push(json!({ "resourceId": id.to_string(), "changeType": "Unsupported", "unsupportedReason": why }));
    }
}

/// The document as it may be shown, with the version that clients print beside it.
fn shown(id: &ResourceId, mut document: Value, version: &str, secrets: &Secrets) -> Value {
    mask(id, &mut document);
    secrets.clean_value(&mut document);
    if let Some(members) = document.as_object_mut() {
        members.insert("apiVersion".to_owned(), json!(version));
    }
    document
}

/// A difference without the values that may not be shown.
fn wire(id: &ResourceId, way: &str, delta: &Delta, secrets: &Secrets) -> Value {
    let kind = match delta.kind {
        ChangeKind::Create => "Create",
        ChangeKind::Delete => "Delete",
        ChangeKind::Modify => "Modify",
        ChangeKind::Array => "Array",
        ChangeKind::NoEffect => "NoEffect",
    };
    let way = if way.is_empty() { delta.path.clone() } else { format!("{way}.{}", delta.path) };
    let (mut before, mut after) = (delta.before.clone(), delta.after.clone());
    hide(id, &way, &mut before);
    hide(id, &way, &mut after);
    if secrets.within(&after) {
        // What it takes the place of was most likely a secret, too.
        hide_texts(&mut before);
    }
    secrets.clean_value(&mut before);
    secrets.clean_value(&mut after);
    let children: Vec<Value> = delta.children.iter().map(|child| wire(id, &way, child, secrets)).collect();
    json!({ "path": delta.path, "propertyChangeType": kind, "before": before, "after": after, "children": children })
}
