//! The accounts of the simulated organization: what never changes about them.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::snapshot::Snapshot;
use jiff::Timestamp;

/// One account. Everything that changes is kept by the service that changes it.
#[derive(Debug)]
pub(crate) struct FleetAccount {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) ou: Vec<String>,
    /// As many, or none.
    pub(crate) ou_ids: Vec<String>,
    pub(crate) joined: Option<Timestamp>,
    pub(crate) state: AccountState,
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// Whether it has a provisioned product.
    pub(crate) enrolled: bool,
    pub(crate) outdated: bool,
    pub(crate) status: ProductStatus,
    pub(crate) update_time: Duration,
    /// What its first updates fail with.
    pub(crate) update_failures: Vec<String>,
}

impl FleetAccount {
    /// Email of the user of IAM Identity Center that the account was provisioned with.
    pub(crate) fn sso_user_email(&self) -> String {
        format!("owner+{}@example.com", self.id)
    }
}

/// Every account, found by its place in the snapshot or by its id.
#[derive(Debug)]
pub(crate) struct Fleet {
    accounts: Vec<FleetAccount>,
    by_id: BTreeMap<AccountId, u32>,
}

impl Fleet {
    /// Takes the accounts of a snapshot. [`Snapshot::parse`] has checked the ids; an
    /// account whose id is none all the same is left out.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let accounts: Vec<FleetAccount> = snapshot
            .accounts
            .into_iter()
            .filter_map(|account| {
                Some(FleetAccount {
                    id: account.id.parse().ok()?,
                    name: account.name,
                    email: account.email,
                    ou: account.ou,
                    ou_ids: account.ou_ids,
                    joined: account.joined,
                    state: account.state.unwrap_or(AccountState::Active),
                    tags: account.tags,
                    enrolled: account.enrolled,
                    outdated: account.outdated,
                    status: account.status,
                    update_time: Duration::from_secs(account.update_seconds),
                    update_failures: account.update_failures,
                })
            })
            .collect();
        let by_id = (0_u32..).zip(&accounts).map(|(index, a)| (a.id.clone(), index)).collect();
        Self { accounts, by_id }
    }

    pub(crate) fn len(&self) -> u32 {
        self.accounts.len() as u32
    }

    pub(crate) fn get(&self, index: u32) -> Option<&FleetAccount> {
        self.accounts.get(index as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &FleetAccount)> {
        (0_u32..).zip(&self.accounts)
    }

    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        self.by_id.get(&id.parse::<AccountId>().ok()?).copied()
    }
}
