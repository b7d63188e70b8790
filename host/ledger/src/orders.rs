//! Operator commands (orders), and the trail of them.
//!
//! Hosts poll one small item, `orders`, with the number of the last order. Each order is an item of
//! its own in a partition that works as a ring: order number n replaces order number n -
//! [`TrailEntry::MAX_ENTRIES`], so that the trail never grows beyond that, and nothing has to be
//! deleted. An operator command writes `orders`, the order and its effect in one commit.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::ArtifactId;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    Approval, ApprovalState, ApprovedPlan, IssuedBy, LaneRecord, LedgerError, Order, OrderLedger,
    Orders, Pause, TrailEntry, UpdateProgress,
};
use serde_json::Value;

use crate::slots::{lane_key, last_sweep_key, orders_key, progress_key};
use crate::store::{Key, Store, Write};
use crate::store_ledger::{StoreLedger, StoredItem};

const TRAIL: &str = "trail";

/// The key of the order with this number.
fn trail_key(number: u64) -> Key {
    Key::new(TRAIL, format!("{:03}", number % TrailEntry::MAX_ENTRIES))
}

fn last_approved_key() -> Key {
    Key::only("approved")
}

impl<S: Store> StoreLedger<S> {
    /// The writes that add an order to the trail: `stored` is the item of the orders as it was
    /// read, and `orders` is its new value with this order.
    async fn trail_writes(
        &self,
        stored: &StoredItem<Orders>,
        mut orders: Orders,
        issued_by: &IssuedBy,
        order: Order,
    ) -> Result<Vec<Write>, LedgerError> {
        if orders.last_number == 0 {
            // This is the first order, or an older groundcrew without a trail has written the item
            // since.
            let last = self.trail().await?.last().map_or(0, |trail_entry| trail_entry.number);
            (orders.last_number, orders.last_logged) = (last, last);
        }
        orders.last_number += 1;
        let IssuedBy { by, at } = issued_by.clone();
        let trail_entry = TrailEntry { number: orders.last_number, at, by, order };
        let key = trail_key(trail_entry.number);
        let trail_entry = serde_json::to_value(trail_entry)
            .map_err(|error| LedgerError::unwritable(&key.partition, &key.sort, error))?;
        let place = self.load::<Value>(key).await?;
        Ok(vec![stored.replace(&orders)?, place.replace(&trail_entry)?])
    }

    /// Redrives some accounts: no more than one order can have.
    async fn redrive_some(
        &self,
        accounts: &[AccountId],
        target: &ArtifactId,
        issued_by: &IssuedBy,
    ) -> Result<BTreeMap<AccountId, UpdateProgress>, LedgerError> {
        self.commit(|| async move {
            let (mut redriven, mut writes) = (BTreeMap::new(), Vec::new());
            for account in accounts {
                let stored = self.load::<UpdateProgress>(progress_key(account, target)).await?;
                let known = stored.value.clone().filter(|progress| progress.dead_lettered);
                let Some(known) = known else { continue };
                let progress = UpdateProgress {
                    redriven: known.redriven + 1,
                    lane: known.lane,
                    ..UpdateProgress::default()
                };
                writes.push(stored.replace(&progress)?);
                redriven.insert(account.clone(), progress);
            }
            if writes.is_empty() {
                return Ok((redriven, writes));
            }
            let stored = self.load::<Orders>(orders_key()).await?;
            let mut orders = stored.value.clone().unwrap_or_default();
            orders.request_sweep(issued_by.at);
            let accounts = redriven.keys().cloned().collect();
            let order = Order::Redrive { target: target.clone(), accounts };
            writes.extend(self.trail_writes(&stored, orders, issued_by, order).await?);
            Ok((redriven, writes))
        })
        .await
    }
}

#[async_trait]
impl<S: Store> OrderLedger for StoreLedger<S> {
    async fn orders(&self) -> Result<Orders, LedgerError> {
        Ok(self.load(orders_key()).await?.value.unwrap_or_default())
    }

    async fn order_pause(
        &self,
        lane: &str,
        issued_by: &IssuedBy,
    ) -> Result<Option<Pause>, LedgerError> {
        let why = format!("paused by {}", issued_by.by);
        let pause = &Pause { why, at: issued_by.at, automatic: false };
        self.commit(|| async move {
            let stored = self.load::<LaneRecord>(lane_key(lane)).await?;
            let mut record = stored.value.clone().unwrap_or_default();
            if let Some(earlier) = record.pause(pause) {
                return Ok((Some(earlier), vec![]));
            }
            let orders = self.load::<Orders>(orders_key()).await?;
            let order = Order::Pause { lane: lane.to_owned() };
            let now = orders.value.clone().unwrap_or_default();
            let mut writes = self.trail_writes(&orders, now, issued_by, order).await?;
            writes.push(stored.replace(&record)?);
            Ok((None, writes))
        })
        .await
    }

    async fn order_resume(
        &self,
        lane: &str,
        issued_by: &IssuedBy,
    ) -> Result<Option<Pause>, LedgerError> {
        self.commit(|| async move {
            let stored = self.load::<LaneRecord>(lane_key(lane)).await?;
            let mut record = stored.value.clone().unwrap_or_default();
            let Some(pause) = record.resume() else { return Ok((None, vec![])) };
            let orders = self.load::<Orders>(orders_key()).await?;
            let order = Order::Resume { lane: lane.to_owned(), paused: pause.why.clone() };
            let now = orders.value.clone().unwrap_or_default();
            let mut writes = self.trail_writes(&orders, now, issued_by, order).await?;
            writes.push(stored.replace(&record)?);
            Ok((Some(pause), writes))
        })
        .await
    }

    async fn order_sweep(&self, issued_by: &IssuedBy) -> Result<(), LedgerError> {
        self.commit(|| async move {
            let stored = self.load::<Orders>(orders_key()).await?;
            let mut orders = stored.value.clone().unwrap_or_default();
            orders.request_sweep(issued_by.at);
            Ok(((), self.trail_writes(&stored, orders, issued_by, Order::Sweep).await?))
        })
        .await
    }

    async fn order_redrive(
        &self,
        accounts: &BTreeSet<AccountId>,
        target: &ArtifactId,
        issued_by: &IssuedBy,
    ) -> Result<BTreeMap<AccountId, UpdateProgress>, LedgerError> {
        let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
        let mut redriven = BTreeMap::new();
        for some in accounts.chunks(Order::MAX_ACCOUNTS) {
            redriven.extend(self.redrive_some(some, target, issued_by).await?);
        }
        Ok(redriven)
    }

    async fn order_redrive_notifications(
        &self,
        notifier: &str,
        issued_by: &IssuedBy,
    ) -> Result<(), LedgerError> {
        self.commit(|| async move {
            let stored = self.load::<Orders>(orders_key()).await?;
            let orders = stored.value.clone().unwrap_or_default();
            let order = Order::RedriveNotifications { notifier: notifier.to_owned() };
            Ok(((), self.trail_writes(&stored, orders, issued_by, order).await?))
        })
        .await
    }

    async fn approve(
        &self,
        plan: &PlanId,
        issued_by: &IssuedBy,
    ) -> Result<ApprovalState, LedgerError> {
        let approval = &Approval { by: issued_by.by.to_string(), at: issued_by.at };
        self.commit(|| async move {
            let known = self.load::<Orders>(orders_key()).await?;
            let mut orders = known.value.clone().unwrap_or_default();
            let sweep = self.load(last_sweep_key()).await?.value;
            let approval_state = orders.approval_state(plan, sweep.as_ref());
            let record = orders.plans.get_mut(plan);
            let (ApprovalState::Pending, Some(record)) = (&approval_state, record) else {
                return Ok((approval_state, vec![]));
            };
            record.approved = Some(approval.clone());
            let approved =
                sweep.as_ref().map(|sweep| ApprovedPlan::of(plan, sweep, approval.clone()));
            let lanes = approved.as_ref().map(|approved| approved.lanes.clone());
            let lanes = lanes.unwrap_or_default();
            let held = sweep.iter().flat_map(|sweep| &sweep.lanes);
            let held = held.filter(|(_, seen)| seen.held > 0);
            let held = held.map(|(lane, seen)| (lane.clone(), seen.held)).collect();
            let order = Order::Approve { plan: plan.clone(), lanes, held };
            let mut writes = self.trail_writes(&known, orders, issued_by, order).await?;
            if let Some(approved) = approved {
                let last = self.load::<ApprovedPlan>(last_approved_key()).await?;
                writes.push(last.replace(&approved)?);
            }
            Ok((approval_state, writes))
        })
        .await
    }

    async fn last_approved(&self) -> Result<Option<ApprovedPlan>, LedgerError> {
        Ok(self.load(last_approved_key()).await?.value)
    }

    async fn trail(&self) -> Result<Vec<TrailEntry>, LedgerError> {
        let mut trail_entry: Vec<TrailEntry> =
            self.list(TRAIL).await?.into_iter().map(|(_, trail_entry)| trail_entry).collect();
        trail_entry.sort_by_key(|trail_entry: &TrailEntry| trail_entry.number);
        Ok(trail_entry)
    }

    async fn record_logged(&self, number: u64) -> Result<(), LedgerError> {
        self.update(&orders_key(), |orders: Option<Orders>| {
            let mut orders = orders.unwrap_or_default();
            let is_new = number > orders.last_logged && number <= orders.last_number;
            orders.last_logged = orders.last_logged.max(number);
            ((), is_new.then_some(orders))
        })
        .await
    }
}
