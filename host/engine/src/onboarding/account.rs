//! What is known of an account that landed: what AWS Organizations says, or failing that
//! what its event says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::onboarding::Landed;
use tokio::time::timeout;

use super::Onboarding;

/// How long looking an account up may take. Calls to Organizations wait for minutes when
/// they are throttled; what an event says is enough to tell of an account.
const LOOKUP: Duration = Duration::from_secs(10);

/// What is known of an account.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) account: Arc<Account>,
    pub(super) tags: Tags,
    /// Why the account could not be looked up.
    pub(super) trouble: Option<String>,
}

impl Onboarding {
    /// Looks an account up. Never fails: the event is believed then.
    pub(super) async fn known(&self, landed: &Landed) -> Known {
        let directory = &self.ports.directory;
        let (found, tags) =
            tokio::join!(timeout(LOOKUP, directory.account(&landed.id)), self.tags(&landed.id));
        let trouble = match found {
            Ok(Ok(account)) => return Known { account, tags, trouble: None },
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", LOOKUP.as_secs()),
        };
        tracing::warn!(account = %landed.id, trouble, "an account can't be looked up");
        let account = Account {
            id: landed.id.clone(),
            name: landed.name.clone().unwrap_or_default(),
            email: String::new(),
            organizational_units: landed.organizational_unit.iter().cloned().collect(),
            joined: None,
            state: None,
        };
        Known { account: Arc::new(account), tags, trouble: Some(trouble) }
    }

    /// What is known of an account that a listing shows.
    pub(super) async fn listed(&self, account: Arc<Account>) -> Known {
        let tags = self.tags(&account.id).await;
        Known { account, tags, trouble: None }
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
