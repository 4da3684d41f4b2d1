//! Doing a swap: phase after phase, each of which finds what the one before it stored.

use std::time::Duration;

use pillion_arm::{ArmError, ResourceId};
use pillion_control::{AppState, ControlError, Side};
use pillion_model::AppName;
use pillion_store::{Batch, Expect, Kind, StoreError};
use serde_json::Value;

use super::{Swap, slot_of};
use crate::{
    Azure, Operation, Task,
    names::public_name,
    service::{refusal, unavailable},
    site::is_stopped,
};

/// A start may take half an hour; the pull before it takes what it takes.
const READY_WITHIN: Duration = Duration::from_secs(3600);
/// Writes to the source in the middle of a swap are taken along, this often.
const MOST_ROUNDS: u32 = 10;

/// One attempt's end.
enum Round {
    Switched,
    /// Something was written to the source meanwhile: its app must follow first.
    Again,
}

impl Azure {
    /// Does a swap to its end; begun again after a crash it goes on, since every step finds what the one before it stored.
    pub(crate) async fn perform_swap(&self, operation: &Operation, state: &Value) -> Result<(), ArmError> {
        let swap: Swap = serde_json::from_value(state.clone())
            .map_err(|wrong| ArmError::new(500, "InternalServerError", format!("the swap's state cannot be read: {wrong}")))?;
        if swap.switched {
            self.say(operation, &swap, "the swap had been made before the server restarted").await;
            return Ok(());
        }
        {
            // Begun again after a roll-back whose end was not stored: the mark has gone, and is needed again.
            let _one_at_a_time = self.shared.writing.lock().await;
            self.set_mark(&swap.source, Some(slot_of(&swap.target)), Batch::new()).await?;
        }
        match self.phases(operation, &swap).await {
            Ok(()) => {
                self.say(operation, &swap, "the slots were swapped").await;
                Ok(())
            }
            Err(wrong) => {
                let _one_at_a_time = self.shared.writing.lock().await;
                self.set_mark(&swap.source, None, Batch::new()).await?;
                drop(_one_at_a_time);
                self.say(operation, &swap, &format!("the swap was rolled back: {}", wrong.message)).await;
                Err(wrong)
            }
        }
    }

    async fn phases(&self, operation: &Operation, swap: &Swap) -> Result<(), ArmError> {
        for _ in 0..MOST_ROUNDS {
            self.wake_now(&swap.source);
            self.settled(&swap.source).await;
            let app = self.ready(&swap.source).await?;
            self.warm_up(&swap.source, &swap.target, &app).await?;
            match self.switch(operation, swap).await? {
                Round::Switched => return Ok(()),
                Round::Again => {}
            }
        }
        Err(ArmError::conflict("The slot was written to again and again while it was being swapped."))
    }

    /// Waits until the source runs as the target will.
    async fn ready(&self, source: &ResourceId) -> Result<AppName, ArmError> {
        let control = &self.shared.control;
        let app = self.app_of(source).await?;
        let status = control.await_rest(&app, READY_WITHIN).await.map_err(|wrong| refusal(&wrong))?;
        if status.state == AppState::Running && status.current == Some(status.target) {
            return Ok(app);
        }
        let why = status.diagnosis.map_or_else(
            || format!("it is {:?}", status.state).to_lowercase(),
            |diagnosis| diagnosis.line(pillion_fault::Called::Container),
        );
        let message = format!(
            "Slot '{}' did not become ready with the settings of the slot it is swapped with: {why}.",
            source.full_name()
        );
        Err(ArmError::new(409, "SwapFailed", message))
    }

    /// Moves traffic and documents in one commit.
    async fn switch(&self, operation: &Operation, swap: &Swap) -> Result<Round, ArmError> {
        let _one_at_a_time = self.shared.writing.lock().await;
        let (Some(source), Some(target)) = (public_name(&swap.source), public_name(&swap.target)) else {
            return Err(ArmError::not_found(&swap.source));
        };
        let waits =
            self.shared.store.document::<Value>(Kind::Dirty, source.as_str()).await.map_err(|wrong| unavailable(&wrong))?;
        if waits.is_some() {
            return Ok(Round::Again);
        }
        for side in [&swap.source, &swap.target] {
            if self.peek(side).is_some_and(|resource| is_stopped(&resource)) {
                return Err(ArmError::conflict(format!("'{}' was stopped while it was being swapped.", side.full_name())));
            }
        }
        let changed = self.exchanged(&swap.source, &swap.target)?;
        let mut batch = Batch::new();
        for document in &changed.put {
            let before = self.index().get(&document.id).map_or(Expect::Absent, |entry| Expect::Version(entry.etag));
            batch = batch.put(Kind::Resource, document.id.key(), document.as_ref(), before);
        }
        for id in &changed.gone {
            let before = self.index().get(id).map_or(Expect::Anything, |entry| Expect::Version(entry.etag));
            batch = batch.delete(Kind::Resource, id.key(), before);
        }
        let mut done = operation.clone();
        let switched = Swap { switched: true, ..swap.clone() };
        let state = serde_json::to_value(switched).unwrap_or(Value::Null);
        done.task = Task::Swap { site: swap.source.production().unwrap_or_else(|| swap.source.clone()), state };
        batch = batch.put(Kind::Operation, &operation.id.0, &done, Expect::Anything);
        batch = self.mark(self.mark(batch, &swap.source), &swap.target);
        let (source_owner, target_owner) = (swap.source.to_string(), swap.target.to_string());
        let sides = (Side { name: &source, owner: &source_owner }, Side { name: &target, owner: &target_owner });
        let etags = match self.shared.control.exchange(sides.0, sides.1, batch).await {
            Ok(etags) => etags,
            // A revision was promoted in between, say: look again.
            Err(ControlError::Store(StoreError::Conflict { .. })) => return Ok(Round::Again),
            Err(wrong) => return Err(refusal(&wrong)),
        };
        {
            let mut index = self.index_mut();
            for id in &changed.gone {
                index.remove_under(id);
            }
            for (document, etag) in changed.put.iter().zip(&etags) {
                index.insert(document.clone(), *etag);
            }
        }
        self.wake_now(&swap.target);
        self.wake_now(&swap.source);
        Ok(Round::Switched)
    }

    /// Says in the activity log how a swap went.
    async fn say(&self, operation: &Operation, swap: &Swap, text: &str) {
        let action = format!("{}/slotsswap/action", swap.source.type_name());
        let audit = self.audit(&operation.caller(), &action, &swap.source, 200, text);
        if let Err(wrong) = self.commit(Batch::new().audit(audit)).await {
            tracing::warn!(error = &wrong as &dyn std::error::Error, "how a swap went could not be written down");
        }
        tracing::info!(source = %swap.source, target = %swap.target, "{text}");
    }
}
