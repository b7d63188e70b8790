//! The scheduler, and a task for each of its actions.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::scheduler::{
    BlockedReason, Observation, Scheduler, SchedulerAction, SchedulerView,
};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::Updates;
use super::sweep::{SweepError, SweepOutcome};
use crate::retry::{retry_until_success, task_result};

/// Between two polls of a landing zone that is being changed, which may take hours.
const LANDING_ZONE_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// The updates of a host that are under way.
pub(crate) struct UpdateLoop {
    updates: Arc<Updates>,
    scheduler: Scheduler,
    tasks: JoinSet<Vec<Observation>>,
    /// The number of times that the clock had been set when the scheduler began.
    adjustments: u64,
}

impl UpdateLoop {
    /// A loop with an empty scheduler. It starts nothing before the first observation.
    pub(crate) fn new(updates: Arc<Updates>) -> Self {
        let (scheduler, adjustments) = (updates.scheduler(), updates.adjustments());
        Self { updates, scheduler, tasks: JoinSet::new(), adjustments }
    }

    /// Passes observations to the scheduler, and performs the resulting actions.
    pub(crate) fn observe(&mut self, observations: impl IntoIterator<Item = Observation>) {
        for observation in observations {
            let actions = self.scheduler.observe(self.updates.now(), observation);
            self.perform(actions);
        }
    }

    /// The observations of the next action that ends; `None` when nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<Vec<Observation>> {
        let done = self.tasks.join_next().await?;
        Some(task_result(done).unwrap_or_default())
    }

    /// Whether nothing is under way in this process. Operations in AWS don't count.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The state of the scheduler.
    pub(crate) fn view(&self) -> SchedulerView {
        self.scheduler.view()
    }

    /// When the next action is due.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.scheduler.next_wake()
    }

    /// Whether nothing is left to do before `end`.
    pub(crate) fn is_quiescent(&self, end: Timestamp) -> bool {
        self.scheduler.is_quiescent(end)
    }

    /// The lane whose turn it is, if it is blocked.
    pub(crate) fn blocked(&self) -> Option<(String, BlockedReason)> {
        let (lane, blocked) = self.scheduler.blocked()?;
        Some((self.updates.lane_name(lane).to_owned(), blocked))
    }

    /// Restarts the scheduler if the time was set: actions that were due at moments of the old time
    /// would come too late. Calls under way continue, and their results are in the ledger.
    pub(crate) fn restart_if_clock_set(&mut self) {
        if self.updates.adjustments() != self.adjustments {
            self.restart();
            self.observe([Observation::Tick]);
        }
    }

    /// Starts again with an empty scheduler, and forgets all timestamps.
    pub(crate) fn restart(&mut self) {
        self.adjustments = self.updates.adjustments();
        self.updates.forget_timestamps();
        self.scheduler = self.updates.scheduler();
    }

    /// Waits for the calls under way, and records what follows from them.
    pub(crate) async fn finish(&mut self) {
        tracing::info!(calls = self.tasks.len(), "stopping: nothing more is begun");
        while let Some(observations) = self.next().await {
            for observation in observations {
                let mut actions = self.scheduler.observe(self.updates.now(), observation);
                actions.retain(|action| match action {
                    SchedulerAction::Complete(_)
                    | SchedulerAction::DeleteMessage { .. }
                    | SchedulerAction::PostponeMessage { .. }
                    | SchedulerAction::PauseLane { .. }
                    | SchedulerAction::AlertPause { .. }
                    | SchedulerAction::AlertHeldBack { .. }
                    | SchedulerAction::Alert { .. } => true,
                    SchedulerAction::ReadLedger
                    | SchedulerAction::Sweep
                    | SchedulerAction::EnqueueUpdates(_)
                    | SchedulerAction::Receive { .. }
                    | SchedulerAction::Start(_)
                    | SchedulerAction::Poll(_)
                    | SchedulerAction::RequestApproval { .. } => false,
                });
                self.perform(actions);
            }
        }
    }

    /// Cancels everything under way, as a crash would.
    pub(crate) async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Replaces the scheduler with an empty one: a scheduler whose calls were cancelled waits for
    /// results that never come.
    pub(crate) fn reset_scheduler(&mut self) {
        self.scheduler = self.updates.scheduler();
    }

    fn perform(&mut self, actions: Vec<SchedulerAction>) {
        for action in actions {
            let updates = Arc::clone(&self.updates);
            self.tasks.spawn(async move { updates.execute(action).await });
        }
    }
}

impl Updates {
    /// Performs one action of the scheduler.
    async fn execute(&self, action: SchedulerAction) -> Vec<Observation> {
        let observation = match action {
            SchedulerAction::ReadLedger => {
                let (read_at, adjustments) = (self.now(), self.adjustments());
                let read = self.ports.ledger.overview().await;
                let means = "No update is begun, and what runs is not followed, until it can.";
                match self.alerter.track_read(read, "The ledger can't be read", means).await {
                    // The time was set meanwhile, so `read_at` can't be compared with later times.
                    Some(_) if self.adjustments() != adjustments => Observation::LedgerUnavailable,
                    Some(overview) => {
                        self.log_orders(&overview.orders).await;
                        Observation::Ledger { read_at, overview }
                    }
                    None => Observation::LedgerUnavailable,
                }
            }
            SchedulerAction::Sweep => {
                match self.stop.unless_stopped(self.sweep_unless_clock_set()).await {
                    None => return Vec::new(),
                    Some(Ok(SweepOutcome::Postponed)) => Observation::SweepPostponed {
                        until: self.now() + LANDING_ZONE_POLL_INTERVAL,
                    },
                    Some(Ok(SweepOutcome::Complete { sweep, outdated })) => {
                        self.report_sweep(&sweep, outdated);
                        Observation::Swept(sweep)
                    }
                    Some(Err(error)) => {
                        tracing::warn!(reason = %error, "the sweep could not be completed");
                        Observation::SweepFailed { reason: error.to_string() }
                    }
                }
            }
            SchedulerAction::EnqueueUpdates(queued_updates) => {
                return self.enqueue(queued_updates).await;
            }
            SchedulerAction::Receive { max } => {
                match self.stop.unless_stopped(self.receive(max)).await {
                    Some(observation) => observation,
                    None => return Vec::new(),
                }
            }
            SchedulerAction::Start(message) => {
                let outcome = self.start(&message.body).await;
                Observation::StartEnded { account: message.body.account, outcome }
            }
            SchedulerAction::Poll(slot) => {
                let poll_result = self.poll(&slot).await;
                Observation::Polled { account: slot.account, token: slot.token, poll_result }
            }
            SchedulerAction::Complete(completion) => match self.complete(&completion).await {
                Some(lane) => Observation::Completed { account: completion.slot.account, lane },
                None => Observation::CompletionDeferred(completion),
            },
            SchedulerAction::DeleteMessage { receipt_handle } => {
                self.delete_message(&receipt_handle).await;
                return Vec::new();
            }
            SchedulerAction::PostponeMessage { receipt_handle, until } => {
                let delay = Duration::try_from(until - self.now()).unwrap_or(Duration::ZERO);
                self.postpone_message(&receipt_handle, delay).await;
                return Vec::new();
            }
            SchedulerAction::PauseLane { lane, pause } => {
                let ledger = &self.ports.ledger;
                // Another host may have paused it first: its reason counts.
                let record =
                    retry_until_success("pause a lane", || ledger.pause_lane(&lane, &pause)).await;
                Observation::LanePaused { lane, record }
            }
            SchedulerAction::AlertPause { lane, pause, alert } => {
                self.alerter
                    .publish_once_or_wait(&format!("paused: {lane}, {}", pause.at), &alert)
                    .await;
                Observation::Alerted
            }
            SchedulerAction::AlertHeldBack { held_back, alert } => {
                let what = format!("held back: {}, {}", held_back.lane, held_back.since);
                self.alerter.publish_once_or_wait(&what, &alert).await;
                Observation::Alerted
            }
            SchedulerAction::RequestApproval { plan, alert } => {
                let ledger = &self.ports.ledger;
                // Before the request, so that `groundcrew approve` finds the plan.
                retry_until_success("record a plan", || {
                    ledger.record_pending_plan(&plan, self.now())
                })
                .await;
                self.alerter.publish_once_or_wait(&format!("plan: {plan}"), &alert).await;
                Observation::Alerted
            }
            SchedulerAction::Alert { what, alert } => {
                self.alerter.publish_once(&what, &alert).await;
                return Vec::new();
            }
        };
        vec![observation]
    }

    /// Sweeps the organization. The result of a sweep during which the time was set is discarded,
    /// since its times can't be compared.
    async fn sweep_unless_clock_set(&self) -> Result<SweepOutcome, SweepError> {
        let adjustments = self.adjustments();
        let swept = self.sweep().await;
        match self.adjustments() == adjustments {
            true => swept,
            false => Ok(SweepOutcome::Postponed),
        }
    }
}
