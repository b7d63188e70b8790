//! The engine driven by ticks: each does what there is to do now, and ends. So it runs in a
//! Lambda, invoked once a minute and by events.
//!
//! Between ticks nothing is under way in this process, whatever runs in AWS: what it knows by
//! heart only saves the next tick a sweep. What matters is in the ledger, so that ticks of other
//! processes, at the same time too, do no harm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use groundcrew_core::ports::Heartbeat;
use groundcrew_core::scheduler::{Observation, Scheduler};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::queues::wakes;
use crate::run::{Done, Waiting};
use crate::{Engine, GRACE, Notice};

/// What is due so soon is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// An engine that is driven by ticks.
pub struct Ticker {
    engine: Arc<Engine>,
    scheduler: Scheduler,
    /// When the last tick ended.
    ended: Timestamp,
}

impl Ticker {
    /// Nothing is known yet: the first tick sweeps the organization.
    pub fn new(engine: Arc<Engine>) -> Self {
        engine.ticks.store(true, Ordering::Relaxed);
        let (scheduler, ended) = (engine.scheduler(), engine.now());
        Self { engine, scheduler, ended }
    }

    /// Does what there is to do, until nothing is or until `deadline`; then calls under way are
    /// given [`GRACE`] to end. `event` is what led to the tick, as EventBridge delivers it; one
    /// that means nothing to the update engine is a tick like any other.
    pub async fn tick(&mut self, event: Option<&str>, deadline: Timestamp) {
        let engine = Arc::clone(&self.engine);
        // The machine's clock may be set meanwhile.
        let left = Duration::try_from(deadline - engine.now()).unwrap_or_default();
        let deadline = Instant::now() + left;
        if engine.now() < self.ended {
            tracing::warn!(
                ended = %self.ended,
                "the machine's clock shows a time before the end of the last tick: the ledger and \
                 the organization are read anew"
            );
            self.scheduler = engine.begin_anew();
        }
        self.tick_until(deadline, event).await;
        self.ended = self.engine.now();
    }

    async fn tick_until(&mut self, deadline: Instant, event: Option<&str>) {
        let engine = Arc::clone(&self.engine);
        let mut tasks: JoinSet<Done> = JoinSet::new();
        engine.beat(&mut tasks);
        let observations = event.map(wakes).into_iter().flatten().chain([Observation::Tick]);
        observations.for_each(|observation| self.observe(observation, &mut tasks));
        loop {
            let now = engine.now();
            engine.ports.witness.see(now, Notice::Stands(&self.scheduler.view()));
            engine.beat_if_due(&mut tasks);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let next = self.scheduler.next_wake();
            let wait = next.map(|next| Duration::try_from(next - now).unwrap_or_default());
            if tasks.is_empty() && wait.is_none_or(|wait| wait > PATIENCE) {
                return;
            }
            let observations = tokio::select! {
                biased;
                Some(done) = tasks.join_next() => engine.done(done, &mut true, &mut tasks),
                // Often enough for the next heartbeat.
                () = sleep(wait.unwrap_or(left).min(left).min(Heartbeat::EVERY)) => {
                    vec![Observation::Tick]
                }
            };
            observations.into_iter().for_each(|observation| self.observe(observation, &mut tasks));
        }
        if !tasks.is_empty() {
            tracing::info!(calls = tasks.len(), "the tick's time is over");
            // Whatever takes longer is cut off, as it would be by a crash.
            let _ =
                tokio::time::timeout(GRACE, engine.finish(&mut self.scheduler, &mut tasks)).await;
            tasks.shutdown().await;
            engine.stopping.send_replace(false);
            // It may wait for answers that never come.
            self.scheduler = engine.scheduler();
        }
    }

    /// Whether nothing is left to do before `end`.
    pub fn is_settled(&self, end: Timestamp) -> bool {
        self.scheduler.is_settled(end)
    }

    /// The lane whose turn it is, if that is held back.
    pub fn waiting(&self) -> Option<Waiting> {
        let (lane, blocked) = self.scheduler.blocked()?;
        Some(Waiting { lane: self.engine.panel.lane(lane).to_owned(), blocked })
    }

    fn observe(&mut self, observation: Observation, tasks: &mut JoinSet<Done>) {
        let actions = self.scheduler.observe(self.engine.now(), observation);
        self.engine.perform(actions, tasks);
    }
}
