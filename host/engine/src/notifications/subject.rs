//! What is to be told: an account that landed or another event, with what is known of it. Of an
//! account that is what AWS Organizations says, or failing that what its event says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId, AccountState, Tags};
use groundcrew_core::event::Event;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::onboarding::{Found, Landed};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{Notifications, Told};

/// How long looking an account up may take. Calls to Organizations wait for minutes when
/// they are throttled; what an event says is enough to tell of an account.
const LOOKUP: Duration = Duration::from_secs(10);

/// What is to be told.
#[derive(Clone, Debug)]
pub(super) enum Matter {
    /// An account has landed. Told once in its life.
    Landed(Landed, Found),
    /// An event that somebody wants to know of. Told once, whatever its id.
    Event(Arc<Event>, Option<AccountId>),
}

/// What is to be told, and what is known of it.
pub(super) struct Subject {
    pub(super) matter: Matter,
    /// The event that led to it, unless a sweep found the account.
    pub(super) event: Option<Arc<Event>>,
    /// The account, unless the event is about none.
    pub(super) account: Option<Arc<Account>>,
    pub(super) tags: Tags,
    /// Why the account could not be looked up.
    pub(super) trouble: Option<String>,
}

impl Matter {
    /// What the ledger knows it by.
    pub(super) fn key(&self, notifier: &str) -> NotificationKey {
        match self {
            Self::Landed(landed, _) => NotificationKey::onboard(&landed.id, notifier),
            Self::Event(event, _) => NotificationKey::event(event, notifier),
        }
    }

    /// The account, unless the event is about none.
    pub(super) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Landed(landed, _) => Some(&landed.id),
            Self::Event(_, account) => account.as_ref(),
        }
    }

    /// For people.
    pub(super) fn about(&self) -> String {
        match self {
            Self::Landed(landed, _) => format!("account {}", landed.id),
            Self::Event(event, Some(account)) => format!("{} of account {account}", event.name),
            Self::Event(event, None) => match event.organizational_unit() {
                Some(unit) if unit.name.is_empty() => format!("{} of OU {}", event.name, unit.id),
                Some(unit) if unit.id.is_empty() => format!("{} of OU {}", event.name, unit.name),
                Some(unit) => format!("{} of OU {} ({})", event.name, unit.name, unit.id),
                None => event.name.clone(),
            },
        }
    }

    /// Whether it is an account that has landed, told once in its life.
    pub(super) fn is_landed(&self) -> bool {
        matches!(self, Self::Landed(..))
    }

    /// The event itself as what is told, for those who want to know of each.
    pub(super) fn of_event(&self, event: &Arc<Event>) -> Self {
        Self::Event(Arc::clone(event), self.account().cloned())
    }

    /// Whether Control Tower says that the account is new.
    pub(super) fn is_created(&self) -> bool {
        matches!(self, Self::Landed(_, Found::Created))
    }

    /// What became of telling it, to be said by what follows.
    pub(super) fn told(&self, notifier: &str) -> Told {
        Told::of(notifier, self.key(notifier), self.about(), self.account().cloned())
    }
}

impl Subject {
    /// The state of an account that has landed and was closed since. Other events are told of
    /// closed accounts too.
    pub(super) fn closed(&self) -> Option<AccountState> {
        self.account.as_ref().filter(|_| self.matter.is_landed())?.closed()
    }

    /// When the account joined the organization.
    pub(super) fn joined(&self) -> Option<Timestamp> {
        self.account.as_ref()?.joined
    }
}

impl Notifications {
    /// Looks up what is to be told. Never fails: the event is believed then.
    pub(super) async fn subject(&self, matter: Matter, event: Option<Arc<Event>>) -> Subject {
        let Some(id) = matter.account().cloned() else {
            let tags = Tags::Known(BTreeMap::new());
            return Subject { matter, event, account: None, tags, trouble: None };
        };
        let directory = &self.ports.directory;
        let (found, tags) = tokio::join!(timeout(LOOKUP, directory.account(&id)), self.tags(&id));
        let trouble = match found {
            Ok(Ok(account)) => {
                let account = Some(account);
                return Subject { matter, event, account, tags, trouble: None };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", LOOKUP.as_secs()),
        };
        tracing::warn!(account = %id, trouble, "an account can't be looked up");
        let (name, unit) = match &matter {
            Matter::Landed(landed, _) => (landed.name.clone(), landed.organizational_unit.clone()),
            Matter::Event(..) => (None, None),
        };
        let account = Account {
            id,
            name: name.unwrap_or_default(),
            email: String::new(),
            organizational_units: unit.into_iter().collect(),
            joined: None,
            state: None,
        };
        Subject { matter, event, account: Some(account.into()), tags, trouble: Some(trouble) }
    }

    /// An account that a sweep found in a listing.
    pub(super) async fn found(&self, account: Arc<Account>) -> Subject {
        let tags = self.tags(&account.id).await;
        let matter = landed(&account, Found::Swept);
        Subject { matter, event: None, account: Some(account), tags, trouble: None }
    }

    async fn tags(&self, id: &AccountId) -> Tags {
        let read = timeout(LOOKUP, self.ports.directory.tags(id)).await;
        let tags: Result<BTreeMap<_, _>, String> = match read {
            Ok(tags) => tags.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LOOKUP.as_secs())),
        };
        tags.map_or_else(Tags::Unreadable, Tags::Known)
    }
}

/// That an account has landed whose event was lost.
pub(super) fn landed(account: &Account, found: Found) -> Matter {
    let landed = Landed {
        id: account.id.clone(),
        name: Some(account.name.clone()),
        organizational_unit: account.organizational_units.last().cloned(),
        created: true,
    };
    Matter::Landed(landed, found)
}
