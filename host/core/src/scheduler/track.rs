//! Tracks running updates until their completion is written.

use jiff::Timestamp;

use super::Scheduler;
use super::alert_texts::{classify_record, update_overdue};
use super::backlog::{BacklogEntry, BacklogStage};
use super::messages::{Completion, PollResult, SchedulerAction};
use crate::account::AccountId;
use crate::aws_error::ErrorClass;
use crate::ports::{Slot, UpdateEnd, UpdateProgress};

/// An update that holds a slot.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub slot: Slot,
    /// Since when this host knows that the slot is taken.
    pub known_since: Timestamp,
    pub state: OperationState,
    pub timeout_alerted: bool,
}

/// What is being done about a running update.
#[derive(Clone, Debug)]
pub(super) enum OperationState {
    /// It is polled next at this moment.
    PollDue(Timestamp),
    /// It is being polled; `again` if an event came meanwhile.
    Polling { again: bool },
    /// Its completion is being written.
    Completing(AfterCompletion),
    /// Another host is about to write its completion. From this moment on this host tries it again,
    /// because the other host may have died.
    LeftToOtherHost { at: Timestamp, completion: Box<Completion>, after: AfterCompletion },
}

/// What happens to an account after the completion of its update.
#[derive(Clone, Copy, Debug)]
pub(super) enum AfterCompletion {
    /// Nothing.
    Close,
    /// Another attempt, from a moment on.
    Retry { failed_attempts: u32, ready: Timestamp },
}

impl Scheduler {
    pub(super) fn track(&mut self, slot: Slot, poll_at: Timestamp) {
        let account = slot.account.clone();
        let state = OperationState::PollDue(poll_at);
        let operation = Operation { slot, known_since: self.now, state, timeout_alerted: false };
        self.operations.insert(account, operation);
    }

    pub(super) fn poll_due(&mut self, now: Timestamp, actions: &mut Vec<SchedulerAction>) {
        for operation in self.operations.values_mut() {
            match &operation.state {
                OperationState::PollDue(at) if *at <= now => {
                    operation.state = OperationState::Polling { again: false };
                    actions.push(SchedulerAction::Poll(operation.slot.clone()));
                }
                OperationState::LeftToOtherHost { at, completion, after } if *at <= now => {
                    actions.push(SchedulerAction::Complete((**completion).clone()));
                    operation.state = OperationState::Completing(*after);
                }
                _ => {}
            }
            let age = operation.slot.age(now);
            if age >= self.rules.operation_timeout && !operation.timeout_alerted {
                operation.timeout_alerted = true;
                let what = format!("overdue: {}, {}", operation.slot.account, operation.slot.token);
                let alert = update_overdue(&operation.slot, age);
                actions.push(SchedulerAction::Alert { what, alert });
            }
        }
    }

    pub(super) fn polled(
        &mut self,
        account: &AccountId,
        token: &str,
        poll_result: PollResult,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        let operation = self.operations.get_mut(account);
        // Another host may have completed it meanwhile, and the account may have another update.
        let Some(operation) = operation.filter(|operation| operation.slot.token == token) else {
            return;
        };
        let again = matches!(operation.state, OperationState::Polling { again: true });
        let next = if again { now } else { now + self.rules.poll_interval };
        match poll_result {
            PollResult::Running | PollResult::PollFailed(_) => {
                operation.state = OperationState::PollDue(next)
            }
            PollResult::Adopted(slot) => {
                operation.slot = slot;
                operation.state = OperationState::PollDue(now);
            }
            PollResult::Succeeded => {
                let slot = operation.slot.clone();
                let took = slot.age(now);
                // A moving average over about eight updates.
                self.typical_update = (self.typical_update * 7 + took) / 8;
                let ended = Some(UpdateEnd { succeeded: true, at: now });
                // Earlier failures no longer count: another cause may make the account due again.
                let progress = (slot.attempt > 1).then(UpdateProgress::default);
                self.complete(
                    Completion { slot, progress, ended, dead_letter: None, reason: None },
                    AfterCompletion::Close,
                    actions,
                );
            }
            PollResult::Failed(record) => {
                let slot = operation.slot.clone();
                let (class, reason) = classify_record(&record);
                // An update that ran and failed counts as an attempt, except for contention and
                // throttling.
                let class = match class {
                    ErrorClass::Transient | ErrorClass::Denied | ErrorClass::NotFound => {
                        ErrorClass::Unknown
                    }
                    class => class,
                };
                self.fail(slot, class, reason, now, actions);
            }
            PollResult::NeverStarted(refusal) => {
                let slot = operation.slot.clone();
                self.fail(slot, refusal.class(), refusal.to_string(), now, actions);
            }
            PollResult::Superseded => {
                let slot = operation.slot.clone();
                let reason = "somebody else has updated the account to another artifact";
                self.fail(slot, ErrorClass::Contention, reason.to_owned(), now, actions);
            }
        }
    }

    pub(super) fn complete(
        &mut self,
        completion: Completion,
        after: AfterCompletion,
        actions: &mut Vec<SchedulerAction>,
    ) {
        if let Some(operation) = self.operations.get_mut(&completion.slot.account) {
            operation.state = OperationState::Completing(after);
        }
        actions.push(SchedulerAction::Complete(completion));
    }

    pub(super) fn completed(&mut self, account: &AccountId, now: Timestamp) {
        let Some(operation) = self.operations.remove(account) else {
            return;
        };
        match operation.state {
            OperationState::Completing(AfterCompletion::Retry { failed_attempts, ready }) => {
                self.changed.insert(account.clone());
                // Attempts are counted for each target: those for the last target no longer count.
                let same = self.target.as_ref().is_none_or(|t| t.target == operation.slot.target);
                let failed_attempts = if same { failed_attempts } else { 0 };
                if let Some(entry) = self.backlog.get(account) {
                    let stage = BacklogStage::Waiting { ready };
                    let entry =
                        BacklogEntry { failed_attempts, stage, changed_at: now, ..entry.clone() };
                    self.backlog.put(account, entry);
                }
            }
            OperationState::Completing(AfterCompletion::Close)
            | OperationState::PollDue(_)
            | OperationState::Polling { .. }
            | OperationState::LeftToOtherHost { .. } => {
                self.close(account, now);
            }
        }
    }

    /// Nothing more is done about an account.
    pub(super) fn close(&mut self, account: &AccountId, now: Timestamp) {
        self.changed.insert(account.clone());
        self.backlog.remove(account, now);
    }
}
