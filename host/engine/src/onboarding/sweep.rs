//! Looking for accounts whose event was lost: enrolled ones that joined lately and have no
//! entry in the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::onboarding::Found;
use jiff::Timestamp;

use super::{ConfiguredNotifier, Handled, Onboarding, Subject, Told, is_settled};

impl Onboarding {
    /// Makes up for lost events. One account after the other: there are few, and whatever
    /// they are told to is not in a hurry.
    pub(super) async fn sweep(&self, handled: Handled, until: Option<Timestamp>) -> Handled {
        self.panel.forgive();
        let listening: Vec<&ConfiguredNotifier> = self
            .settings
            .notifiers
            .iter()
            .filter(|notifier| notifier.on.iter().any(|event| event == "CreateManagedAccount"))
            .collect();
        if listening.is_empty() {
            return handled.ignored("no notifier listens to CreateManagedAccount".to_owned());
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
            told.extend(self.tell_of(account, &listening, until).await);
        }
        handled.with(told)
    }

    async fn tell_of(
        &self,
        account: Arc<Account>,
        listening: &[&ConfiguredNotifier],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let (mut open, mut told) = (Vec::new(), Vec::new());
        for notifier in listening {
            let key = NotificationKey::onboard(&account.id, &notifier.name);
            match self.ports.ledger.notification(&key).await {
                Ok(entry) if is_settled(&entry) => {}
                Ok(_) => open.push(*notifier),
                Err(error) => {
                    told.push(Told::failed(notifier, &account.id, error.to_string()));
                }
            }
        }
        if !open.is_empty() {
            let known = self.listed(account).await;
            let subject = Subject { found: Found::Swept, known, event: None };
            told.extend(self.due(&subject, &open, until).await);
        }
        told
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
