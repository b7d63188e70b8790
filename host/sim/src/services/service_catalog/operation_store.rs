//! Provisioned products and the operations on them, over time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::ProductStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::OperationFailure;
use crate::fleet::Fleet;
use crate::time::saturating_later;

/// How long a record is `CREATED` before it is `IN_PROGRESS`.
const CREATED_DURATION: Duration = Duration::from_secs(2);

/// The last fraction of a failing operation's time, in which it rolls back.
const ROLLBACK: f64 = 0.1;

/// A provisioned product. It has the number of its account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProvisionedProduct {
    pub(crate) status: ProductStatus,
    pub(crate) artifact: u32,
    pub(crate) last_record: u32,
    pub(crate) last_successful: u32,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// The account is on the artifact.
    Succeeded,
    /// The account is not on the artifact.
    Failed {
        /// Code in the record's errors.
        code: String,
        /// Description in the record's errors.
        description: String,
    },
}

/// How a record ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum RecordOutcome {
    Succeeded,
    Failed(Box<OperationFailure>),
}

/// One operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) product: u32,
    pub(crate) artifact: u32,
    pub(crate) created: Timestamp,
    pub(crate) ended: Option<(Timestamp, RecordOutcome)>,
    /// The product's record before this one.
    pub(crate) previous: Option<u32>,
    /// Whether it is the first record of a product.
    pub(crate) provisioning: bool,
    pub(crate) foreign: bool,
    /// Whether it only reports that the quota is used up.
    pub(crate) refused: bool,
    rolls_back_at: Option<Timestamp>,
}

impl Record {
    /// Its status at a time, as the API writes it.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        match &self.ended {
            Some((_, RecordOutcome::Succeeded)) => "SUCCEEDED",
            Some((_, RecordOutcome::Failed(_))) => "FAILED",
            None if now < saturating_later(self.created, CREATED_DURATION) => "CREATED",
            None if self.rolls_back_at.is_some_and(|time| time <= now) => "IN_PROGRESS_IN_ERROR",
            None => "IN_PROGRESS",
        }
    }
}

/// An operation that started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedOperation {
    /// The account.
    pub account: AccountId,
    /// Its provisioned product.
    pub provisioned_product: String,
    /// The record.
    pub record: String,
    /// Whether another caller than the host under test started it.
    pub foreign: bool,
    /// Its parameters of Account Factory. Empty for an operation of another caller.
    pub parameters: BTreeMap<String, String>,
    /// When it started.
    pub start: Timestamp,
    /// When it ended, if it has.
    pub end: Option<Timestamp>,
    /// How it ended, if it has.
    pub outcome: Option<OperationOutcome>,
}

/// The highest numbers of concurrent operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxConcurrent {
    /// Of the operations that the host under test started.
    pub own: usize,
    /// Of all operations.
    pub total: usize,
}

/// Every provisioned product and record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OperationStore {
    /// By account. `None` if the account is not enrolled.
    products: Vec<Option<ProvisionedProduct>>,
    records: Vec<Record>,
    tokens: BTreeMap<Box<str>, u32>,
    under_change: BTreeSet<u32>,
    own_running: usize,
    /// How many of the products under change were rejected by the quota and are about to fail.
    refused: usize,
    pub(crate) most: MaxConcurrent,
}

impl OperationStore {
    /// Every enrolled account with the record of its provisioning, which succeeded at `created`.
    pub(crate) fn new(fleet: &Fleet, created: Timestamp) -> Self {
        let mut records = Vec::new();
        let products = fleet.iter().map(|(index, account)| {
            account.enrolled.then(|| {
                let number = records.len() as u32;
                records.push(Record {
                    product: index,
                    artifact: account.artifact,
                    created,
                    ended: Some((created, RecordOutcome::Succeeded)),
                    previous: None,
                    provisioning: true,
                    foreign: true,
                    refused: false,
                    rolls_back_at: None,
                });
                ProvisionedProduct {
                    // The model starts an operation for each product under change, which sets that
                    // status.
                    status: match account.status {
                        ProductStatus::UnderChange => ProductStatus::Available,
                        status => status,
                    },
                    artifact: account.artifact,
                    last_record: number,
                    last_successful: number,
                }
            })
        });
        Self {
            products: products.collect(),
            records,
            tokens: BTreeMap::new(),
            under_change: BTreeSet::new(),
            own_running: 0,
            refused: 0,
            most: MaxConcurrent::default(),
        }
    }

    pub(crate) fn product(&self, index: u32) -> Option<&ProvisionedProduct> {
        self.products.get(index as usize)?.as_ref()
    }

    fn product_mut(&mut self, index: u32) -> Option<&mut ProvisionedProduct> {
        self.products.get_mut(index as usize)?.as_mut()
    }

    /// The accounts that have a provisioned product.
    pub(crate) fn products(&self) -> impl Iterator<Item = u32> {
        (0_u32..).zip(&self.products).filter(|(_, product)| product.is_some()).map(|(i, _)| i)
    }

    pub(crate) fn status(&self, index: u32) -> Option<ProductStatus> {
        self.product(index).map(|product| product.status)
    }

    /// Whether an operation may start on a product.
    pub(crate) fn is_free(&self, index: u32) -> bool {
        self.status(index).is_some_and(|status| {
            !matches!(status, ProductStatus::UnderChange | ProductStatus::PlanInProgress)
        })
    }

    pub(crate) fn record(&self, number: u32) -> Option<&Record> {
        self.records.get(number as usize)
    }

    pub(crate) fn records(&self) -> u32 {
        self.records.len() as u32
    }

    pub(crate) fn ended(&self, number: u32) -> Option<&RecordOutcome> {
        self.record(number)?.ended.as_ref().map(|(_, ended)| ended)
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<u32> {
        self.tokens.get(token).copied()
    }

    pub(crate) fn under_change(&self) -> impl ExactSizeIterator<Item = u32> {
        self.under_change.iter().copied()
    }

    /// The number of operations that count against the quota.
    pub(crate) fn running(&self) -> usize {
        self.under_change.len() - self.refused
    }

    /// Records the start of an operation with this duration.
    pub(crate) fn begin(&mut self, now: Timestamp, operation: OperationStart<'_>) -> Option<u32> {
        let number = self.records();
        let product = self.products.get_mut(operation.product as usize)?.as_mut()?;
        self.records.push(Record {
            product: operation.product,
            artifact: operation.artifact,
            created: now,
            ended: None,
            previous: Some(product.last_record),
            provisioning: false,
            foreign: operation.foreign,
            refused: operation.refused,
            rolls_back_at: operation
                .fails
                .then(|| saturating_later(now, operation.duration.mul_f64(1.0 - ROLLBACK))),
        });
        product.status = ProductStatus::UnderChange;
        product.last_record = number;
        if let Some(token) = operation.token {
            self.tokens.insert(token.into(), number);
        }
        self.under_change.insert(operation.product);
        self.own_running += usize::from(!operation.foreign);
        self.most.own = self.most.own.max(self.own_running);
        self.refused += usize::from(operation.refused);
        self.most.total = self.most.total.max(self.running());
        Some(number)
    }

    /// Records the end of an operation.
    pub(crate) fn end(&mut self, now: Timestamp, number: u32, ended: RecordOutcome) {
        let Some(record) = self.records.get_mut(number as usize) else { return };
        let Some(Some(product)) = self.products.get_mut(record.product as usize) else { return };
        if ended == RecordOutcome::Succeeded {
            product.status = ProductStatus::Available;
            product.artifact = record.artifact;
            product.last_successful = number;
        } else {
            product.status = ProductStatus::Tainted;
        }
        self.under_change.remove(&record.product);
        self.own_running -= usize::from(!record.foreign);
        self.refused -= usize::from(record.refused);
        record.ended = Some((now, ended));
    }

    /// Ends a provisioned product plan, which leaves no record.
    pub(crate) fn end_plan(&mut self, index: u32) {
        if let Some(product) = self.product_mut(index)
            && product.status == ProductStatus::PlanInProgress
        {
            product.status = ProductStatus::Available;
        }
    }

    /// Every operation that started, in the order of starting.
    pub(crate) fn started(&self) -> impl Iterator<Item = (u32, &Record)> {
        (0_u32..).zip(&self.records).filter(|(_, record)| !record.provisioning)
    }
}

/// The start of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationStart<'a> {
    pub(crate) product: u32,
    pub(crate) artifact: u32,
    pub(crate) token: Option<&'a str>,
    pub(crate) foreign: bool,
    pub(crate) duration: Duration,
    pub(crate) fails: bool,
    pub(crate) refused: bool,
}

impl<'a> OperationStart<'a> {
    /// An operation over the quota, whose record fails after this duration.
    pub(crate) fn refused(product: u32, artifact: u32, token: &'a str, duration: Duration) -> Self {
        let (token, foreign, fails, refused) = (Some(token), false, true, true);
        Self { product, artifact, token, foreign, duration, fails, refused }
    }
}
