//! The scheduler, and a task for each thing that it has asked for.

use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::scheduler::{Action, Blocked, Observation, Scheduler, View};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::Updates;
use super::sweep::{SweepError, Swept};
use crate::retry::{insist, joined};

/// Between two looks at a landing zone that is being changed, which takes up to hours.
const LANDING_ZONE: Duration = Duration::from_secs(60);

/// The updates of a host on their way.
pub(crate) struct UpdateLoop {
    updates: Arc<Updates>,
    scheduler: Scheduler,
    tasks: JoinSet<Vec<Observation>>,
    /// How often the time had been set when the scheduler began.
    times_set: u64,
}

impl UpdateLoop {
    /// Nothing is known yet, and nothing asked for before the first observation.
    pub(crate) fn new(updates: Arc<Updates>) -> Self {
        let (scheduler, times_set) = (updates.scheduler(), updates.times_set());
        Self { updates, scheduler, tasks: JoinSet::new(), times_set }
    }

    /// Takes in what was observed, and does what follows.
    pub(crate) fn observe(&mut self, observations: impl IntoIterator<Item = Observation>) {
        for observation in observations {
            let actions = self.scheduler.observe(self.updates.now(), observation);
            self.perform(actions);
        }
    }

    /// What comes of something that was asked for; `None` when nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<Vec<Observation>> {
        let done = self.tasks.join_next().await?;
        Some(joined(done).unwrap_or_default())
    }

    /// Whether nothing is under way in this process, whatever runs in AWS.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How things stand.
    pub(crate) fn view(&self) -> View {
        self.scheduler.view()
    }

    /// When something is due next.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.scheduler.next_wake()
    }

    /// Whether nothing is left to do before `end`.
    pub(crate) fn is_settled(&self, end: Timestamp) -> bool {
        self.scheduler.is_settled(end)
    }

    /// The lane whose turn it is, if that is held back.
    pub(crate) fn blocked(&self) -> Option<(String, Blocked)> {
        let (lane, blocked) = self.scheduler.blocked()?;
        Some((self.updates.lane(lane).to_owned(), blocked))
    }

    /// Begins anew if the time was set, as after a restart: what was to be done at moments of the
    /// time before would be done too late. What is under way goes on, and the ledger tells of it.
    pub(crate) fn follow_the_time(&mut self) {
        if self.updates.times_set() != self.times_set {
            self.begin_anew();
            self.observe([Observation::Tick]);
        }
    }

    /// Forgets what it knows.
    pub(crate) fn begin_anew(&mut self) {
        self.times_set = self.updates.times_set();
        self.updates.forget_moments();
        self.scheduler = self.updates.scheduler();
    }

    /// Lets the calls under way end, and what follows from them be written down.
    pub(crate) async fn finish(&mut self) {
        tracing::info!(calls = self.tasks.len(), "stopping: nothing more is begun");
        while let Some(observations) = self.next().await {
            for observation in observations {
                let mut actions = self.scheduler.observe(self.updates.now(), observation);
                actions.retain(|action| match action {
                    Action::Settle(_)
                    | Action::Drop { .. }
                    | Action::Postpone { .. }
                    | Action::PauseLane { .. }
                    | Action::TellPause { .. }
                    | Action::TellHeldBack { .. }
                    | Action::Alert { .. } => true,
                    Action::ReadLedger
                    | Action::Sweep
                    | Action::Enqueue(_)
                    | Action::Receive { .. }
                    | Action::Start(_)
                    | Action::Look(_)
                    | Action::AskApproval { .. } => false,
                });
                self.perform(actions);
            }
        }
    }

    /// Cuts off whatever is under way, as a crash would.
    pub(crate) async fn cut_off(&mut self) {
        self.tasks.shutdown().await;
    }

    /// A scheduler that knows nothing: one whose calls were cut off waits for answers that never
    /// come.
    pub(crate) fn forget(&mut self) {
        self.scheduler = self.updates.scheduler();
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let updates = Arc::clone(&self.updates);
            self.tasks.spawn(async move { updates.act(action).await });
        }
    }
}

impl Updates {
    /// Does one thing that the scheduler asks for.
    async fn act(&self, action: Action) -> Vec<Observation> {
        let observation = match action {
            Action::ReadLedger => {
                let (read_at, times_set) = (self.now(), self.times_set());
                let read = self.ports.ledger.overview().await;
                let means = "No update is begun, and what runs is not followed, until it can.";
                match self.alerter.read_again(read, "The ledger can't be read", means).await {
                    // By a time that counts no more: it can't be told what is newer.
                    Some(_) if self.times_set() != times_set => Observation::LedgerUnread,
                    Some(overview) => {
                        self.log_orders(&overview.orders).await;
                        Observation::Ledger { read_at, overview }
                    }
                    None => Observation::LedgerUnread,
                }
            }
            Action::Sweep => match self.stop.unless_stopped(self.sweep_by_one_time()).await {
                None => return Vec::new(),
                Some(Ok(Swept::NotNow)) => {
                    Observation::SweepPostponed { until: self.now() + LANDING_ZONE }
                }
                Some(Ok(Swept::Complete { sweep, outdated })) => {
                    self.show_sweep(&sweep, outdated);
                    Observation::Swept(sweep)
                }
                Some(Err(error)) => {
                    tracing::warn!(reason = %error, "the sweep could not be completed");
                    Observation::SweepFailed { reason: error.to_string() }
                }
            },
            Action::Enqueue(hints) => return self.enqueue(hints).await,
            Action::Receive { max } => match self.stop.unless_stopped(self.receive(max)).await {
                Some(observation) => observation,
                None => return Vec::new(),
            },
            Action::Start(message) => {
                let outcome = self.start(&message.body).await;
                Observation::Start { account: message.body.account, outcome }
            }
            Action::Look(slot) => {
                let sight = self.look(&slot).await;
                Observation::Looked { account: slot.account, token: slot.token, sight }
            }
            Action::Settle(settlement) => match self.settle(&settlement).await {
                Some(lane) => Observation::Settled { account: settlement.slot.account, lane },
                None => Observation::Unsettled(settlement),
            },
            Action::Drop { receipt } => {
                self.drop_hint(&receipt).await;
                return Vec::new();
            }
            Action::Postpone { receipt, until } => {
                let delay = Duration::try_from(until - self.now()).unwrap_or(Duration::ZERO);
                self.postpone_hint(&receipt, delay).await;
                return Vec::new();
            }
            Action::PauseLane { lane, pause } => {
                let ledger = &self.ports.ledger;
                // Another host may have been first: its reason counts.
                let record = insist("pause a lane", || ledger.pause_lane(&lane, &pause)).await;
                Observation::LanePaused { lane, record }
            }
            Action::TellPause { lane, pause, alert } => {
                self.alerter.see_told(&format!("paused: {lane}, {}", pause.at), &alert).await;
                Observation::Told
            }
            Action::TellHeldBack { held_back, alert } => {
                let what = format!("held back: {}, {}", held_back.lane, held_back.since);
                self.alerter.see_told(&what, &alert).await;
                Observation::Told
            }
            Action::AskApproval { plan, alert } => {
                let ledger = &self.ports.ledger;
                // Before anybody is asked, so that whoever approves is not told of no such plan.
                insist("note a plan", || ledger.need_plan(&plan, self.now())).await;
                self.alerter.see_told(&format!("plan: {plan}"), &alert).await;
                Observation::Told
            }
            Action::Alert { what, alert } => {
                self.alerter.alert_once_of_all(&what, &alert).await;
                return Vec::new();
            }
        };
        vec![observation]
    }

    /// Sweeps the organization. A sweep during which the time is set counts for nothing: it can't be
    /// told what is newer.
    async fn sweep_by_one_time(&self) -> Result<Swept, SweepError> {
        let times_set = self.times_set();
        let swept = self.sweep().await;
        match self.times_set() == times_set {
            true => swept,
            false => Ok(Swept::NotNow),
        }
    }
}
