//! Ledgers and stores of every kind, and entries for them.
#![allow(dead_code)] // Each test crate uses a part of it.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region, StalledStreamProtectionConfig};
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
use groundcrew_core::notification::{
    Claim, GateDecision, NotificationEntry, NotificationKey, NotificationState,
};
use groundcrew_core::ports::{
    IssuedBy, Ledger, NotificationLedger, Operator, Slot, UpdateProgress,
};
use groundcrew_ledger::{
    DynamoLedger, DynamoStore, FileLedger, FileStore, MemoryLedger, MemoryStore, Store,
};
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, random_fleet};
use jiff::Timestamp;
use tempfile::TempDir;

/// Both ports of a ledger.
pub trait FullLedger: Ledger + NotificationLedger {}

impl<L: Ledger + NotificationLedger> FullLedger for L {}

/// The kind of a ledger.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Memory,
    File,
    Dynamo,
}

/// A ledger that several hosts can use.
pub enum LedgerFixture {
    /// A ledger that hosts share within a process.
    Shared(Arc<dyn FullLedger>, Option<TempDir>),
    /// A table for which each host has a client.
    Sim(SimAws),
}

impl LedgerFixture {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Memory => Self::Shared(Arc::new(MemoryLedger::new()), None),
            Kind::File => {
                let directory = tempfile::tempdir().unwrap();
                let ledger = FileLedger::open(directory.path().join("ledger")).unwrap();
                Self::Shared(Arc::new(ledger), Some(directory))
            }
            Kind::Dynamo => Self::Sim(sim()),
        }
    }

    /// The ledger for one more host.
    pub fn host(&self) -> Arc<dyn FullLedger> {
        match self {
            Self::Shared(ledger, _) => Arc::clone(ledger),
            Self::Sim(sim) => Arc::new(DynamoLedger::new(client(sim), sim.table_name())),
        }
    }
}

/// A store of a kind, and its directory, which has to be kept.
pub fn store(kind: Kind) -> (Box<dyn Store>, Option<TempDir>) {
    match kind {
        Kind::Memory => (Box::new(MemoryStore::default()), None),
        Kind::File => {
            let directory = tempfile::tempdir().unwrap();
            let store = FileStore::open(directory.path().join("ledger")).unwrap();
            (Box::new(store), Some(directory))
        }
        Kind::Dynamo => {
            let sim = sim();
            (Box::new(DynamoStore::new(client(&sim), sim.table_name())), None)
        }
    }
}

/// A simulated AWS without random faults.
pub fn sim() -> SimAws {
    sim_with(FaultLevel::None, 1)
}

/// A simulated AWS.
pub fn sim_with(faults: FaultLevel, seed: u64) -> SimAws {
    let snapshot = random_fleet(1, 0, 1);
    SimAws::new(SimOptions { seed, start: at(0), snapshot, faults, account_quota: 5 })
}

/// A client of the simulated AWS, with the attempts and timeouts of groundcrew's own clients.
pub fn client(sim: &SimAws) -> Client {
    let (id, secret) = sim.credentials();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(sim.region()))
        .credentials_provider(Credentials::new(id, secret, None, None, "simulation"))
        .http_client(sim.http_client())
        .time_source(sim.time_source())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::standard().with_max_attempts(6))
        .timeout_config(
            TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(30)).build(),
        );
    Client::from_conf(config.build())
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

/// The author and time of an order by Ada.
pub fn issued_by(second: i64) -> IssuedBy {
    IssuedBy { by: Operator::new(None, Some("ada".into()), None), at: at(second) }
}

pub fn account(number: usize) -> AccountId {
    format!("{number:012}").parse().unwrap()
}

pub fn target() -> ArtifactId {
    ArtifactId::new("pa-2")
}

pub fn slot(number: usize) -> Slot {
    Slot {
        account: account(number),
        provisioned_product: ProvisionedProductId::new(format!("pp-{number}")),
        target: target(),
        lane: "all".into(),
        attempt: 1,
        token: format!("token-{number}"),
        record: None,
        taken_at: at(0),
        host: "host".into(),
        ou: Some("ou-a".into()),
        landing_zone: None,
    }
}

pub fn failed(attempts: u32) -> UpdateProgress {
    UpdateProgress {
        failed_attempts: attempts,
        last_error: Some("no".into()),
        dead_lettered: false,
        lane: Some("all".into()),
        redriven: 0,
        retry_at: None,
    }
}

pub fn key(number: usize) -> NotificationKey {
    NotificationKey::for_onboarding(&account(number), "ams")
}

/// A host's claim of a notification from a second on, for a minute.
pub fn claim(number: usize, by: &str, second: i64) -> Claim {
    Claim {
        key: key(number),
        account: Some(account(number)),
        notifier: "ams".into(),
        by: by.into(),
        now: at(second),
        until: at(second + 60),
        redriven: 0,
    }
}

pub fn entry(number: usize, state: NotificationState, attempts: u32) -> NotificationEntry {
    NotificationEntry {
        account: Some(account(number)),
        notifier: "ams".into(),
        state,
        attempts,
        changed_at: at(0),
    }
}

pub fn delivered() -> NotificationState {
    NotificationState::Delivered { reference: "case-1".into(), decision: GateDecision::Go }
}
