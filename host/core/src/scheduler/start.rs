//! Handles the result of starting an update.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::alert_texts::account_busy;
use super::messages::{SchedulerAction, StartOutcome};
use super::retry::RETRY_MAX;
use crate::account::AccountId;
use crate::aws_error::ErrorClass;
use crate::ports::{QueuedUpdate, ReceivedMessage, Slot};
use crate::start_failure::StartFailure;

impl Scheduler {
    pub(super) fn start_ended(
        &mut self,
        account: &AccountId,
        outcome: StartOutcome,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        let Some(message) = self.starting.remove(account) else {
            return;
        };
        if matches!(outcome, StartOutcome::Refused(_) | StartOutcome::LedgerUnavailable) {
            // Its slot is freed, if it had one.
            self.ledger.freed.insert(account.clone(), now);
        }
        let receipt_handle = message.receipt_handle.clone();
        if !matches!(outcome, StartOutcome::AccountBusy) {
            self.busy.remove(account);
        }
        match outcome {
            StartOutcome::Started(slot) | StartOutcome::Unconfirmed(slot) => {
                self.track(slot, now + self.rules.poll_interval);
                actions.push(SchedulerAction::DeleteMessage { receipt_handle });
            }
            StartOutcome::Current => {
                self.close(account, now);
                actions.push(SchedulerAction::DeleteMessage { receipt_handle });
            }
            StartOutcome::DecisionChanged(candidate_state) => {
                self.changed.insert(account.clone());
                self.apply_state(account, candidate_state, true, now);
                actions.push(SchedulerAction::DeleteMessage { receipt_handle });
            }
            StartOutcome::AccountBusy => {
                actions.extend(self.busy(account, now));
                actions.push(self.postpone(message, now + self.rules.poll_interval, now));
            }
            StartOutcome::NoCapacity => {
                self.blocked_until = self.blocked_until.max(now + self.rules.poll_interval);
                actions.push(self.postpone(message, now + self.rules.poll_interval, now));
            }
            StartOutcome::OuLimitReached | StartOutcome::LedgerUnavailable => {
                actions.push(self.postpone(message, now + self.rules.poll_interval, now));
            }
            StartOutcome::Refused(refusal) => self.refused(message, &refusal, now, actions),
        }
    }

    fn refused(
        &mut self,
        message: ReceivedMessage<QueuedUpdate>,
        refusal: &StartFailure,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        match refusal.class() {
            ErrorClass::Contention | ErrorClass::Throttled | ErrorClass::Transient => {
                if refusal.class() != ErrorClass::Transient {
                    self.blocked_until = self.blocked_until.max(now + self.rules.poll_interval);
                }
                actions.push(self.postpone(message, now + self.rules.poll_interval, now));
            }
            // Not this account's fault: AWS would refuse every other start as well.
            ErrorClass::Denied | ErrorClass::NotFound => {
                self.blocked_until = self.blocked_until.max(now + RETRY_MAX);
                actions.extend(self.host_alert(
                    "Updates can't be started",
                    &refusal.to_string(),
                    now,
                ));
                actions.push(self.postpone(message, now + RETRY_MAX, now));
            }
            ErrorClass::Permanent | ErrorClass::Unknown => {
                let queued_update = message.body;
                let slot = Slot {
                    account: queued_update.account,
                    provisioned_product: queued_update.provisioned_product,
                    target: queued_update.target,
                    lane: queued_update.lane,
                    attempt: queued_update.attempt,
                    token: String::new(),
                    record: None,
                    taken_at: now,
                    host: self.host.clone(),
                    ou: None,
                    landing_zone: None,
                };
                actions.push(SchedulerAction::DeleteMessage {
                    receipt_handle: message.receipt_handle,
                });
                self.track(slot.clone(), now);
                self.fail(slot, refusal.class(), refusal.to_string(), now, actions);
            }
        }
    }

    /// Something else runs on the account. The scheduler waits for it. If it takes longer than any
    /// update, there is one alert: the later lanes wait as well.
    fn busy(&mut self, account: &AccountId, now: Timestamp) -> Option<SchedulerAction> {
        let (since, alerted) = self.busy.entry(account.clone()).or_insert((now, false));
        let age = Duration::try_from(now.duration_since(*since)).unwrap_or_default();
        if *alerted || age < self.rules.operation_timeout {
            return None;
        }
        *alerted = true;
        let day = now.as_second().div_euclid(86_400);
        let what = format!("busy: {account}, {day}");
        Some(SchedulerAction::Alert { what, alert: account_busy(account, age) })
    }
}
