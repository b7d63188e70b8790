//! Puts the results of sweeps and of later decisions into the backlog.

use jiff::Timestamp;

use super::Scheduler;
use super::backlog::{BacklogEntry, BacklogStage};
use super::messages::{AccountUpdateState, Sweep};
use super::retry::RETRY_MAX;
use crate::account::AccountId;

impl Scheduler {
    pub(super) fn swept(&mut self, sweep: Sweep, now: Timestamp) {
        let Sweep { started_at, account_factory, accounts, plan, held_back } = sweep;
        self.sweeps.complete(started_at);
        self.plan = plan;
        self.held_back = held_back;
        let gone: Vec<AccountId> = self
            .backlog
            .accounts()
            .filter(|(id, entry)| {
                entry.stage != BacklogStage::Active
                    && entry.changed_at < started_at
                    && !accounts.contains_key(*id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for account in gone {
            self.backlog.remove(&account, now);
        }
        self.lanes.take_in_sweep(accounts.values().filter_map(|candidate_state| {
            match candidate_state {
                AccountUpdateState::DeadLettered { lane } => Some(*lane),
                _ => None,
            }
        }));
        let new_target = self.target.as_ref() != Some(&account_factory);
        self.target = Some(account_factory);
        // A decision made after the sweep began is newer than the result of the sweep.
        let changed = &self.changed;
        self.holds.retain(|account| changed.contains(account));
        for (account, candidate_state) in accounts {
            let stale = self.changed.contains(&account)
                || self
                    .backlog
                    .get(&account)
                    .is_some_and(|entry| entry.stage == BacklogStage::Active);
            if !stale {
                self.apply_state(&account, candidate_state, new_target, now);
            } else if let AccountUpdateState::Held { until, .. } = candidate_state {
                self.sweeps.request_at(until);
            }
        }
    }

    /// Puts an account where a decision wants it. If it is already queued in that lane for the same
    /// target, it stays in the queue.
    pub(super) fn apply_state(
        &mut self,
        account: &AccountId,
        candidate_state: AccountUpdateState,
        new_target: bool,
        now: Timestamp,
    ) {
        self.holds.remove(account);
        match candidate_state {
            AccountUpdateState::Outdated {
                provisioned_product,
                lane,
                failed_attempts,
                retry_at,
                ou,
            } => {
                let kept = self.backlog.get(account).is_some_and(|entry| {
                    entry.lane == lane
                        && !new_target
                        && entry.failed_attempts == failed_attempts
                        && entry.ou == ou
                });
                if !kept {
                    // No longer than the longest wait: the clock that wrote it may have been wrong.
                    let ready = retry_at.map_or(now, |at| at.clamp(now, now + RETRY_MAX));
                    let stage = BacklogStage::Waiting { ready };
                    let serial = self.backlog.get(account).map_or(0, |entry| entry.serial);
                    let changed_at = now;
                    let entry = BacklogEntry {
                        provisioned_product,
                        lane,
                        ou,
                        failed_attempts,
                        serial,
                        stage,
                        changed_at,
                    };
                    self.backlog.put(account, entry);
                }
            }
            AccountUpdateState::Held { until, lane } => {
                self.backlog.remove(account, now);
                self.holds.put(account, lane, until);
                self.sweeps.request_at(until);
            }
            AccountUpdateState::Current
            | AccountUpdateState::Skipped
            | AccountUpdateState::Closed
            | AccountUpdateState::DeadLettered { .. } => {
                self.backlog.remove(account, now);
            }
        }
    }
}
