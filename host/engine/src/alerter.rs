//! Publishes alerts: each as often as necessary, even if several hosts want to publish the same
//! one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::{ALERT_LEASE, Alert, AlertClaim, Alerts, Clock, Ledger};
use jiff::Timestamp;

use crate::retry::retry_until_success;
use crate::{EngineEvent, Observer};

/// Alerts about the same lasting problem are published at most this often.
const ALERT_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);
/// After so long without a successful read an alert is published.
const UNREADABLE_ALERT_AFTER: Duration = Duration::from_secs(10 * 60);

/// Publishes the alerts of one host.
pub(crate) struct Alerter {
    pub(crate) alerts: Arc<dyn Alerts>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    /// The name of this host in the ledger.
    pub(crate) host: String,
    /// Between two polls of an alert that another host is publishing.
    pub(crate) poll_interval: Duration,
    pub(crate) recent: Mutex<RecentAlerts>,
}

/// What this host keeps in memory, so that it does not read the ledger each time.
#[derive(Default)]
pub(crate) struct RecentAlerts {
    /// When the last alert about each lasting problem was published.
    alerted: BTreeMap<String, Timestamp>,
    /// Which of the periodic reads fail, and since when.
    unreadable_since: BTreeMap<String, Timestamp>,
}

impl Alerter {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn recent(&self) -> MutexGuard<'_, RecentAlerts> {
        // No statement can leave it half-changed, so a poisoned one is valid.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all timestamps, after the time was set.
    pub(crate) fn forget_timestamps(&self) {
        *self.recent() = RecentAlerts::default();
    }

    /// Runs an action once across all hosts, even if several want to run it. Returns `false` if
    /// another host is running it.
    pub(crate) async fn run_once_across_hosts<F>(
        &self,
        what: &str,
        action: impl FnOnce() -> F,
    ) -> bool
    where
        F: Future<Output = ()>,
    {
        let claim = || self.ledger.claim_alert(what, &self.host, self.now());
        match retry_until_success("record an alert that is being published", claim).await {
            AlertClaim::ClaimedByOther => false,
            AlertClaim::Published => true,
            AlertClaim::Acquired => {
                // Renews the claim while the action runs, so that other hosts see that this host is
                // running it.
                let stay = async {
                    loop {
                        tokio::time::sleep(ALERT_LEASE / 3).await;
                        if let Err(error) = claim().await {
                            tracing::warn!(%error, "could not record an alert that is being \
                                                    published");
                        }
                    }
                };
                tokio::select! {
                    () = action() => {}
                    () = stay => {}
                }
                let write = || self.ledger.record_alerted(what, &self.host, self.now());
                retry_until_success("record a published alert", write).await;
                true
            }
        }
    }

    /// Publishes an alert once across all hosts. If another host is publishing it, waits until that
    /// host has: it may die before it does.
    pub(crate) async fn publish_once_or_wait(&self, what: &str, alert: &Alert) {
        while !self.run_once_across_hosts(what, || self.publish(alert)).await {
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    /// Publishes an alert, and retries until that succeeds.
    pub(crate) async fn publish(&self, alert: &Alert) {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        retry_until_success("publish an alert", || self.alerts.publish(alert)).await;
        self.observer.observe(self.now(), EngineEvent::Alerted(alert));
    }

    /// Publishes an alert, and returns whether that succeeded.
    pub(crate) async fn try_publish(&self, alert: &Alert) -> bool {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        match self.alerts.publish(alert).await {
            Ok(()) => {
                self.observer.observe(self.now(), EngineEvent::Alerted(alert));
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not publish an alert");
                false
            }
        }
    }

    /// Publishes an alert unless this or another host has published one about the same thing. If
    /// the ledger can't be read, it is published: twice is better than not at all.
    pub(crate) async fn publish_once(&self, what: &str, alert: &Alert) {
        loop {
            match self.claim_alert(what).await {
                AlertClaim::Published => return,
                // The other host may die before it publishes the alert.
                AlertClaim::ClaimedByOther => tokio::time::sleep(self.poll_interval).await,
                AlertClaim::Acquired => {
                    self.publish(alert).await;
                    return self.record_alerted(what).await;
                }
            }
        }
    }

    /// Which host publishes an alert: this one if the ledger can't be read.
    async fn claim_alert(&self, what: &str) -> AlertClaim {
        let claim = self.ledger.claim_alert(what, &self.host, self.now());
        claim.await.unwrap_or_else(|error| {
            tracing::warn!(%error, what, "the ledger can't be read to see whether the alert was \
                                          published");
            AlertClaim::Acquired
        })
    }

    async fn record_alerted(&self, what: &str) {
        let write = self.ledger.record_alerted(what, &self.host, self.now());
        if let Err(error) = write.await {
            tracing::warn!(%error, what, "could not record a published alert");
        }
    }

    /// Publishes an alert about a lasting problem, unless this or another host has published one
    /// lately. An alert that can't be published is retried when the problem shows next.
    pub(crate) async fn publish_rate_limited(&self, trouble: &str, alert: &Alert) {
        let now = self.now();
        let due = {
            let mut recent = self.recent();
            let due = recent.alerted.get(trouble).is_none_or(|last| now >= *last + ALERT_REPEAT);
            if due {
                recent.alerted.insert(trouble.to_owned(), now);
            }
            due
        };
        if !due {
            return;
        }
        let span = now.as_second().div_euclid(ALERT_REPEAT.as_secs().cast_signed());
        let what = format!("lasting: {trouble}, {span}");
        match self.claim_alert(&what).await {
            AlertClaim::Published => {}
            AlertClaim::Acquired if self.try_publish(alert).await => {
                self.record_alerted(&what).await
            }
            AlertClaim::Acquired | AlertClaim::ClaimedByOther => {
                self.recent().alerted.remove(trouble);
            }
        }
    }

    /// Records whether a periodic read succeeded. When it has failed for a while, an alert is
    /// published: `trouble` is its subject, and `means` is what the problem means to operators.
    pub(crate) async fn track_read<T, E: Display>(
        &self,
        read: Result<T, E>,
        trouble: &str,
        means: &str,
    ) -> Option<T> {
        let error = match read {
            Ok(read) => {
                self.recent().unreadable_since.remove(trouble);
                return Some(read);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "{trouble}");
        let now = self.now();
        let since = *self.recent().unreadable_since.entry(trouble.to_owned()).or_insert(now);
        if now >= since + UNREADABLE_ALERT_AFTER {
            let message = format!("Since {since}. {means}\nError: {error}");
            let alert = Alert { subject: trouble.to_owned(), message };
            self.publish_rate_limited(trouble, &alert).await;
        }
        None
    }

    /// Records whether a queue could be read.
    pub(crate) async fn track_queue_read<T, E: Display>(
        &self,
        queue: &str,
        read: Result<T, E>,
    ) -> Option<T> {
        let means = "Nothing in it is lost, but nothing is done about it either.";
        self.track_read(read, &format!("The {queue} queue can't be read"), means).await
    }

    /// Publishes an alert about a message that can't be handled and can't be moved to the
    /// dead-letter queue either: it stays in its queue and is received again and again.
    pub(crate) async fn alert_unmoved(&self, queue: &str, error: &impl Display) {
        tracing::error!(%error, "could not move a message of the {queue} queue to its dead-letter queue");
        let alert = Alert {
            subject: format!("The dead-letter queue of the {queue} queue can't be written"),
            message: format!(
                "What can't be handled stays in the {queue} queue, and its alert repeats.\n\
                 Error: {error}"
            ),
        };
        self.publish_rate_limited(&format!("unmoved: {queue}"), &alert).await;
    }
}
