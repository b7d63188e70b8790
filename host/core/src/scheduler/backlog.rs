//! The accounts that still need an update, by lane and stage. In memory only: Service
//! Catalog is the backlog, this is what the last sweep saw of it and what came since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::account::AccountId;
use crate::catalog::ProvisionedProductId;
use crate::lane::LaneId;

/// How far an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be handed over, from this moment on.
    Waiting { ready: Timestamp },
    /// On its way into the queue.
    Sending,
    /// In the queue, and visible from this moment on.
    Queued { visible: Timestamp },
    /// Received, being started, running, or being settled.
    Active,
}

/// An account that still needs an update.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub provisioned_product: ProvisionedProductId,
    pub lane: LaneId,
    /// Id of the OU that the account is directly in.
    pub ou: Option<String>,
    pub failed_attempts: u32,
    /// The serial number of the message by which it was handed over last.
    pub serial: u32,
    pub stage: Stage,
    /// When the stage last changed.
    pub touched: Timestamp,
}

/// What of one lane is open.
#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<(Timestamp, AccountId)>,
    queued: BTreeSet<(Timestamp, AccountId)>,
    sending: usize,
    active: usize,
}

impl Lane {
    fn open(&self) -> usize {
        self.waiting.len() + self.queued.len() + self.sending + self.active
    }
}

/// Entries and, for each lane, an index over them. All changes go through [`Backlog::put`]
/// and [`Backlog::remove`], so that the two never disagree.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: BTreeMap<AccountId, Entry>,
    lanes: Vec<Lane>,
    /// When each lane last changed.
    changed: Vec<Timestamp>,
}

impl Backlog {
    pub fn new(lanes: usize, now: Timestamp) -> Self {
        Self {
            entries: BTreeMap::new(),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            changed: vec![now; lanes],
        }
    }

    pub fn get(&self, account: &AccountId) -> Option<&Entry> {
        self.entries.get(account)
    }

    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Entry)> {
        self.entries.iter()
    }

    pub fn put(&mut self, account: &AccountId, entry: Entry) {
        let now = entry.touched;
        self.remove(account, now);
        let lane = &mut self.lanes[entry.lane.place()];
        match entry.stage {
            Stage::Waiting { ready } => {
                lane.waiting.insert((ready, account.clone()));
            }
            Stage::Sending => lane.sending += 1,
            Stage::Queued { visible } => {
                lane.queued.insert((visible, account.clone()));
            }
            Stage::Active => lane.active += 1,
        }
        self.entries.insert(account.clone(), entry);
    }

    /// Moves an account to another stage; nothing when it is not in the backlog.
    pub fn advance(&mut self, account: &AccountId, stage: Stage, now: Timestamp) {
        if let Some(entry) = self.entries.get(account) {
            let entry = Entry { stage, touched: now, ..entry.clone() };
            self.put(account, entry);
        }
    }

    pub fn remove(&mut self, account: &AccountId, now: Timestamp) -> Option<Entry> {
        let entry = self.entries.remove(account)?;
        let lane = &mut self.lanes[entry.lane.place()];
        match entry.stage {
            Stage::Waiting { ready } => {
                lane.waiting.remove(&(ready, account.clone()));
            }
            Stage::Sending => lane.sending -= 1,
            Stage::Queued { visible } => {
                lane.queued.remove(&(visible, account.clone()));
            }
            Stage::Active => lane.active -= 1,
        }
        self.changed[entry.lane.place()] = now;
        Some(entry)
    }

    /// Whether any account is open, in any lane.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first lane with an open account.
    pub fn first_open_lane(&self) -> Option<LaneId> {
        self.lanes.iter().position(|lane| lane.open() > 0).map(LaneId::at)
    }

    /// When anything in this lane last changed.
    pub fn last_change(&self, lane: LaneId) -> Timestamp {
        self.changed[lane.place()]
    }

    /// Accounts of the lane that are in the queue or on their way there.
    pub fn handed_over(&self, lane: LaneId) -> usize {
        self.lanes[lane.place()].queued.len() + self.lanes[lane.place()].sending
    }

    /// Up to `limit` accounts of the lane that are ready to be handed over. With `by_turns` each
    /// OU has its turn, so that a limit of each does not hold up what could start.
    pub fn ready(
        &self,
        lane: LaneId,
        limit: usize,
        now: Timestamp,
        by_turns: bool,
    ) -> Vec<AccountId> {
        let ready = self.lanes[lane.place()].waiting.iter().take_while(|(ready, _)| *ready <= now);
        let ready = ready.map(|(_, account)| account);
        if !by_turns {
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
        // Stable: within a turn they keep their order.
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().take(limit).map(|(_, account)| account.clone()).collect()
    }

    /// Accounts of the lane that are being started, run or are being settled.
    pub fn active(&self, lane: LaneId) -> usize {
        self.lanes[lane.place()].active
    }

    /// Accounts of the lane that are still to be done.
    pub fn open(&self, lane: LaneId) -> usize {
        self.lanes[lane.place()].open()
    }

    /// When the next account of the lane becomes ready to be handed over.
    pub fn next_ready(&self, lane: LaneId) -> Option<Timestamp> {
        self.lanes[lane.place()].waiting.first().map(|(ready, _)| *ready)
    }

    /// When the first queued message of the lane is or becomes visible.
    pub fn next_visible(&self, lane: LaneId) -> Option<Timestamp> {
        self.lanes[lane.place()].queued.first().map(|(visible, _)| *visible)
    }

    /// Accounts of the lane whose message has been visible since before `since`.
    pub fn visible_since(&self, lane: LaneId, since: Timestamp) -> Vec<AccountId> {
        self.lanes[lane.place()]
            .queued
            .iter()
            .take_while(|(visible, _)| *visible <= since)
            .map(|(_, account)| account.clone())
            .collect()
    }
}
