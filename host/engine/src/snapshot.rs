//! Reads a live organization for a snapshot: its accounts, their provisioned products and their
//! tags. It changes nothing. It may be dropped at any moment: the data that it has read stays in
//! its [`UnfinishedSnapshot`], and another reader can continue from there.
//!
//! Tags come from the tag index, a hundred accounts with each call, if it agrees with the tags that
//! were read from a sample of accounts. Otherwise the tags of every account are read, at a steady
//! rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::backoff::Backoff;
use groundcrew_core::ports::{AccountDirectory, Catalog, Page, TagIndex};
use groundcrew_core::snapshot::SnapshotAccount;
use groundcrew_core::unfinished_snapshot::{Cursor, Listing, TagSource, UnfinishedSnapshot};
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The tags of so many accounts of each kind are read to check the tag index: of the accounts that
/// it lists, and of those that it doesn't.
const SAMPLE_SIZE: usize = 10;

/// The number of accounts whose tags are read within a second. AWS publishes no rate limit, and
/// other clients share it; when it is lower, the adapter slows down.
const READS_PER_SECOND: u64 = 10;
/// The most of these reads at once.
const MAX_CONCURRENT_READS: usize = 8;

/// How often a call is tried that fails with a transient error, and the waits in between. The
/// adapter has retried it several times before.
const MAX_ATTEMPTS: usize = 6;
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// A listing starts again when AWS rejects its page token, but only so often.
const MAX_LISTING_STARTS: u32 = 3;

/// The ports of a reader.
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
    unfinished_snapshot: Mutex<UnfinishedSnapshot>,
}

/// The progress of a reading.
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
    /// Accounts whose tags were read.
    pub tags_read: usize,
    /// Whether the tags of every account are read one by one.
    pub one_by_one: bool,
}

impl SnapshotReader {
    /// Continues a reading, which may have begun in another process.
    pub fn new(ports: SnapshotPorts, unfinished_snapshot: UnfinishedSnapshot) -> Self {
        Self { ports, unfinished_snapshot: Mutex::new(unfinished_snapshot) }
    }

    /// The data read so far.
    pub fn unfinished_snapshot(&self) -> MutexGuard<'_, UnfinishedSnapshot> {
        // No statement can leave it half-changed, so a poisoned one is valid.
        self.unfinished_snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The progress so far.
    pub fn progress(&self) -> ReadProgress {
        let unfinished_snapshot = self.unfinished_snapshot();
        ReadProgress {
            accounts: unfinished_snapshot.accounts.items.len(),
            products: unfinished_snapshot.products.items.len(),
            indexed: unfinished_snapshot.index.items.len(),
            listed: unfinished_snapshot.accounts.next == Cursor::End
                && unfinished_snapshot.products.next == Cursor::End
                && (unfinished_snapshot.index.next == Cursor::End
                    || unfinished_snapshot.tag_source.is_some()),
            tags_read: unfinished_snapshot.tags.len() + unfinished_snapshot.unreadable.len(),
            one_by_one: matches!(unfinished_snapshot.tag_source, Some(TagSource::OneByOne { .. })),
        }
    }

    /// Reads the data that is still missing.
    ///
    /// # Errors
    /// When accounts or provisioned products can't be listed. Tags that can't be read are no error:
    /// the partial snapshot records why.
    pub async fn read(&self) -> Result<(), AwsError> {
        // The pages of one listing are read one after the other; the listings are read at the same
        // time.
        tokio::try_join!(self.list_accounts(), self.list_products(), self.list_tags())?;
        if self.unfinished_snapshot().tag_source.is_none() {
            let tag_source = self.check_index().await;
            self.unfinished_snapshot().tag_source = Some(tag_source);
        }
        if self.progress().one_by_one {
            let ids = self.unfinished_snapshot().ids();
            self.read_tags(ids).await;
        }
        Ok(())
    }

    async fn list_accounts(&self) -> Result<(), AwsError> {
        let directory = &self.ports.directory;
        self.list(
            |unfinished_snapshot| &mut unfinished_snapshot.accounts,
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
        let product = self.unfinished_snapshot().source.product.clone();
        self.list(
            |unfinished_snapshot| &mut unfinished_snapshot.products,
            async |page| {
                let Page { items, next } = catalog.provisioned_products(&product, page).await?;
                Ok(Page { items: items.into_iter().map(Into::into).collect(), next })
            },
        )
        .await
    }

    /// Reads the tag index. A failure is no error: the tags are read one by one then.
    async fn list_tags(&self) -> Result<(), AwsError> {
        if self.unfinished_snapshot().tag_source.is_some() {
            return Ok(());
        }
        let index = &self.ports.tag_index;
        let listed = self
            .list(
                |unfinished_snapshot| &mut unfinished_snapshot.index,
                async |page| index.tagged(page).await,
            )
            .await;
        if let Err(error) = listed {
            tracing::warn!(%error, "the tag index can't be read");
            let why = format!("the tag index can't be read: {error}");
            self.unfinished_snapshot().tag_source = Some(TagSource::OneByOne { why });
        }
        Ok(())
    }

    /// Reads a listing to its end.
    async fn list<T>(
        &self,
        listing: impl Fn(&mut UnfinishedSnapshot) -> &mut Listing<T>,
        read: impl AsyncFn(Option<&str>) -> Result<Page<T>, AwsError>,
    ) -> Result<(), AwsError> {
        let mut starts = 1;
        loop {
            let token = match &listing(&mut self.unfinished_snapshot()).next {
                Cursor::Beginning => None,
                Cursor::Page(token) => Some(token.clone()),
                Cursor::End => return Ok(()),
            };
            match retry_transient(async || read(token.as_deref()).await).await {
                Ok(page) => listing(&mut self.unfinished_snapshot()).append(page),
                // Tokens expire, and this one may be from an earlier run.
                Err(error)
                    if token.is_some() && is_refused(&error) && starts < MAX_LISTING_STARTS =>
                {
                    tracing::warn!(%error, "a listing begins anew");
                    *listing(&mut self.unfinished_snapshot()) = Listing::default();
                    starts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the tags of a few accounts, and compares them with the tag index.
    async fn check_index(&self) -> TagSource {
        let groups = {
            let unfinished_snapshot = self.unfinished_snapshot();
            let indexed = unfinished_snapshot.indexed();
            let ids = unfinished_snapshot.ids();
            if indexed.is_empty() && !ids.is_empty() {
                let why = "the tag index lists no account at all".to_owned();
                return TagSource::OneByOne { why };
            }
            let (inside, outside): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| indexed.contains_key(id));
            // A later run chooses the same sample, so that it need not read these tags again.
            let seed = unfinished_snapshot.began.to_string();
            [shuffled(inside, &seed), shuffled(outside, &seed)]
        };
        let [inside, outside] = groups;
        let groups = [self.read_tag_sample(inside).await, self.read_tag_sample(outside).await];
        self.unfinished_snapshot().choose_tag_source(&groups)
    }

    /// Reads the tags of a few of these accounts, and continues with others while none can be read:
    /// an account that denies the read proves nothing about the tag index. Returns the accounts
    /// that were tried.
    async fn read_tag_sample(&self, mut ids: Vec<AccountId>) -> Vec<AccountId> {
        let mut sampled = Vec::new();
        while !ids.is_empty() {
            let sample: Vec<AccountId> = ids.drain(..ids.len().min(SAMPLE_SIZE)).collect();
            self.read_tags(sample.clone()).await;
            let is_read = sample.iter().any(|id| self.unfinished_snapshot().tags.contains_key(id));
            sampled.extend(sample);
            if is_read {
                break;
            }
        }
        sampled
    }

    /// Reads the tags of accounts at a steady rate, except those that were tried before.
    async fn read_tags(&self, mut ids: Vec<AccountId>) {
        {
            let unfinished_snapshot = self.unfinished_snapshot();
            ids.retain(|id| {
                !unfinished_snapshot.tags.contains_key(id)
                    && !unfinished_snapshot.unreadable.contains_key(id)
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
                let mut unfinished_snapshot = self.unfinished_snapshot();
                match tags {
                    Ok(tags) => {
                        unfinished_snapshot.tags.insert(id, tags);
                    }
                    Err(error) => {
                        unfinished_snapshot.unreadable.insert(id, error.to_string());
                    }
                }
            })
            .await;
    }
}

/// Retries a call that fails with a transient error, up to [`MAX_ATTEMPTS`] times.
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

/// Whether AWS rejects the request: with a page token, it rejects the token.
fn is_refused(error: &AwsError) -> bool {
    matches!(error.class, ErrorClass::Permanent | ErrorClass::NotFound | ErrorClass::Unknown)
}

/// Shuffles the ids; the same seed gives the same order.
fn shuffled(mut ids: Vec<AccountId>, seed: &str) -> Vec<AccountId> {
    ids.sort_by_cached_key(|id| Sha256::digest(format!("{seed} {id}")));
    ids
}
