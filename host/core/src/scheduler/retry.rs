//! What becomes of an update that failed: whether it counts as an attempt, when it is retried, and
//! when it goes to the dead-letter queue.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::alert_texts::dead_letter_and_alert;
use super::messages::{Completion, SchedulerAction};
use super::track::AfterCompletion;
use crate::aws_error::ErrorClass;
use crate::backoff::Backoff;
use crate::ports::{Slot, UpdateEnd, UpdateProgress};

/// The wait after a failed update, before the next attempt; doubled with each.
pub(super) const UPDATE_RETRY: Backoff = Backoff::new(Duration::from_secs(60), RETRY_MAX);
/// The longest such wait.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(30 * 60);

impl Scheduler {
    /// An update failed, or could not be started. A failure of the account itself counts as an
    /// attempt, and the last attempt ends in the dead-letter queue. Every other failure does not
    /// count.
    pub(super) fn fail(
        &mut self,
        slot: Slot,
        class: ErrorClass,
        reason: String,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        let before = slot.attempt.saturating_sub(1);
        if !matches!(class, ErrorClass::Permanent | ErrorClass::Unknown) {
            let ready = now + self.rules.poll_interval;
            self.blocked_until = self.blocked_until.max(ready);
            let after = AfterCompletion::Retry { failed_attempts: before, ready };
            self.complete(
                Completion {
                    slot,
                    progress: None,
                    ended: None,
                    dead_letter: None,
                    reason: Some(reason),
                },
                after,
                actions,
            );
            return;
        }
        let failed_attempts = before + 1;
        let dead_lettered =
            class == ErrorClass::Permanent || failed_attempts >= self.rules.max_attempts;
        let after = if dead_lettered {
            AfterCompletion::Close
        } else {
            AfterCompletion::Retry {
                failed_attempts,
                ready: now + UPDATE_RETRY.after(failed_attempts),
            }
        };
        let dead_letter =
            dead_lettered.then(|| dead_letter_and_alert(&slot, &reason, failed_attempts));
        let lane = self.rules.lane_named(&slot.lane);
        if let (true, Some(lane)) = (dead_lettered, lane) {
            self.lanes.count_dead_letter(lane);
        }
        let progress = UpdateProgress {
            failed_attempts,
            last_error: Some(reason.clone()),
            dead_lettered,
            lane: Some(slot.lane.clone()),
            redriven: 0,
            retry_at: match after {
                AfterCompletion::Retry { ready, .. } => Some(ready),
                AfterCompletion::Close => None,
            },
        };
        let ended = Some(UpdateEnd { succeeded: false, at: now });
        let (progress, reason) = (Some(progress), Some(reason));
        self.complete(Completion { slot, progress, ended, dead_letter, reason }, after, actions);
    }
}
