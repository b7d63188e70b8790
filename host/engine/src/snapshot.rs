//! Reads a live organization for a snapshot: its accounts, their provisioned products and
//! their tags. Changes nothing. May be dropped at any moment: what it has read stays in its
//! [`Reading`], from which another one goes on.
//!
//! Tags come from the tag index, a hundred accounts with each call, if it holds what a few
//! accounts say of themselves; otherwise every account is asked, at a steady rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::backoff::Backoff;
use groundcrew_core::ports::{Catalog, Directory, Page, TagIndex};
use groundcrew_core::reading::{Cursor, Listing, Reading, TagsRoute};
use groundcrew_core::snapshot::SnapshotAccount;
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// So many accounts of each kind are asked whether the tag index is right: of those that it
/// lists, and of those that it doesn't.
const CHECKED: usize = 10;

/// Accounts that are asked for their tags within a second. AWS publishes no rate, and others
/// use it, too; when it is less, the adapter slows down.
const READS_PER_SECOND: u64 = 10;
/// Most of them at once.
const READS_AT_ONCE: usize = 8;

/// How often a call is made that fails for the moment, and what lies between. The adapter has tried
/// several times before.
const TRIES: usize = 6;
const WAITS: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// A listing whose token AWS does not take any more begins anew, but not for ever.
const BEGINNINGS: u32 = 3;

/// The world as a reader reaches it.
#[derive(Clone)]
pub struct ReaderPorts {
    /// Service Catalog.
    pub catalog: Arc<dyn Catalog>,
    /// AWS Organizations.
    pub directory: Arc<dyn Directory>,
    /// Tags in batch.
    pub tag_index: Arc<dyn TagIndex>,
}

/// Reads an organization.
pub struct Reader {
    ports: ReaderPorts,
    reading: Mutex<Reading>,
}

/// How far a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadSoFar {
    /// Accounts listed.
    pub accounts: usize,
    /// Provisioned products listed.
    pub products: usize,
    /// Accounts in the tag index, as far as it was read.
    pub indexed: usize,
    /// Whether all of these are complete.
    pub listed: bool,
    /// Accounts that were asked for their tags.
    pub asked: usize,
    /// Whether every account is.
    pub one_by_one: bool,
}

impl Reader {
    /// Goes on with a reading, which may have begun in another process.
    pub fn new(ports: ReaderPorts, reading: Reading) -> Self {
        Self { ports, reading: Mutex::new(reading) }
    }

    /// What is known by now.
    pub fn reading(&self) -> MutexGuard<'_, Reading> {
        // It is whole after every statement, so that a poisoned one can be read.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub fn so_far(&self) -> ReadSoFar {
        let reading = self.reading();
        ReadSoFar {
            accounts: reading.accounts.items.len(),
            products: reading.products.items.len(),
            indexed: reading.index.items.len(),
            listed: reading.accounts.next == Cursor::End
                && reading.products.next == Cursor::End
                && (reading.index.next == Cursor::End || reading.route.is_some()),
            asked: reading.tags.len() + reading.unreadable.len(),
            one_by_one: matches!(reading.route, Some(TagsRoute::OneByOne { .. })),
        }
    }

    /// Reads what is not known yet.
    ///
    /// # Errors
    /// When accounts or provisioned products can't be listed. Tags that can't be read are no
    /// error: the reading says why.
    pub async fn read(&self) -> Result<(), AwsError> {
        // Within each, a page leads to the next one; together they take as long as the longest.
        tokio::try_join!(self.list_accounts(), self.list_products(), self.list_tags())?;
        if self.reading().route.is_none() {
            let route = self.check_index().await;
            self.reading().route = Some(route);
        }
        if self.so_far().one_by_one {
            let ids = self.reading().ids();
            self.ask(ids).await;
        }
        Ok(())
    }

    async fn list_accounts(&self) -> Result<(), AwsError> {
        let directory = &self.ports.directory;
        self.list(
            |reading| &mut reading.accounts,
            async |page| {
                let Page { items, next } = directory.accounts(page).await?;
                let items = items.iter().map(|account| SnapshotAccount::from(&**account));
                Ok(Page { items: items.collect(), next })
            },
        )
        .await
    }

    async fn list_products(&self) -> Result<(), AwsError> {
        let catalog = &self.ports.catalog;
        let product = self.reading().source.product.clone();
        self.list(
            |reading| &mut reading.products,
            async |page| {
                let Page { items, next } = catalog.provisioned_products(&product, page).await?;
                Ok(Page { items: items.into_iter().map(Into::into).collect(), next })
            },
        )
        .await
    }

    /// Lists what the tag index has. That it can't be is why to do without, no error.
    async fn list_tags(&self) -> Result<(), AwsError> {
        if self.reading().route.is_some() {
            return Ok(());
        }
        let index = &self.ports.tag_index;
        let listed =
            self.list(|reading| &mut reading.index, async |page| index.tagged(page).await).await;
        if let Err(error) = listed {
            tracing::warn!(%error, "the tag index can't be read");
            let why = format!("the tag index can't be read: {error}");
            self.reading().route = Some(TagsRoute::OneByOne { why });
        }
        Ok(())
    }

    /// Reads a listing to its end.
    async fn list<T>(
        &self,
        listing: impl Fn(&mut Reading) -> &mut Listing<T>,
        read: impl AsyncFn(Option<&str>) -> Result<Page<T>, AwsError>,
    ) -> Result<(), AwsError> {
        let mut beginnings = 1;
        loop {
            let token = match &listing(&mut self.reading()).next {
                Cursor::Beginning => None,
                Cursor::Page(token) => Some(token.clone()),
                Cursor::End => return Ok(()),
            };
            match patiently(async || read(token.as_deref()).await).await {
                Ok(page) => listing(&mut self.reading()).take(page),
                // Tokens are good for a while only, and this one may be from an earlier run.
                Err(error) if token.is_some() && is_refused(&error) && beginnings < BEGINNINGS => {
                    tracing::warn!(%error, "a listing begins anew");
                    *listing(&mut self.reading()) = Listing::default();
                    beginnings += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks a few accounts for their tags, and holds them against the tag index.
    async fn check_index(&self) -> TagsRoute {
        let groups = {
            let reading = self.reading();
            let indexed = reading.indexed();
            let ids = reading.ids();
            if indexed.is_empty() && !ids.is_empty() {
                let why = "the tag index lists no account at all".to_owned();
                return TagsRoute::OneByOne { why };
            }
            let (inside, outside): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| indexed.contains_key(id));
            // The same again in a later run, so that those that were asked need not be.
            let seed = reading.began.to_string();
            [shuffled(inside, &seed), shuffled(outside, &seed)]
        };
        let [inside, outside] = groups;
        let groups = [self.ask_some(inside).await, self.ask_some(outside).await];
        self.reading().judge(&groups)
    }

    /// Asks a few of these accounts for their tags, and goes on while none can be read: one that
    /// denies it says nothing about the tag index. Answers which were asked.
    async fn ask_some(&self, mut ids: Vec<AccountId>) -> Vec<AccountId> {
        let mut asked = Vec::new();
        while !ids.is_empty() {
            let some: Vec<AccountId> = ids.drain(..ids.len().min(CHECKED)).collect();
            self.ask(some.clone()).await;
            let is_read = some.iter().any(|id| self.reading().tags.contains_key(id));
            asked.extend(some);
            if is_read {
                break;
            }
        }
        asked
    }

    /// Asks accounts for their tags at a steady rate, but those that were asked before.
    async fn ask(&self, mut ids: Vec<AccountId>) {
        {
            let reading = self.reading();
            ids.retain(|id| !reading.tags.contains_key(id) && !reading.unreadable.contains_key(id));
        }
        let mut pace = interval(Duration::from_millis(1000 / READS_PER_SECOND));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let paced = stream::unfold((ids.into_iter(), pace), |(mut ids, mut pace)| async move {
            let id = ids.next()?;
            pace.tick().await;
            Some((id, (ids, pace)))
        });
        paced
            .for_each_concurrent(READS_AT_ONCE, |id| async move {
                let tags = patiently(async || self.ports.directory.tags(&id).await).await;
                let mut reading = self.reading();
                match tags {
                    Ok(tags) => {
                        reading.tags.insert(id, tags);
                    }
                    Err(error) => {
                        reading.unreadable.insert(id, error.to_string());
                    }
                }
            })
            .await;
    }
}

/// Makes a call again that fails for the moment, until it has failed often.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, AwsError> {
    for wait in WAITS.take(TRIES - 1) {
        match call().await {
            Err(error)
                if matches!(
                    error.class,
                    Class::Throttled | Class::Transient | Class::Contention
                ) =>
            {
                tracing::warn!(%error, "trying again in {} s", wait.as_secs());
            }
            answer => return answer,
        }
        sleep(wait).await;
    }
    call().await
}

/// Whether AWS does not like what it was given: with a token, the token.
fn is_refused(error: &AwsError) -> bool {
    matches!(error.class, Class::Permanent | Class::NotFound | Class::Unknown)
}

/// In an order by the seed.
fn shuffled(mut ids: Vec<AccountId>, seed: &str) -> Vec<AccountId> {
    ids.sort_by_cached_key(|id| Sha256::digest(format!("{seed} {id}")));
    ids
}
