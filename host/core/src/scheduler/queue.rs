//! The updates queue: a window of the lane whose turn it is, which is sent and received again.

use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::backlog::{BacklogEntry, BacklogStage};
use super::messages::SchedulerAction;
use crate::account::AccountId;
use crate::lane::LaneId;
use crate::ports::{QueuedUpdate, ReceivedMessage};

/// A message that was visible for this long and was not received is considered lost, and is sent
/// again. The time is longer than SQS remembers a deduplication id (5 minutes): within that time,
/// SQS would drop the message.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(10 * 60);
/// The time instead of [`LOST_AFTER`] if SQS counts no message at all: the queue was purged or
/// recreated. Its counts may be wrong for that long, and a message that is in the queue twice does
/// no harm.
pub(super) const LOST_IF_EMPTY: Duration = Duration::from_secs(40);

impl Scheduler {
    /// Keeps a window of the lane's work in the queue. It is refilled when half of it is gone.
    pub(super) fn top_up_queue(
        &mut self,
        lane: LaneId,
        now: Timestamp,
        actions: &mut Vec<SchedulerAction>,
    ) {
        let Some(target) = &self.target else { return };
        if !self.needs_top_up(lane) {
            return;
        }
        let room = self.window(lane) - self.backlog.enqueued(lane);
        let mut queued_updates = Vec::new();
        let round_robin = self.rules.per_ou_limit.is_some();
        for account in self.backlog.ready(lane, room, now, round_robin) {
            let Some(entry) = self.backlog.get(&account) else {
                continue;
            };
            // Above every serial number of an earlier run or cause.
            let seconds = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
            let serial = entry.serial.saturating_add(1).max(seconds);
            queued_updates.push(QueuedUpdate {
                account: account.clone(),
                provisioned_product: entry.provisioned_product.clone(),
                target: target.target.clone(),
                lane: self.rules.lane(lane).name.clone(),
                attempt: entry.failed_attempts + 1,
                serial,
            });
            let entry = BacklogEntry {
                stage: BacklogStage::Sending,
                serial,
                changed_at: now,
                ..entry.clone()
            };
            self.backlog.put(&account, entry);
        }
        if !queued_updates.is_empty() {
            actions.push(SchedulerAction::EnqueueUpdates(queued_updates));
        }
    }

    pub(super) fn needs_top_up(&self, lane: LaneId) -> bool {
        self.backlog.enqueued(lane) <= self.window(lane) / 2
    }

    /// The most messages in the queue: as many as are done within the window.
    fn window(&self, lane: LaneId) -> usize {
        let cap = self.rules.lane(lane).concurrency.min(self.rules.max_concurrent_operations);
        let rounds = self.rules.window.as_secs() / self.typical_update.as_secs().max(1);
        (usize::try_from(rounds).unwrap_or(usize::MAX)).saturating_mul(cap).max(2 * cap)
    }

    /// A message was sent, or could not be. Unless there is a new decision about the account, it
    /// moves to `stage`.
    pub(super) fn sent(&mut self, account: &AccountId, stage: BacklogStage, now: Timestamp) {
        if self.backlog.get(account).is_some_and(|entry| entry.stage == BacklogStage::Sending) {
            self.backlog.set_stage(account, stage, now);
        }
    }

    pub(super) fn received(
        &mut self,
        message: ReceivedMessage<QueuedUpdate>,
        now: Timestamp,
    ) -> SchedulerAction {
        let queued_update = &message.body;
        let lane = self.runnable_lane();
        let current = self.backlog.get(&queued_update.account).is_some_and(|entry| {
            let expected = match entry.stage {
                // Sending: the message arrived before the response to sending it. Waiting: it was
                // considered lost, and arrived after all.
                BacklogStage::Queued { .. } | BacklogStage::Sending => true,
                BacklogStage::Waiting { ready } => ready <= now,
                BacklogStage::Active => false,
            };
            expected
                && Some(entry.lane) == lane
                && self.rules.lane(entry.lane).name == queued_update.lane
                && entry.failed_attempts + 1 == queued_update.attempt
                && self.target.as_ref().is_some_and(|target| target.target == queued_update.target)
        });
        let free = lane.map_or(0, |lane| self.free(lane));
        if !current {
            // This is the message that the account waits for, but a newer decision has made it
            // invalid: the account is queued again.
            let awaited = self.backlog.get(&queued_update.account).is_some_and(|entry| {
                entry.serial == queued_update.serial
                    && matches!(entry.stage, BacklogStage::Queued { .. })
            });
            if awaited {
                self.backlog.set_stage(
                    &queued_update.account,
                    BacklogStage::Waiting { ready: now },
                    now,
                );
            }
            return SchedulerAction::DeleteMessage { receipt_handle: message.receipt_handle };
        }
        let ou = self.backlog.get(&queued_update.account).and_then(|entry| entry.ou.clone());
        if free == 0 || self.is_ou_full(ou.as_deref()) {
            return self.postpone(message, now + self.rules.poll_interval, now);
        }
        self.backlog.set_stage(&queued_update.account, BacklogStage::Active, now);
        self.starting.insert(queued_update.account.clone(), message.clone());
        SchedulerAction::Start(message)
    }

    /// Whether no other update may start in an OU now.
    fn is_ou_full(&self, ou: Option<&str>) -> bool {
        let Some(limit) = self.rules.per_ou_limit else { return false };
        let running = self
            .operations
            .keys()
            .chain(self.starting.keys().filter(|account| !self.operations.contains_key(*account)));
        let there = running.filter(|account| {
            self.backlog.get(account).is_some_and(|entry| entry.ou.as_deref() == ou)
        });
        there.count() >= limit
    }

    pub(super) fn postpone(
        &mut self,
        message: ReceivedMessage<QueuedUpdate>,
        until: Timestamp,
        now: Timestamp,
    ) -> SchedulerAction {
        self.backlog.set_stage(&message.body.account, BacklogStage::Queued { visible: until }, now);
        SchedulerAction::PostponeMessage { receipt_handle: message.receipt_handle, until }
    }

    /// No message came, although some should be in the queue. Those that have been visible for long
    /// are lost (retention, a purge, another host's crash), and are sent again.
    pub(super) fn nothing_received(&mut self, lost_after: Duration, now: Timestamp) {
        let Some(lane) = self.runnable_lane() else {
            return;
        };
        for account in self.backlog.visible_since(lane, now - lost_after) {
            self.backlog.set_stage(&account, BacklogStage::Waiting { ready: now }, now);
        }
        self.blocked_until = self.blocked_until.max(now + Duration::from_secs(1));
    }
}
