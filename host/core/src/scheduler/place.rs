//! What sweeps and later decisions say of accounts, taken into the backlog.

use jiff::Timestamp;

use super::backlog::{Entry, Stage};
use super::messages::{Standing, Sweep};
use super::{RETRY_MAX, Scheduler};
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
                entry.stage != Stage::Active
                    && entry.touched < started_at
                    && !accounts.contains_key(*id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for account in gone {
            self.backlog.remove(&account, now);
        }
        self.lanes.sweep(accounts.values().filter_map(|standing| match standing {
            Standing::GivenUp { lane } => Some(*lane),
            _ => None,
        }));
        let new_target = self.target.as_ref() != Some(&account_factory);
        self.target = Some(account_factory);
        // What was decided since the sweep began is newer than what it saw.
        let changed = &self.changed;
        self.holds.retain(|account| changed.contains(account));
        for (account, standing) in accounts {
            let stale = self.changed.contains(&account)
                || self.backlog.get(&account).is_some_and(|entry| entry.stage == Stage::Active);
            if !stale {
                self.place(&account, standing, new_target, now);
            } else if let Standing::Held { until, .. } = standing {
                self.sweeps.at(until);
            }
        }
    }

    /// Puts an account where a decision wants it. What is already handed over in that lane
    /// for the same target is left in the queue.
    pub(super) fn place(
        &mut self,
        account: &AccountId,
        standing: Standing,
        new_target: bool,
        now: Timestamp,
    ) {
        self.holds.remove(account);
        match standing {
            Standing::Outdated { provisioned_product, lane, failed_attempts, retry_at, ou } => {
                let kept = self.backlog.get(account).is_some_and(|entry| {
                    entry.lane == lane
                        && !new_target
                        && entry.failed_attempts == failed_attempts
                        && entry.ou == ou
                });
                if !kept {
                    // No longer than it ever waits: the clock that wrote it may have been wrong.
                    let ready = retry_at.map_or(now, |at| at.clamp(now, now + RETRY_MAX));
                    let stage = Stage::Waiting { ready };
                    let serial = self.backlog.get(account).map_or(0, |entry| entry.serial);
                    let touched = now;
                    let entry = Entry {
                        provisioned_product,
                        lane,
                        ou,
                        failed_attempts,
                        serial,
                        stage,
                        touched,
                    };
                    self.backlog.put(account, entry);
                }
            }
            Standing::Held { until, lane } => {
                self.backlog.remove(account, now);
                self.holds.put(account, lane, until);
                self.sweeps.at(until);
            }
            Standing::Current | Standing::Skipped | Standing::Closed | Standing::GivenUp { .. } => {
                self.backlog.remove(account, now);
            }
        }
    }
}
