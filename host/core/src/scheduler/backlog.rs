//! The accounts that still need an update, by lane and stage. In memory only: Service Catalog is
//! the real backlog. This is the result of the last sweep, with the changes since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::account::AccountId;
use crate::catalog::ProvisionedProductId;
use crate::lane::LaneId;

/// The progress of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BacklogStage {
    /// To be queued, from this moment on.
    Waiting { ready: Timestamp },
    /// Being sent to the queue.
    Sending,
    /// In the queue, and visible from this moment on.
    Queued { visible: Timestamp },
    /// Received, starting, running, or being completed.
    Active,
}

/// An account that still needs an update.
#[derive(Clone, Debug)]
pub(super) struct BacklogEntry {
    pub provisioned_product: ProvisionedProductId,
    pub lane: LaneId,
    /// Id of the OU that the account is directly in.
    pub ou: Option<String>,
    pub failed_attempts: u32,
    /// The serial number of the message with which it was last queued.
    pub serial: u32,
    pub stage: BacklogStage,
    /// When the stage last changed.
    pub changed_at: Timestamp,
}

/// The open accounts of one lane.
#[derive(Debug, Default)]
struct LaneBacklog {
    waiting: BTreeSet<(Timestamp, AccountId)>,
    queued: BTreeSet<(Timestamp, AccountId)>,
    sending: usize,
    active: usize,
}

impl LaneBacklog {
    fn open(&self) -> usize {
        self.waiting.len() + self.queued.len() + self.sending + self.active
    }
}

/// Entries and, for each lane, an index over them. All changes go through [`Backlog::put`] and
/// [`Backlog::remove`], which keep both consistent.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: BTreeMap<AccountId, BacklogEntry>,
    lanes: Vec<LaneBacklog>,
    /// When each lane last changed.
    changed: Vec<Timestamp>,
}

impl Backlog {
    pub fn new(lanes: usize, now: Timestamp) -> Self {
        Self {
            entries: BTreeMap::new(),
            lanes: (0..lanes).map(|_| LaneBacklog::default()).collect(),
            changed: vec![now; lanes],
        }
    }

    pub fn get(&self, account: &AccountId) -> Option<&BacklogEntry> {
        self.entries.get(account)
    }

    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &BacklogEntry)> {
        self.entries.iter()
    }

    pub fn put(&mut self, account: &AccountId, entry: BacklogEntry) {
        let now = entry.changed_at;
        self.remove(account, now);
        let lane = &mut self.lanes[entry.lane.index()];
        match entry.stage {
            BacklogStage::Waiting { ready } => {
                lane.waiting.insert((ready, account.clone()));
            }
            BacklogStage::Sending => lane.sending += 1,
            BacklogStage::Queued { visible } => {
                lane.queued.insert((visible, account.clone()));
            }
            BacklogStage::Active => lane.active += 1,
        }
        self.entries.insert(account.clone(), entry);
    }

    /// Moves an account to another stage; does nothing if it is not in the backlog.
    pub fn set_stage(&mut self, account: &AccountId, stage: BacklogStage, now: Timestamp) {
        if let Some(entry) = self.entries.get(account) {
            let entry = BacklogEntry { stage, changed_at: now, ..entry.clone() };
            self.put(account, entry);
        }
    }

    pub fn remove(&mut self, account: &AccountId, now: Timestamp) -> Option<BacklogEntry> {
        let entry = self.entries.remove(account)?;
        let lane = &mut self.lanes[entry.lane.index()];
        match entry.stage {
            BacklogStage::Waiting { ready } => {
                lane.waiting.remove(&(ready, account.clone()));
            }
            BacklogStage::Sending => lane.sending -= 1,
            BacklogStage::Queued { visible } => {
                lane.queued.remove(&(visible, account.clone()));
            }
            BacklogStage::Active => lane.active -= 1,
        }
        self.changed[entry.lane.index()] = now;
        Some(entry)
    }

    /// Whether any account is open, in any lane.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first lane with an open account.
    pub fn first_open_lane(&self) -> Option<LaneId> {
        self.lanes.iter().position(|lane| lane.open() > 0).map(LaneId::from_index)
    }

    /// When anything in this lane last changed.
    pub fn last_change(&self, lane: LaneId) -> Timestamp {
        self.changed[lane.index()]
    }

    /// Accounts of the lane that are in the queue or on their way there.
    pub fn enqueued(&self, lane: LaneId) -> usize {
        self.lanes[lane.index()].queued.len() + self.lanes[lane.index()].sending
    }

    /// Up to `limit` accounts of the lane that are ready to be queued. With `round_robin` the OUs
    /// take turns, so that the limit of one OU does not delay accounts of others.
    pub fn ready(
        &self,
        lane: LaneId,
        limit: usize,
        now: Timestamp,
        round_robin: bool,
    ) -> Vec<AccountId> {
        let ready = self.lanes[lane.index()].waiting.iter().take_while(|(ready, _)| *ready <= now);
        let ready = ready.map(|(_, account)| account);
        if !round_robin {
            return ready.take(limit).cloned().collect();
        }
        let mut seen: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut turns: Vec<(usize, &AccountId)> = ready
            .map(|account| {
                let ou = self.entries.get(account).and_then(|entry| entry.ou.as_deref());
                let turn = seen.entry(ou).or_default();
                *turn += 1;
                (*turn, account)
            })
            .collect();
        // Stable: accounts keep their order within a turn.
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().take(limit).map(|(_, account)| account.clone()).collect()
    }

    /// Accounts of the lane whose update is starting, running or being completed.
    pub fn active(&self, lane: LaneId) -> usize {
        self.lanes[lane.index()].active
    }

    /// Accounts of the lane that are not done.
    pub fn open(&self, lane: LaneId) -> usize {
        self.lanes[lane.index()].open()
    }

    /// When the next account of the lane becomes ready to be queued.
    pub fn next_ready(&self, lane: LaneId) -> Option<Timestamp> {
        self.lanes[lane.index()].waiting.first().map(|(ready, _)| *ready)
    }

    /// When the first queued message of the lane is or becomes visible.
    pub fn next_visible(&self, lane: LaneId) -> Option<Timestamp> {
        self.lanes[lane.index()].queued.first().map(|(visible, _)| *visible)
    }

    /// Accounts of the lane whose message has been visible since before `since`.
    pub fn visible_since(&self, lane: LaneId, since: Timestamp) -> Vec<AccountId> {
        self.lanes[lane.index()]
            .queued
            .iter()
            .take_while(|(visible, _)| *visible <= since)
            .map(|(_, account)| account.clone())
            .collect()
    }
}
