//! Orders, and the trail of them, in every kind of ledger.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Kind, LedgerFixture, account, at, failed, issued_by, slot, target};
use futures_util::future::join_all;
use groundcrew_core::account::AccountId;
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    Approval, ApprovalState, ApprovedPlan, Ledger, Order, OrderLedger, Orders, Pause, SweepRecord,
    SweptLane, TrailEntry, UpdateProgress,
};
use groundcrew_ledger::{Key, MemoryLedger, Store, StoreLedger, Write};
use rstest::rstest;

fn plan(number: u8) -> PlanId {
    PlanId::from_digest(&[number; 6])
}

/// The record of a sweep with this plan.
fn sweep(made: Option<PlanId>) -> SweepRecord {
    let json = serde_json::json!({
        "began": at(1), "completed": at(2), "target": target(), "accounts": 9, "current": 4,
        "skipped": 1, "lanes": {}, "held": [], "held_in_all": 0,
    });
    let sweep: SweepRecord = serde_json::from_value(json).unwrap();
    SweepRecord {
        plan: made,
        lanes: [("canary".into(), SweptLane { to_update: 3, ..SweptLane::default() })].into(),
        rules: [("lanes".into(), "canary".into())].into(),
        ..sweep
    }
}

/// The orders of a trail, with their numbers.
fn orders(trail: Vec<TrailEntry>) -> Vec<(u64, Order)> {
    trail.into_iter().map(|trail_entry| (trail_entry.number, trail_entry.order)).collect()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn each_order_is_in_the_trail_with_its_effect(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    assert_eq!(one.trail().await, Ok(vec![]));

    assert_eq!(one.order_pause("canary", &issued_by(1)).await, Ok(None));
    let pause = Pause { why: "paused by ada".into(), at: at(1), automatic: false };
    assert_eq!(two.lanes().await.unwrap()["canary"].paused, Some(pause.clone()));
    // A command that changes nothing is no order.
    assert_eq!(two.order_pause("canary", &issued_by(2)).await, Ok(Some(pause.clone())));
    assert_eq!(two.order_resume("canary", &issued_by(3)).await, Ok(Some(pause)));
    assert_eq!(two.lanes().await.unwrap()["canary"].paused, None);
    assert_eq!(two.order_resume("canary", &issued_by(4)).await, Ok(None));
    assert_eq!(two.order_resume("nowhere", &issued_by(4)).await, Ok(None));

    one.order_sweep(&issued_by(5)).await.unwrap();
    one.order_redrive_notifications("ams", &issued_by(6)).await.unwrap();
    let given_up = UpdateProgress { dead_lettered: true, ..failed(5) };
    one.free_slot(&slot(1), Some(&given_up), None).await.unwrap();
    let accounts = [account(1), account(2)].into();
    let redriven = one.order_redrive(&accounts, &target(), &issued_by(7)).await.unwrap();
    assert_eq!(redriven.keys().collect::<Vec<_>>(), [&account(1)]);

    one.record_sweep(&sweep(Some(plan(1)))).await.unwrap();
    one.record_pending_plan(&plan(1), at(8)).await.unwrap();
    assert_eq!(two.approve(&plan(1), &issued_by(9)).await, Ok(ApprovalState::Pending));

    let trail = two.trail().await.unwrap();
    assert_eq!(
        orders(trail.clone()),
        [
            (1, Order::Pause { lane: "canary".into() }),
            (2, Order::Resume { lane: "canary".into(), paused: "paused by ada".into() }),
            (3, Order::Sweep),
            (4, Order::RedriveNotifications { notifier: "ams".into() }),
            (5, Order::Redrive { target: target(), accounts: [account(1)].into() }),
            (
                6,
                Order::Approve {
                    plan: plan(1),
                    lanes: [("canary".into(), 3)].into(),
                    held: [].into()
                }
            ),
        ]
    );
    let signed = trail.iter().map(|trail_entry| (trail_entry.by.to_string(), trail_entry.at));
    let expected = [1, 3, 5, 6, 7, 9].map(|second| ("ada".to_owned(), at(second)));
    assert_eq!(signed.collect::<Vec<_>>(), expected);
    assert_eq!(two.orders().await.unwrap().last_number, 6);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn orders_that_are_given_at_once_are_all_in_the_trail(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let hosts: Vec<_> = (0..8).map(|_| fixture.host()).collect();
    let lanes: Vec<String> = (0..8).map(|number| format!("lane-{number}")).collect();
    let by = issued_by(1);
    let pauses = hosts.iter().zip(&lanes).map(|(host, lane)| host.order_pause(lane, &by));
    assert!(join_all(pauses).await.into_iter().all(|paused| paused == Ok(None)));
    let trail = hosts[0].trail().await.unwrap();
    let numbers: Vec<u64> = trail.iter().map(|trail_entry| trail_entry.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    let paused: BTreeSet<String> =
        trail.iter().map(|trail_entry| trail_entry.order.to_string()).collect();
    assert_eq!(paused, lanes.iter().map(|lane| format!("pause {lane}")).collect());
}

/// More accounts than one order, or one transaction, can have.
#[rstest]
#[tokio::test(start_paused = true)]
async fn many_accounts_are_redriven(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let given_up = UpdateProgress { dead_lettered: true, ..failed(5) };
    for number in 0..120 {
        ledger.free_slot(&slot(number), Some(&given_up), None).await.unwrap();
    }
    let accounts: BTreeSet<AccountId> = (0..130).map(account).collect();
    let redriven = ledger.order_redrive(&accounts, &target(), &issued_by(1)).await.unwrap();
    assert_eq!(redriven.len(), 120);
    assert_eq!(ledger.all_progress(&target()).await, Ok(redriven.clone()));
    let entered: BTreeMap<u64, usize> = ledger
        .trail()
        .await
        .unwrap()
        .into_iter()
        .map(|trail_entry| match trail_entry.order {
            Order::Redrive { accounts, .. } => (trail_entry.number, accounts.len()),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(entered, [(1, 50), (2, 50), (3, 20)].into());
    assert_eq!(ledger.order_redrive(&accounts, &target(), &issued_by(2)).await, Ok([].into()));
    assert_eq!(ledger.trail().await.unwrap().len(), 3);
}

/// The trail is never longer than its limit.
#[tokio::test(start_paused = true)]
async fn the_last_orders_are_kept() {
    let ledger = MemoryLedger::new();
    for _ in 0..=TrailEntry::MAX_ENTRIES {
        ledger.order_sweep(&issued_by(1)).await.unwrap();
    }
    let trail = ledger.trail().await.unwrap();
    assert_eq!(trail.len() as u64, TrailEntry::MAX_ENTRIES);
    assert_eq!((trail[0].number, trail[1].number), (2, 3));
    assert_eq!(trail.last().unwrap().number, TrailEntry::MAX_ENTRIES + 1);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_superseded_plan_is_not_approved(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    for (number, second) in [(1, 1), (2, 2)] {
        ledger.record_pending_plan(&plan(number), at(second)).await.unwrap();
    }
    ledger.record_sweep(&sweep(Some(plan(2)))).await.unwrap();
    let superseded = ApprovalState::Superseded { by: Some(plan(2)) };
    assert_eq!(ledger.approve(&plan(1), &issued_by(3)).await, Ok(superseded));
    assert_eq!(ledger.approve(&plan(3), &issued_by(3)).await, Ok(ApprovalState::Unknown));
    let none = ledger.orders().await.unwrap();
    assert!(none.plans.values().all(|record| record.approved.is_none()), "{none:?}");
    assert_eq!((none.last_number, ledger.last_approved().await), (0, Ok(None)));

    assert_eq!(ledger.approve(&plan(2), &issued_by(4)).await, Ok(ApprovalState::Pending));
    let approval = Approval { by: "ada".into(), at: at(4) };
    let approved = ApprovedPlan {
        plan: plan(2),
        approval: approval.clone(),
        target: target(),
        lanes: [("canary".into(), 3)].into(),
        rules: [("lanes".into(), "canary".into())].into(),
    };
    assert_eq!(ledger.last_approved().await, Ok(Some(approved)));
    assert_eq!(
        ledger.approve(&plan(2), &issued_by(5)).await,
        Ok(ApprovalState::Approved(approval))
    );
    assert_eq!(ledger.trail().await.unwrap().len(), 1);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn orders_are_taken_in_up_to_a_number(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    ledger.record_logged(7).await.unwrap();
    assert_eq!(ledger.orders().await, Ok(Orders::default()));
    for _ in 0..3 {
        ledger.order_sweep(&issued_by(1)).await.unwrap();
    }
    for (number, last_logged) in [(2, 2), (1, 2), (4, 2), (3, 3)] {
        ledger.record_logged(number).await.unwrap();
        assert_eq!(ledger.orders().await.unwrap().last_logged, last_logged);
    }
}

/// An older groundcrew writes operator commands without a trail.
#[tokio::test(start_paused = true)]
async fn an_older_groundcrew_in_between_loses_no_order() {
    let ledger = MemoryLedger::new();
    for _ in 0..3 {
        ledger.order_sweep(&issued_by(1)).await.unwrap();
    }
    ledger.record_logged(2).await.unwrap();
    write(&ledger, "orders", r#"{"sweep":"2026-09-21T14:13:20Z","plans":{}}"#).await;
    ledger.record_logged(3).await.unwrap();
    ledger.order_pause("canary", &issued_by(2)).await.unwrap();
    let numbers: Vec<u64> =
        ledger.trail().await.unwrap().iter().map(|trail_entry| trail_entry.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let orders = ledger.orders().await.unwrap();
    assert_eq!((orders.last_number, orders.last_logged), (4, 3));
}

/// The items from before there was a trail.
#[tokio::test(start_paused = true)]
async fn a_ledger_of_an_older_groundcrew_is_read() {
    let ledger = MemoryLedger::new();
    let record = r#"{"since":"2026-09-21T14:13:20Z",
                     "approved":{"by":"ada","at":"2026-09-21T14:13:20Z"}}"#;
    let orders = format!(r#"{{"sweep":null,"plans":{{"{}":{record}}}}}"#, plan(1));
    write(&ledger, "orders", &orders).await;
    let sweep = serde_json::json!({
        "began": at(1), "completed": at(2), "target": "pa-1", "plan": plan(1), "accounts": 9,
        "current": 4, "skipped": 1, "lanes": { "all": { "to_update": 4, "succeeded": 0 } },
        "held": [], "held_in_all": 0,
    });
    write(&ledger, "sweep", &sweep.to_string()).await;
    assert_eq!(ledger.last_sweep().await.unwrap().unwrap().rules, BTreeMap::new());
    assert_eq!(ledger.last_approved().await, Ok(None));
    let approval = Approval { by: "ada".into(), at: at(0) };
    assert_eq!(
        ledger.approve(&plan(1), &issued_by(5)).await,
        Ok(ApprovalState::Approved(approval))
    );
    ledger.order_sweep(&issued_by(6)).await.unwrap();
    assert!(ledger.orders().await.unwrap().is_approved(&plan(1)));
    assert_eq!(ledger.trail().await.unwrap().len(), 1);
}

/// Writes an item as it is.
async fn write<S: Store>(ledger: &StoreLedger<S>, partition: &str, json: &str) {
    let key = Key::only(partition);
    let version = ledger.store().get(&key).await.unwrap().map(|item| item.version);
    let write = Write::new(key, version, Some(json.to_owned()));
    assert_eq!(ledger.store().commit(&[write]).await, Ok(true));
}
