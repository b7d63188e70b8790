//! Looking for accounts whose event was lost: enrolled ones that joined lately and have no
//! entry in the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::event::Event;
use groundcrew_core::notification::{NotificationEntry, NotificationState};
use groundcrew_core::onboarding::{Due, Found};
use jiff::Timestamp;

use super::due::{Listener, is_settled};
use super::subject::landed;
use super::{Handled, Onboarding, Told};

/// Nobody has asked a gate again for so long after it held: the messages behind it are gone.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

impl Onboarding {
    /// Makes up for lost events. One account after the other: there are few, and whatever
    /// they are told to is not in a hurry.
    pub(super) async fn sweep(&self, handled: Handled, until: Option<Timestamp>) -> Handled {
        self.panels.iter().for_each(crate::Panel::forgive);
        if self.settings.routes.is_empty() {
            return handled.ignored("no notifier listens to anything".to_owned());
        }
        // The ledger begins now if it hasn't: what lands from here on is told.
        let now = self.ports.clock.now();
        if let Err(error) = self.began(now).await {
            return handled.broken(error.to_string());
        }
        let accounts = match self.landed_lately(now).await {
            Ok(accounts) => accounts,
            Err(error) => return handled.broken(format!("the sweep is incomplete: {error}")),
        };
        let mut told = Vec::new();
        for account in accounts {
            told.extend(self.tell_of(account, until).await);
        }
        handled.with(told)
    }

    async fn tell_of(&self, account: Arc<Account>, until: Option<Timestamp>) -> Vec<Told> {
        // Whoever would have been told of its event.
        let listeners = self.listeners(&Event::of_landed(&account));
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
        self.ports.queue.is_some() || is_settled(entry)
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

    /// The enrolled accounts that joined within the lookback, in the order of joining.
    async fn landed_lately(&self, now: Timestamp) -> Result<Vec<Arc<Account>>, AwsError> {
        let oldest = now - self.settings.lookback;
        let mut recent: Vec<Arc<Account>> = Vec::new();
        let mut page = None;
        loop {
            let found = self.ports.directory.accounts(page.as_deref()).await?;
            recent.extend(
                found
                    .items
                    .into_iter()
                    .filter(|account| account.joined.is_some_and(|joined| joined >= oldest)),
            );
            page = found.next;
            if page.is_none() {
                break;
            }
        }
        if recent.is_empty() {
            return Ok(recent);
        }
        let enrolled = self.enrolled().await?;
        recent.retain(|account| enrolled.contains(&account.id));
        recent.sort_by(|a, b| (a.joined, &a.id).cmp(&(b.joined, &b.id)));
        Ok(recent)
    }

    /// Accounts that Control Tower has landed: their product was provisioned once and is
    /// usable. One that is being created isn't.
    async fn enrolled(&self) -> Result<BTreeSet<AccountId>, AwsError> {
        let factory = self.ports.catalog.account_factory().await?;
        let mut enrolled = BTreeSet::new();
        let mut page = None;
        loop {
            let found =
                self.ports.catalog.provisioned_products(&factory.product, page.as_deref()).await?;
            let landed = found.items.into_iter().filter(|product| {
                product.last_successful_record.is_some() && product.status != ProductStatus::Error
            });
            enrolled.extend(landed.map(|product| product.account));
            page = found.next;
            if page.is_none() {
                return Ok(enrolled);
            }
        }
    }
}
