//! The record of one app: what is wanted of it and how far that has come. One document in the store.

use pillion_model::RevisionNumber;
use serde::{Deserialize, Serialize};

use crate::Front;

/// Revisions kept beyond those that are needed, for people who want to look back.
const REVISIONS_KEPT: u64 = 10;

/// What the owner wants of the app as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Intent {
    Run,
    Stop,
    /// Everything is to go, the record last; a crash in the middle goes on from here.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub intent: Intent,
    /// Over the definition's own number; see [`crate::Control::scale`].
    pub scale: Option<u32>,
    /// The revision that proved itself and takes the traffic.
    pub current: Option<RevisionNumber>,
    /// The revision asked for last. Whether it is on its way or has failed stands in its outcome.
    pub target: RevisionNumber,
    /// The highest number given so far.
    pub newest: RevisionNumber,
    /// The loopback port that is the app's own.
    pub port: u16,
    /// Registry hosts whose credentials are among the app's secrets.
    #[serde(default)]
    pub registries: Vec<String>,
    /// Who alone changes the definition, where that is not whoever applies an app file: an ARM resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The public name, where it is not the app's own or rules hold for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<Front>,
}

impl Record {
    /// Returns every revision that something still needs.
    pub fn needed(&self) -> Vec<RevisionNumber> {
        let mut needed: Vec<_> = self.current.into_iter().chain([self.target]).collect();
        needed.dedup();
        needed
    }

    /// Returns every revision that stays when a new one is stored: what is needed, and the newest ones.
    pub fn kept(&self) -> Vec<RevisionNumber> {
        (self.newest.saturating_sub(REVISIONS_KEPT)..=self.newest).chain(self.needed()).collect()
    }
}
