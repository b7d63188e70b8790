//! The loop: one scheduler, and a task for each thing it asked for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groundcrew_core::ports::{Alert, Delivery, Received};
use groundcrew_core::scheduler::{Action, Blocked, Observation, Scheduler, Sweep};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};

use crate::queues::wakes;
use crate::sweep::{Incomplete, Swept};
use crate::{Engine, Notice};

/// Between two looks at a landing zone that is being changed, which takes up to hours.
const LANDING_ZONE: Duration = Duration::from_secs(60);
/// Between two rounds of the loop when nothing at all is awaited.
const IDLE: Duration = Duration::from_secs(60);
/// What calls under way get to end when the host is stopped: services are killed after 10
/// seconds by Docker, and after 30 by ECS and Kubernetes.
pub const GRACE: Duration = Duration::from_secs(8);

/// When the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When nothing is left to do before this moment: every account is up to date,
    /// skipped, given up, held for longer or in a lane that waits for an operator, and a
    /// sweep has confirmed it. Or at this moment, with whatever is left.
    SettledOr(Timestamp),
}

/// What a task came back with.
pub(crate) enum Done {
    Observed(Vec<Observation>),
    /// A sweep is complete.
    Swept(Sweep),
    /// Events came out of their queue, each with the right to be handled now.
    Events(Vec<(Received<String>, OwnedSemaphorePermit)>),
    /// The events queue could not be read.
    NoEvents,
    /// Notifications came out of their queue, each with the right to be told now.
    Delivered(Vec<(Delivery, OwnedSemaphorePermit)>),
    Nothing,
}

/// A lane that was left waiting for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The lane.
    pub lane: String,
    /// What it waits for.
    pub blocked: Blocked,
}

impl Engine {
    /// Runs the engine until there is nothing left to do. What is under way when it ends is in
    /// the ledger, and is resumed by the next run. Answers the lane whose turn it was, if that
    /// was held back.
    pub async fn run(self: Arc<Self>, until: Until) -> Option<Waiting> {
        self.drive(Some(until), std::future::pending()).await
    }

    /// Runs the engine until `stop` is ready. Then nothing more is received or begun; the calls
    /// under way are given [`GRACE`] to end, and what is left is in the ledger and the queues,
    /// for the next run or another host.
    pub async fn serve(self: Arc<Self>, stop: impl Future<Output = ()>) {
        self.drive(None, stop).await;
    }

    async fn drive(
        self: Arc<Self>,
        until: Option<Until>,
        stop: impl Future<Output = ()>,
    ) -> Option<Waiting> {
        let mut scheduler = self.scheduler();
        let mut tasks: JoinSet<Done> = JoinSet::new();
        let mut stop = pin!(stop);
        self.listen(&mut tasks);
        self.deliver(&mut tasks);
        // An account that landed is told of before the loop ends: not while the events queue
        // may hold its event, nor while that is being handled.
        let mut quiet = self.ports.onboarding.is_none();
        let actions = scheduler.observe(self.now(), Observation::Tick);
        self.perform(actions, &mut tasks);
        let mut times_set = self.times_set();
        loop {
            let now = self.now();
            if self.times_set() != times_set {
                times_set = self.times_set();
                scheduler = self.begin_anew();
                let actions = scheduler.observe(now, Observation::Tick);
                self.perform(actions, &mut tasks);
            }
            self.ports.witness.see(now, Notice::Stands(&scheduler.view()));
            self.beat_if_due(&mut tasks);
            let end = until.map(|Until::SettledOr(end)| end);
            if let Some(end) = end {
                let settled = scheduler.is_settled(end);
                let idle = || Arc::strong_count(&self.onboards) == 1;
                if now >= end || settled && quiet && idle() {
                    break;
                }
            }
            let wake = [scheduler.next_wake(), end, self.next_heartbeat()];
            let wake = wake.into_iter().flatten().min();
            let wait = wake.map_or(IDLE, |wake| Duration::try_from(wake - now).unwrap_or_default());
            // A service shows that it lives, however far off the next thing is.
            let wait = if until.is_none() { wait.min(IDLE) } else { wait };
            let observations = tokio::select! {
                // What has come in is taken in before time passes.
                biased;
                () = &mut stop => break,
                Some(done) = tasks.join_next() => self.done(done, &mut quiet, &mut tasks),
                () = tokio::time::sleep(wait) => vec![Observation::Tick],
            };
            for observation in observations {
                let actions = scheduler.observe(self.now(), observation);
                self.perform(actions, &mut tasks);
            }
        }
        if until.is_none() {
            // Whatever takes longer is cut off, as it would be by a crash.
            let _ = tokio::time::timeout(GRACE, self.finish(&mut scheduler, &mut tasks)).await;
        }
        tasks.shutdown().await;
        self.leave().await;
        scheduler
            .blocked()
            .map(|(lane, blocked)| Waiting { lane: self.panel.lane(lane).to_owned(), blocked })
    }

    /// A scheduler that knows nothing yet.
    pub(crate) fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.settings.rules.clone(), self.settings.host.clone(), self.now())
    }

    /// How often the time was set.
    pub(crate) fn times_set(&self) -> u64 {
        self.ports.clock.times_set()
    }

    /// Begins anew after the time was set, as after a restart: what was to be done at moments of the
    /// time before would be done too late. What is under way goes on, and the ledger tells of it.
    pub(crate) fn begin_anew(&self) -> Scheduler {
        self.state().forget_moments();
        self.scheduler()
    }

    /// What a task came back with.
    pub(crate) fn done(
        self: &Arc<Self>,
        done: Result<Done, JoinError>,
        quiet: &mut bool,
        tasks: &mut JoinSet<Done>,
    ) -> Vec<Observation> {
        match done {
            Ok(Done::Observed(observations)) => observations,
            Ok(Done::Swept(sweep)) => {
                // In a Lambda another function does so, by a schedule of its own.
                if !self.ticks.load(Ordering::Relaxed) {
                    self.make_up(tasks);
                }
                vec![Observation::Swept(sweep)]
            }
            Ok(Done::Events(events)) => {
                *quiet = events.is_empty() || self.ports.onboarding.is_none();
                // What it means to the update engine doesn't wait for anybody to be told.
                let wakes = events.iter().flat_map(|(event, _)| wakes(&event.body)).collect();
                for (event, permit) in events {
                    let (engine, onboards) = (Arc::clone(self), Arc::clone(&self.onboards));
                    tasks.spawn(async move {
                        engine.event(&event).await;
                        drop((permit, onboards));
                        Done::Nothing
                    });
                }
                self.listen(tasks);
                wakes
            }
            Ok(Done::NoEvents) => {
                *quiet = self.ports.onboarding.is_none();
                self.listen(tasks);
                Vec::new()
            }
            Ok(Done::Delivered(deliveries)) => {
                for (delivery, permit) in deliveries {
                    let engine = Arc::clone(self);
                    tasks.spawn(async move { engine.tell(delivery, permit).await });
                }
                self.deliver(tasks);
                Vec::new()
            }
            Ok(Done::Nothing) => Vec::new(),
            // A bug of ours. The scheduler would wait for its answer for ever; the ledger lets
            // the next run resume.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_cancelled) => Vec::new(),
        }
    }

    /// Lets the calls under way end, and what follows from them be written down.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        scheduler: &mut Scheduler,
        tasks: &mut JoinSet<Done>,
    ) {
        self.stopping.send_replace(true);
        tracing::info!(calls = tasks.len(), "stopping: nothing more is begun");
        let mut quiet = true;
        while let Some(done) = tasks.join_next().await {
            for observation in self.done(done, &mut quiet, tasks) {
                let mut actions = scheduler.observe(self.now(), observation);
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
                self.perform(actions, tasks);
            }
        }
    }

    pub(crate) fn perform(self: &Arc<Self>, actions: Vec<Action>, tasks: &mut JoinSet<Done>) {
        for action in actions {
            let engine = Arc::clone(self);
            tasks.spawn(async move { engine.act(action).await });
        }
    }

    async fn act(&self, action: Action) -> Done {
        let observation = match action {
            Action::ReadLedger => {
                let (read_at, times_set) = (self.now(), self.times_set());
                let read = self.ports.ledger.overview().await;
                let means = "No update is begun, and what runs is not followed, until it can.";
                match self.read_again(read, "The ledger can't be read", means).await {
                    // By a time that counts no more: it can't be told what is newer.
                    Some(_) if self.times_set() != times_set => Observation::LedgerUnread,
                    Some(overview) => {
                        self.log_orders(&overview.orders).await;
                        Observation::Ledger { read_at, overview }
                    }
                    None => Observation::LedgerUnread,
                }
            }
            Action::Sweep => match self.unless_stopped(self.sweep_by_one_time()).await {
                None => return Done::Nothing,
                Some(Ok(Swept::NotNow)) => {
                    Observation::SweepPostponed { until: self.now() + LANDING_ZONE }
                }
                Some(Ok(Swept::Complete { sweep, outdated })) => {
                    self.show_sweep(&sweep, outdated);
                    return Done::Swept(sweep);
                }
                Some(Err(incomplete)) => {
                    tracing::warn!(reason = %incomplete, "the sweep could not be completed");
                    Observation::SweepFailed { reason: incomplete.to_string() }
                }
            },
            Action::Enqueue(hints) => return self.enqueue(hints).await,
            Action::Receive { max } => match self.unless_stopped(self.receive(max)).await {
                Some(observation) => observation,
                None => return Done::Nothing,
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
                // Left in the queue it comes again, and is dropped then.
                if let Err(error) = self.ports.updates.delete(&receipt).await {
                    tracing::warn!(%error, "could not delete a message");
                }
                return Done::Nothing;
            }
            Action::Postpone { receipt, until } => {
                let delay = Duration::try_from(until - self.now()).unwrap_or(Duration::ZERO);
                if let Err(error) = self.ports.updates.postpone(&receipt, delay).await {
                    tracing::warn!(%error, "could not postpone a message");
                }
                return Done::Nothing;
            }
            Action::PauseLane { lane, pause } => {
                let ledger = &self.ports.ledger;
                // Another host may have been first: its reason counts.
                let record = self.insist("pause a lane", || ledger.pause_lane(&lane, &pause)).await;
                Observation::LanePaused { lane, record }
            }
            Action::TellPause { lane, pause, alert } => {
                self.see_told(&format!("paused: {lane}, {}", pause.at), &alert).await;
                Observation::Told
            }
            Action::TellHeldBack { held_back, alert } => {
                let what = format!("held back: {}, {}", held_back.lane, held_back.since);
                self.see_told(&what, &alert).await;
                Observation::Told
            }
            Action::AskApproval { plan, alert } => {
                let ledger = &self.ports.ledger;
                // Before anybody is asked, so that whoever approves is not told of no such plan.
                self.insist("note a plan", || ledger.need_plan(&plan, self.now())).await;
                self.see_told(&format!("plan: {plan}"), &alert).await;
                Observation::Told
            }
            Action::Alert { what, alert } => {
                self.alert_once_of_all(&what, &alert).await;
                return Done::Nothing;
            }
        };
        Done::Observed(vec![observation])
    }

    /// Sweeps the organization. A sweep during which the time is set counts for nothing: it can't be
    /// told what is newer.
    async fn sweep_by_one_time(&self) -> Result<Swept, Incomplete> {
        let times_set = self.times_set();
        let swept = self.sweep().await;
        match self.times_set() == times_set {
            true => swept,
            false => Ok(Swept::NotNow),
        }
    }

    /// Tells something, or waits until another host has: that may die before it does.
    async fn see_told(&self, what: &str, alert: &Alert) {
        while !self.tell_once(what, || self.alert(alert)).await {
            tokio::time::sleep(self.settings.rules.wait).await;
        }
    }

    /// Looks for accounts that landed and whose event was lost, beside everything else.
    fn make_up(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        let Some(onboarding) = self.ports.onboarding.clone() else { return };
        // One that still goes on looks at the same accounts.
        let Ok(turn) = Arc::clone(&self.making_up).try_lock_owned() else { return };
        let (engine, onboards) = (Arc::clone(self), Arc::clone(&self.onboards));
        tasks.spawn(async move {
            let handled = onboarding.make_up().await;
            engine.witness_onboarding(&handled);
            drop((turn, onboards));
            Done::Nothing
        });
    }
}
