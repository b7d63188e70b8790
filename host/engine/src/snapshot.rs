//! Reads a live organization for a snapshot: its accounts, their provisioned products and
//! their tags. Changes nothing. May be dropped at any moment: what it has read stays in its
//! [`PartialSnapshot`], from which another one goes on.
//!
//! Tags come from the tag index, a hundred accounts with each call, if it holds what a few
//! accounts say of themselves; otherwise every account is asked, at a steady rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::backoff::Backoff;
use groundcrew_core::partial_snapshot::{Cursor, Listing, PartialSnapshot, TagSource};
use groundcrew_core::ports::{AccountDirectory, Catalog, Page, TagIndex};
use groundcrew_core::snapshot::SnapshotAccount;
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// So many accounts of each kind are asked whether the tag index is right: of those that it
/// lists, and of those that it doesn't.
const SAMPLE_SIZE: usize = 10;

/// Accounts that are asked for their tags within a second. AWS publishes no rate, and others
/// use it, too; when it is less, the adapter slows down.
const READS_PER_SECOND: u64 = 10;
/// Most of them at once.
const MAX_CONCURRENT_READS: usize = 8;

/// How often a call is made that fails for the moment, and what lies between. The adapter has tried
/// several times before.
const MAX_ATTEMPTS: usize = 6;
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// A listing whose token AWS does not take any more begins anew, but not for ever.
const MAX_LISTING_STARTS: u32 = 3;

/// The world as a reader reaches it.
#[derive(Clone)]
pub struct SnapshotPorts {
    /// Service Catalog.
    pub catalog: Arc<dyn Catalog>,
    /// AWS Organizations.
    pub directory: Arc<dyn AccountDirectory>,
    /// Tags in batch.
    pub tag_index: Arc<dyn TagIndex>,
}

/// Reads an organization.
pub struct SnapshotReader {
    ports: SnapshotPorts,
    partial_snapshot: Mutex<PartialSnapshot>,
}

/// How far a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadProgress {
    /// Accounts listed.
    pub accounts: usize,
    /// Provisioned products listed.
    pub products: usize,
    /// Accounts in the tag index, as far as it was read.
    pub indexed: usize,
    /// Whether all of these are complete.
    pub listed: bool,
    /// Accounts that were asked for their tags.
    pub tags_read: usize,
    /// Whether every account is.
    pub one_by_one: bool,
}

impl SnapshotReader {
    /// Goes on with a reading, which may have begun in another process.
    pub fn new(ports: SnapshotPorts, partial_snapshot: PartialSnapshot) -> Self {
        Self { ports, partial_snapshot: Mutex::new(partial_snapshot) }
    }

    /// What is known by now.
    pub fn partial_snapshot(&self) -> MutexGuard<'_, PartialSnapshot> {
        // It is whole after every statement, so that a poisoned one can be read.
        self.partial_snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub fn progress(&self) -> ReadProgress {
        let partial_snapshot = self.partial_snapshot();
        ReadProgress {
            accounts: partial_snapshot.accounts.items.len(),
            products: partial_snapshot.products.items.len(),
            indexed: partial_snapshot.index.items.len(),
            listed: partial_snapshot.accounts.next == Cursor::End
                && partial_snapshot.products.next == Cursor::End
                && (partial_snapshot.index.next == Cursor::End
                    || partial_snapshot.tag_source.is_some()),
            tags_read: partial_snapshot.tags.len() + partial_snapshot.unreadable.len(),
            one_by_one: matches!(partial_snapshot.tag_source, Some(TagSource::OneByOne { .. })),
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
        if self.partial_snapshot().tag_source.is_none() {
            let tag_source = self.check_index().await;
            self.partial_snapshot().tag_source = Some(tag_source);
        }
        if self.progress().one_by_one {
            let ids = self.partial_snapshot().ids();
            self.read_tags(ids).await;
        }
        Ok(())
    }

    async fn list_accounts(&self) -> Result<(), AwsError> {
        let directory = &self.ports.directory;
        self.list(
            |partial_snapshot| &mut partial_snapshot.accounts,
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
        let product = self.partial_snapshot().source.product.clone();
        self.list(
            |partial_snapshot| &mut partial_snapshot.products,
            async |page| {
                let Page { items, next } = catalog.provisioned_products(&product, page).await?;
                Ok(Page { items: items.into_iter().map(Into::into).collect(), next })
            },
        )
        .await
    }

    /// Lists what the tag index has. That it can't be is why to do without, no error.
    async fn list_tags(&self) -> Result<(), AwsError> {
        if self.partial_snapshot().tag_source.is_some() {
            return Ok(());
        }
        let index = &self.ports.tag_index;
        let listed = self
            .list(
                |partial_snapshot| &mut partial_snapshot.index,
                async |page| index.tagged(page).await,
            )
            .await;
        if let Err(error) = listed {
            tracing::warn!(%error, "the tag index can't be read");
            let why = format!("the tag index can't be read: {error}");
            self.partial_snapshot().tag_source = Some(TagSource::OneByOne { why });
        }
        Ok(())
    }

    /// Reads a listing to its end.
    async fn list<T>(
        &self,
        listing: impl Fn(&mut PartialSnapshot) -> &mut Listing<T>,
        read: impl AsyncFn(Option<&str>) -> Result<Page<T>, AwsError>,
    ) -> Result<(), AwsError> {
        let mut starts = 1;
        loop {
            let token = match &listing(&mut self.partial_snapshot()).next {
                Cursor::Beginning => None,
                Cursor::Page(token) => Some(token.clone()),
                Cursor::End => return Ok(()),
            };
            match retry_transient(async || read(token.as_deref()).await).await {
                Ok(page) => listing(&mut self.partial_snapshot()).append(page),
                // Tokens are good for a while only, and this one may be from an earlier run.
                Err(error)
                    if token.is_some() && is_refused(&error) && starts < MAX_LISTING_STARTS =>
                {
                    tracing::warn!(%error, "a listing begins anew");
                    *listing(&mut self.partial_snapshot()) = Listing::default();
                    starts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks a few accounts for their tags, and holds them against the tag index.
    async fn check_index(&self) -> TagSource {
        let groups = {
            let partial_snapshot = self.partial_snapshot();
            let indexed = partial_snapshot.indexed();
            let ids = partial_snapshot.ids();
            if indexed.is_empty() && !ids.is_empty() {
                let why = "the tag index lists no account at all".to_owned();
                return TagSource::OneByOne { why };
            }
            let (inside, outside): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| indexed.contains_key(id));
            // The same again in a later run, so that those that were asked need not be.
            let seed = partial_snapshot.began.to_string();
            [shuffled(inside, &seed), shuffled(outside, &seed)]
        };
        let [inside, outside] = groups;
        let groups = [self.read_tag_sample(inside).await, self.read_tag_sample(outside).await];
        self.partial_snapshot().choose_tag_source(&groups)
    }

    /// Asks a few of these accounts for their tags, and goes on while none can be read: one that
    /// denies it says nothing about the tag index. Answers which were asked.
    async fn read_tag_sample(&self, mut ids: Vec<AccountId>) -> Vec<AccountId> {
        let mut sampled = Vec::new();
        while !ids.is_empty() {
            let sample: Vec<AccountId> = ids.drain(..ids.len().min(SAMPLE_SIZE)).collect();
            self.read_tags(sample.clone()).await;
            let is_read = sample.iter().any(|id| self.partial_snapshot().tags.contains_key(id));
            sampled.extend(sample);
            if is_read {
                break;
            }
        }
        sampled
    }

    /// Asks accounts for their tags at a steady rate, but those that were asked before.
    async fn read_tags(&self, mut ids: Vec<AccountId>) {
        {
            let partial_snapshot = self.partial_snapshot();
            ids.retain(|id| {
                !partial_snapshot.tags.contains_key(id)
                    && !partial_snapshot.unreadable.contains_key(id)
            });
        }
        let mut pace = interval(Duration::from_millis(1000 / READS_PER_SECOND));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let paced = stream::unfold((ids.into_iter(), pace), |(mut ids, mut pace)| async move {
            let id = ids.next()?;
            pace.tick().await;
            Some((id, (ids, pace)))
        });
        paced
            .for_each_concurrent(MAX_CONCURRENT_READS, |id| async move {
                let tags = retry_transient(async || self.ports.directory.tags(&id).await).await;
                let mut partial_snapshot = self.partial_snapshot();
                match tags {
                    Ok(tags) => {
                        partial_snapshot.tags.insert(id, tags);
                    }
                    Err(error) => {
                        partial_snapshot.unreadable.insert(id, error.to_string());
                    }
                }
            })
            .await;
    }
}

/// Makes a call again that fails for the moment, until it has failed often.
async fn retry_transient<T>(call: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, AwsError> {
    for wait in BACKOFF.take(MAX_ATTEMPTS - 1) {
        match call().await {
            Err(error)
                if matches!(
                    error.class,
                    ErrorClass::Throttled | ErrorClass::Transient | ErrorClass::Contention
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
    matches!(error.class, ErrorClass::Permanent | ErrorClass::NotFound | ErrorClass::Unknown)
}

/// In an order by the seed.
fn shuffled(mut ids: Vec<AccountId>, seed: &str) -> Vec<AccountId> {
    ids.sort_by_cached_key(|id| Sha256::digest(format!("{seed} {id}")));
    ids
}
