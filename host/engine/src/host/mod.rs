//! A host: drives the updates and the notifications, as a service or, in `tick`, by ticks.

mod announcer;
mod events;
mod heartbeat;
mod tick;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use groundcrew_core::ports::{EventQueue, HostKind};
use groundcrew_core::scheduler::{Blocked, Observation, Sweep};
use jiff::Timestamp;

use crate::Notice;
use crate::alerter::Alerter;
use crate::notifications::{NotificationLoop, Notifications, Worker};
use crate::stop::Stop;
use crate::updates::{Announcements, Settings, SweepError, UpdateLoop, UpdatePorts, Updates};
use announcer::Announcer;
use events::{EventLoop, Events};
use heartbeat::{Heartbeats, Sign};

pub use tick::Ticker;

/// Between two rounds of the loop when nothing at all is awaited.
const IDLE: Duration = Duration::from_secs(60);
/// What calls under way get to end when the host is stopped: services are killed after 10
/// seconds by Docker, and after 30 by ECS and Kubernetes. With the heartbeat that is removed then,
/// and that may take a second, a host ends within 8.
pub const GRACE: Duration = Duration::from_secs(7);

/// The world as a host reaches it.
#[derive(Clone)]
pub struct Ports {
    /// For its updates.
    pub updates: UpdatePorts,
    /// The queue of events.
    pub events: Arc<dyn EventQueue>,
    /// Who tells of events, where notifiers are configured.
    pub notifications: Option<Arc<Notifications>>,
}

/// When the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When nothing is left to do before this moment: every account is up to date,
    /// skipped, given up, held for longer or in a lane that waits for an operator, and a
    /// sweep has confirmed it. Or at this moment, with whatever is left.
    SettledOr(Timestamp),
}

/// A lane that was left waiting for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The lane.
    pub lane: String,
    /// What it waits for.
    pub blocked: Blocked,
}

/// A host that has not begun.
pub struct Host {
    ports: Ports,
    settings: Settings,
    alerter: Arc<Alerter>,
    updates: Arc<Updates>,
    kind: HostKind,
    stop: Stop,
    /// When it started.
    since: Timestamp,
}

impl Host {
    /// A service.
    pub fn new(ports: Ports, settings: Settings) -> Self {
        Self::of(ports, settings, HostKind::Service)
    }

    fn of(ports: Ports, settings: Settings, kind: HostKind) -> Self {
        let UpdatePorts { alerts, ledger, clock, witness, .. } = &ports.updates;
        let alerter = Arc::new(Alerter {
            alerts: alerts.clone(),
            ledger: ledger.clone(),
            clock: clock.clone(),
            witness: witness.clone(),
            host: settings.host.clone(),
            wait: settings.rules.wait,
            told: Mutex::default(),
        });
        let since = clock.now();
        let stop = Stop::new();
        let announcer = ports.notifications.clone().map(|notifications| {
            let (clock, witness) = (clock.clone(), witness.clone());
            Arc::new(Announcer { notifications, clock, witness }) as Arc<dyn Announcements>
        });
        let updates = Updates::new(
            ports.updates.clone(),
            settings.clone(),
            alerter.clone(),
            announcer,
            kind,
            stop.clone(),
        );
        Self { ports, settings, alerter, updates: Arc::new(updates), kind, stop, since }
    }

    /// What a sweep would find now, with every account's standing; `None` while the landing zone
    /// is being changed. Policies are asked; nothing is written down.
    ///
    /// # Errors
    /// Why it could not be completed.
    pub async fn survey(&self) -> Result<Option<Sweep>, SweepError> {
        self.updates.survey().await
    }

    /// Runs until there is nothing left to do. What is under way when it ends is in
    /// the ledger, and is resumed by the next run. Answers the lane whose turn it was, if that
    /// was held back.
    pub async fn run(&self, until: Until) -> Option<Waiting> {
        self.drive(Some(until), std::future::pending()).await
    }

    /// Runs until `stop` is ready. Then nothing more is received or begun; the calls
    /// under way are given [`GRACE`] to end, and what is left is in the ledger and the queues,
    /// for the next run or another host.
    pub async fn serve(&self, stop: impl Future<Output = ()>) {
        self.drive(None, stop).await;
    }

    async fn drive(&self, until: Option<Until>, stop: impl Future<Output = ()>) -> Option<Waiting> {
        let clock = self.ports.updates.clock.clone();
        let end = until.map(|Until::SettledOr(end)| end);
        let mut running = Running::of(self);
        let mut stop = pin!(stop);
        running.updates.observe([Observation::Tick]);
        loop {
            let now = clock.now();
            running.updates.follow_the_time();
            self.show(&running.updates);
            running.heartbeats.beat_if_due();
            if let Some(end) = end {
                let settled = running.updates.is_settled(end);
                if now >= end || settled && running.is_told() {
                    break;
                }
            }
            let wake = [running.updates.next_wake(), end, running.heartbeats.next_due()];
            let wake = wake.into_iter().flatten().min();
            let wait = wake.map_or(IDLE, |wake| Duration::try_from(wake - now).unwrap_or_default());
            // A service shows that it lives, however far off the next thing is.
            let wait = if until.is_none() { wait.min(IDLE) } else { wait };
            tokio::select! {
                // What has come in is taken in before time passes.
                biased;
                () = &mut stop => break,
                () = running.step() => {}
                () = tokio::time::sleep(wait) => running.updates.observe([Observation::Tick]),
            }
        }
        if until.is_none() {
            self.stop.set(true);
            // Whatever takes longer is cut off, as it would be by a crash.
            let _ = tokio::time::timeout(GRACE, running.finish()).await;
        }
        running.cut_off().await;
        running.heartbeats.leave().await;
        running.waiting()
    }

    /// Shows how the updates stand.
    fn show(&self, updates: &UpdateLoop) {
        let UpdatePorts { clock, witness, .. } = &self.ports.updates;
        witness.see(clock.now(), Notice::Stands(&updates.view()));
    }

    fn update_loop(&self) -> UpdateLoop {
        UpdateLoop::new(self.updates.clone())
    }

    fn heartbeats(&self) -> Heartbeats {
        let UpdatePorts { ledger, clock, witness, .. } = &self.ports.updates;
        Heartbeats::new(Sign {
            ledger: ledger.clone(),
            clock: clock.clone(),
            witness: witness.clone(),
            stop: self.stop.clone(),
            host: self.settings.host.clone(),
            version: self.settings.version.clone(),
            kind: self.kind,
            since: self.since,
        })
    }

    fn events(&self) -> EventLoop {
        EventLoop::new(Events {
            queue: self.ports.events.clone(),
            notifications: self.ports.notifications.clone(),
            alerter: self.alerter.clone(),
            clock: self.ports.updates.clock.clone(),
            witness: self.ports.updates.witness.clone(),
            stop: self.stop.clone(),
        })
    }

    fn notification_loop(&self) -> Option<NotificationLoop> {
        let notifications = self.ports.notifications.clone()?;
        Some(NotificationLoop::new(Worker {
            notifications,
            alerter: self.alerter.clone(),
            clock: self.ports.updates.clock.clone(),
            witness: self.ports.updates.witness.clone(),
            stop: self.stop.clone(),
        }))
    }
}

/// A service on its way.
struct Running {
    updates: UpdateLoop,
    events: EventLoop,
    notifications: Option<NotificationLoop>,
    heartbeats: Heartbeats,
}

impl Running {
    fn of(host: &Host) -> Self {
        Self {
            updates: host.update_loop(),
            events: host.events(),
            notifications: host.notification_loop(),
            heartbeats: host.heartbeats(),
        }
    }

    /// Takes in one thing that has come of what is under way. Waits for ever when nothing is.
    async fn step(&mut self) {
        let Self { updates, events, notifications, heartbeats } = self;
        let told = async {
            match notifications {
                Some(notifications) => notifications.next().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            Some(observations) = updates.next() => {
                let swept = observations.iter().any(|one| matches!(one, Observation::Swept(_)));
                updates.observe(observations);
                if swept && let Some(notifications) = notifications {
                    notifications.make_up();
                }
            }
            Some(wakes) = events.next() => updates.observe(wakes),
            Some(()) = told => {}
            Some(()) = heartbeats.written() => {}
            else => std::future::pending().await,
        }
    }

    /// Whether nobody waits to be told of an account that landed. What is in the notifications queue
    /// stays there.
    fn is_told(&self) -> bool {
        let sweeps = self.notifications.as_ref().is_none_or(NotificationLoop::is_idle);
        self.events.is_idle() && sweeps
    }

    /// Lets the calls under way end, and what follows from them be written down.
    async fn finish(&mut self) {
        let Self { updates, events, notifications, heartbeats } = self;
        let told = async {
            if let Some(notifications) = notifications {
                notifications.finish().await;
            }
        };
        tokio::join!(updates.finish(), events.finish(), told, heartbeats.finish());
    }

    /// Cuts off whatever is under way.
    async fn cut_off(&mut self) {
        self.updates.cut_off().await;
        self.events.cut_off().await;
        if let Some(notifications) = &mut self.notifications {
            notifications.cut_off().await;
        }
        self.heartbeats.cut_off().await;
    }

    fn waiting(&self) -> Option<Waiting> {
        self.updates.blocked().map(|(lane, blocked)| Waiting { lane, blocked })
    }
}
