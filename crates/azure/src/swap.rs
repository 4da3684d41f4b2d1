//! Swaps of slots: the documented phases, stored so that a crash in the middle goes on where it was.
//!
//! ```text
//! asked ──mark on the source──▶ its app gets the target's sticky settings ──ready──▶ warmed up ──one commit──▶ swapped
//!            │ (a preview rests here)              │ failed                              │ no answer
//!            └────────── cancelled ────────────────┴───── mark removed, the slot goes back ┘
//! ```
//!
//! The mark is the source's `targetSwapSlot`: as long as it is there, the settler compiles the source as the target will be.
//! The last commit exchanges the fronts of the two apps, the documents of the two sites and the operation's state together.

mod documents;
mod perform;
mod warm;

use std::sync::Arc;

use pillion_arm::{ArmError, Resource, ResourceId, ResourceKind};
use pillion_control::ControlError;
use pillion_identity::{Access, Caller};
use pillion_store::{Batch, Etag, Expect, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Azure, OperationId, Task,
    service::{allow, refusal},
    site::is_stopped,
};

/// The mark on a source that is on its way to be swapped: the target's slot.
pub(crate) const MARK: &str = "targetSwapSlot";
/// What production is called where a slot is named.
const PRODUCTION: &str = "production";
/// What is asked for by the last word of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapAction {
    /// `slotsswap`: swap, or complete what was previewed.
    Swap,
    /// `applySlotConfig`: do the first phase and rest.
    Preview,
    /// `resetSlotConfig`: cancel a preview.
    Reset,
}

impl SwapAction {
    /// Reads the last segment of a path, in any case.
    pub fn parse(word: &str) -> Option<SwapAction> {
        let known =
            [("slotsswap", SwapAction::Swap), ("applyslotconfig", SwapAction::Preview), ("resetslotconfig", SwapAction::Reset)];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, action)| action)
    }
}

/// A swap's own state, kept in its operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Swap {
    source: ResourceId,
    target: ResourceId,
    /// Traffic has moved: what is left is to say so.
    switched: bool,
}

impl Azure {
    /// Swaps a site or slot with the slot that the body names, or prepares or cancels that. A swap goes on after the answer.
    ///
    /// # Errors
    /// 400 where no slot is named, 403, 404, 409.
    pub async fn swap(
        &self,
        caller: &Caller,
        site: &ResourceId,
        action: SwapAction,
        body: &Value,
    ) -> Result<Option<OperationId>, ArmError> {
        allow(caller, Access::Write, site)?;
        self.known_subscription(site)?;
        self.writable(site)?;
        let _one_at_a_time = self.shared.writing.lock().await;
        let production = site.production().ok_or_else(|| ArmError::not_found(site))?;
        if self.shared.operations.swapping(&production).is_some() {
            return Err(ArmError::conflict(
                "Cannot modify this site because another operation is in progress: a swap of its slots.",
            ));
        }
        let said = |site: &ResourceId, detail: &str| {
            let name = format!("{}/{}/action", site.type_name(), word(action));
            Batch::new().audit(self.audit(caller, &name, site, 202, detail))
        };
        if action == SwapAction::Reset {
            let sources = self.previewed(site, &production)?;
            // A cancellation changes whatever it was a preview of: the caller must be let to, and for all before any.
            for source in &sources {
                allow(caller, Access::Write, source)?;
            }
            for source in sources {
                self.set_mark(&source, None, said(&source, "back to its own settings")).await?;
            }
            return Ok(None);
        }
        let (source, target) = self.sides(site, body)?;
        // Both sides change, and each gets to know what the other keeps.
        allow(caller, Access::Write, &target)?;
        let batch = said(&source, &format!("{} with {}", source.full_name(), target.full_name()));
        self.can_swap(&source, &target).await?;
        if action == SwapAction::Preview {
            self.set_mark(&source, Some(slot_of(&target)), batch).await?;
            return Ok(None);
        }
        let state = serde_json::to_value(Swap { source: source.clone(), target: target.clone(), switched: false });
        let state = state.map_err(|wrong| ArmError::new(500, "InternalServerError", wrong.to_string()))?;
        // In one commit: a mark without its swap would stay for ever, a swap without its mark would forget what is sticky.
        let marked = self.marked(&source, Some(slot_of(&target)));
        let put = marked.as_ref().map_or_else(Batch::new, |(resource, before)| {
            Batch::new().put(Kind::Resource, source.key(), resource, Expect::Version(*before))
        });
        let batch = self.mark(put, &source).and(batch);
        let (operation, etags) = self.begin(caller, Task::Swap { site: production, state }, batch).await?;
        if let (Some((resource, _)), Some(etag)) = (marked, etags.first()) {
            self.index_mut().insert(Arc::new(resource), *etag);
        }
        Ok(Some(operation))
    }

    /// Source and target of a request: the path's site, and the slot that the body names.
    fn sides(&self, site: &ResourceId, body: &Value) -> Result<(ResourceId, ResourceId), ArmError> {
        let named = body["targetSlot"].as_str().map(str::trim).filter(|slot| !slot.is_empty());
        let Some(slot) = named else {
            return Err(ArmError::bad_request("targetSlot", "The parameter targetSlot is required: the slot to swap with."));
        };
        let production = site.production().ok_or_else(|| ArmError::not_found(site))?;
        let target = if slot.eq_ignore_ascii_case(PRODUCTION) { production } else { production.child("slots", slot) };
        if target == *site {
            return Err(ArmError::bad_request("targetSlot", "A slot cannot be swapped with itself."));
        }
        let index = self.index();
        let known = |id: &ResourceId| index.get(id).map(|entry| entry.resource.id.clone()).ok_or_else(|| ArmError::not_found(id));
        Ok((known(site)?, known(&target)?))
    }

    /// Returns which sources a cancellation on `site` is about: `az` names either side of a preview, or only the site.
    fn previewed(&self, site: &ResourceId, production: &ResourceId) -> Result<Vec<ResourceId>, ArmError> {
        let index = self.index();
        index.get(site).ok_or_else(|| ArmError::not_found(site))?;
        let own = slot_of(site);
        let concerned = |entry: &&crate::Entry| {
            let mark = entry.resource.text(MARK);
            mark.is_some_and(|target| entry.resource.id == *site || target.eq_ignore_ascii_case(&own))
        };
        let slots = index.of_kind(production, &ResourceKind::Slot);
        let all = index.get(production).into_iter().chain(slots);
        Ok(all.filter(concerned).map(|entry| entry.resource.id.clone()).collect())
    }

    /// Refuses what could only fail.
    async fn can_swap(&self, source: &ResourceId, target: &ResourceId) -> Result<(), ArmError> {
        for site in [source, target] {
            let Some(resource) = self.peek(site) else { return Err(ArmError::not_found(site)) };
            if is_stopped(&resource) {
                return Err(ArmError::conflict(format!(
                    "Cannot swap slots because '{}' is stopped. Start it first (az webapp start).",
                    site.full_name()
                )));
            }
            let other = resource.text(MARK).map(str::to_owned);
            let ours = |slot: &String| site == source && slot.eq_ignore_ascii_case(&slot_of(target));
            if let Some(other) = other.filter(|slot| !ours(slot)) {
                return Err(ArmError::conflict(format!(
                    "Slot '{}' is being previewed for a swap with '{other}'. Complete or cancel that first.",
                    site.full_name()
                )));
            }
        }
        let app = self.app_of(source).await?;
        match self.shared.control.status(&app).await {
            Ok(_) => Ok(()),
            Err(ControlError::AppNotFound { .. }) => {
                Err(ArmError::conflict(format!("Cannot swap slots because '{}' has nothing that runs yet.", source.full_name())))
            }
            Err(wrong) => Err(refusal(&wrong)),
        }
    }

    /// Writes or removes the mark on a source, and has its app follow; the caller holds the lock on writes.
    async fn set_mark(&self, source: &ResourceId, slot: Option<String>, batch: Batch) -> Result<(), ArmError> {
        let Some((resource, before)) = self.marked(source, slot) else {
            return if batch.is_empty() { Ok(()) } else { self.commit(batch).await.map(drop) };
        };
        let put = Batch::new().put(Kind::Resource, source.key(), &resource, Expect::Version(before));
        let etags = self.commit(self.mark(put, source).and(batch)).await?;
        if let Some(etag) = etags.first() {
            self.index_mut().insert(Arc::new(resource), *etag);
        }
        self.wake_now(source);
        Ok(())
    }

    /// Returns a source with the mark written or removed, and its etag before; none where it is so already or gone.
    fn marked(&self, source: &ResourceId, slot: Option<String>) -> Option<(Resource, Etag)> {
        let found = self.index().get(source).cloned()?;
        if found.resource.text(MARK).map(str::to_owned) == slot {
            return None;
        }
        let mut resource = (*found.resource).clone();
        match slot {
            Some(slot) => drop(resource.properties.insert(MARK.to_owned(), Value::from(slot))),
            None => drop(resource.properties.shift_remove(MARK)),
        }
        Some((resource, found.etag))
    }
}

fn slot_of(site: &ResourceId) -> String {
    site.slot_name().unwrap_or_else(|| PRODUCTION.to_owned())
}

fn word(action: SwapAction) -> &'static str {
    match action {
        SwapAction::Swap => "slotsswap",
        SwapAction::Preview => "applySlotConfig",
        SwapAction::Reset => "resetSlotConfig",
    }
}
