//! A sweep: looks at every enrolled account and finds those that need an update. Service
//! Catalog is the truth on that; what it doesn't remember, such as in which OU an account was
//! updated last, is in the ledger. What Organizations knows of accounts, their tags and OUs,
//! is remembered for as long as the queue's window: it only chooses the lane, and is read
//! again before anything is done to an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::{Account, AccountId, AccountState, Tags};
use groundcrew_core::aws_error::AwsError;
use groundcrew_core::catalog::{
    AccountFactory, ArtifactId, ProductId, ProductStatus, ProvisionedProduct,
};
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::due::{Due, Footing, Known};
use groundcrew_core::lane::LaneId;
use groundcrew_core::pipeline::{Decision, Outcome};
use groundcrew_core::plan_id::{PlanId, PlanRules};
use groundcrew_core::ports::{
    HeldBack, HeldRecord, LaneRecord, LaneSeen, LedgerError, Page, Progress, Slot, SweepRecord,
};
use groundcrew_core::scheduler::{Standing, Sweep, WhenHeld};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Listing, Updates};
use crate::Notice;

/// Tags that are read at once. AWS publishes no rate for it; the adapter slows down when
/// it is throttled.
const READS_AT_ONCE: usize = 8;

/// So often it is tried to read what runs and what was done as they were at one moment.
const COUNTS: usize = 5;

/// The field `event` of the log line of a sweep that is complete. The alarm `NoSweepForADay` of
/// both stacks in `deploy/cloudformation` counts these lines.
const SWEEP_COMPLETED: &str = "sweep_completed";

/// Why a sweep could not be completed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// AWS did not say what it was asked for.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A sweep that came to an end.
pub(super) enum Swept {
    /// What there is to do, and how many accounts were decided about.
    Complete { sweep: Sweep, outdated: usize },
    /// Nothing was looked at: the landing zone is being changed, and accounts are to be updated
    /// afterwards.
    NotNow,
}

/// How far the lanes were when a sweep began.
#[derive(Default)]
struct Counted {
    lanes: BTreeMap<String, LaneRecord>,
    /// The accounts whose updates were not settled yet, and their lanes.
    slots: BTreeMap<AccountId, String>,
}

/// What a sweep is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Update,
    /// To be looked at: nothing is written down.
    Show,
}

/// What a sweep makes of the enrolled accounts before policies are asked.
struct Sorted {
    standings: BTreeMap<AccountId, Standing>,
    /// Policies are asked about these, and why.
    due: Vec<(ProvisionedProduct, Cause)>,
}

impl Updates {
    /// What a sweep would find now, with every account's standing; `None` while the landing zone
    /// is being changed. Policies are asked; nothing is written down.
    ///
    /// # Errors
    /// Why it could not be completed.
    pub(crate) async fn survey(&self) -> Result<Option<Sweep>, SweepError> {
        Ok(match self.look_around(Purpose::Show).await? {
            Swept::Complete { sweep, .. } => Some(sweep),
            Swept::NotNow => None,
        })
    }

    /// What there is to do.
    pub(super) async fn sweep(&self) -> Result<Swept, SweepError> {
        self.look_around(Purpose::Update).await
    }

    async fn look_around(&self, purpose: Purpose) -> Result<Swept, SweepError> {
        let started_at = self.now();
        let counted = match purpose {
            Purpose::Update => self.count().await?,
            Purpose::Show => Counted::default(),
        };
        let zone = self.ports.landing_zones.landing_zone().await?;
        if let Some(zone) = zone.as_ref().filter(|zone| zone.changing) {
            tracing::info!(version = zone.version, "the landing zone is being changed: no sweep");
            return Ok(Swept::NotNow);
        }
        self.state().landing_zone = zone.map(|zone| zone.version);
        // The operator may have mended them meanwhile.
        self.panel.forgive();
        self.state().launch_path = None;
        let factory = self.ports.catalog.account_factory().await?;
        self.state().product = Some(factory.product.clone());
        let products = self.products(&factory).await?;
        let progress = self.ports.ledger.all_progress(&factory.target).await?;

        let directory = self.directory(&products).await?;
        if self.settings.causes.need_footing() {
            self.find_footing(&products, &directory, purpose).await?;
        }
        let Sorted { standings: mut accounts, due } =
            self.sort(products, &directory, &factory, &progress);
        let outdated = due.len();

        let mut held = Vec::new();
        if !due.is_empty() {
            let tags = self.tags_of(due.iter().map(|(product, _)| &product.account)).await;
            self.forget_tags_but(&tags);
            for (product, cause) in due {
                let id = product.account.clone();
                let Some(account) = directory.get(&id) else {
                    // Enrolled, and gone since: 90 days after it was closed, or to another
                    // organization.
                    tracing::warn!(account = %id, "not in the organization; left alone");
                    accounts.insert(id, Standing::Skipped);
                    continue;
                };
                let tags =
                    tags.get(&id).cloned().unwrap_or_else(|| Tags::Unreadable("not read".into()));
                let before = progress.get(&id).cloned().unwrap_or_default();
                let decision = self
                    .decide_update(account.clone(), tags, &product, &factory.target, cause)
                    .await;
                if let Outcome::Hold { until, reason, lane } = &decision.outcome {
                    held.push(HeldRecord {
                        account: id.clone(),
                        until: *until,
                        reason: reason.clone(),
                        lane: lane.map(|lane| self.panel.lane(lane).to_owned()),
                    });
                }
                accounts.insert(id, standing(&decision, &product, account, &before));
            }
        }
        let plan = self
            .settings
            .approval
            .as_ref()
            .map(|rules| plan_id(rules, &factory.product, &factory.target));
        let held_back = self.held_back(&accounts, started_at).await?;
        let sweep = Sweep { started_at, account_factory: factory, accounts, plan, held_back };
        if purpose == Purpose::Update {
            self.note_sweep(&sweep, held, &counted).await?;
        }
        Ok(Swept::Complete { sweep, outdated })
    }

    /// Shows a sweep that is complete and counts.
    pub(super) fn show_sweep(&self, sweep: &Sweep, outdated: usize) {
        let accounts = sweep.accounts.len();
        let current = sweep.accounts.values().filter(|s| **s == Standing::Current).count();
        tracing::info!(event = SWEEP_COMPLETED, accounts, current, outdated, "sweep completed");
        self.ports.witness.see(self.now(), Notice::Swept { accounts, current, outdated });
    }

    /// What is to be done about each account, before any policy is asked.
    fn sort(
        &self,
        products: Vec<ProvisionedProduct>,
        directory: &Listing,
        factory: &AccountFactory,
        progress: &BTreeMap<AccountId, Progress>,
    ) -> Sorted {
        let mut sorted = Sorted { standings: BTreeMap::new(), due: Vec::new() };
        for product in products {
            let known = progress.get(&product.account);
            let given_up = known.filter(|progress| progress.dead_lettered);
            let ours = known.is_some_and(|known| known.failed_attempts > 0 || known.redriven > 0);
            let account = directory.get(&product.account).map(|account| &**account);
            let due = self.due(&product, &factory.target, account, ours);
            let standing = match (due, given_up) {
                (Due::Current, _) => Standing::Current,
                // Also when it was given up: nothing waits for somebody to redrive it.
                (Due::Closed(state), _) => {
                    self.log_closed(&product.account, state);
                    Standing::Closed
                }
                (Due::LeftAlone(why), _) => {
                    self.leave_alone(&product.account, why);
                    Standing::Skipped
                }
                // Until it is redriven or the target changes.
                (Due::Update(_), Some(progress)) => {
                    Standing::GivenUp { lane: self.lane_of(progress) }
                }
                (Due::Update(cause), None) => {
                    sorted.due.push((product, cause));
                    continue;
                }
            };
            sorted.standings.insert(product.account, standing);
        }
        sorted
    }

    /// Whether an account is to be updated, and why. `account` is what Organizations says of it,
    /// where that is known; `ours` says that updates of this host have failed.
    pub(super) fn due(
        &self,
        product: &ProvisionedProduct,
        target: &ArtifactId,
        account: Option<&Account>,
        ours: bool,
    ) -> Due {
        let state = self.state();
        let record = product.last_successful_record.clone();
        let now = account.zip(record).map(|(account, record)| Footing {
            record,
            ou: ou(account),
            landing_zone: state.landing_zone.clone(),
        });
        let before = state.footings.get(&product.account);
        let in_organization = account.and_then(|account| account.state);
        let known = Known { product, before, now: now.as_ref(), ours, state: in_organization };
        self.settings.causes.due(target, known)
    }

    /// Logs that an account is not updated because it is closed.
    pub(super) fn log_closed(&self, account: &AccountId, state: AccountState) {
        if self.panel.is_news(account, Action::Update, &state.to_string()) {
            tracing::info!(%account, %state, "the account is closed: it is not updated");
        }
    }

    /// Tells that a rule of the config, and no policy, leaves an account alone.
    fn leave_alone(&self, account: &AccountId, why: &str) {
        if self.panel.is_news(account, Action::Update, why) {
            tracing::info!(%account, verdict = "skip", detail = why, policy = "updates", "decision");
        }
        let decision = Decision { outcome: Outcome::Skip { reason: why.to_owned() }, policy: None };
        self.ports.witness.see(self.now(), Notice::Decided { account, decision: &decision });
    }

    /// Reads how things stood around accounts after their last successful operations, and notes
    /// how they stand now where an operation has succeeded since.
    async fn find_footing(
        &self,
        products: &[ProvisionedProduct],
        directory: &Listing,
        purpose: Purpose,
    ) -> Result<(), SweepError> {
        let mut footings = self.ports.ledger.footings().await?;
        let landing_zone = self.state().landing_zone.clone();
        let mut new = BTreeMap::new();
        for product in products {
            let Some(record) = &product.last_successful_record else { continue };
            let Some(account) = directory.get(&product.account) else { continue };
            if footings.get(&product.account).is_none_or(|before| before.record != *record) {
                let footing = Footing {
                    record: record.clone(),
                    ou: ou(account),
                    landing_zone: landing_zone.clone(),
                };
                new.insert(product.account.clone(), footing);
            }
        }
        if !new.is_empty() && purpose == Purpose::Update {
            self.ports.ledger.note_footings(&new).await?;
        }
        footings.extend(new);
        self.state().footings = footings;
        Ok(())
    }

    /// Reads what the lanes have done and what runs, as they were at one moment: a slot is freed and
    /// its end counted in one write.
    async fn count(&self) -> Result<Counted, SweepError> {
        let ledger = &self.ports.ledger;
        let mut lanes = ledger.lanes().await?;
        for _ in 0..COUNTS {
            let slots = ledger.slots().await?;
            let again = ledger.lanes().await?;
            if again == lanes {
                let lane_of = |slot: Slot| (slot.account, slot.lane);
                let slots: BTreeMap<_, _> = slots.into_iter().map(lane_of).collect();
                return Ok(Counted { lanes, slots });
            }
            lanes = again;
        }
        // So busy a fleet is counted a little wrong until the next sweep.
        Ok(Counted { lanes, slots: BTreeMap::new() })
    }

    /// Writes down what the sweep saw, for operators.
    async fn note_sweep(
        &self,
        sweep: &Sweep,
        mut held: Vec<HeldRecord>,
        Counted { lanes: records, slots }: &Counted,
    ) -> Result<(), SweepError> {
        let ledger = &self.ports.ledger;
        let mut lanes: BTreeMap<String, LaneSeen> = BTreeMap::new();
        let before = ledger.last_sweep().await?;
        let before = before.filter(|before| before.target == sweep.account_factory.target);
        for rules in &self.settings.rules.lanes {
            let succeeded = records.get(&rules.name).map_or(0, |record| record.succeeded);
            let earlier = before.as_ref().and_then(|before| before.lanes.get(&rules.name));
            let began_with = Some(earlier.and_then(|seen| seen.began_with).unwrap_or(succeeded));
            let seen = LaneSeen { succeeded, began_with, ..LaneSeen::default() };
            lanes.insert(rules.name.clone(), seen);
        }
        let (mut current, mut skipped, mut closed) = (0, 0, 0);
        for (account, standing) in &sweep.accounts {
            match standing {
                // Its update had not been settled when the sweep began: that it succeeded counts as
                // done since then, or will.
                Standing::Current if slots.contains_key(account) => {
                    if let Some(seen) = lanes.get_mut(&slots[account]) {
                        seen.to_update += 1;
                    }
                }
                Standing::Current => current += 1,
                Standing::Skipped => skipped += 1,
                Standing::Closed => closed += 1,
                Standing::Outdated { lane, .. } => {
                    if let Some(seen) = lanes.get_mut(self.panel.lane(*lane)) {
                        seen.to_update += 1;
                    }
                }
                Standing::GivenUp { lane } => {
                    if let Some(seen) = lanes.get_mut(self.panel.lane(*lane)) {
                        seen.given_up += 1;
                    }
                }
                Standing::Held { lane, .. } => {
                    if let Some(seen) = lane.and_then(|lane| lanes.get_mut(self.panel.lane(lane))) {
                        seen.held += 1;
                    }
                }
            }
        }
        let held_in_all = held.len();
        held.sort_by(|one, two| (one.until, &one.account).cmp(&(two.until, &two.account)));
        held.truncate(SweepRecord::HELD);
        let record = SweepRecord {
            began: sweep.started_at,
            completed: self.now(),
            target: sweep.account_factory.target.clone(),
            plan: sweep.plan.clone(),
            rules: self.settings.approval.as_ref().map_or_else(BTreeMap::new, |r| r.shown.clone()),
            accounts: sweep.accounts.len(),
            current,
            skipped,
            closed,
            lanes,
            held,
            held_in_all,
            held_back: sweep.held_back.clone(),
        };
        Ok(ledger.note_sweep(&record).await?)
    }

    /// The lanes whose held accounts keep later lanes back: since the sweep before where that saw
    /// the same, otherwise since now.
    async fn held_back(
        &self,
        accounts: &BTreeMap<AccountId, Standing>,
        now: Timestamp,
    ) -> Result<Vec<HeldBack>, SweepError> {
        let rules = &self.settings.rules.lanes;
        let mut held: BTreeMap<LaneId, (usize, Timestamp)> = BTreeMap::new();
        let mut to_update = vec![0; rules.len()];
        for standing in accounts.values() {
            match standing {
                Standing::Held { until, lane: Some(lane) } => {
                    let (accounts, last) = held.entry(*lane).or_insert((0, *until));
                    *accounts += 1;
                    *last = (*last).max(*until);
                }
                Standing::Outdated { lane, .. } => to_update[lane.place()] += 1,
                _ => {}
            }
        }
        let waiting_for = |lane: LaneId| {
            let later = rules.iter().zip(&to_update).skip(lane.place() + 1);
            later
                .filter(|(rules, accounts)| rules.held == WhenHeld::Wait && **accounts > 0)
                .map(|(rules, accounts)| (rules.name.clone(), *accounts))
                .collect::<Vec<_>>()
        };
        let mut held_back = Vec::new();
        for (lane, (accounts, until)) in held {
            let waiting = waiting_for(lane);
            if !waiting.is_empty() {
                let lane = self.panel.lane(lane).to_owned();
                held_back.push(HeldBack { lane, since: now, until, accounts, waiting });
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

    /// The lane in which an account failed; the first where it is no longer configured.
    fn lane_of(&self, progress: &Progress) -> LaneId {
        let named = |lane: &str| self.settings.rules.lane_named(lane);
        progress.lane.as_deref().and_then(named).unwrap_or(LaneId::FIRST)
    }

    /// Asks the policies whether to update an account.
    pub(super) async fn decide_update(
        &self,
        account: Arc<Account>,
        tags: Tags,
        product: &ProvisionedProduct,
        target: &ArtifactId,
        cause: Cause,
    ) -> Decision {
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

    /// The organization's accounts: as an earlier sweep listed them, if that is not too long
    /// ago and all of these are among them.
    async fn directory(&self, wanted: &[ProvisionedProduct]) -> Result<Listing, AwsError> {
        let now = self.now();
        let rules = &self.settings.rules;
        if let Some((listed, accounts)) = &self.state().directory {
            // Whoever wants to know of moves wants to know soon, and so does whoever reopens an
            // account.
            let soon =
                self.settings.causes.moved || accounts.values().any(|account| !account.is_active());
            let longest = if soon { rules.window.min(rules.sweep_interval) } else { rules.window };
            let knows = |product: &ProvisionedProduct| accounts.contains_key(&product.account);
            if *listed > now - longest && wanted.iter().all(knows) {
                return Ok(accounts.clone());
            }
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
    pub(super) async fn tags(&self, id: &AccountId) -> Tags {
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
pub(super) fn standing(
    decision: &Decision,
    product: &ProvisionedProduct,
    account: &Account,
    before: &Progress,
) -> Standing {
    match &decision.outcome {
        Outcome::Proceed { lane } => Standing::Outdated {
            provisioned_product: product.id.clone(),
            lane: *lane,
            failed_attempts: before.failed_attempts,
            retry_at: before.retry_at,
            ou: ou(account),
        },
        Outcome::Skip { .. } => Standing::Skipped,
        Outcome::Hold { until, lane, .. } => Standing::Held { until: *until, lane: *lane },
    }
}

/// Id of the OU that an account is directly in; `None` under the root.
pub(super) fn ou(account: &Account) -> Option<String> {
    account.organizational_units.last().map(|unit| unit.id.clone())
}

/// The plan of bringing accounts to what the factory makes, by these rules.
pub fn plan_id(rules: &PlanRules, product: &ProductId, target: &ArtifactId) -> PlanId {
    let mut hash = Sha256::new();
    for part in [rules.whole.as_str(), product.as_str(), target.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    PlanId::of(&hash.finalize())
}

/// Whether an operation runs on the product.
pub(super) fn is_busy(product: &ProvisionedProduct) -> bool {
    matches!(product.status, ProductStatus::UnderChange | ProductStatus::PlanInProgress)
}
