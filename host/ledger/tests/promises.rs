//! The promises of every kind of ledger.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{
    FullLedger, Kind, LedgerFixture, account, at, claim, delivered, entry, failed, issued_by, key,
    slot, target,
};
use futures_util::future::join_all;
use groundcrew_core::catalog::{ArtifactId, RecordId};
use groundcrew_core::notification::{ClaimOutcome, NotificationState};
use groundcrew_core::plan_id::PlanId;
use groundcrew_core::ports::{
    AlertClaim, Approval, ApprovalState, FreedSlot, Heartbeat, HeldAccount, HostKind, LaneRecord,
    Orders, Pause, PlanRecord, Slot, SlotLimits, SlotOutcome, SweepRecord, SweptLane, UpdateEnd,
    UpdateProgress,
};
use groundcrew_core::update_need::AccountAppliedState;
use rstest::rstest;

#[rstest]
#[tokio::test(start_paused = true)]
async fn slots_are_taken_once_each_and_never_more_than_the_cap(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    assert_eq!(one.take_slot(&slot(1), SlotLimits::in_all(2)).await, Ok(SlotOutcome::Acquired));
    assert_eq!(
        two.take_slot(&slot(1), SlotLimits::in_all(2)).await,
        Ok(SlotOutcome::AlreadyHeld(slot(1)))
    );
    assert_eq!(two.take_slot(&slot(2), SlotLimits::in_all(2)).await, Ok(SlotOutcome::Acquired));
    assert_eq!(one.take_slot(&slot(3), SlotLimits::in_all(2)).await, Ok(SlotOutcome::LimitReached));
    assert_eq!(
        one.take_slot(&slot(2), SlotLimits::in_all(2)).await,
        Ok(SlotOutcome::AlreadyHeld(slot(2)))
    );
    assert_eq!(one.slots().await, Ok(vec![slot(1), slot(2)]));
    one.free_slot(&slot(1), None, None).await.unwrap();
    assert_eq!(two.take_slot(&slot(3), SlotLimits::in_all(2)).await, Ok(SlotOutcome::Acquired));
    assert_eq!(one.slots().await, Ok(vec![slot(2), slot(3)]));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_record_is_kept_with_its_slot(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let record = RecordId::new("rec-1");
    ledger.record_start(&slot(1), &record).await.unwrap();
    assert_eq!(ledger.slots().await, Ok(vec![]));
    ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await.unwrap();
    for _ in 0..2 {
        ledger.record_start(&slot(1), &record).await.unwrap();
        let slots = ledger.slots().await.unwrap();
        assert_eq!(slots[0].record.as_ref(), Some(&record));
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_slot_that_another_host_has_taken_over_is_left_alone(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let late = Slot { token: "another".into(), ..slot(1) };
    ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await.unwrap();
    let ended = UpdateEnd { succeeded: false, at: at(1) };
    ledger.free_slot(&late, Some(&failed(1)), Some(ended)).await.unwrap();
    ledger.record_start(&late, &RecordId::new("rec-1")).await.unwrap();
    assert_eq!(ledger.slots().await, Ok(vec![slot(1)]));
    assert_eq!(ledger.progress(&account(1), &target()).await, Ok(UpdateProgress::default()));
    assert_eq!(ledger.lanes().await, Ok([].into()));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_lane_counts_its_failures_once_each(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let ended = |succeeded, second| Some(UpdateEnd { succeeded, at: at(second) });
    let record = |failures_in_a_row, second| LaneRecord {
        failures_in_a_row,
        last_ended: Some(at(second)),
        ..LaneRecord::default()
    };
    for number in 1..=3 {
        one.take_slot(&slot(number), SlotLimits::in_all(9)).await.unwrap();
    }
    // Each twice, as after a lost response.
    for _ in 0..2 {
        let answer = one.free_slot(&slot(1), Some(&failed(1)), ended(false, 7)).await;
        assert_eq!(answer.map(|freed| freed.lane), Ok(record(1, 7)));
    }
    for _ in 0..2 {
        let answer = two.free_slot(&slot(2), Some(&failed(1)), ended(false, 6)).await;
        assert_eq!(answer.map(|freed| freed.lane), Ok(record(2, 7)));
    }
    // An account whose start AWS refused never had a slot.
    for _ in 0..2 {
        let answer = two.free_slot(&slot(9), Some(&failed(1)), ended(false, 8)).await;
        assert_eq!(answer.map(|freed| freed.lane), Ok(record(3, 8)));
    }
    let pause = Pause { why: "3 failures in a row".into(), at: at(9), automatic: true };
    let paused = one.pause_lane("all", &pause).await.unwrap();
    // The first reason is kept.
    let later = Pause { why: "by hand".into(), at: at(10), automatic: false };
    assert_eq!(two.pause_lane("all", &later).await.as_ref(), Ok(&paused));
    assert_eq!(paused, LaneRecord { paused: Some(pause), ..record(3, 8) });
    assert_eq!(two.lanes().await, Ok([("all".to_owned(), paused.clone())].into()));
    let resumed = two.order_resume("all", &issued_by(11)).await;
    assert_eq!(resumed, Ok(paused.paused));
    assert_eq!(two.lanes().await, Ok([("all".to_owned(), record(0, 8))].into()));
    let done = LaneRecord { succeeded: 1, typical_seconds: 10, ..record(0, 10) };
    assert_eq!(
        one.free_slot(&slot(3), None, ended(true, 10)).await,
        Ok(FreedSlot { lane: done.clone(), written: true })
    );
    // Another host has done it.
    assert_eq!(
        two.free_slot(&slot(3), None, ended(true, 10)).await,
        Ok(FreedSlot { lane: done, written: false })
    );
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_slot_is_freed_together_with_the_progress(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let other = ArtifactId::new("pa-3");
    assert_eq!(ledger.progress(&account(1), &target()).await, Ok(UpdateProgress::default()));
    ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await.unwrap();
    for _ in 0..2 {
        ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap();
        assert_eq!(ledger.slots().await, Ok(vec![]));
        assert_eq!(ledger.progress(&account(1), &target()).await, Ok(failed(1)));
    }
    ledger.free_slot(&slot(1), Some(&failed(2)), None).await.unwrap();
    // A late repeat of the first call, and one without progress.
    ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap();
    ledger.free_slot(&slot(1), None, None).await.unwrap();
    assert_eq!(ledger.progress(&account(1), &target()).await, Ok(failed(2)));
    assert_eq!(ledger.progress(&account(1), &other).await, Ok(UpdateProgress::default()));
    assert_eq!(ledger.all_progress(&target()).await.unwrap(), [(account(1), failed(2))].into());
    assert!(ledger.all_progress(&other).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn all_progress_is_listed_however_much_it_is(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    // DynamoDB returns a megabyte at a time.
    let long = UpdateProgress { last_error: Some("no ".repeat(50_000)), ..failed(1) };
    for number in 0..20 {
        ledger.free_slot(&slot(number), Some(&long), None).await.unwrap();
    }
    let other = Slot { target: ArtifactId::new("pa-21"), ..slot(7) };
    ledger.free_slot(&other, Some(&long), None).await.unwrap();
    let all = ledger.all_progress(&target()).await.unwrap();
    assert_eq!(all.len(), 20);
    assert!(all.values().all(|progress| *progress == long));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn it_begins_once(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let fixture = LedgerFixture::new(kind);
    assert_eq!(fixture.host().began(at(1)).await, Ok(at(1)));
    assert_eq!(fixture.host().began(at(0)).await, Ok(at(1)));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_notification_is_taken_and_settled(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let taken = NotificationState::Claimed { by: "one".into(), until: at(60) };
    assert_eq!(one.notification(&key(1)).await, Ok(None));
    let claimed = one.claim(&claim(1, "one", 0)).await;
    assert_eq!(claimed, Ok(ClaimOutcome::Acquired(entry(1, taken.clone(), 1))));
    assert_eq!(two.notification(&key(1)).await, Ok(Some(entry(1, taken, 1))));
    let claimed = two.claim(&claim(1, "two", 59)).await;
    assert_eq!(claimed, Ok(ClaimOutcome::ClaimedByOther { until: at(60) }));
    // The first host has died. When it is back, it is too late.
    let Ok(ClaimOutcome::Acquired(second)) = two.claim(&claim(1, "two", 60)).await else {
        panic!("the claim was over");
    };
    assert_eq!(second.attempts, 2);
    assert_eq!(one.complete(&key(1), "one", &delivered(), at(61)).await, Ok(false));
    assert_eq!(two.notification(&key(1)).await, Ok(Some(second.clone())));
    assert_eq!(two.complete(&key(1), "two", &delivered(), at(62)).await, Ok(true));
    let completed = groundcrew_core::notification::NotificationEntry {
        state: delivered(),
        changed_at: at(62),
        ..second
    };
    assert_eq!(
        one.claim(&claim(1, "one", 1000)).await,
        Ok(ClaimOutcome::Completed(completed.clone()))
    );
    assert_eq!(two.complete(&key(1), "two", &delivered(), at(63)).await, Ok(false));
    assert_eq!(one.notification(&key(1)).await, Ok(Some(completed)));
    assert_eq!(one.notification(&key(2)).await, Ok(None));
    assert_eq!(one.complete(&key(2), "one", &delivered(), at(63)).await, Ok(false));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn an_entry_is_recorded_unless_there_is_one(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let recorded = entry(1, NotificationState::Suppressed, 0);
    assert_eq!(ledger.insert_if_absent(&key(1), &recorded).await, Ok(true));
    assert_eq!(ledger.insert_if_absent(&key(1), &entry(1, delivered(), 0)).await, Ok(false));
    assert_eq!(ledger.claim(&claim(1, "one", 0)).await, Ok(ClaimOutcome::Completed(recorded)));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn what_is_noted_stays_noted(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    for what in ["alert/ams", ""] {
        assert_eq!(ledger.has_marker(what).await, Ok(false));
        for second in [0, 1] {
            ledger.record_marker(what, at(second)).await.unwrap();
            assert_eq!(ledger.has_marker(what).await, Ok(true));
        }
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn many_hosts_at_once_never_exceed_the_cap(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let hosts: Vec<_> = (0..4).map(|_| fixture.host()).collect();
    let slots: Vec<_> = (0..40).map(slot).collect();
    let takes = slots
        .iter()
        .enumerate()
        .map(|(n, slot)| hosts[n % 4].take_slot(slot, SlotLimits::in_all(5)));
    let taken: Vec<_> = join_all(takes).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().filter(|taken| **taken == SlotOutcome::Acquired).count(), 5);
    assert_eq!(taken.iter().filter(|taken| **taken == SlotOutcome::LimitReached).count(), 35);
    let held = hosts[0].slots().await.unwrap();
    let won = slots.iter().zip(&taken).filter(|(_, taken)| **taken == SlotOutcome::Acquired);
    assert_eq!(held, won.map(|(slot, _)| slot.clone()).collect::<Vec<_>>());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn slots_freed_at_once_are_all_freed(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let hosts: Vec<_> = (0..4).map(|_| fixture.host()).collect();
    let slots: Vec<_> = (0..30).map(slot).collect();
    for slot in &slots {
        hosts[0].take_slot(slot, SlotLimits::in_all(30)).await.unwrap();
    }
    let (target, failed) = (target(), failed(1));
    let frees = slots
        .iter()
        .enumerate()
        .map(|(number, slot)| hosts[number % 4].free_slot(slot, Some(&failed), None));
    for freed in join_all(frees).await {
        freed.unwrap();
    }
    assert_eq!(hosts[0].slots().await, Ok(vec![]));
    assert_eq!(hosts[0].all_progress(&target).await.unwrap().len(), 30);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn of_claims_at_once_one_wins(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let fixture = LedgerFixture::new(kind);
    let hosts: Vec<_> = (0..8).map(|number| (fixture.host(), format!("host-{number}"))).collect();
    let claims = hosts
        .iter()
        .map(|(host, name)| async move { host.claim(&claim(1, name, 0)).await.unwrap() });
    let claimed = join_all(claims).await;
    let ours = |claimed: &&ClaimOutcome| matches!(claimed, ClaimOutcome::Acquired(_));
    assert_eq!(claimed.iter().filter(ours).count(), 1);
    let busy = ClaimOutcome::ClaimedByOther { until: at(60) };
    assert_eq!(claimed.iter().filter(|claimed| **claimed == busy).count(), 7);
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn an_ou_has_slots_of_its_own(#[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind) {
    let fixture = LedgerFixture::new(kind);
    let ledger = fixture.host();
    let cap = SlotLimits { total: 3, per_ou: Some(2) };
    let elsewhere = |number| Slot { ou: Some("ou-b".into()), ..slot(number) };
    assert_eq!(ledger.take_slot(&slot(1), cap).await, Ok(SlotOutcome::Acquired));
    assert_eq!(ledger.take_slot(&slot(2), cap).await, Ok(SlotOutcome::Acquired));
    assert_eq!(ledger.take_slot(&slot(3), cap).await, Ok(SlotOutcome::OuLimitReached));
    assert_eq!(ledger.take_slot(&elsewhere(3), cap).await, Ok(SlotOutcome::Acquired));
    assert_eq!(ledger.take_slot(&elsewhere(4), cap).await, Ok(SlotOutcome::LimitReached));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_plan_is_approved_once_it_is_needed(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let plan = |number: u8| PlanId::from_digest(&[number; 6]);
    let approval = |second| Approval { by: "ada".into(), at: at(second) };
    assert_eq!(one.approve(&plan(1), &issued_by(1)).await, Ok(ApprovalState::Unknown));
    assert_eq!(one.orders().await, Ok(Orders::default()));
    for second in [2, 3] {
        let needed = two.record_pending_plan(&plan(1), at(second)).await;
        assert_eq!(needed, Ok(PlanRecord { since: at(2), approved: None }));
    }
    // The first to approve has done it.
    assert_eq!(one.approve(&plan(1), &issued_by(4)).await, Ok(ApprovalState::Pending));
    let approved = ApprovalState::Approved(approval(4));
    assert_eq!(one.approve(&plan(1), &issued_by(5)).await, Ok(approved));
    let record = two.orders().await.unwrap().plans.remove(&plan(1)).unwrap();
    assert_eq!(record.approved, Some(approval(4)));
    // The oldest plans are removed.
    for number in 2..=21 {
        one.record_pending_plan(&plan(number), at(number.into())).await.unwrap();
    }
    let orders = two.orders().await.unwrap();
    assert_eq!(orders.plans.len(), Orders::MAX_PLANS);
    assert!(!orders.plans.contains_key(&plan(1)));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn what_operators_ask_for_and_sweeps_see_is_kept(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    one.order_sweep(&issued_by(7)).await.unwrap();
    assert_eq!(two.overview().await.unwrap().orders.sweep, Some(at(7)));
    // Even with a clock that is behind it is another order, and its time is never earlier.
    two.order_sweep(&issued_by(6)).await.unwrap();
    let second = two.overview().await.unwrap().orders.sweep;
    assert!(second > Some(at(7)) && second < Some(at(8)), "{second:?}");
    assert_eq!(one.last_sweep().await, Ok(None));
    let sweep = SweepRecord {
        began: at(1),
        completed: at(2),
        target: target(),
        plan: None,
        rules: [("lanes".into(), "all".into())].into(),
        accounts: 9,
        current: 4,
        skipped: 1,
        closed: 1,
        lanes: [(
            "all".into(),
            SweptLane {
                to_update: 4,
                dead_lettered: 0,
                held: 1,
                succeeded: 0,
                began_with: Some(0),
            },
        )]
        .into(),
        held: vec![HeldAccount {
            account: account(1),
            until: at(9),
            reason: "freeze".into(),
            lane: Some("all".into()),
        }],
        held_in_all: 1,
        held_back: vec![],
    };
    one.record_sweep(&SweepRecord { accounts: 0, ..sweep.clone() }).await.unwrap();
    one.record_sweep(&sweep).await.unwrap();
    assert_eq!(two.last_sweep().await, Ok(Some(sweep)));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn one_host_tells_and_another_when_it_died(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    assert_eq!(one.claim_alert("x", "one", at(0)).await, Ok(AlertClaim::Acquired));
    assert_eq!(one.claim_alert("x", "one", at(1)).await, Ok(AlertClaim::Acquired));
    assert_eq!(two.claim_alert("x", "two", at(60)).await, Ok(AlertClaim::ClaimedByOther));
    assert_eq!(two.claim_alert("y", "two", at(60)).await, Ok(AlertClaim::Acquired));
    assert_eq!(two.claim_alert("x", "two", at(61)).await, Ok(AlertClaim::Acquired));
    two.record_alerted("x", "two", at(602)).await.unwrap();
    for host in ["one", "two"] {
        assert_eq!(one.claim_alert("x", host, at(9_000)).await, Ok(AlertClaim::Published));
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_redriven_once(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (ledger, target) = (fixture.host(), target());
    let given_up = UpdateProgress { dead_lettered: true, ..failed(5) };
    let (accounts, by) = ([account(1)].into(), issued_by(9));
    let redrive = || ledger.order_redrive(&accounts, &target, &by);
    assert_eq!(redrive().await, Ok([].into()));
    ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap();
    assert_eq!(redrive().await, Ok([].into()));
    assert_eq!(ledger.orders().await, Ok(Orders::default()), "nothing was ordered");
    ledger.free_slot(&slot(1), Some(&given_up), None).await.unwrap();
    let redriven =
        UpdateProgress { redriven: 1, lane: Some("all".into()), ..UpdateProgress::default() };
    assert_eq!(redrive().await, Ok([(account(1), redriven.clone())].into()));
    assert_eq!(redrive().await, Ok([].into()));
    assert_eq!(ledger.progress(&account(1), &target).await, Ok(redriven));
    assert_eq!(ledger.orders().await.unwrap().sweep, Some(at(9)));
    // The number of redrives is kept, whatever the result is.
    assert_eq!(ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await, Ok(SlotOutcome::Acquired));
    ledger.free_slot(&slot(1), Some(&given_up), None).await.unwrap();
    let progress = ledger.progress(&account(1), &target).await.unwrap();
    assert_eq!(progress, UpdateProgress { redriven: 1, ..given_up });
    assert_eq!(
        ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await,
        Ok(SlotOutcome::DeadLettered)
    );
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn footings_are_noted_many_at_once(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let applied_state = |record: &str| AccountAppliedState {
        record: RecordId::new(record),
        ou: Some("ou-a".into()),
        landing_zone: Some("3.3".into()),
    };
    let all: BTreeMap<_, _> =
        (0..250).map(|number| (account(number), applied_state("rec-1"))).collect();
    one.record_applied_states(&all).await.unwrap();
    two.record_applied_states(&[(account(7), applied_state("rec-2"))].into()).await.unwrap();
    let mut expected = all;
    expected.insert(account(7), applied_state("rec-2"));
    assert_eq!(one.applied_states().await, Ok(expected));
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn each_host_has_a_heartbeat_until_it_stops(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let heartbeat = |host: &str, kind, second| Heartbeat {
        host: host.into(),
        version: "0.1.0".into(),
        kind,
        since: at(0),
        at: at(second),
    };
    let (service, lambda) = (HostKind::Service, HostKind::Lambda);
    assert_eq!(one.hosts().await.unwrap().last(), None);
    // Concurrently, as at the start of a stack.
    let heartbeats = [heartbeat("one", service, 0), heartbeat("two", lambda, 0)];
    let (first, second) =
        tokio::join!(one.record_heartbeat(&heartbeats[0]), two.record_heartbeat(&heartbeats[1]));
    assert_eq!((first, second), (Ok(()), Ok(())));
    one.record_heartbeat(&heartbeat("one", service, 60)).await.unwrap();
    let hosts = two.hosts().await.unwrap();
    let running: Vec<Heartbeat> = hosts.running(at(100)).cloned().collect();
    assert_eq!(running, [heartbeat("one", service, 60), heartbeat("two", lambda, 0)]);
    for _ in 0..2 {
        one.remove_heartbeat("one", at(90)).await.unwrap();
        let hosts = two.hosts().await.unwrap();
        assert_eq!(hosts.running(at(100)).count(), 1);
        // The other host is killed.
        let last = hosts.last().unwrap();
        assert_eq!((last.heartbeat, last.stopped), (heartbeat("one", service, 90), true));
        assert_eq!(hosts.running(at(181)).count(), 0);
    }
}

/// Whether it is delivered at once or after many tries, after a gate or by another host.
#[rstest]
#[tokio::test(start_paused = true)]
async fn what_was_tried_and_not_told_is_listed_until_it_is(
    #[values(Kind::Memory, Kind::File, Kind::Dynamo)] kind: Kind,
) {
    let fixture = LedgerFixture::new(kind);
    let (one, two) = (fixture.host(), fixture.host());
    let failed =
        NotificationState::Failed { error: "no".into(), effect_possible: false, for_good: None };
    let held = NotificationState::Held { until: at(20), reason: "no owner".into() };
    let states = |ledger: Arc<dyn FullLedger>| async move {
        let undelivered = ledger.undelivered().await.unwrap();
        undelivered.into_values().map(|entry| entry.state).collect::<Vec<_>>()
    };
    assert!(matches!(one.claim(&claim(1, "one", 0)).await, Ok(ClaimOutcome::Acquired(_))));
    assert!(states(one.clone()).await.is_empty());
    one.complete(&key(1), "one", &failed, at(1)).await.unwrap();
    assert_eq!(states(two.clone()).await, std::slice::from_ref(&failed));
    assert!(matches!(two.claim(&claim(1, "two", 10)).await, Ok(ClaimOutcome::Acquired(_))));
    two.complete(&key(1), "two", &held, at(11)).await.unwrap();
    assert_eq!(states(one.clone()).await, [held]);
    assert!(matches!(one.claim(&claim(1, "one", 20)).await, Ok(ClaimOutcome::Acquired(_))));
    one.complete(&key(1), "one", &delivered(), at(21)).await.unwrap();
    assert!(states(two.clone()).await.is_empty());
    // Delivered at once: never listed.
    assert!(matches!(one.claim(&claim(2, "one", 0)).await, Ok(ClaimOutcome::Acquired(_))));
    one.complete(&key(2), "one", &delivered(), at(1)).await.unwrap();
    assert!(states(two).await.is_empty());
}
