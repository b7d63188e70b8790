//! What becomes of starting an update.

use std::time::Duration;

use jiff::Timestamp;

use super::letters::blocked;
use super::messages::{Action, StartOutcome};
use super::{RETRY_MAX, Scheduler};
use crate::account::AccountId;
use crate::aws_error::Class;
use crate::ports::{Hint, Received, Slot};
use crate::start_refusal::StartRefusal;

impl Scheduler {
    pub(super) fn start_ended(
        &mut self,
        account: &AccountId,
        outcome: StartOutcome,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(message) = self.starting.remove(account) else {
            return;
        };
        if matches!(outcome, StartOutcome::Refused(_) | StartOutcome::LedgerUnread) {
            // Its slot was freed, if it had one.
            self.ledger.freed.insert(account.clone(), now);
        }
        let receipt = message.receipt.clone();
        if !matches!(outcome, StartOutcome::AccountBusy) {
            self.busy.remove(account);
        }
        match outcome {
            StartOutcome::Started(slot) | StartOutcome::Unsure(slot) => {
                self.run(slot, now + self.rules.wait);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::Current => {
                self.close(account, now);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::Decided(standing) => {
                self.changed.insert(account.clone());
                self.place(account, standing, true, now);
                actions.push(Action::Drop { receipt });
            }
            StartOutcome::AccountBusy => {
                actions.extend(self.busy(account, now));
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::NothingFree => {
                self.blocked_until = self.blocked_until.max(now + self.rules.wait);
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::OuBusy | StartOutcome::LedgerUnread => {
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            StartOutcome::Refused(refusal) => self.refused(message, &refusal, now, actions),
        }
    }

    fn refused(
        &mut self,
        message: Received<Hint>,
        refusal: &StartRefusal,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        match refusal.class() {
            Class::Contention | Class::Throttled | Class::Transient => {
                if refusal.class() != Class::Transient {
                    self.blocked_until = self.blocked_until.max(now + self.rules.wait);
                }
                actions.push(self.postpone(message, now + self.rules.wait, now));
            }
            // Not this account's fault: every other start would be refused as well.
            Class::Denied | Class::NotFound => {
                self.blocked_until = self.blocked_until.max(now + RETRY_MAX);
                actions.extend(self.trouble("Updates can't be started", &refusal.to_string(), now));
                actions.push(self.postpone(message, now + RETRY_MAX, now));
            }
            Class::Permanent | Class::Unknown => {
                let hint = message.body;
                let slot = Slot {
                    account: hint.account,
                    provisioned_product: hint.provisioned_product,
                    target: hint.target,
                    lane: hint.lane,
                    attempt: hint.attempt,
                    token: String::new(),
                    record: None,
                    taken_at: now,
                    host: self.host.clone(),
                    ou: None,
                    landing_zone: None,
                };
                actions.push(Action::Drop { receipt: message.receipt });
                self.run(slot.clone(), now);
                self.fail(slot, refusal.class(), refusal.to_string(), now, actions);
            }
        }
    }

    /// Something else runs on the account. It is waited for, and told once when it takes
    /// longer than any update: the lanes that follow wait as well.
    fn busy(&mut self, account: &AccountId, now: Timestamp) -> Option<Action> {
        let (since, told) = self.busy.entry(account.clone()).or_insert((now, false));
        let age = Duration::try_from(now.duration_since(*since)).unwrap_or_default();
        if *told || age < self.rules.operation_timeout {
            return None;
        }
        *told = true;
        let day = now.as_second().div_euclid(86_400);
        let what = format!("busy: {account}, {day}");
        Some(Action::Alert { what, alert: blocked(account, age) })
    }
}
