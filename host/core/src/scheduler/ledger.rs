//! The ledger's contents: slots of other hosts, and of earlier runs of this host.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Scheduler;
use super::backlog::{BacklogEntry, BacklogStage};
use super::messages::SchedulerAction;
use super::track::OperationState;
use crate::account::AccountId;
use crate::lane::LaneId;
use crate::lease::is_lease_active;
use crate::ports::{LedgerOverview, STARTING_LEASE, Slot};

/// The state of the ledger reads.
#[derive(Debug)]
pub(super) struct LedgerReads {
    /// When it is read next; `None` while it is being read.
    pub due: Option<Timestamp>,
    /// Whether it has ever been read: nothing is done before that.
    pub known: bool,
    /// Slots that were freed, and when: a read that began before may still show them.
    pub freed: BTreeMap<AccountId, Timestamp>,
}

impl Scheduler {
    /// Takes the contents of the ledger.
    pub(super) fn ledger_read(
        &mut self,
        read_at: Timestamp,
        overview: LedgerOverview,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        let LedgerOverview { slots, lanes, orders } = overview;
        self.lanes.load_records(&lanes, read_at);
        if !self.ledger.known {
            // The host that paused them may have died before it published the alert.
            for (lane, pause) in self.lanes.paused_by_hosts() {
                actions.push(self.alert_pause(lane, pause));
            }
        }
        // Compared with the last request, and not with the time: an operator's clock may be
        // different. Requests from before this host began are covered by its first sweep.
        if self.ledger.known && orders.sweep != self.orders.sweep {
            self.sweeps.request(now);
        }
        self.orders = orders;
        self.ledger.freed.retain(|_, freed| *freed >= read_at);
        self.release(&slots, read_at, now);
        self.learn_record_ids(&slots);
        self.resume(slots, now);
        self.ledger.known = true;
        self.ledger.due = Some(now + self.rules.poll_interval);
    }

    /// Removes updates whose slot is gone, because another host has completed them. A sweep shows
    /// how they ended.
    fn release(&mut self, slots: &[Slot], read_at: Timestamp, now: Timestamp) {
        let held: BTreeSet<&AccountId> = slots.iter().map(|slot| &slot.account).collect();
        let gone: Vec<AccountId> = self
            .operations
            .iter()
            .filter(|(account, operation)| {
                let completing = matches!(operation.state, OperationState::Completing(_));
                // A start that was refused never had a slot. The time of the slot is no criterion:
                // it is written a little later, perhaps by another clock.
                let had_one = !operation.slot.token.is_empty() && operation.known_since < read_at;
                had_one && !completing && !held.contains(account)
            })
            .map(|(account, _)| account.clone())
            .collect();
        for account in gone {
            self.operations.remove(&account);
            self.close(&account, now);
            self.sweeps.request(now);
        }
    }

    /// Tracks slots of an earlier run of this host, and those of other hosts. They count from the
    /// start.
    fn resume(&mut self, slots: Vec<Slot>, now: Timestamp) {
        for slot in slots {
            let account = &slot.account;
            if self.operations.contains_key(account)
                || self.starting.contains_key(account)
                || self.ledger.freed.contains_key(account)
            {
                continue;
            }
            // If the lane is no longer configured, the first one is taken, so that no later lane
            // starts before this update has ended.
            let lane = self.rules.lane_named(&slot.lane).unwrap_or(LaneId::FIRST);
            let entry = BacklogEntry {
                provisioned_product: slot.provisioned_product.clone(),
                lane,
                ou: slot.ou.clone(),
                failed_attempts: slot.attempt.saturating_sub(1),
                serial: self.backlog.get(&slot.account).map_or(0, |entry| entry.serial),
                stage: BacklogStage::Active,
                changed_at: now,
            };
            self.backlog.put(&slot.account, entry);
            // Another host is about to start it. This host does not, unless that host died.
            let theirs = slot.record.is_none() && slot.host != self.host;
            let until = slot.taken_at + STARTING_LEASE;
            let theirs = theirs && is_lease_active(slot.taken_at, until, now);
            let poll_at = if theirs { until } else { now };
            self.track(slot, poll_at);
        }
    }

    /// Takes the records of starts that another host has written by now.
    fn learn_record_ids(&mut self, slots: &[Slot]) {
        for slot in slots.iter().filter(|slot| slot.record.is_some()) {
            if let Some(operation) = self.operations.get_mut(&slot.account)
                && operation.slot.token == slot.token
                && operation.slot.record.is_none()
                && let OperationState::PollDue(_) = operation.state
            {
                operation.slot = slot.clone();
                operation.state = OperationState::PollDue(self.now);
            }
        }
    }
}
