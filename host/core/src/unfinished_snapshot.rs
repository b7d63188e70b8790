//! A live organization as far as it was read, and the snapshot that results. It can be saved at any
//! moment, so that an interrupted run continues where it stopped.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountId};
use crate::catalog::{
    AccountFactory, ArtifactId, ProductId, ProductStatus, ProvisionedProduct, ProvisionedProductId,
};
use crate::ports::Page;
use crate::snapshot::{Snapshot, SnapshotAccount, SnapshotTarget};

/// Tags by account.
pub type TagsByAccount = BTreeMap<AccountId, BTreeMap<String, String>>;

/// The source of a snapshot. Data of different sources is never mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSource {
    /// Control Tower's home Region.
    pub region: String,
    /// The Account Factory product. Every organization has its own.
    pub product: ProductId,
}

/// The known part of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnfinishedSnapshot {
    /// The source.
    pub source: SnapshotSource,
    /// When reading began.
    pub began: Timestamp,
    /// The accounts, without their tags and products.
    pub accounts: Listing<SnapshotAccount>,
    /// The provisioned products of Account Factory.
    pub products: Listing<ProductSummary>,
    /// The accounts that the tag index lists, with the tags in the index.
    pub index: Listing<(AccountId, BTreeMap<String, String>)>,
    /// Whether the tag index is trusted, once this is decided.
    #[serde(rename = "route")]
    pub tag_source: Option<TagSource>,
    /// Tags that were read account by account.
    pub tags: TagsByAccount,
    /// Why tags could not be read account by account. Not saved: the next run tries again.
    #[serde(skip)]
    pub unreadable: BTreeMap<AccountId, String>,
}

/// A listing that is read page by page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing<T> {
    /// The items of the pages so far.
    pub items: Vec<T>,
    /// The page to read next.
    pub next: Cursor,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: Cursor::Beginning }
    }
}

impl<T> Listing<T> {
    /// Adds the page at [`Listing::next`].
    pub fn append(&mut self, page: Page<T>) {
        self.items.extend(page.items);
        self.next = page.next.map_or(Cursor::End, Cursor::Page);
    }
}

/// The page of a listing to read next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cursor {
    /// The first page.
    Beginning,
    /// The page of this token.
    Page(String),
    /// None: the listing is complete.
    End,
}

/// The data of a provisioned product that a snapshot needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductSummary {
    id: ProvisionedProductId,
    account: AccountId,
    artifact: ArtifactId,
    status: ProductStatus,
    /// Whether provisioning it ever succeeded.
    provisioned: bool,
}

impl From<ProvisionedProduct> for ProductSummary {
    fn from(product: ProvisionedProduct) -> Self {
        Self {
            provisioned: product.last_successful_record.is_some(),
            id: product.id,
            account: product.account,
            artifact: product.artifact,
            status: product.status,
        }
    }
}

/// How the tags are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagSource {
    /// In batches, from the tag index.
    Batch {
        /// The number of accounts that were also read one by one, with the same tags.
        agreed: usize,
    },
    /// Account by account.
    OneByOne {
        /// Why the tag index can't be used.
        why: String,
    },
}

impl UnfinishedSnapshot {
    /// An organization of which nothing was read yet.
    pub fn new(source: SnapshotSource, began: Timestamp) -> Self {
        Self {
            source,
            began,
            accounts: Listing::default(),
            products: Listing::default(),
            index: Listing::default(),
            tag_source: None,
            tags: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Ids of the accounts listed so far, each once.
    pub fn ids(&self) -> Vec<AccountId> {
        let mut seen = BTreeSet::new();
        let ids = self.accounts.items.iter().filter_map(|account| account.id.parse().ok());
        ids.filter(|id: &AccountId| seen.insert(id.clone())).collect()
    }

    /// The tag index by account.
    pub fn indexed(&self) -> BTreeMap<&AccountId, &BTreeMap<String, String>> {
        self.index.items.iter().map(|(id, tags)| (id, tags)).collect()
    }

    /// Compares the tag index with tags that were read account by account. The accounts are in
    /// groups. Of each group, at least one account must have been read, or reading must have been
    /// tried for every one and failed: then the index is not used for that group.
    pub fn choose_tag_source(&self, groups: &[Vec<AccountId>]) -> TagSource {
        let indexed = self.indexed();
        let none = BTreeMap::new();
        let mut agreed = 0;
        for group in groups.iter().filter(|group| !group.is_empty()) {
            let read: Vec<_> =
                group.iter().filter_map(|id| Some((id, self.tags.get(id)?))).collect();
            if read.is_empty() && group.iter().all(|id| self.unreadable.contains_key(id)) {
                continue;
            }
            if read.is_empty() {
                let error = group.iter().find_map(|id| self.unreadable.get(id));
                let error = error.map_or("not read", String::as_str);
                return TagSource::OneByOne {
                    why: format!("the tag index could not be checked: {error}"),
                };
            }
            for (id, tags) in read {
                let indexed_tags = indexed.get(id).copied().unwrap_or(&none);
                if indexed_tags != tags {
                    return TagSource::OneByOne {
                        why: format!("the tag index has other tags for {id} than {id} itself"),
                    };
                }
                agreed += 1;
            }
        }
        match groups.iter().flatten().find_map(|id| self.unreadable.get(id)) {
            // Every read has failed.
            Some(error) if agreed == 0 => {
                TagSource::OneByOne { why: format!("the tag index could not be checked: {error}") }
            }
            _ => TagSource::Batch { agreed },
        }
    }

    /// The snapshot, as far as everything was read. `name` is the name of the product.
    pub fn snapshot(&self, factory: &AccountFactory, name: &str, now: Timestamp) -> Snapshot {
        let mut products: BTreeMap<&AccountId, &ProductSummary> = BTreeMap::new();
        for product in &self.products.items {
            // If there are several, as after a failed enrolment, one that can be updated takes
            // precedence.
            let known = products.entry(&product.account).or_insert(product);
            if product.provisioned || !known.provisioned {
                *known = product;
            }
        }
        let indexed = self.indexed();
        let mut seen = BTreeSet::new();
        let accounts = self.accounts.items.iter().filter_map(|account| {
            let id: AccountId = account.id.parse().ok()?;
            seen.insert(id.clone()).then(|| {
                let (tags, tags_error) = match self.tags_for(&id, &indexed) {
                    Ok(tags) => (Some(tags), None),
                    Err(error) => (None, Some(error)),
                };
                let product = products.get(&id);
                let enrolled = product.is_some_and(|product| product.provisioned);
                SnapshotAccount {
                    tags,
                    tags_error,
                    enrolled,
                    outdated: enrolled
                        && product.is_some_and(|product| product.artifact != factory.target),
                    product: product.map(|product| product.id.clone()),
                    artifact: product
                        .map(|product| product.artifact.clone())
                        .filter(|artifact| !artifact.as_str().is_empty()),
                    status: product.map(|product| product.status).unwrap_or_default(),
                    ..account.clone()
                }
            })
        });
        Snapshot {
            taken_at: Some(now),
            target: Some(SnapshotTarget {
                product: factory.product.clone(),
                artifact: factory.target.clone(),
                name: name.to_owned(),
            }),
            accounts: accounts.collect(),
        }
    }

    /// The tags of an account, or why there are none. Tags that were read from the account itself
    /// take precedence.
    fn tags_for(
        &self,
        id: &AccountId,
        indexed: &BTreeMap<&AccountId, &BTreeMap<String, String>>,
    ) -> Result<BTreeMap<String, String>, String> {
        if let Some(tags) = self.tags.get(id) {
            return Ok(tags.clone());
        }
        match (self.unreadable.get(id), &self.tag_source) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(TagSource::Batch { .. })) => {
                Ok(indexed.get(id).copied().cloned().unwrap_or_default())
            }
            (None, _) => Err("not read".to_owned()),
        }
    }
}

/// An account of a listing. A missing name is replaced by the id, because a snapshot needs a name.
impl From<&Account> for SnapshotAccount {
    fn from(account: &Account) -> Self {
        let units = &account.organizational_units;
        let name = match account.name.as_str() {
            "" => account.id.as_str(),
            name => name,
        };
        Self {
            email: account.email.clone(),
            ou: units.iter().map(|unit| unit.name.clone()).collect(),
            ou_ids: units.iter().map(|unit| unit.id.clone()).collect(),
            joined: account.joined,
            state: account.state,
            ..Self::new(account.id.as_str(), name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> AccountId {
        format!("{:012}", 111_122_223_330 + number).parse().unwrap()
    }

    fn tags(value: &str) -> BTreeMap<String, String> {
        [("team".to_owned(), value.to_owned())].into()
    }

    fn unfinished_snapshot(accounts: u64) -> UnfinishedSnapshot {
        let source =
            SnapshotSource { region: "us-east-1".into(), product: ProductId::new("prod-a") };
        let mut unfinished_snapshot = UnfinishedSnapshot::new(source, Timestamp::UNIX_EPOCH);
        let listed = (0..accounts).map(|n| SnapshotAccount::new(id(n).as_str(), "A")).collect();
        unfinished_snapshot.accounts.append(Page { items: listed, next: None });
        unfinished_snapshot
    }

    fn factory() -> AccountFactory {
        AccountFactory { product: ProductId::new("prod-a"), target: ArtifactId::new("pa-new") }
    }

    fn product(account: u64, artifact: &str, provisioned: bool) -> ProductSummary {
        ProductSummary {
            id: ProvisionedProductId::new(format!("pp-{account}-{artifact}")),
            account: id(account),
            artifact: ArtifactId::new(artifact),
            status: ProductStatus::Available,
            provisioned,
        }
    }

    #[test]
    fn products_make_accounts_enrolled_and_outdated() {
        let mut unfinished_snapshot = unfinished_snapshot(5);
        unfinished_snapshot.products.items = vec![
            product(0, "pa-new", true),
            product(1, "pa-old", true),
            // Provisioning failed first, and then succeeded.
            product(2, "", false),
            product(2, "pa-new", true),
            product(3, "", false),
            product(9, "pa-old", true),
        ];
        let snapshot = unfinished_snapshot.snapshot(&factory(), "AF", Timestamp::UNIX_EPOCH);
        let seen: Vec<_> = snapshot
            .accounts
            .iter()
            .map(|account| (account.enrolled, account.outdated, account.product.as_ref()))
            .map(|(enrolled, outdated, id)| (enrolled, outdated, id.map(|id| id.as_str())))
            .collect();
        assert_eq!(
            seen,
            [
                (true, false, Some("pp-0-pa-new")),
                (true, true, Some("pp-1-pa-old")),
                (true, false, Some("pp-2-pa-new")),
                (false, false, Some("pp-3-")),
                (false, false, None),
            ]
        );
        assert_eq!(Snapshot::parse(&snapshot.to_json().unwrap()).unwrap().accounts.len(), 5);
    }

    #[test]
    fn an_account_on_two_pages_is_there_once() {
        let mut unfinished_snapshot = unfinished_snapshot(2);
        unfinished_snapshot.accounts.items.push(SnapshotAccount::new(id(0).as_str(), "B"));
        assert_eq!(unfinished_snapshot.ids(), [id(0), id(1)]);
        let snapshot = unfinished_snapshot.snapshot(&factory(), "AF", Timestamp::UNIX_EPOCH);
        assert_eq!(snapshot.accounts.len(), 2);
    }

    #[test]
    fn what_an_account_says_counts_before_the_index() {
        let mut unfinished_snapshot = unfinished_snapshot(4);
        unfinished_snapshot.index.items = vec![(id(0), tags("index")), (id(1), tags("index"))];
        unfinished_snapshot.tags.insert(id(0), tags("own"));
        unfinished_snapshot.unreadable.insert(id(2), "denied".into());
        let all = |unfinished_snapshot: &UnfinishedSnapshot| -> Vec<_> {
            let snapshot = unfinished_snapshot.snapshot(&factory(), "AF", Timestamp::UNIX_EPOCH);
            snapshot.accounts.into_iter().map(|a| a.tags.ok_or(a.tags_error)).collect()
        };
        let (unread, denied) = (Err(Some("not read".into())), Err(Some("denied".into())));
        // The index is not used before it is trusted.
        let own = Ok(tags("own"));
        assert_eq!(
            all(&unfinished_snapshot),
            [own.clone(), unread.clone(), denied.clone(), unread]
        );
        unfinished_snapshot.tag_source = Some(TagSource::Batch { agreed: 1 });
        assert_eq!(
            all(&unfinished_snapshot),
            [own, Ok(tags("index")), denied, Ok(BTreeMap::new())]
        );
    }

    #[test]
    fn an_index_is_trusted_when_each_group_agrees() {
        let mut unfinished_snapshot = unfinished_snapshot(4);
        unfinished_snapshot.index.items = vec![(id(0), tags("a")), (id(1), tags("b"))];
        let groups = [vec![id(0), id(1)], vec![id(2), id(3)]];
        let why = |unfinished_snapshot: &UnfinishedSnapshot| match unfinished_snapshot
            .choose_tag_source(&groups)
        {
            TagSource::Batch { agreed } => panic!("{agreed} agreed"),
            TagSource::OneByOne { why } => why,
        };
        unfinished_snapshot.unreadable.insert(id(2), "denied".into());
        unfinished_snapshot.tags.insert(id(0), tags("a"));
        assert_eq!(why(&unfinished_snapshot), "the tag index could not be checked: denied");
        unfinished_snapshot.tags.insert(id(3), BTreeMap::new());
        assert_eq!(unfinished_snapshot.choose_tag_source(&groups), TagSource::Batch { agreed: 2 });
        unfinished_snapshot.tags.insert(id(1), tags("c"));
        assert!(
            why(&unfinished_snapshot).contains("has other tags for 111122223331"),
            "{}",
            why(&unfinished_snapshot)
        );
        assert_eq!(
            unfinished_snapshot.choose_tag_source(&[Vec::new()]),
            TagSource::Batch { agreed: 0 }
        );
    }

    #[test]
    fn a_group_that_denies_everything_says_nothing_about_the_index() {
        let mut unfinished_snapshot = unfinished_snapshot(4);
        unfinished_snapshot.index.items = vec![(id(0), tags("a"))];
        unfinished_snapshot.tags.insert(id(0), tags("a"));
        for denied in [2, 3] {
            unfinished_snapshot.unreadable.insert(id(denied), "denied".into());
        }
        let denied = vec![id(2), id(3)];
        assert_eq!(
            unfinished_snapshot.choose_tag_source(&[vec![id(0)], denied.clone()]),
            TagSource::Batch { agreed: 1 }
        );
        // Unless there is no other group.
        let alone = unfinished_snapshot.choose_tag_source(&[Vec::new(), denied]);
        assert!(matches!(alone, TagSource::OneByOne { .. }), "{alone:?}");
    }

    #[test]
    fn what_is_written_down_goes_on_where_it_stopped() {
        let mut unfinished_snapshot = unfinished_snapshot(1);
        unfinished_snapshot
            .products
            .append(Page { items: vec![product(0, "pa", true)], next: Some("2".into()) });
        unfinished_snapshot.index.append(Page { items: vec![(id(0), tags("a"))], next: None });
        unfinished_snapshot.tag_source = Some(TagSource::OneByOne { why: "denied".into() });
        unfinished_snapshot.tags.insert(id(0), tags("a"));
        let text = serde_json::to_string(&unfinished_snapshot).unwrap();
        assert_eq!(serde_json::from_str::<UnfinishedSnapshot>(&text).unwrap(), unfinished_snapshot);
    }
}
