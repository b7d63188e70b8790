//! The accounts of the simulated organization, with their constant properties.

mod random;
pub(crate) mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use groundcrew_core::account::{AccountId, AccountState};
use groundcrew_core::catalog::ProductStatus;
use groundcrew_core::snapshot::Snapshot;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::ids;
pub use random::random_fleet;
use versions::ArtifactVersions;

/// One account. The services keep everything about it that changes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FleetAccount {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) ou: Vec<String>,
    /// The ids of these OUs, or none.
    pub(crate) ou_ids: Vec<String>,
    pub(crate) joined: Option<Timestamp>,
    pub(crate) state: AccountState,
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// Whether it has a provisioned product.
    pub(crate) enrolled: bool,
    /// Id of its provisioned product, if it has one.
    pub(crate) product: String,
    /// Number of its first artifact.
    pub(crate) artifact: u32,
    pub(crate) status: ProductStatus,
    pub(crate) update_time: Duration,
    /// The errors with which its first updates fail.
    pub(crate) update_failures: Vec<String>,
}

impl FleetAccount {
    /// Email of the IAM Identity Center user with which the account was provisioned.
    pub(crate) fn sso_user_email(&self) -> String {
        format!("owner+{}@example.com", self.id)
    }
}

/// Every account, by its index in the snapshot or by its id.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Vec<FleetAccount>")]
pub(crate) struct Fleet {
    accounts: Vec<FleetAccount>,
    by_id: BTreeMap<AccountId, u32>,
    by_product: BTreeMap<String, u32>,
}

impl Serialize for Fleet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.accounts.serialize(serializer)
    }
}

impl From<Vec<FleetAccount>> for Fleet {
    fn from(accounts: Vec<FleetAccount>) -> Self {
        let by_id = (0_u32..).zip(&accounts).map(|(index, a)| (a.id.clone(), index)).collect();
        let enrolled = (0_u32..).zip(&accounts).filter(|(_, account)| account.enrolled);
        let by_product = enrolled.map(|(index, a)| (a.product.clone(), index)).collect();
        Self { accounts, by_id, by_product }
    }
}

impl Fleet {
    /// Takes the accounts of a snapshot. [`Snapshot::parse`] has checked their ids; an account with
    /// an invalid id is omitted.
    pub(crate) fn new(snapshot: Snapshot, versions: &ArtifactVersions) -> Self {
        let named = snapshot.accounts.iter().filter_map(|account| account.product.as_ref());
        let named: BTreeSet<String> = named.map(|product| product.as_str().to_owned()).collect();
        let mut made_up = (0_u32..)
            .map(|number| ids::write(ids::PROVISIONED_PRODUCT, number))
            .filter(|id| !named.contains(id));
        let mut free = named.clone();
        let accounts: Vec<FleetAccount> = snapshot
            .accounts
            .into_iter()
            .filter_map(|account| {
                let artifact = versions.index_for(&account);
                // Two products can't have the same id: the second gets another.
                let given = account.product.filter(|product| free.remove(product.as_str()));
                let other = made_up.next().unwrap_or_default();
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
                    product: given.map_or(other, |product| product.as_str().to_owned()),
                    artifact,
                    status: account.status,
                    update_time: Duration::from_secs(account.update_seconds),
                    update_failures: account.update_failures,
                })
            })
            .collect();
        accounts.into()
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

    /// The account of a provisioned product.
    pub(crate) fn find_by_product(&self, id: &str) -> Option<u32> {
        self.by_product.get(id).copied()
    }
}
