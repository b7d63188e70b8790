//! A sweep: looks at every enrolled account and finds those that need an update. Service
//! Catalog is the truth on that. What Organizations knows of accounts, their tags and OUs,
//! is remembered for as long as the queue's window: it only chooses the lane, and is read
//! again before anything is done to an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::{AccountFactory, ArtifactId, ProductStatus, ProvisionedProduct};
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::pipeline::{Decision, Outcome};
use groundcrew_core::ports::{LaneRecord, LedgerError, Page, Progress};
use groundcrew_core::scheduler::{Standing, Sweep};

use crate::{Engine, Listing, Notice};

/// Tags that are read at once. AWS publishes no rate for it; the adapter slows down when
/// it is throttled.
const READS_AT_ONCE: usize = 8;

/// What is remembered of the lanes, by their names.
type LaneRecords = BTreeMap<String, LaneRecord>;

/// A sweep that could not be completed. Nothing was changed.
#[derive(Debug)]
pub(crate) struct Incomplete(String);

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AwsError> for Incomplete {
    fn from(error: AwsError) -> Self {
        Self(error.to_string())
    }
}

impl From<LedgerError> for Incomplete {
    fn from(error: LedgerError) -> Self {
        Self(error.to_string())
    }
}

impl Engine {
    /// What there is to do, and what is remembered of the lanes.
    pub(crate) async fn sweep(&self) -> Result<(Sweep, LaneRecords), Incomplete> {
        let started_at = self.now();
        // The operator may have mended them meanwhile.
        self.panel.forgive();
        self.state().launch_path = None;
        let factory = self.ports.catalog.account_factory().await?;
        self.state().product = Some(factory.product.clone());
        let products = self.products(&factory).await?;
        let progress = self.ports.ledger.all_progress(&factory.target).await?;
        let total = products.len();

        let mut accounts: BTreeMap<AccountId, Standing> = BTreeMap::new();
        let mut outdated = Vec::new();
        for product in products {
            let given_up = progress.get(&product.account).filter(|p| p.dead_lettered);
            let standing = match given_up {
                _ if product.artifact == factory.target => Standing::Current,
                // Never provisioned, so that there is nothing to update.
                _ if product.last_successful_record.is_none() => Standing::Skipped,
                // Until it is redriven or the target changes.
                Some(progress) => Standing::GivenUp { lane: self.lane_of(progress) },
                None => {
                    outdated.push(product);
                    continue;
                }
            };
            accounts.insert(product.account, standing);
        }
        let current = accounts.values().filter(|s| **s == Standing::Current).count();
        let notice = Notice::Swept { accounts: total, current, outdated: outdated.len() };
        self.ports.witness.see(self.now(), notice);
        tracing::info!(accounts = total, current, outdated = outdated.len(), "sweep");

        if !outdated.is_empty() {
            let directory = self.directory(&outdated).await?;
            let tags = self.tags_of(outdated.iter().map(|product| &product.account)).await;
            self.forget_tags_but(&tags);
            for product in outdated {
                let id = product.account.clone();
                let Some(account) = directory.get(&id) else {
                    // Enrolled, and closed or moved away since.
                    tracing::warn!(account = %id, "not in the organization; left alone");
                    accounts.insert(id, Standing::Skipped);
                    continue;
                };
                let tags =
                    tags.get(&id).cloned().unwrap_or_else(|| Tags::Unreadable("not read".into()));
                let failed_attempts = progress.get(&id).map_or(0, |p| p.failed_attempts);
                let decision =
                    self.decide_update(account.clone(), tags, &product, &factory.target).await;
                accounts.insert(id, standing(&decision, &product, failed_attempts));
            }
        }
        let lanes = self.ports.ledger.lanes().await?;
        Ok((Sweep { started_at, account_factory: factory, accounts }, lanes))
    }

    /// The lane in which an account failed; the first where it is no longer configured.
    fn lane_of(&self, progress: &Progress) -> usize {
        let lanes = &self.settings.rules.lanes;
        let named = |lane: &&str| lanes.iter().position(|rules| rules.name == **lane);
        progress.lane.as_deref().as_ref().and_then(named).unwrap_or(0)
    }

    /// Asks the policies whether to update an account.
    pub(crate) async fn decide_update(
        &self,
        account: Arc<Account>,
        tags: Tags,
        product: &ProvisionedProduct,
        target: &ArtifactId,
    ) -> Decision {
        let candidate = Candidate {
            action: Action::Update,
            cause: Cause::Artifact,
            account,
            tags,
            product: Some((product.clone(), target.clone())),
            event: None,
            now: self.now(),
        };
        self.decide(&candidate).await
    }

    async fn products(
        &self,
        factory: &AccountFactory,
    ) -> Result<Vec<ProvisionedProduct>, AwsError> {
        let mut products = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let Page { items, next } =
                self.ports.catalog.provisioned_products(&factory.product, page.as_deref()).await?;
            products.extend(items);
            match next {
                Some(next) => page = Some(next),
                None => return Ok(products),
            }
        }
    }

    /// The organization's accounts: as an earlier sweep listed them, if that is not too long
    /// ago and all of these are among them.
    async fn directory(&self, wanted: &[ProvisionedProduct]) -> Result<Listing, AwsError> {
        let now = self.now();
        if let Some((listed, accounts)) = &self.state().directory
            && *listed > now - self.settings.rules.window
            && wanted.iter().all(|product| accounts.contains_key(&product.account))
        {
            return Ok(accounts.clone());
        }
        let accounts = Arc::new(self.list_accounts().await?);
        self.state().directory = Some((now, accounts.clone()));
        Ok(accounts)
    }

    async fn list_accounts(&self) -> Result<BTreeMap<AccountId, Arc<Account>>, AwsError> {
        let mut accounts = BTreeMap::new();
        let mut page: Option<String> = None;
        loop {
            let Page { items, next } = self.ports.directory.accounts(page.as_deref()).await?;
            accounts.extend(items.into_iter().map(|account| (account.id.clone(), account)));
            match next {
                Some(next) => page = Some(next),
                None => return Ok(accounts),
            }
        }
    }

    /// Tags of these accounts: as an earlier sweep saw them if that is not too long ago,
    /// otherwise read. Without a policy to show them to, none are read.
    async fn tags_of<'a>(
        &self,
        accounts: impl Iterator<Item = &'a AccountId>,
    ) -> BTreeMap<AccountId, Tags> {
        if self.settings.policies.is_empty() {
            return accounts.map(|id| (id.clone(), Tags::Known(BTreeMap::new()))).collect();
        }
        let now = self.now();
        let oldest = now - self.settings.rules.window;
        let mut known = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let state = self.state();
            for id in accounts {
                match state.tags.get(id) {
                    Some((read, tags)) if *read > oldest => {
                        known.insert(id.clone(), tags.clone());
                    }
                    _ => missing.push(id.clone()),
                }
            }
        }
        let mut reads = stream::iter(missing)
            .map(|id| async move {
                let tags = self.tags(&id).await;
                (id, tags)
            })
            .buffered(READS_AT_ONCE);
        while let Some((id, tags)) = reads.next().await {
            known.insert(id, tags);
        }
        known
    }

    /// Reads the tags of one account and remembers them for the next sweeps. What could not
    /// be read is not remembered.
    pub(crate) async fn tags(&self, id: &AccountId) -> Tags {
        match self.ports.directory.tags(id).await {
            Ok(tags) => {
                let tags = Tags::Known(tags);
                self.state().tags.insert(id.clone(), (self.now(), tags.clone()));
                tags
            }
            Err(error) => Tags::Unreadable(error.to_string()),
        }
    }

    /// Only accounts that are still outdated need their tags kept.
    fn forget_tags_but(&self, outdated: &BTreeMap<AccountId, Tags>) {
        self.state().tags.retain(|id, _| outdated.contains_key(id));
    }
}

/// How a decision makes an account stand.
pub(crate) fn standing(
    decision: &Decision,
    product: &ProvisionedProduct,
    failed_attempts: u32,
) -> Standing {
    match &decision.outcome {
        Outcome::Proceed { lane } => Standing::Outdated {
            provisioned_product: product.id.clone(),
            lane: *lane,
            failed_attempts,
        },
        Outcome::Skip { .. } => Standing::Skipped,
        Outcome::Hold { until, .. } => Standing::Held { until: *until },
    }
}

/// Whether an operation runs on the product.
pub(crate) fn is_busy(product: &ProvisionedProduct) -> bool {
    matches!(product.status, ProductStatus::UnderChange | ProductStatus::PlanInProgress)
}
