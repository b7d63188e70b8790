//! Looking for accounts whose event was lost: enrolled ones that joined lately and have no
//! entry in the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::event::Event;
use groundcrew_core::notification::{NotificationEntry, NotificationState};
use groundcrew_core::onboarding::{Due, Found};
use groundcrew_core::route::OncePer;
use groundcrew_core::rule::Rule;
use jiff::Timestamp;

use super::due::{Listener, is_settled};
use super::subject::landed;
use super::{Handled, Notifications, Told};

/// Nobody has asked a gate again for so long after it held: the messages behind it are gone.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

impl Notifications {
    /// Makes up for lost events. One account after the other: there are few, and whatever
    /// they are told to is not in a hurry.
    pub(super) async fn sweep(&self, handled: Handled, until: Option<Timestamp>) -> Handled {
        self.panels.iter().for_each(crate::Panel::forgive);
        if self.settings.routes.is_empty() {
            let reason = "no notifier listens to anything".to_owned();
            return handled.ignored(Rule::NoRoute, reason);
        }
        // The ledger begins now if it hasn't: what lands from here on is told.
        let now = self.ports.clock.now();
        if let Err(error) = self.began(now).await {
            return handled.broken(error.to_string());
        }
        let (accounts, trouble) = match self.landed_lately(now).await {
            Ok(found) => found,
            Err(error) => return handled.broken(format!("the sweep is incomplete: {error}")),
        };
        let mut told = Vec::new();
        for account in accounts {
            told.extend(self.tell_of(account, until).await);
        }
        let handled = handled.with(told);
        match trouble {
            None => handled,
            Some(error) => handled.broken(format!(
                "the sweep is incomplete: accounts that joined lately have no provisioned product, and \
                 whether Control Tower governs them can't be read: {error}. Allow this host \
                 controltower:ListLandingZones, controltower:GetLandingZone and \
                 controltower:ListEnabledBaselines"
            )),
        }
    }

    async fn tell_of(&self, account: Arc<Account>, until: Option<Timestamp>) -> Vec<Told> {
        // Whoever would have been told of its event.
        let mut listeners = self.listeners(&Event::of_landed(&account));
        // Who is told of each event misses one that was lost: nobody knows what it said.
        listeners.retain(|one| one.once_per == OncePer::Account || one.notifier.gate);
        if listeners.iter().all(|one| one.once_per == OncePer::Event) {
            return Vec::new();
        }
        let matter = landed(&account, Found::Swept);
        let (mut open, mut told) = (Vec::new(), Vec::new());
        let mut is_new = false;
        for listener in listeners {
            let name = &listener.notifier.name;
            match self.ports.ledger.notification(&matter.key(name)).await {
                Ok(Some(entry)) if self.keeps_others(&entry) => return told,
                Ok(entry) if entry.as_ref().is_some_and(|entry| self.is_done(entry)) => {
                    if listener.notifier.gate {
                        open.push(listener);
                    }
                }
                Ok(entry) => {
                    is_new = true;
                    open.push(Listener { begun: entry.is_some(), ..listener });
                }
                Err(error) => told.push(matter.told(name).failed(error.to_string())),
            }
        }
        if is_new {
            told.extend(self.make_up_for(account, &open, until).await);
        }
        told
    }

    /// Whether this is a gate's that holds what comes after it. That is in the queue, then, although
    /// it has no entry: it comes out again when the gate is asked again.
    fn keeps_others(&self, entry: &NotificationEntry) -> bool {
        let lately = self.ports.clock.now() - FORGOTTEN;
        self.ports.queue.is_some()
            && matches!(entry.state, NotificationState::Held { until, .. } if until > lately)
    }

    /// Whether a sweep has nothing to do with a notification. Where there is a queue, that sees
    /// to all that was ever begun: what is in it, and what was given up, would otherwise be begun
    /// again by each sweep.
    fn is_done(&self, entry: &NotificationEntry) -> bool {
        self.ports.queue.is_some() || is_settled(entry, 0)
    }

    async fn make_up_for(
        &self,
        account: Arc<Account>,
        open: &[Listener<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let matter = landed(&account, Found::Swept);
        if let Some(queue) = &self.ports.queue
            && self.due(&matter, account.joined).await == Ok(Due::Tell)
        {
            return self.hand_over(queue.as_ref(), &matter, None, open).await;
        }
        let subject = self.found(account).await;
        self.tell_open(&subject, open, until).await
    }

    /// The enrolled accounts that joined within the lookback, in the order of joining; and why those
    /// that have no provisioned product could not be found, if so.
    async fn landed_lately(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<Arc<Account>>, Option<AwsError>), AwsError> {
        let oldest = now - self.settings.lookback;
        let mut recent: Vec<Arc<Account>> = Vec::new();
        let mut page = None;
        loop {
            let found = self.ports.directory.accounts(page.as_deref()).await?;
            recent.extend(
                found
                    .items
                    .into_iter()
                    .filter(|account| account.joined.is_some_and(|joined| joined >= oldest))
                    .filter(|account| account.closed().is_none()),
            );
            page = found.next;
            if page.is_none() {
                break;
            }
        }
        if recent.is_empty() {
            return Ok((recent, None));
        }
        let products = self.products().await?;
        // Those without one are few, and reading the baselines takes many calls.
        let all_have_one = recent.iter().all(|account| products.contains_key(&account.id));
        let (governed, trouble) = match all_have_one {
            true => Default::default(),
            false => match self.ports.baselines.governed_accounts().await {
                Ok(governed) => (governed, None),
                Err(error) => (Default::default(), Some(error)),
            },
        };
        recent.retain(|account| match products.get(&account.id) {
            Some(landed) => *landed,
            None => governed.contains(&account.id),
        });
        recent.sort_by(|a, b| (a.joined, &a.id).cmp(&(b.joined, &b.id)));
        Ok((recent, trouble))
    }

    /// The accounts that have a product of Account Factory, and whether each has landed: its product
    /// was provisioned once and is usable. That of an account that is being created isn't.
    async fn products(&self) -> Result<BTreeMap<AccountId, bool>, AwsError> {
        let factory = self.ports.catalog.account_factory().await?;
        let mut products: BTreeMap<AccountId, bool> = BTreeMap::new();
        let mut page = None;
        loop {
            let found =
                self.ports.catalog.provisioned_products(&factory.product, page.as_deref()).await?;
            for product in found.items {
                let landed = product.last_successful_record.is_some()
                    && product.status != ProductStatus::Error;
                *products.entry(product.account).or_default() |= landed;
            }
            page = found.next;
            if page.is_none() {
                return Ok(products);
            }
        }
    }
}
