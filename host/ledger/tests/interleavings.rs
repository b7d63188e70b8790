//! Hosts that share a ledger, in random orders of their reads and writes and with lost responses:
//! the ledger's promises hold.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{FullLedger, account, at, client, delivered, failed, key, sim_with, slot, target};
use fastrand::Rng;
use futures_util::future::join_all;
use groundcrew_core::account::AccountId;
use groundcrew_core::notification::{Claim, ClaimOutcome};
use groundcrew_core::ports::{
    Clock, Ledger, LedgerError, Slot, SlotLimits, SlotOutcome, UpdateProgress,
};
use groundcrew_ledger::{
    DynamoLedger, Item, Key, MemoryStore, Store, StoreError, StoreLedger, Write,
};
use groundcrew_sim::{FaultLevel, SimClock};
use proptest::prelude::*;
use rstest::rstest;
use tokio::time::{sleep, timeout};

/// Slots that may be taken at once.
const CAP: usize = 3;

/// Accounts, each with a notification.
const ACCOUNTS: usize = 5;

/// Far more than hosts need, even when claims expire because their responses were lost.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// A store on the other side of a network.
struct RemoteStore {
    store: Arc<MemoryStore>,
    rng: Mutex<Rng>,
}

impl RemoteStore {
    async fn travel(&self) {
        let milliseconds = self.rng.lock().unwrap().u64(0..40);
        sleep(Duration::from_millis(milliseconds)).await;
    }

    fn is_lost(&self) -> Result<(), StoreError> {
        let lost = self.rng.lock().unwrap().u8(0..10) == 0;
        if lost { Err(StoreError::Table("lost".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.travel().await;
        let item = self.store.get(key).await;
        self.travel().await;
        item
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        self.travel().await;
        self.store.list(partition).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        self.travel().await;
        self.is_lost()?;
        let committed = self.store.commit(writes).await;
        self.is_lost()?;
        self.travel().await;
        committed
    }
}

/// The state of all hosts together.
#[derive(Default)]
struct SharedState {
    running: BTreeSet<AccountId>,
    most: usize,
    runs: BTreeMap<AccountId, u32>,
    delivered: BTreeMap<AccountId, u32>,
}

/// One host: updates every account once, and delivers every notification that is not delivered yet.
struct Host<'a> {
    name: String,
    ledger: Arc<dyn FullLedger>,
    clock: SimClock,
    shared_state: &'a Mutex<SharedState>,
    rng: Mutex<Rng>,
}

impl Host<'_> {
    async fn live(&self) {
        let runs = (0..ACCOUNTS).map(|number| self.run(number));
        let tells = (0..ACCOUNTS).map(|number| self.deliver(number));
        tokio::join!(join_all(runs), join_all(tells));
    }

    async fn idle(&self) {
        let milliseconds = self.rng.lock().unwrap().u64(0..500);
        sleep(Duration::from_millis(milliseconds)).await;
    }

    /// Retries a call until it succeeds, as the engine does.
    async fn retry_until_success<T, F>(&self, call: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(_) => self.idle().await,
            }
        }
    }

    async fn run(&self, number: usize) {
        let slot = Slot { token: self.name.clone(), ..slot(number) };
        loop {
            self.idle().await;
            match self
                .retry_until_success(|| self.ledger.take_slot(&slot, SlotLimits::in_all(CAP)))
                .await
            {
                SlotOutcome::Acquired => break,
                SlotOutcome::AlreadyHeld(taken) if taken.token == slot.token => break,
                SlotOutcome::AlreadyHeld(_)
                | SlotOutcome::LimitReached
                | SlotOutcome::OuLimitReached => {}
                SlotOutcome::DeadLettered => panic!("nobody gives anything up"),
            }
        }
        {
            let mut shared_state = self.shared_state.lock().unwrap();
            assert!(
                shared_state.running.insert(slot.account.clone()),
                "two hold a slot of one account"
            );
            shared_state.most = shared_state.most.max(shared_state.running.len());
            *shared_state.runs.entry(slot.account.clone()).or_default() += 1;
        }
        self.idle().await;
        let known =
            self.retry_until_success(|| self.ledger.progress(&slot.account, &slot.target)).await;
        let progress = failed(known.failed_attempts + 1);
        self.shared_state.lock().unwrap().running.remove(&slot.account);
        self.retry_until_success(|| self.ledger.free_slot(&slot, Some(&progress), None)).await;
    }

    async fn deliver(&self, number: usize) {
        loop {
            self.idle().await;
            let now = self.clock.now();
            let claim = Claim {
                key: key(number),
                account: Some(account(number)),
                notifier: "ams".into(),
                by: self.name.clone(),
                now,
                // Longer than any retries of the next calls take.
                until: now + Duration::from_secs(600),
                redriven: 0,
            };
            match self.retry_until_success(|| self.ledger.claim(&claim)).await {
                ClaimOutcome::Completed(_) => return,
                ClaimOutcome::ClaimedByOther { until } | ClaimOutcome::Held { until, .. } => {
                    sleep(until.duration_since(now).try_into().unwrap()).await;
                }
                ClaimOutcome::Acquired(_) => {
                    *self
                        .shared_state
                        .lock()
                        .unwrap()
                        .delivered
                        .entry(account(number))
                        .or_default() += 1;
                    let (key, delivered) = (key(number), delivered());
                    self.retry_until_success(|| {
                        self.ledger.complete(&key, &self.name, &delivered, now)
                    })
                    .await;
                }
            }
        }
    }
}

/// Runs hosts, each with a ledger of its own, and checks the results.
async fn play(ledgers: Vec<Arc<dyn FullLedger>>, clock: SimClock, seed: u64) {
    fastrand::seed(seed);
    let shared_state = Mutex::default();
    let number = u32::try_from(ledgers.len()).unwrap();
    let host = |(number, ledger): (usize, &Arc<dyn FullLedger>)| Host {
        name: format!("host-{number}"),
        ledger: Arc::clone(ledger),
        clock,
        shared_state: &shared_state,
        rng: Mutex::new(Rng::new()),
    };
    let hosts: Vec<_> = ledgers.iter().enumerate().map(host).collect();
    let lives = join_all(hosts.iter().map(Host::live));
    timeout(LONGEST, lives).await.expect("hosts wait for each other");

    let (ledger, target) = (&ledgers[0], target());
    let progress = hosts[0].retry_until_success(|| ledger.all_progress(&target)).await;
    assert_eq!(progress, (0..ACCOUNTS).map(|n| (account(n), failed(number))).collect());
    assert_eq!(hosts[0].retry_until_success(|| ledger.slots()).await, vec![]);
    let shared_state = shared_state.lock().unwrap();
    assert!((1..=CAP).contains(&shared_state.most), "{} at once", shared_state.most);
    let each = |count: u32| (0..ACCOUNTS).map(|number| (account(number), count)).collect();
    assert_eq!(shared_state.runs, each(number));
    assert_eq!(shared_state.delivered, each(1));
}

/// A store on which another host dead-letters an account, and frees its slot, before one of the
/// reads.
struct GivenUpBefore {
    store: Arc<MemoryStore>,
    reads: AtomicU32,
    read: u32,
}

impl GivenUpBefore {
    fn ledger(store: &Arc<MemoryStore>, read: u32) -> StoreLedger<Self> {
        let (store, reads) = (Arc::clone(store), AtomicU32::new(0));
        StoreLedger::with_store(Self { store, reads, read })
    }
}

#[async_trait]
impl Store for GivenUpBefore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.read {
            let other = Self::ledger(&self.store, u32::MAX);
            let given_up = UpdateProgress { dead_lettered: true, ..failed(1) };
            other.free_slot(&slot(1), Some(&given_up), None).await.unwrap();
        }
        self.store.get(key).await
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        self.store.list(partition).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        self.store.commit(writes).await
    }
}

/// An account that another host dead-letters between any two reads is not started.
#[rstest]
#[case::before_all(0, SlotOutcome::DeadLettered)]
#[case::after_the_slots(1, SlotOutcome::AlreadyHeld(slot(1)))]
#[case::after_all(9, SlotOutcome::AlreadyHeld(slot(1)))]
fn what_is_given_up_meanwhile_is_not_begun(#[case] read: u32, #[case] expected: SlotOutcome) {
    run(async {
        let store = Arc::new(MemoryStore::default());
        let holder = GivenUpBefore::ledger(&store, u32::MAX);
        assert_eq!(
            holder.take_slot(&slot(1), SlotLimits::in_all(CAP)).await,
            Ok(SlotOutcome::Acquired)
        );
        let late = Slot { token: "late".into(), ..slot(1) };
        let taken =
            GivenUpBefore::ledger(&store, read).take_slot(&late, SlotLimits::in_all(CAP)).await;
        assert_eq!(taken, Ok(expected));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hosts_on_a_store_that_loses_answers(hosts in 1..=4_usize, seed: u64) {
        run(async {
            let store = Arc::new(MemoryStore::default());
            let ledgers = (0..hosts).map(|number| {
                let rng = Mutex::new(Rng::with_seed(seed ^ number as u64));
                let far = RemoteStore { store: Arc::clone(&store), rng };
                Arc::new(StoreLedger::with_store(far)) as Arc<dyn FullLedger>
            });
            play(ledgers.collect(), SimClock::starting_at(at(0)), seed).await;
        });
    }
}

#[rstest]
#[case(FaultLevel::None, 1)]
#[case(FaultLevel::Heavy, 2)]
#[case(FaultLevel::Heavy, 3)]
fn hosts_on_a_table(#[case] faults: FaultLevel, #[case] seed: u64) {
    run(async {
        let sim = sim_with(faults, seed);
        let ledger = || {
            let ledger = DynamoLedger::new(client(&sim), sim.table_name());
            Arc::new(ledger) as Arc<dyn FullLedger>
        };
        play(vec![ledger(), ledger(), ledger()], sim.clock(), seed).await;
    });
}

/// Runs a test in virtual time.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test);
}
