//! Updates that run, followed to what is written down of their end.

use jiff::Timestamp;

use super::backlog::{Entry, Stage};
use super::letters::{burial, diagnose, overdue};
use super::messages::{Action, Settlement, Sight};
use super::{RETRY, Scheduler};
use crate::account::AccountId;
use crate::aws_error::Class;
use crate::ports::{Ended, Progress, Slot};

/// An update that holds a slot.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub slot: Slot,
    /// Since when this host knows that the slot is taken.
    pub known_since: Timestamp,
    pub watch: Watch,
    pub timeout_alerted: bool,
}

/// What is being done about a running update.
#[derive(Clone, Debug)]
pub(super) enum Watch {
    /// It is looked at next at this moment.
    Due(Timestamp),
    /// A look is under way; `again` when an event came meanwhile.
    Looking { again: bool },
    /// Its end is being written down.
    Settling(Then),
    /// Another host is about to write its end down. From this moment on it is tried here again:
    /// the other may have died.
    Left { at: Timestamp, settlement: Box<Settlement>, then: Then },
}

/// What an account does once its update is settled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// Nothing more.
    Close,
    /// Another try, from a moment on.
    Retry { failed_attempts: u32, ready: Timestamp },
}

impl Scheduler {
    pub(super) fn run(&mut self, slot: Slot, look_at: Timestamp) {
        let account = slot.account.clone();
        let watch = Watch::Due(look_at);
        let operation = Operation { slot, known_since: self.now, watch, timeout_alerted: false };
        self.operations.insert(account, operation);
    }

    pub(super) fn look(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for operation in self.operations.values_mut() {
            match &operation.watch {
                Watch::Due(at) if *at <= now => {
                    operation.watch = Watch::Looking { again: false };
                    actions.push(Action::Look(operation.slot.clone()));
                }
                Watch::Left { at, settlement, then } if *at <= now => {
                    actions.push(Action::Settle((**settlement).clone()));
                    operation.watch = Watch::Settling(*then);
                }
                _ => {}
            }
            let age = operation.slot.age(now);
            if age >= self.rules.operation_timeout && !operation.timeout_alerted {
                operation.timeout_alerted = true;
                let what = format!("overdue: {}, {}", operation.slot.account, operation.slot.token);
                let alert = overdue(&operation.slot, age);
                actions.push(Action::Alert { what, alert });
            }
        }
    }

    pub(super) fn looked(
        &mut self,
        account: &AccountId,
        token: &str,
        sight: Sight,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let operation = self.operations.get_mut(account);
        // Another host may have settled it meanwhile, and the account may run once more.
        let Some(operation) = operation.filter(|operation| operation.slot.token == token) else {
            return;
        };
        let again = matches!(operation.watch, Watch::Looking { again: true });
        let next = if again { now } else { now + self.rules.wait };
        match sight {
            Sight::Running | Sight::Unseen(_) => operation.watch = Watch::Due(next),
            Sight::Adopted(slot) => {
                operation.slot = slot;
                operation.watch = Watch::Due(now);
            }
            Sight::Succeeded => {
                let slot = operation.slot.clone();
                let took = slot.age(now);
                // A moving average over about eight updates.
                self.typical_update = (self.typical_update * 7 + took) / 8;
                let ended = Some(Ended { succeeded: true, at: now });
                // What failed before it is over: another cause may bring the account here again.
                let progress = (slot.attempt > 1).then(Progress::default);
                self.settle(
                    Settlement { slot, progress, ended, burial: None, reason: None },
                    Then::Close,
                    actions,
                );
            }
            Sight::Failed(record) => {
                let slot = operation.slot.clone();
                let (class, reason) = diagnose(&record);
                // What ran and failed spends an attempt, but for contention and throttling.
                let class = match class {
                    Class::Transient | Class::Denied | Class::NotFound => Class::Unknown,
                    class => class,
                };
                self.fail(slot, class, reason, now, actions);
            }
            Sight::NeverBegan(refusal) => {
                let slot = operation.slot.clone();
                self.fail(slot, refusal.class(), refusal.to_string(), now, actions);
            }
            Sight::Superseded => {
                let slot = operation.slot.clone();
                let reason = "somebody else has updated the account to another artifact";
                self.fail(slot, Class::Contention, reason.to_owned(), now, actions);
            }
        }
    }

    /// An update ended badly, or could not be begun. What is the account's own failure
    /// costs an attempt, and the last attempt ends in the dead-letter queue; everything
    /// else costs nothing.
    pub(super) fn fail(
        &mut self,
        slot: Slot,
        class: Class,
        reason: String,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let before = slot.attempt.saturating_sub(1);
        if !matches!(class, Class::Permanent | Class::Unknown) {
            let ready = now + self.rules.wait;
            self.blocked_until = self.blocked_until.max(ready);
            let then = Then::Retry { failed_attempts: before, ready };
            self.settle(
                Settlement {
                    slot,
                    progress: None,
                    ended: None,
                    burial: None,
                    reason: Some(reason),
                },
                then,
                actions,
            );
            return;
        }
        let failed_attempts = before + 1;
        let dead_lettered = class == Class::Permanent || failed_attempts >= self.rules.max_attempts;
        let then = if dead_lettered {
            Then::Close
        } else {
            Then::Retry { failed_attempts, ready: now + RETRY.after(failed_attempts) }
        };
        let burial = dead_lettered.then(|| burial(&slot, &reason, failed_attempts));
        let lane = self.rules.lane_named(&slot.lane);
        if let (true, Some(lane)) = (dead_lettered, lane) {
            self.lanes.give_up(lane);
        }
        let progress = Progress {
            failed_attempts,
            last_error: Some(reason.clone()),
            dead_lettered,
            lane: Some(slot.lane.clone()),
            redriven: 0,
            retry_at: match then {
                Then::Retry { ready, .. } => Some(ready),
                Then::Close => None,
            },
        };
        let ended = Some(Ended { succeeded: false, at: now });
        let (progress, reason) = (Some(progress), Some(reason));
        self.settle(Settlement { slot, progress, ended, burial, reason }, then, actions);
    }

    fn settle(&mut self, settlement: Settlement, then: Then, actions: &mut Vec<Action>) {
        if let Some(operation) = self.operations.get_mut(&settlement.slot.account) {
            operation.watch = Watch::Settling(then);
        }
        actions.push(Action::Settle(settlement));
    }

    pub(super) fn settled(&mut self, account: &AccountId, now: Timestamp) {
        let Some(operation) = self.operations.remove(account) else {
            return;
        };
        match operation.watch {
            Watch::Settling(Then::Retry { failed_attempts, ready }) => {
                self.changed.insert(account.clone());
                // Attempts are counted for each target: those towards the last one are void.
                let same = self.target.as_ref().is_none_or(|t| t.target == operation.slot.target);
                let failed_attempts = if same { failed_attempts } else { 0 };
                if let Some(entry) = self.backlog.get(account) {
                    let stage = Stage::Waiting { ready };
                    let entry = Entry { failed_attempts, stage, touched: now, ..entry.clone() };
                    self.backlog.put(account, entry);
                }
            }
            Watch::Settling(Then::Close)
            | Watch::Due(_)
            | Watch::Looking { .. }
            | Watch::Left { .. } => {
                self.close(account, now);
            }
        }
    }

    /// Nothing more is to be done about an account.
    pub(super) fn close(&mut self, account: &AccountId, now: Timestamp) {
        self.changed.insert(account.clone());
        self.backlog.remove(account, now);
    }
}
