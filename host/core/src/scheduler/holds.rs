//! The accounts that policies hold, and which lanes they keep back.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lanes::{BlockedReason, LaneRules, WhenHeld};
use crate::account::AccountId;
use crate::lane::LaneId;

/// An account that a policy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    /// The lane in which it waits, if any.
    lane: Option<LaneId>,
    until: Timestamp,
}

/// The held accounts, from the last sweep and the decisions after it. An account is one of them
/// until there is another decision about it: after the end of its hold, that takes a sweep.
#[derive(Debug, Default)]
pub(super) struct Holds {
    accounts: BTreeMap<AccountId, Held>,
}

impl Holds {
    pub fn put(&mut self, account: &AccountId, lane: Option<LaneId>, until: Timestamp) {
        self.accounts.insert(account.clone(), Held { lane, until });
    }

    pub fn remove(&mut self, account: &AccountId) {
        self.accounts.remove(account);
    }

    /// Keeps only these accounts.
    pub fn retain(&mut self, keep: impl Fn(&AccountId) -> bool) {
        self.accounts.retain(|account, _| keep(account));
    }

    /// When the first hold ends.
    pub fn next(&self) -> Option<Timestamp> {
        self.accounts.values().map(|held| held.until).min()
    }

    /// Accounts that are held in a lane.
    pub fn in_lane(&self, lane: LaneId) -> usize {
        self.accounts.values().filter(|held| held.lane == Some(lane)).count()
    }

    /// Why a lane starts nothing: the first lane before it in which accounts are held.
    pub fn blocks(&self, lane: LaneId, rules: &[LaneRules]) -> Option<BlockedReason> {
        if rules.get(lane.index())?.held == WhenHeld::Pass {
            return None;
        }
        let lanes = self.accounts.values().filter_map(|held| held.lane);
        let earliest = lanes.filter(|earlier| *earlier < lane).min()?;
        let there = self.accounts.values().filter(|held| held.lane == Some(earliest));
        let until = there.map(|held| held.until).max()?;
        Some(BlockedReason::Held {
            lane: rules.get(earliest.index())?.name.clone(),
            accounts: self.in_lane(earliest),
            until,
        })
    }
}
