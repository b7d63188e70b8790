//! The subject of a notification: an account that was enrolled or another event, with what is known
//! about it. The data of an account is that of AWS Organizations, or else that of its event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId, AccountState, Tags};
use groundcrew_core::event::Event;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::onboarding::{Discovery, EnrolledAccount};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{Delivery, Notifications};

/// How long an account's lookup may take. Calls to Organizations wait for minutes when they are
/// throttled; the data in an event is enough for a notification.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The subject of a notification.
#[derive(Clone, Debug)]
pub(super) enum NotificationSubject {
    /// An account was enrolled. Delivered once in the account's life.
    Onboarding(EnrolledAccount, Discovery),
    /// An event that a route sends to the notifier. Delivered once, whatever its id.
    Event(Arc<Event>, Option<AccountId>),
}

/// The subject of a notification, with what was looked up about it.
pub(super) struct ResolvedSubject {
    pub(super) subject: NotificationSubject,
    /// The event that led to it, unless a sweep found the account.
    pub(super) event: Option<Arc<Event>>,
    /// The account, unless the event is about none.
    pub(super) account: Option<Arc<Account>>,
    pub(super) tags: Tags,
    /// Why the account could not be looked up.
    pub(super) lookup_error: Option<String>,
}

impl NotificationSubject {
    /// Its key in the ledger.
    pub(super) fn key(&self, notifier: &str) -> NotificationKey {
        match self {
            Self::Onboarding(enrolled, _) => {
                NotificationKey::for_onboarding(&enrolled.id, notifier)
            }
            Self::Event(event, _) => NotificationKey::for_event(event, notifier),
        }
    }

    /// The account, unless the event is about none.
    pub(super) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Onboarding(enrolled, _) => Some(&enrolled.id),
            Self::Event(_, account) => account.as_ref(),
        }
    }

    /// Its description for operators.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Onboarding(enrolled, _) => format!("account {}", enrolled.id),
            Self::Event(event, Some(account)) => format!("{} of account {account}", event.name),
            Self::Event(event, None) => match event.organizational_unit() {
                Some(unit) if unit.name.is_empty() => format!("{} of OU {}", event.name, unit.id),
                Some(unit) if unit.id.is_empty() => format!("{} of OU {}", event.name, unit.name),
                Some(unit) => format!("{} of OU {} ({})", event.name, unit.name, unit.id),
                None => event.name.clone(),
            },
        }
    }

    /// Whether it is an account that was enrolled, which is notified of once in its life.
    pub(super) fn is_onboarding(&self) -> bool {
        matches!(self, Self::Onboarding(..))
    }

    /// The event itself as the subject, for recipients that are notified once for each event.
    pub(super) fn as_event(&self, event: &Arc<Event>) -> Self {
        Self::Event(Arc::clone(event), self.account().cloned())
    }

    /// Whether Control Tower says that the account is new.
    pub(super) fn is_created(&self) -> bool {
        matches!(self, Self::Onboarding(_, Discovery::Created))
    }

    /// A delivery of it without a result yet.
    pub(super) fn delivery(&self, notifier: &str) -> Delivery {
        Delivery::new(notifier, self.key(notifier), self.description(), self.account().cloned())
    }
}

impl ResolvedSubject {
    /// The state of an account that was enrolled and has been closed since. Other events are
    /// delivered for closed accounts too.
    pub(super) fn closed_state(&self) -> Option<AccountState> {
        self.account.as_ref().filter(|_| self.subject.is_onboarding())?.closed_state()
    }

    /// When the account joined the organization.
    pub(super) fn joined(&self) -> Option<Timestamp> {
        self.account.as_ref()?.joined
    }
}

impl Notifications {
    /// Looks up the account of a subject. Never fails: without a lookup it uses the data in the
    /// event.
    pub(super) async fn resolve(
        &self,
        subject: NotificationSubject,
        event: Option<Arc<Event>>,
    ) -> ResolvedSubject {
        let Some(id) = subject.account().cloned() else {
            let tags = Tags::Known(BTreeMap::new());
            return ResolvedSubject { subject, event, account: None, tags, lookup_error: None };
        };
        let directory = &self.ports.directory;
        let (found, tags) =
            tokio::join!(timeout(LOOKUP_TIMEOUT, directory.account(&id)), self.tags(&id));
        let lookup_error = match found {
            Ok(Ok(account)) => {
                let account = Some(account);
                return ResolvedSubject { subject, event, account, tags, lookup_error: None };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs()),
        };
        tracing::warn!(account = %id, lookup_error, "an account can't be looked up");
        let (name, unit) = match &subject {
            NotificationSubject::Onboarding(enrolled, _) => {
                (enrolled.name.clone(), enrolled.organizational_unit.clone())
            }
            NotificationSubject::Event(..) => (None, None),
        };
        let account = Account {
            id,
            name: name.unwrap_or_default(),
            email: String::new(),
            organizational_units: unit.into_iter().collect(),
            joined: None,
            state: None,
        };
        ResolvedSubject {
            subject,
            event,
            account: Some(account.into()),
            tags,
            lookup_error: Some(lookup_error),
        }
    }

    /// The subject for an account that a sweep found in a listing.
    pub(super) async fn resolve_listed(&self, account: Arc<Account>) -> ResolvedSubject {
        let tags = self.tags(&account.id).await;
        let subject = onboarding_subject(&account, Discovery::Backfilled);
        ResolvedSubject { subject, event: None, account: Some(account), tags, lookup_error: None }
    }

    async fn tags(&self, id: &AccountId) -> Tags {
        let read = timeout(LOOKUP_TIMEOUT, self.ports.directory.tags(id)).await;
        let tags: Result<BTreeMap<_, _>, String> = match read {
            Ok(tags) => tags.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs())),
        };
        tags.map_or_else(Tags::Unreadable, Tags::Known)
    }
}

/// The subject for an enrolled account whose event was lost.
pub(super) fn onboarding_subject(account: &Account, found: Discovery) -> NotificationSubject {
    let enrolled = EnrolledAccount {
        id: account.id.clone(),
        name: Some(account.name.clone()),
        organizational_unit: account.organizational_units.last().cloned(),
        created: true,
    };
    NotificationSubject::Onboarding(enrolled, found)
}
