//! The loop: one scheduler, and a task for each thing it asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_core::event::{Event, Wake};
use groundcrew_core::ports::{Alert, Received};
use groundcrew_core::scheduler::{Action, Blocked, Observation, Scheduler};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::Engine;
use crate::onboarding::HandledOutcome;

/// How long a call waits for messages: the longest that SQS allows, since waiting costs
/// nothing.
const LONG_POLL: Duration = Duration::from_secs(20);
/// After the events queue could not be read.
const EVENTS_RETRY: Duration = Duration::from_secs(10);

/// When the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When nothing is left to do before this moment: every account is up to date,
    /// skipped, given up, held for longer or in a lane that waits for an operator, and a
    /// sweep has confirmed it. Or at this moment, with whatever is left.
    SettledOr(Timestamp),
}

/// What a task came back with.
enum Done {
    Observed(Vec<Observation>),
    /// The events queue was read, and what it held is done; it is read again.
    Events {
        observations: Vec<Observation>,
        empty: bool,
    },
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
    /// Runs the engine. What is under way when it ends is in the ledger, and is resumed by
    /// the next run. Answers the lane whose turn it was, if that was held back.
    pub async fn run(self: Arc<Self>, until: Until) -> Option<Waiting> {
        let mut scheduler = Scheduler::new(self.settings.rules.clone(), self.now());
        let ledger = &self.ports.ledger;
        let slots = self.insist("read the ledger", || ledger.slots()).await;
        let lanes = self.insist("read the ledger", || ledger.lanes()).await;
        let mut tasks: JoinSet<Done> = JoinSet::new();
        self.listen(&mut tasks);
        // An account that landed is told of before the loop ends: not while the events queue
        // may hold its event, nor while that is being handled.
        let mut quiet = self.ports.onboarding.is_none();
        let actions = scheduler.observe(self.now(), Observation::Resumed { slots, lanes });
        self.perform(actions, &mut tasks);
        loop {
            let Until::SettledOr(end) = until;
            let now = self.now();
            let settled = scheduler.is_settled(end);
            if now >= end || settled && quiet && !self.handling.load(Ordering::Relaxed) {
                break;
            }
            let wake = scheduler.next_wake().unwrap_or(end).min(end);
            let wait = Duration::try_from(wake - now).unwrap_or(Duration::ZERO);
            let observations = tokio::select! {
                // What has come in is taken in before time passes.
                biased;
                Some(done) = tasks.join_next() => match done {
                    Ok(Done::Observed(observations)) => observations,
                    Ok(Done::Events { observations, empty }) => {
                        quiet = empty || self.ports.onboarding.is_none();
                        self.listen(&mut tasks);
                        observations
                    }
                    Ok(Done::Nothing) => Vec::new(),
                    // A bug of ours. The scheduler would wait for its answer for ever; the
                    // ledger lets the next run resume.
                    Err(error) if error.is_panic() => {
                        std::panic::resume_unwind(error.into_panic())
                    }
                    Err(_cancelled) => Vec::new(),
                },
                () = tokio::time::sleep(wait) => vec![Observation::Tick],
            };
            for observation in observations {
                let actions = scheduler.observe(self.now(), observation);
                self.perform(actions, &mut tasks);
            }
        }
        tasks.shutdown().await;
        scheduler
            .blocked()
            .map(|(lane, blocked)| Waiting { lane: self.panel.lane(lane).to_owned(), blocked })
    }

    fn perform(self: &Arc<Self>, actions: Vec<Action>, tasks: &mut JoinSet<Done>) {
        for action in actions {
            let engine = Arc::clone(self);
            tasks.spawn(async move { engine.act(action).await });
        }
    }

    async fn act(&self, action: Action) -> Done {
        let observation = match action {
            Action::Sweep => match self.sweep().await {
                Ok((sweep, lanes)) => {
                    if let Some(onboarding) = &self.ports.onboarding {
                        self.witness_onboarding(&onboarding.make_up().await);
                    }
                    let observations = vec![Observation::Lanes(lanes), Observation::Swept(sweep)];
                    return Done::Observed(observations);
                }
                Err(incomplete) => {
                    tracing::warn!(reason = %incomplete, "the sweep could not be completed");
                    Observation::SweepFailed { reason: incomplete.to_string() }
                }
            },
            Action::Enqueue(hints) => return self.enqueue(hints).await,
            Action::Receive { max } => self.receive(max).await,
            Action::Start(message) => {
                let outcome = self.start(&message.body).await;
                Observation::Start { account: message.body.account, outcome }
            }
            Action::Look(slot) => {
                let sight = self.look(&slot).await;
                Observation::Looked { account: slot.account, sight }
            }
            Action::Settle(settlement) => {
                let lane = self.settle(&settlement).await;
                Observation::Settled { account: settlement.slot.account, lane }
            }
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
            Action::PauseLane { lane, pause, alert } => {
                self.alert(&alert).await;
                let ledger = &self.ports.ledger;
                let record =
                    self.insist("pause a lane", || ledger.pause_lane(&lane, Some(&pause))).await;
                Observation::LanePaused { lane, record }
            }
            Action::Alert(alert) => {
                self.alert(&alert).await;
                return Done::Nothing;
            }
        };
        Done::Observed(vec![observation])
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
        let messages = match self.ports.updates.receive(max, LONG_POLL).await {
            Ok(messages) => messages,
            Err(error) => {
                return Observation::NotReceived { reason: error.to_string() };
            }
        };
        let mut received = Vec::new();
        for message in messages {
            match message {
                Ok(message) => received.push(message),
                Err(unreadable) => {
                    let alert = Alert {
                        subject: "A message of the updates queue can't be read".into(),
                        message: format!(
                            "It is in the dead-letter queue.\nReason: {}\nMessage: {}",
                            unreadable.reason, unreadable.body
                        ),
                    };
                    self.try_alert(&alert).await;
                }
            }
        }
        Observation::Received(received)
    }

    /// Waits for events, once.
    fn listen(self: &Arc<Self>, tasks: &mut JoinSet<Done>) {
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            let events = match engine.ports.events.receive(LONG_POLL).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(%error, "could not read the events queue");
                    tokio::time::sleep(EVENTS_RETRY).await;
                    return Done::Events { observations: Vec::new(), empty: false };
                }
            };
            let (mut observations, empty) = (Vec::new(), events.is_empty());
            engine.handling.store(!empty && engine.ports.onboarding.is_some(), Ordering::Relaxed);
            // All at once: a notifier that is down delays no other event.
            let seen = join_all(events.iter().map(|event| engine.event(event))).await;
            observations.extend(seen.into_iter().flatten());
            engine.handling.store(false, Ordering::Relaxed);
            Done::Events { observations, empty }
        });
    }

    /// What an event means. It is deleted once it is understood and whoever has to be told of
    /// an account was told; to the update engine it is only a wake-up, and lost ones are made
    /// good by sweeps.
    async fn event(&self, message: &Received<String>) -> Option<Observation> {
        let event = match Event::parse(&message.body) {
            Ok(event) => event,
            Err(error) => {
                let reason = error.to_string();
                let alert = Alert {
                    subject: "An event can't be read".into(),
                    message: format!(
                        "It goes to the dead-letter queue.\nReason: {reason}\nEvent: {}",
                        message.body
                    ),
                };
                // What fails here is done when the event comes again: nothing else waits.
                if self.try_alert(&alert).await {
                    self.reject(message, &reason).await;
                }
                return None;
            }
        };
        if let Some(onboarding) = &self.ports.onboarding {
            let handled = onboarding.handle(&message.body, None).await;
            self.witness_onboarding(&handled);
            if handled.outcome == HandledOutcome::Failed {
                // Left in the queue it comes again.
                if handled.malformed {
                    self.reject(message, handled.reason.as_deref().unwrap_or_default()).await;
                }
                return wake(&event);
            }
        }
        if let Err(error) = self.ports.events.delete(&message.receipt).await {
            tracing::warn!(%error, "could not delete an event; it comes again");
        }
        wake(&event)
    }

    async fn reject(&self, message: &Received<String>, reason: &str) {
        if let Err(error) = self.ports.events.reject(message, reason).await {
            tracing::error!(%error, "could not move an event to the dead-letter queue");
        }
    }
}

/// What an event means to the scheduler.
fn wake(event: &Event) -> Option<Observation> {
    match event.wake() {
        Wake::Sweep => Some(Observation::Woken),
        Wake::Account(account) => Some(Observation::AccountWoken(account)),
        Wake::None => None,
    }
}
