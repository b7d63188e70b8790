//! Orders of operators, and the trail of them.
//!
//! What hosts have to know at once is one small item, `orders`, with the number of the last order.
//! Each order is an item of its own in a partition that goes round: the order number n replaces
//! that of number n - [`Given::KEPT`], so that the trail never grows beyond that, and nothing has
//! to be deleted. Whoever gives an order writes `orders`, the order and its effect in one commit.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::ArtifactId;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    Approval, ApprovedPlan, Given, LaneRecord, LedgerError, Order, OrderLedger, Orders, Pause,
    PlanStanding, Progress, Signature,
};
use serde_json::Value;

use crate::slots::{last_sweep, orders, progress_of, record_of};
use crate::store::{Key, Store, Write};
use crate::store_ledger::{Held, StoreLedger};

const TRAIL: &str = "trail";

/// Where the order with this number is.
fn entry(number: u64) -> Key {
    Key::new(TRAIL, format!("{:03}", number % Given::KEPT))
}

fn last_approved() -> Key {
    Key::only("approved")
}

impl<S: Store> StoreLedger<S> {
    /// What it takes to enter an order in the trail: `held` is what operators have asked for so far,
    /// and `orders` what they ask for with it.
    async fn enter(
        &self,
        held: &Held<Orders>,
        mut orders: Orders,
        signature: &Signature,
        order: Order,
    ) -> Result<Vec<Write>, LedgerError> {
        if orders.given == 0 {
            // The first order; or a groundcrew that knows of no trail has written since.
            let last = self.trail().await?.last().map_or(0, |given| given.number);
            (orders.given, orders.taken_in) = (last, last);
        }
        orders.given += 1;
        let Signature { by, at } = signature.clone();
        let given = Given { number: orders.given, at, by, order };
        let key = entry(given.number);
        let given = serde_json::to_value(given)
            .map_err(|error| LedgerError::unwritable(&key.partition, &key.sort, error))?;
        let place = self.hold::<Value>(key).await?;
        Ok(vec![held.replace(&orders)?, place.replace(&given)?])
    }

    /// Lets some accounts be updated again: no more than are in one order.
    async fn redrive_some(
        &self,
        accounts: &[AccountId],
        target: &ArtifactId,
        signature: &Signature,
    ) -> Result<BTreeMap<AccountId, Progress>, LedgerError> {
        self.commit(|| async move {
            let (mut redriven, mut writes) = (BTreeMap::new(), Vec::new());
            for account in accounts {
                let held = self.hold::<Progress>(progress_of(account, target)).await?;
                let known = held.value.clone().filter(|progress| progress.dead_lettered);
                let Some(known) = known else { continue };
                let progress = Progress {
                    redriven: known.redriven + 1,
                    lane: known.lane,
                    ..Progress::default()
                };
                writes.push(held.replace(&progress)?);
                redriven.insert(account.clone(), progress);
            }
            if writes.is_empty() {
                return Ok((redriven, writes));
            }
            let held = self.hold::<Orders>(orders()).await?;
            let mut orders = held.value.clone().unwrap_or_default();
            orders.ask_for_sweep(signature.at);
            let accounts = redriven.keys().cloned().collect();
            let order = Order::Redrive { target: target.clone(), accounts };
            writes.extend(self.enter(&held, orders, signature, order).await?);
            Ok((redriven, writes))
        })
        .await
    }
}

#[async_trait]
impl<S: Store> OrderLedger for StoreLedger<S> {
    async fn orders(&self) -> Result<Orders, LedgerError> {
        Ok(self.hold(orders()).await?.value.unwrap_or_default())
    }

    async fn order_pause(
        &self,
        lane: &str,
        signature: &Signature,
    ) -> Result<Option<Pause>, LedgerError> {
        let why = format!("paused by {}", signature.by);
        let pause = &Pause { why, at: signature.at, automatic: false };
        self.commit(|| async move {
            let held = self.hold::<LaneRecord>(record_of(lane)).await?;
            let mut record = held.value.clone().unwrap_or_default();
            if let Some(earlier) = record.pause(pause) {
                return Ok((Some(earlier), vec![]));
            }
            let orders = self.hold::<Orders>(orders()).await?;
            let order = Order::Pause { lane: lane.to_owned() };
            let now = orders.value.clone().unwrap_or_default();
            let mut writes = self.enter(&orders, now, signature, order).await?;
            writes.push(held.replace(&record)?);
            Ok((None, writes))
        })
        .await
    }

    async fn order_resume(
        &self,
        lane: &str,
        signature: &Signature,
    ) -> Result<Option<Pause>, LedgerError> {
        self.commit(|| async move {
            let held = self.hold::<LaneRecord>(record_of(lane)).await?;
            let mut record = held.value.clone().unwrap_or_default();
            let Some(pause) = record.resume() else { return Ok((None, vec![])) };
            let orders = self.hold::<Orders>(orders()).await?;
            let order = Order::Resume { lane: lane.to_owned(), paused: pause.why.clone() };
            let now = orders.value.clone().unwrap_or_default();
            let mut writes = self.enter(&orders, now, signature, order).await?;
            writes.push(held.replace(&record)?);
            Ok((Some(pause), writes))
        })
        .await
    }

    async fn order_sweep(&self, signature: &Signature) -> Result<(), LedgerError> {
        self.commit(|| async move {
            let held = self.hold::<Orders>(orders()).await?;
            let mut orders = held.value.clone().unwrap_or_default();
            orders.ask_for_sweep(signature.at);
            Ok(((), self.enter(&held, orders, signature, Order::Sweep).await?))
        })
        .await
    }

    async fn order_redrive(
        &self,
        accounts: &BTreeSet<AccountId>,
        target: &ArtifactId,
        signature: &Signature,
    ) -> Result<BTreeMap<AccountId, Progress>, LedgerError> {
        let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
        let mut redriven = BTreeMap::new();
        for some in accounts.chunks(Order::ACCOUNTS) {
            redriven.extend(self.redrive_some(some, target, signature).await?);
        }
        Ok(redriven)
    }

    async fn order_redrive_notifications(
        &self,
        notifier: &str,
        signature: &Signature,
    ) -> Result<(), LedgerError> {
        self.commit(|| async move {
            let held = self.hold::<Orders>(orders()).await?;
            let orders = held.value.clone().unwrap_or_default();
            let order = Order::RedriveNotifications { notifier: notifier.to_owned() };
            Ok(((), self.enter(&held, orders, signature, order).await?))
        })
        .await
    }

    async fn approve(
        &self,
        plan: &PlanId,
        signature: &Signature,
    ) -> Result<PlanStanding, LedgerError> {
        let approval = &Approval { by: signature.by.to_string(), at: signature.at };
        self.commit(|| async move {
            let known = self.hold::<Orders>(orders()).await?;
            let mut orders = known.value.clone().unwrap_or_default();
            let sweep = self.hold(last_sweep()).await?.value;
            let standing = orders.standing(plan, sweep.as_ref());
            let record = orders.plans.get_mut(plan);
            let (PlanStanding::Waits, Some(record)) = (&standing, record) else {
                return Ok((standing, vec![]));
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
            let mut writes = self.enter(&known, orders, signature, order).await?;
            if let Some(approved) = approved {
                let last = self.hold::<ApprovedPlan>(last_approved()).await?;
                writes.push(last.replace(&approved)?);
            }
            Ok((standing, writes))
        })
        .await
    }

    async fn last_approved(&self) -> Result<Option<ApprovedPlan>, LedgerError> {
        Ok(self.hold(last_approved()).await?.value)
    }

    async fn trail(&self) -> Result<Vec<Given>, LedgerError> {
        let mut given: Vec<Given> =
            self.list(TRAIL).await?.into_iter().map(|(_, given)| given).collect();
        given.sort_by_key(|given: &Given| given.number);
        Ok(given)
    }

    async fn note_taken_in(&self, number: u64) -> Result<(), LedgerError> {
        self.change(&orders(), |orders: Option<Orders>| {
            let mut orders = orders.unwrap_or_default();
            let is_new = number > orders.taken_in && number <= orders.given;
            orders.taken_in = orders.taken_in.max(number);
            ((), is_new.then_some(orders))
        })
        .await
    }
}
