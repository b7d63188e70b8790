//! The loop: one scheduler, and a task for each thing it asked for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groundcrew_core::aws_error::AwsError;
use groundcrew_core::event::{Event, Wake};
use groundcrew_core::ports::{Alert, Delivery, Received};
use groundcrew_core::scheduler::{Action, Blocked, Observation, Scheduler, Sweep};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};

use crate::alerts::{shown, unreadable};
use crate::onboarding::HandledOutcome;
use crate::sweep::Swept;
use crate::{Engine, Notice};

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The same for a tick, where waiting costs.
const SHORT_POLL: Duration = Duration::from_secs(1);
/// After the events queue could not be read.
const EVENTS_RETRY: Duration = Duration::from_secs(10);
/// Most notifications that come at once: SQS gives no more.
const BATCH: u16 = 10;
/// Most notifications that are seen to at once, those that wait for the turn of their notifier
/// included, so that one that hangs delays no other.
pub(crate) const TELLING: usize = 400;
/// Most events that are handled at once.
pub(crate) const HANDLING: usize = 100;
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
        let mut scheduler =
            Scheduler::new(self.settings.rules.clone(), self.settings.host.clone(), self.now());
        let mut tasks: JoinSet<Done> = JoinSet::new();
        let mut stop = pin!(stop);
        self.listen(&mut tasks);
        self.deliver(&mut tasks);
        // An account that landed is told of before the loop ends: not while the events queue
        // may hold its event, nor while that is being handled.
        let mut quiet = self.ports.onboarding.is_none();
        let actions = scheduler.observe(self.now(), Observation::Tick);
        self.perform(actions, &mut tasks);
        loop {
            let now = self.now();
            self.ports.witness.see(now, Notice::Stands(&scheduler.view()));
            let end = until.map(|Until::SettledOr(end)| end);
            if let Some(end) = end {
                let settled = scheduler.is_settled(end);
                let idle = || Arc::strong_count(&self.onboards) == 1;
                if now >= end || settled && quiet && idle() {
                    break;
                }
            }
            let wake = [scheduler.next_wake(), end].into_iter().flatten().min();
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
        scheduler
            .blocked()
            .map(|(lane, blocked)| Waiting { lane: self.panel.lane(lane).to_owned(), blocked })
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
                let wakes = events.iter().filter_map(|(event, _)| wake(&event.body)).collect();
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
                    | Action::Alert(_) => true,
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
                let read_at = self.now();
                match self.ports.ledger.overview().await {
                    Ok(overview) => Observation::Ledger { read_at, overview },
                    Err(error) => {
                        tracing::error!(%error, "could not read the ledger");
                        Observation::LedgerUnread
                    }
                }
            }
            Action::Sweep => match self.unless_stopped(self.sweep()).await {
                None => return Done::Nothing,
                Some(Ok(Swept::NotNow)) => {
                    Observation::SweepPostponed { until: self.now() + LANDING_ZONE }
                }
                Some(Ok(Swept::Complete(sweep))) => return Done::Swept(sweep),
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
                let record =
                    self.insist("pause a lane", || ledger.pause_lane(&lane, Some(&pause))).await;
                Observation::LanePaused { lane, record }
            }
            Action::TellPause { lane, pause, alert } => {
                self.see_told(&format!("paused: {lane}, {}", pause.at), &alert).await;
                Observation::Told
            }
            Action::AskApproval { plan, alert } => {
                let ledger = &self.ports.ledger;
                // Before anybody is asked, so that whoever approves is not told of no such plan.
                self.insist("note a plan", || ledger.need_plan(&plan, self.now())).await;
                self.see_told(&format!("plan: {plan}"), &alert).await;
                Observation::Told
            }
            Action::Alert(alert) => {
                self.alert(&alert).await;
                return Done::Nothing;
            }
        };
        Done::Observed(vec![observation])
    }

    /// Tells something, or waits until another host has: that may die before it does.
    async fn see_told(&self, what: &str, alert: &Alert) {
        while !self.tell_once(what, || self.alert(alert)).await {
            tokio::time::sleep(self.settings.rules.wait).await;
        }
    }

    async fn enqueue(&self, hints: Vec<groundcrew_core::ports::Hint>) -> Done {
        let accounts = hints.iter().map(|hint| hint.account.clone());
        let observations = match self.ports.updates.send(&hints).await {
            Err(error) => {
                let (accounts, reason) = (accounts.collect(), error.to_string());
                vec![Observation::NotQueued { accounts, reason }]
            }
            Ok(refused) => {
                let queued = accounts
                    .filter(|id| !refused.iter().any(|(account, _)| account == id))
                    .collect();
                let mut observations = vec![Observation::Queued(queued)];
                observations.extend(refused.iter().map(|(account, reason)| {
                    let accounts = vec![account.clone()];
                    Observation::NotQueued { accounts, reason: reason.clone() }
                }));
                observations
            }
        };
        Done::Observed(observations)
    }

    async fn receive(&self, max: usize) -> Observation {
        let poll = if self.ticks.load(Ordering::Relaxed) { SHORT_POLL } else { LONG_POLL };
        let messages = match self.ports.updates.receive(max, poll).await {
            Ok(messages) => messages,
            Err(error) => {
                return Observation::NotReceived { reason: error.to_string() };
            }
        };
        let mut received = Vec::new();
        for message in messages {
            match message {
                Ok(message) => received.push(message),
                Err(message) => {
                    if self.try_alert(&unreadable("updates", &message)).await
                        && let Err(error) = self.ports.updates.reject(&message).await
                    {
                        self.unmoved("updates", &error).await;
                    }
                }
            }
        }
        Observation::Received(received)
    }

    /// A message that nothing can be done with stays in its queue and comes again and again.
    async fn unmoved(&self, queue: &str, error: &AwsError) {
        tracing::error!(%error, "could not move a message of the {queue} queue to its dead-letter queue");
        let alert = Alert {
            subject: format!("The dead-letter queue of the {queue} queue can't be written"),
            message: format!(
                "What can't be handled stays in the {queue} queue, and its alert repeats.\n\
                 Error: {error}"
            ),
        };
        self.alert_once(&format!("unmoved: {queue}"), &alert).await;
    }

    /// Waits for events, once, as soon as there is room for as many as come at once.
    fn listen(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        if *self.stopping.borrow() {
            return;
        }
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let room = Arc::clone(&engine.handling).acquire_many_owned(BATCH.into());
            // It is never closed.
            let Some(Ok(mut room)) = engine.unless_stopped(room).await else {
                return Done::Nothing;
            };
            let received = engine.unless_stopped(engine.ports.events.receive(LONG_POLL)).await;
            let Some(received) = received else { return Done::Nothing };
            match engine.queue_read("events", received).await {
                Some(events) => Done::Events(
                    events.into_iter().filter_map(|event| Some((event, room.split(1)?))).collect(),
                ),
                None => {
                    engine.unless_stopped(tokio::time::sleep(EVENTS_RETRY)).await;
                    Done::NoEvents
                }
            }
        });
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

    /// Waits for notifications, once, as soon as there is room for as many as come at once.
    fn deliver(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        if *self.stopping.borrow() {
            return;
        }
        let Some(queue) = self.ports.onboarding.as_ref().and_then(|one| one.queue()).cloned()
        else {
            return;
        };
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let room = Arc::clone(&engine.telling).acquire_many_owned(BATCH.into());
            // It is never closed.
            let Some(Ok(mut room)) = engine.unless_stopped(room).await else {
                return Done::Nothing;
            };
            let received = engine.unless_stopped(queue.receive(LONG_POLL)).await;
            let Some(received) = received else { return Done::Nothing };
            let Some(deliveries) = engine.queue_read("notifications", received).await else {
                engine.unless_stopped(tokio::time::sleep(EVENTS_RETRY)).await;
                return Done::Delivered(Vec::new());
            };
            let mut delivered = Vec::new();
            for delivery in deliveries {
                match delivery {
                    Ok(delivery) => delivered.extend(room.split(1).map(|one| (delivery, one))),
                    Err(message) => {
                        if engine.try_alert(&unreadable("notifications", &message)).await
                            && let Err(error) = queue.reject(&message).await
                        {
                            engine.unmoved("notifications", &error).await;
                        }
                    }
                }
            }
            Done::Delivered(delivered)
        });
    }

    /// Tells what came out of the queue.
    async fn tell(&self, delivery: Delivery, permit: OwnedSemaphorePermit) -> Done {
        if let Some(onboarding) = &self.ports.onboarding
            && let Some(queue) = onboarding.queue()
        {
            let taken = onboarding.take(queue.as_ref(), &delivery).await;
            self.witness_onboarding(&taken.handled);
        }
        drop(permit);
        Done::Nothing
    }

    /// Sees to an event. It is deleted once it is understood and whoever has to be told of an
    /// account was told; to the update engine it is only a wake-up, and lost ones are made good
    /// by sweeps.
    async fn event(&self, message: &Received<String>) {
        if let Err(error) = Event::parse(&message.body) {
            let reason = error.to_string();
            let alert = Alert {
                subject: "An event can't be read".into(),
                message: format!(
                    "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                    shown(&message.body)
                ),
            };
            // What fails here is done when the event comes again: nothing else waits.
            if self.try_alert(&alert).await {
                self.reject(message, &reason).await;
            }
            return;
        }
        if let Some(onboarding) = &self.ports.onboarding {
            let handled = onboarding.handle(&message.body, None).await;
            self.witness_onboarding(&handled);
            if handled.outcome == HandledOutcome::Failed {
                // Left in the queue it comes again.
                if handled.malformed {
                    self.reject(message, handled.reason.as_deref().unwrap_or_default()).await;
                }
                return;
            }
        }
        if let Err(error) = self.ports.events.delete(&message.receipt).await {
            tracing::warn!(%error, "could not delete an event; it comes again");
        }
    }

    async fn reject(&self, message: &Received<String>, reason: &str) {
        if let Err(error) = self.ports.events.reject(message, reason).await {
            self.unmoved("events", &error).await;
        }
    }
}

/// What an event means to the scheduler.
pub(crate) fn wake(event: &str) -> Option<Observation> {
    match Event::parse(event).ok()?.wake() {
        Wake::Sweep => Some(Observation::Woken),
        Wake::Account(account) => Some(Observation::AccountWoken(account)),
        Wake::None => None,
    }
}
