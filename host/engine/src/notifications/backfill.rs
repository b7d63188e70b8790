//! The backfill: finds accounts whose event was lost. These are enrolled accounts that joined
//! lately and have no entry in the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use groundcrew_core::account::{Account, AccountId};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::event::Event;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::{NotificationEntry, NotificationState};
use groundcrew_core::onboarding::{Discovery, NotificationNeed};
use groundcrew_core::route::OncePer;
use jiff::Timestamp;

use super::recipients::{Recipient, is_final};
use super::subject::onboarding_subject;
use super::{Delivery, EventReport, Notifications};

/// If a gate's hold ended this long ago and the gate was not called again, the messages that waited
/// for it are gone.
const GATE_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

impl Notifications {
    /// Runs the backfill. One account after the other: there are few of them, and their
    /// notifications are not urgent.
    pub(super) async fn run_backfill(
        &self,
        handled: EventReport,
        until: Option<Timestamp>,
    ) -> EventReport {
        self.pipelines.iter().for_each(crate::PolicyPipeline::reset_timeouts);
        if self.settings.routes.is_empty() {
            let reason = "no notifier listens to anything".to_owned();
            return handled.ignored(NoDeliveryReason::NoRoute, reason);
        }
        // The ledger begins now if it has not begun: accounts that are enrolled from here on are
        // notified of.
        let now = self.ports.clock.now();
        if let Err(error) = self.began(now).await {
            return handled.failed_as_a_whole(error.to_string());
        }
        let (accounts, trouble) = match self.recently_enrolled(now).await {
            Ok(found) => found,
            Err(error) => {
                return handled.failed_as_a_whole(format!("the sweep is incomplete: {error}"));
            }
        };
        let mut deliveries = Vec::new();
        for account in accounts {
            deliveries.extend(self.backfill_account(account, until).await);
        }
        let handled = handled.with_deliveries(deliveries);
        match trouble {
            None => handled,
            Some(error) => handled.failed_as_a_whole(format!(
                "the sweep is incomplete: accounts that joined lately have no provisioned product, and \
                 whether Control Tower governs them can't be read: {error}. Allow this host \
                 controltower:ListLandingZones, controltower:GetLandingZone and \
                 controltower:ListEnabledBaselines"
            )),
        }
    }

    async fn backfill_account(
        &self,
        account: Arc<Account>,
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        // The recipients of the event that was lost.
        let mut recipients = self.recipients(&Event::for_enrolled_account(&account));
        // A recipient that is notified once for each event misses this one: its content is lost.
        recipients.retain(|one| one.once_per == OncePer::Account || one.notifier.gate);
        if recipients.iter().all(|one| one.once_per == OncePer::Event) {
            return Vec::new();
        }
        let subject = onboarding_subject(&account, Discovery::Backfilled);
        let (mut open, mut deliveries) = (Vec::new(), Vec::new());
        let mut is_new = false;
        for recipient in recipients {
            let name = &recipient.notifier.name;
            match self.ports.ledger.notification(&subject.key(name)).await {
                Ok(Some(entry)) if self.holds_others(&entry) => return deliveries,
                Ok(entry)
                    if entry.as_ref().is_some_and(|entry| self.is_handled_by_queue(entry)) =>
                {
                    if recipient.notifier.gate {
                        open.push(recipient);
                    }
                }
                Ok(entry) => {
                    is_new = true;
                    open.push(Recipient { in_progress: entry.is_some(), ..recipient });
                }
                Err(error) => deliveries.push(subject.delivery(name).failed(error.to_string())),
            }
        }
        if is_new {
            deliveries.extend(self.backfill_recipients(account, &open, until).await);
        }
        deliveries
    }

    /// Whether this is the entry of a gate that holds the notifications after it. These are in the
    /// queue then, although they have no entries: they are received again when the gate is called
    /// again.
    fn holds_others(&self, entry: &NotificationEntry) -> bool {
        let lately = self.ports.clock.now() - GATE_FORGOTTEN_AFTER;
        self.ports.queue.is_some()
            && matches!(entry.state, NotificationState::Held { until, .. } if until > lately)
    }

    /// Whether a sweep ignores a notification. With a queue, the queue handles every notification
    /// that was ever begun: otherwise each sweep would begin again those that are queued or
    /// dead-lettered.
    fn is_handled_by_queue(&self, entry: &NotificationEntry) -> bool {
        self.ports.queue.is_some() || is_final(entry, 0)
    }

    async fn backfill_recipients(
        &self,
        account: Arc<Account>,
        open: &[Recipient<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        let subject = onboarding_subject(&account, Discovery::Backfilled);
        if let Some(queue) = &self.ports.queue
            && self.notification_need(&subject, account.joined).await
                == Ok(NotificationNeed::Deliver)
        {
            return self.enqueue(queue.as_ref(), &subject, None, open).await;
        }
        let resolved = self.resolve_listed(account).await;
        self.deliver_due(&resolved, open, until).await
    }

    /// The enrolled accounts that joined within the lookback, in the order of joining. Also the
    /// error, if the enrolled accounts without a provisioned product could not be found.
    async fn recently_enrolled(
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
                    .filter(|account| account.closed_state().is_none()),
            );
            page = found.next;
            if page.is_none() {
                break;
            }
        }
        if recent.is_empty() {
            return Ok((recent, None));
        }
        let products = self.enrolled_products().await?;
        // Accounts without a provisioned product are few, and reading the baselines takes many
        // calls.
        let all_have_one = recent.iter().all(|account| products.contains_key(&account.id));
        let (governed, trouble) = match all_have_one {
            true => Default::default(),
            false => match self.ports.baselines.governed_accounts().await {
                Ok(governed) => (governed, None),
                Err(error) => (Default::default(), Some(error)),
            },
        };
        recent.retain(|account| match products.get(&account.id) {
            Some(enrolled) => *enrolled,
            None => governed.contains(&account.id),
        });
        recent.sort_by(|a, b| (a.joined, &a.id).cmp(&(b.joined, &b.id)));
        Ok((recent, trouble))
    }

    /// The accounts that have a provisioned product of Account Factory, and whether each is
    /// enrolled: its product was provisioned once and is usable. The product of an account that is
    /// being created is not.
    async fn enrolled_products(&self) -> Result<BTreeMap<AccountId, bool>, AwsError> {
        let factory = self.ports.catalog.account_factory().await?;
        let mut products: BTreeMap<AccountId, bool> = BTreeMap::new();
        let mut page = None;
        loop {
            let found =
                self.ports.catalog.provisioned_products(&factory.product, page.as_deref()).await?;
            for product in found.items {
                let enrolled = product.last_successful_record.is_some()
                    && product.status != ProductStatus::Error;
                *products.entry(product.account).or_default() |= enrolled;
            }
            page = found.next;
            if page.is_none() {
                return Ok(products);
            }
        }
    }
}
