//! A sweep: reads every enrolled account and finds those that need an update. Service Catalog is
//! the source of truth for that. Data that it doesn't keep, such as the OU in which an account was
//! last updated, is in the ledger. The accounts, tags and OUs of Organizations are cached for as
//! long as the queue's window: they only choose the lane, and are read again before anything is
//! done to an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::{Account, AccountId, AccountState, Tags};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, ProductId, ProductStatus, ProvisionedProduct,
};
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::decision_combiner::{DecisionOutcome, FinalDecision};
use groundcrew_core::lane::LaneId;
use groundcrew_core::plan_id::{PlanId, PlanRules};
use groundcrew_core::ports::{
    BlockingHolds, HeldAccount, LaneRecord, LedgerError, Page, Slot, SweepRecord, SweptLane,
    UpdateProgress,
};
use groundcrew_core::scheduler::{AccountUpdateState, Sweep, WhenHeld};
use groundcrew_core::update_need::{AccountAppliedState, ObservedAccount, UpdateNeed};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{AccountsById, Updates};
use crate::EngineEvent;

/// How many tags are read at once. AWS publishes no rate limit for that; the adapter slows down
/// when it is throttled.
const MAX_CONCURRENT_READS: usize = 8;

/// How often a consistent read of the slots and of the lanes' counts is tried.
const MAX_COUNT_ATTEMPTS: usize = 5;

/// The field `event` of the log line of a sweep that is complete. The alarm `NoSweepForADay` of
/// both stacks in `deploy/cloudformation` counts these lines.
const SWEEP_COMPLETED: &str = "sweep_completed";

/// Why a sweep could not be completed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A call to AWS failed.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A sweep that came to an end.
pub(super) enum SweepOutcome {
    /// The sweep, and how many accounts were decided about.
    Complete { sweep: Sweep, outdated: usize },
    /// Nothing was read: the landing zone is being changed, and accounts have to be updated
    /// afterwards.
    Postponed,
}

/// The progress of the lanes when a sweep began.
#[derive(Default)]
struct LaneCounts {
    lanes: BTreeMap<String, LaneRecord>,
    /// The accounts whose updates had no completion yet, and their lanes.
    slots: BTreeMap<AccountId, String>,
}

/// The purpose of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SweepMode {
    Run,
    /// A dry run: nothing is written into the ledger.
    DryRun,
}

/// The states of the enrolled accounts before the policies are evaluated.
struct ClassifiedProducts {
    candidate_states: BTreeMap<AccountId, AccountUpdateState>,
    /// The accounts for which policies are evaluated, and the causes.
    to_decide: Vec<(ProvisionedProduct, Cause)>,
}

impl Updates {
    /// The result of a sweep now, with the state of every account; `None` while the landing zone is
    /// being changed. It evaluates the policies and writes nothing.
    ///
    /// # Errors
    /// When the sweep could not be completed.
    pub(crate) async fn dry_run_sweep(&self) -> Result<Option<Sweep>, SweepError> {
        Ok(match self.run_sweep(SweepMode::DryRun).await? {
            SweepOutcome::Complete { sweep, .. } => Some(sweep),
            SweepOutcome::Postponed => None,
        })
    }

    /// Sweeps the organization.
    pub(super) async fn sweep(&self) -> Result<SweepOutcome, SweepError> {
        self.run_sweep(SweepMode::Run).await
    }

    async fn run_sweep(&self, mode: SweepMode) -> Result<SweepOutcome, SweepError> {
        let started_at = self.now();
        let lane_counts = match mode {
            SweepMode::Run => self.count_lanes().await?,
            SweepMode::DryRun => LaneCounts::default(),
        };
        let zone = self.ports.landing_zones.landing_zone().await?;
        if let Some(zone) = zone.as_ref().filter(|zone| zone.changing) {
            tracing::info!(version = zone.version, "the landing zone is being changed: no sweep");
            return Ok(SweepOutcome::Postponed);
        }
        self.cache().landing_zone = zone.map(|zone| zone.version);
        // The operator may have fixed the policies meanwhile.
        self.pipeline.reset_timeouts();
        self.cache().launch_path = None;
        let factory = self.ports.catalog.account_factory().await?;
        self.cache().product = Some(factory.product.clone());
        let products = self.products(&factory).await?;
        let progress = self.ports.ledger.all_progress(&factory.target).await?;

        let directory = self.organization_accounts(&products).await?;
        if self.settings.causes.need_applied_state() {
            self.load_applied_states(&products, &directory, mode).await?;
        }
        let ClassifiedProducts { candidate_states: mut accounts, to_decide } =
            self.classify(products, &directory, &factory, &progress);
        let outdated = to_decide.len();

        let mut held = Vec::new();
        if !to_decide.is_empty() {
            let tags = self.tags_for(to_decide.iter().map(|(product, _)| &product.account)).await;
            self.retain_tags(&tags);
            for (product, cause) in to_decide {
                let id = product.account.clone();
                let Some(account) = directory.get(&id) else {
                    // It was enrolled and has left the organization since: 90 days after it was
                    // closed, or for another organization.
                    tracing::warn!(account = %id, "not in the organization; excluded");
                    accounts.insert(id, AccountUpdateState::Skipped);
                    continue;
                };
                let tags =
                    tags.get(&id).cloned().unwrap_or_else(|| Tags::Unreadable("not read".into()));
                let before = progress.get(&id).cloned().unwrap_or_default();
                let decision = self
                    .decide_update(account.clone(), tags, &product, &factory.target, cause)
                    .await;
                if let DecisionOutcome::Hold { until, reason, lane } = &decision.outcome {
                    held.push(HeldAccount {
                        account: id.clone(),
                        until: *until,
                        reason: reason.clone(),
                        lane: lane.map(|lane| self.pipeline.lane_name(lane).to_owned()),
                    });
                }
                accounts.insert(id, candidate_state(&decision, &product, account, &before));
            }
        }
        let plan = self
            .settings
            .approval
            .as_ref()
            .map(|rules| plan_id(rules, &factory.product, &factory.target));
        let held_back = self.find_blocking_lanes(&accounts, started_at).await?;
        let sweep = Sweep { started_at, account_factory: factory, accounts, plan, held_back };
        if mode == SweepMode::Run {
            self.record_sweep(&sweep, held, &lane_counts).await?;
        }
        Ok(SweepOutcome::Complete { sweep, outdated })
    }

    /// Logs a completed sweep, and emits the event.
    pub(super) fn report_sweep(&self, sweep: &Sweep, outdated: usize) {
        let accounts = sweep.accounts.len();
        let current =
            sweep.accounts.values().filter(|s| **s == AccountUpdateState::Current).count();
        tracing::info!(event = SWEEP_COMPLETED, accounts, current, outdated, "sweep completed");
        self.ports.observer.observe(self.now(), EngineEvent::Swept { accounts, current, outdated });
    }

    /// Classifies each account, before any policy is evaluated.
    fn classify(
        &self,
        products: Vec<ProvisionedProduct>,
        directory: &AccountsById,
        factory: &AccountFactory,
        progress: &BTreeMap<AccountId, UpdateProgress>,
    ) -> ClassifiedProducts {
        let mut classified =
            ClassifiedProducts { candidate_states: BTreeMap::new(), to_decide: Vec::new() };
        for product in products {
            let known = progress.get(&product.account);
            let dead_lettered = known.filter(|progress| progress.dead_lettered);
            let own_failure =
                known.is_some_and(|known| known.failed_attempts > 0 || known.redriven > 0);
            let account = directory.get(&product.account).map(|account| &**account);
            let need = self.update_need(&product, &factory.target, account, own_failure);
            let candidate_state = match (need, dead_lettered) {
                (UpdateNeed::Current, _) => AccountUpdateState::Current,
                // Also when it was dead-lettered: no redrive is needed.
                (UpdateNeed::Closed(state), _) => {
                    self.log_closed(&product.account, state);
                    AccountUpdateState::Closed
                }
                (UpdateNeed::Excluded(why), _) => {
                    self.report_excluded(&product.account, why);
                    AccountUpdateState::Skipped
                }
                // It stays so until it is redriven or the target changes.
                (UpdateNeed::Update(_), Some(progress)) => {
                    AccountUpdateState::DeadLettered { lane: self.lane_for(progress) }
                }
                (UpdateNeed::Update(cause), None) => {
                    classified.to_decide.push((product, cause));
                    continue;
                }
            };
            classified.candidate_states.insert(product.account, candidate_state);
        }
        classified
    }

    /// Whether an account needs an update, and why. `account` is its data from Organizations, if
    /// known; `own_failure` means that updates by groundcrew have failed.
    pub(super) fn update_need(
        &self,
        product: &ProvisionedProduct,
        target: &ArtifactId,
        account: Option<&Account>,
        own_failure: bool,
    ) -> UpdateNeed {
        let cache = self.cache();
        let record = product.last_successful_record.clone();
        let now = account.zip(record).map(|(account, record)| AccountAppliedState {
            record,
            ou: ou(account),
            landing_zone: cache.landing_zone.clone(),
        });
        let before = cache.applied_states.get(&product.account);
        let in_organization = account.and_then(|account| account.state);
        let observed = ObservedAccount {
            product,
            before,
            now: now.as_ref(),
            own_failure,
            state: in_organization,
        };
        self.settings.causes.update_need(target, observed)
    }

    /// Logs that an account is not updated because it is closed.
    pub(super) fn log_closed(&self, account: &AccountId, state: AccountState) {
        if self.pipeline.differs_from_logged(account, Action::Update, &state.to_string()) {
            tracing::info!(%account, %state, "the account is closed: it is not updated");
        }
    }

    /// Logs that a rule of the config, not a policy, excludes an account, and emits the event.
    fn report_excluded(&self, account: &AccountId, why: &str) {
        if self.pipeline.differs_from_logged(account, Action::Update, why) {
            tracing::info!(%account, verdict = "skip", detail = why, policy = "updates", "decision");
        }
        let decision = FinalDecision {
            outcome: DecisionOutcome::Skip { reason: why.to_owned() },
            policy: None,
        };
        self.ports
            .observer
            .observe(self.now(), EngineEvent::Decided { account, decision: &decision });
    }

    /// Reads the applied states of accounts, and records the present state of the accounts on which
    /// an operation has succeeded since.
    async fn load_applied_states(
        &self,
        products: &[ProvisionedProduct],
        directory: &AccountsById,
        mode: SweepMode,
    ) -> Result<(), SweepError> {
        let mut applied_states = self.ports.ledger.applied_states().await?;
        let landing_zone = self.cache().landing_zone.clone();
        let mut new = BTreeMap::new();
        for product in products {
            let Some(record) = &product.last_successful_record else { continue };
            let Some(account) = directory.get(&product.account) else { continue };
            if applied_states.get(&product.account).is_none_or(|before| before.record != *record) {
                let applied_state = AccountAppliedState {
                    record: record.clone(),
                    ou: ou(account),
                    landing_zone: landing_zone.clone(),
                };
                new.insert(product.account.clone(), applied_state);
            }
        }
        if !new.is_empty() && mode == SweepMode::Run {
            self.ports.ledger.record_applied_states(&new).await?;
        }
        applied_states.extend(new);
        self.cache().applied_states = applied_states;
        Ok(())
    }

    /// Reads the lanes' counts and the slots as of the same moment: a slot is freed and its end is
    /// counted in one write.
    async fn count_lanes(&self) -> Result<LaneCounts, SweepError> {
        let ledger = &self.ports.ledger;
        let mut lanes = ledger.lanes().await?;
        for _ in 0..MAX_COUNT_ATTEMPTS {
            let slots = ledger.slots().await?;
            let again = ledger.lanes().await?;
            if again == lanes {
                let lane_by_account = |slot: Slot| (slot.account, slot.lane);
                let slots: BTreeMap<_, _> = slots.into_iter().map(lane_by_account).collect();
                return Ok(LaneCounts { lanes, slots });
            }
            lanes = again;
        }
        // In a fleet that changes so fast the counts are slightly off until the next sweep.
        Ok(LaneCounts { lanes, slots: BTreeMap::new() })
    }

    /// Records the sweep in the ledger, for operators.
    async fn record_sweep(
        &self,
        sweep: &Sweep,
        mut held: Vec<HeldAccount>,
        LaneCounts { lanes: records, slots }: &LaneCounts,
    ) -> Result<(), SweepError> {
        let ledger = &self.ports.ledger;
        let mut lanes: BTreeMap<String, SweptLane> = BTreeMap::new();
        let before = ledger.last_sweep().await?;
        let before = before.filter(|before| before.target == sweep.account_factory.target);
        for rules in &self.settings.rules.lanes {
            let succeeded = records.get(&rules.name).map_or(0, |record| record.succeeded);
            let earlier = before.as_ref().and_then(|before| before.lanes.get(&rules.name));
            let began_with =
                Some(earlier.and_then(|summary| summary.began_with).unwrap_or(succeeded));
            let summary = SweptLane { succeeded, began_with, ..SweptLane::default() };
            lanes.insert(rules.name.clone(), summary);
        }
        let (mut current, mut skipped, mut closed) = (0, 0, 0);
        for (account, candidate_state) in &sweep.accounts {
            match candidate_state {
                // Its update had no completion when the sweep began: its success is counted after
                // that, or will be.
                AccountUpdateState::Current if slots.contains_key(account) => {
                    if let Some(summary) = lanes.get_mut(&slots[account]) {
                        summary.to_update += 1;
                    }
                }
                AccountUpdateState::Current => current += 1,
                AccountUpdateState::Skipped => skipped += 1,
                AccountUpdateState::Closed => closed += 1,
                AccountUpdateState::Outdated { lane, .. } => {
                    if let Some(summary) = lanes.get_mut(self.pipeline.lane_name(*lane)) {
                        summary.to_update += 1;
                    }
                }
                AccountUpdateState::DeadLettered { lane } => {
                    if let Some(summary) = lanes.get_mut(self.pipeline.lane_name(*lane)) {
                        summary.dead_lettered += 1;
                    }
                }
                AccountUpdateState::Held { lane, .. } => {
                    if let Some(summary) =
                        lane.and_then(|lane| lanes.get_mut(self.pipeline.lane_name(lane)))
                    {
                        summary.held += 1;
                    }
                }
            }
        }
        let held_in_all = held.len();
        held.sort_by(|one, two| (one.until, &one.account).cmp(&(two.until, &two.account)));
        held.truncate(SweepRecord::MAX_HELD);
        let record = SweepRecord {
            began: sweep.started_at,
            completed: self.now(),
            target: sweep.account_factory.target.clone(),
            plan: sweep.plan.clone(),
            rules: self
                .settings
                .approval
                .as_ref()
                .map_or_else(BTreeMap::new, |r| r.summary.clone()),
            accounts: sweep.accounts.len(),
            current,
            skipped,
            closed,
            lanes,
            held,
            held_in_all,
            held_back: sweep.held_back.clone(),
        };
        Ok(ledger.record_sweep(&record).await?)
    }

    /// The lanes whose held accounts block later lanes. A lane that the previous sweep found
    /// blocking keeps its `since`; otherwise `since` is now.
    async fn find_blocking_lanes(
        &self,
        accounts: &BTreeMap<AccountId, AccountUpdateState>,
        now: Timestamp,
    ) -> Result<Vec<BlockingHolds>, SweepError> {
        let rules = &self.settings.rules.lanes;
        let mut held: BTreeMap<LaneId, (usize, Timestamp)> = BTreeMap::new();
        let mut to_update = vec![0; rules.len()];
        for candidate_state in accounts.values() {
            match candidate_state {
                AccountUpdateState::Held { until, lane: Some(lane) } => {
                    let (accounts, last) = held.entry(*lane).or_insert((0, *until));
                    *accounts += 1;
                    *last = (*last).max(*until);
                }
                AccountUpdateState::Outdated { lane, .. } => to_update[lane.index()] += 1,
                _ => {}
            }
        }
        let waiting_for = |lane: LaneId| {
            let later = rules.iter().zip(&to_update).skip(lane.index() + 1);
            later
                .filter(|(rules, accounts)| rules.held == WhenHeld::Wait && **accounts > 0)
                .map(|(rules, accounts)| (rules.name.clone(), *accounts))
                .collect::<Vec<_>>()
        };
        let mut held_back = Vec::new();
        for (lane, (accounts, until)) in held {
            let waiting = waiting_for(lane);
            if !waiting.is_empty() {
                let lane = self.pipeline.lane_name(lane).to_owned();
                held_back.push(BlockingHolds { lane, since: now, until, accounts, waiting });
            }
        }
        if !held_back.is_empty() {
            let before = self.ports.ledger.last_sweep().await?;
            let before = before.map(|sweep| sweep.held_back).unwrap_or_default();
            for lane in &mut held_back {
                if let Some(before) = before.iter().find(|before| before.lane == lane.lane) {
                    lane.since = before.since;
                }
            }
        }
        Ok(held_back)
    }

    /// The lane in which an account failed; the first lane if that one is no longer configured.
    fn lane_for(&self, progress: &UpdateProgress) -> LaneId {
        let named = |lane: &str| self.settings.rules.lane_named(lane);
        progress.lane.as_deref().and_then(named).unwrap_or(LaneId::FIRST)
    }

    /// Evaluates the policies for an update of an account.
    pub(super) async fn decide_update(
        &self,
        account: Arc<Account>,
        tags: Tags,
        product: &ProvisionedProduct,
        target: &ArtifactId,
        cause: Cause,
    ) -> FinalDecision {
        let candidate = Candidate {
            action: Action::Update,
            cause,
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

    /// The organization's accounts: from the cache of an earlier sweep, if it is recent enough and
    /// contains the accounts of all these products.
    async fn organization_accounts(
        &self,
        wanted: &[ProvisionedProduct],
    ) -> Result<AccountsById, AwsError> {
        let now = self.now();
        let rules = &self.settings.rules;
        if let Some((listed, accounts)) = &self.cache().accounts {
            // Moved accounts have to be found soon, and so do accounts that were reopened.
            let soon =
                self.settings.causes.moved || accounts.values().any(|account| !account.is_active());
            let longest = if soon { rules.window.min(rules.sweep_interval) } else { rules.window };
            let knows = |product: &ProvisionedProduct| accounts.contains_key(&product.account);
            if *listed > now - longest && wanted.iter().all(knows) {
                return Ok(accounts.clone());
            }
        }
        let accounts = Arc::new(self.list_accounts().await?);
        self.cache().accounts = Some((now, accounts.clone()));
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

    /// Tags of these accounts: from the cache of an earlier sweep if they are recent enough,
    /// otherwise read. If no policy needs them, none are read.
    async fn tags_for<'a>(
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
            let cache = self.cache();
            for id in accounts {
                match cache.tags.get(id) {
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
            .buffered(MAX_CONCURRENT_READS);
        while let Some((id, tags)) = reads.next().await {
            known.insert(id, tags);
        }
        known
    }

    /// Reads the tags of one account and caches them for the next sweeps. A failed read is not
    /// cached.
    pub(super) async fn tags(&self, id: &AccountId) -> Tags {
        match self.ports.directory.tags(id).await {
            Ok(tags) => {
                let tags = Tags::Known(tags);
                self.cache().tags.insert(id.clone(), (self.now(), tags.clone()));
                tags
            }
            Err(error) => Tags::Unreadable(error.to_string()),
        }
    }

    /// Keeps the cached tags of outdated accounts only.
    fn retain_tags(&self, outdated: &BTreeMap<AccountId, Tags>) {
        self.cache().tags.retain(|id, _| outdated.contains_key(id));
    }
}

/// The state of an account after a decision.
pub(super) fn candidate_state(
    decision: &FinalDecision,
    product: &ProvisionedProduct,
    account: &Account,
    before: &UpdateProgress,
) -> AccountUpdateState {
    match &decision.outcome {
        DecisionOutcome::Proceed { lane } => AccountUpdateState::Outdated {
            provisioned_product: product.id.clone(),
            lane: *lane,
            failed_attempts: before.failed_attempts,
            retry_at: before.retry_at,
            ou: ou(account),
        },
        DecisionOutcome::Skip { .. } => AccountUpdateState::Skipped,
        DecisionOutcome::Hold { until, lane, .. } => {
            AccountUpdateState::Held { until: *until, lane: *lane }
        }
    }
}

/// Id of the OU that an account is directly in; `None` under the root.
pub(super) fn ou(account: &Account) -> Option<String> {
    account.organizational_units.last().map(|unit| unit.id.clone())
}

/// The id of the plan that updates accounts to this target by these rules.
pub fn plan_id(rules: &PlanRules, product: &ProductId, target: &ArtifactId) -> PlanId {
    let mut hash = Sha256::new();
    for part in [rules.canonical.as_str(), product.as_str(), target.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    PlanId::from_digest(&hash.finalize())
}

/// Whether an operation runs on the product.
pub(super) fn is_busy(product: &ProvisionedProduct) -> bool {
    matches!(product.status, ProductStatus::UnderChange | ProductStatus::PlanInProgress)
}
