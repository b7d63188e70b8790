//! Publishes alerts: each as often as it has to be, whichever hosts want to.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundcrew_core::ports::{Alert, Alerts, Clock, Ledger, TELLING_LEASE, Telling};
use jiff::Timestamp;

use crate::retry::insist;
use crate::{Notice, Witness};

/// Alerts about the same lasting trouble go out at most this often.
const ALERT_REPEAT: Duration = Duration::from_secs(6 * 60 * 60);
/// What can't be read for so long is worth an alert.
const UNREAD: Duration = Duration::from_secs(10 * 60);

/// Publishes the alerts of one host.
pub(crate) struct Alerter {
    pub(crate) alerts: Arc<dyn Alerts>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) witness: Arc<dyn Witness>,
    /// The name of this host in the ledger.
    pub(crate) host: String,
    /// Between two looks at what another host is about to tell.
    pub(crate) wait: Duration,
    pub(crate) told: Mutex<ToldLately>,
}

/// What this host knows by heart, so that the ledger is not asked each time.
#[derive(Default)]
pub(crate) struct ToldLately {
    /// When alerts about each lasting trouble went out last.
    alerted: BTreeMap<String, Timestamp>,
    /// What can't be read, of what is read again and again, and since when.
    unread: BTreeMap<String, Timestamp>,
}

impl Alerter {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn told(&self) -> MutexGuard<'_, ToldLately> {
        // Every statement leaves it whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what it knows by moments, after the time was set.
    pub(crate) fn forget_moments(&self) {
        *self.told() = ToldLately::default();
    }

    /// Tells something once, whichever hosts want to: `tell` does it. Answers `false` when
    /// another host is about to.
    pub(crate) async fn tell_once<F>(&self, what: &str, tell: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = ()>,
    {
        let claim = || self.ledger.claim_telling(what, &self.host, self.now());
        match insist("write down what is told", claim).await {
            Telling::Theirs => false,
            Telling::Done => true,
            Telling::Ours => {
                // For as long as it takes others know that this host is about it.
                let stay = async {
                    loop {
                        tokio::time::sleep(TELLING_LEASE / 3).await;
                        if let Err(error) = claim().await {
                            tracing::warn!(%error, "could not write down what is being told");
                        }
                    }
                };
                tokio::select! {
                    () = tell() => {}
                    () = stay => {}
                }
                let note = || self.ledger.note_told(what, &self.host, self.now());
                insist("write down what was told", note).await;
                true
            }
        }
    }

    /// Publishes an alert once, whichever hosts want to, or waits until another host has: that may
    /// die before it does.
    pub(crate) async fn see_told(&self, what: &str, alert: &Alert) {
        while !self.tell_once(what, || self.alert(alert)).await {
            tokio::time::sleep(self.wait).await;
        }
    }

    /// Publishes an alert, trying until it is out.
    pub(crate) async fn alert(&self, alert: &Alert) {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        insist("publish an alert", || self.alerts.publish(alert)).await;
        self.witness.see(self.now(), Notice::Alerted(alert));
    }

    /// Publishes an alert, and answers whether it is out.
    pub(crate) async fn try_alert(&self, alert: &Alert) -> bool {
        tracing::warn!(subject = alert.subject, text = alert.message, "alert");
        match self.alerts.publish(alert).await {
            Ok(()) => {
                self.witness.see(self.now(), Notice::Alerted(alert));
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not publish an alert");
                false
            }
        }
    }

    /// Publishes an alert unless this or another host has published one about the same. Where the
    /// ledger can't say so, it is published: rather twice than not at all.
    pub(crate) async fn alert_once_of_all(&self, what: &str, alert: &Alert) {
        loop {
            match self.claim_telling(what).await {
                Telling::Done => return,
                // The other may die before it does.
                Telling::Theirs => tokio::time::sleep(self.wait).await,
                Telling::Ours => {
                    self.alert(alert).await;
                    return self.note_told(what).await;
                }
            }
        }
    }

    /// Whose it is to publish an alert: this host's where the ledger can't say.
    async fn claim_telling(&self, what: &str) -> Telling {
        let claim = self.ledger.claim_telling(what, &self.host, self.now());
        claim.await.unwrap_or_else(|error| {
            tracing::warn!(%error, what, "the ledger can't say whether it was told");
            Telling::Ours
        })
    }

    async fn note_told(&self, what: &str) {
        let note = self.ledger.note_told(what, &self.host, self.now());
        if let Err(error) = note.await {
            tracing::warn!(%error, what, "could not write down what was told");
        }
    }

    /// Publishes an alert about a lasting trouble, unless one went out lately, from this or another
    /// host. One that does not get out is tried again when the trouble shows next.
    pub(crate) async fn alert_once(&self, trouble: &str, alert: &Alert) {
        let now = self.now();
        let due = {
            let mut told = self.told();
            let due = told.alerted.get(trouble).is_none_or(|last| now >= *last + ALERT_REPEAT);
            if due {
                told.alerted.insert(trouble.to_owned(), now);
            }
            due
        };
        if !due {
            return;
        }
        let span = now.as_second().div_euclid(ALERT_REPEAT.as_secs().cast_signed());
        let what = format!("lasting: {trouble}, {span}");
        match self.claim_telling(&what).await {
            Telling::Done => {}
            Telling::Ours if self.try_alert(alert).await => self.note_told(&what).await,
            Telling::Ours | Telling::Theirs => {
                self.told().alerted.remove(trouble);
            }
        }
    }

    /// What is read again and again could, or could not, be read. People hear of it when that
    /// lasts: `trouble` is what they read first, and `means` what it means to them.
    pub(crate) async fn read_again<T, E: Display>(
        &self,
        read: Result<T, E>,
        trouble: &str,
        means: &str,
    ) -> Option<T> {
        let error = match read {
            Ok(read) => {
                self.told().unread.remove(trouble);
                return Some(read);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "{trouble}");
        let now = self.now();
        let since = *self.told().unread.entry(trouble.to_owned()).or_insert(now);
        if now >= since + UNREAD {
            let message = format!("Since {since}. {means}\nError: {error}");
            let alert = Alert { subject: trouble.to_owned(), message };
            self.alert_once(trouble, &alert).await;
        }
        None
    }

    /// A queue could, or could not, be read.
    pub(crate) async fn queue_read<T, E: Display>(
        &self,
        queue: &str,
        read: Result<T, E>,
    ) -> Option<T> {
        let means = "Nothing in it is lost, but nothing is done about it either.";
        self.read_again(read, &format!("The {queue} queue can't be read"), means).await
    }

    /// A message that nothing can be done with stays in its queue and comes again and again.
    pub(crate) async fn unmoved(&self, queue: &str, error: &impl Display) {
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
}
