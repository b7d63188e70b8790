//! A ledger in a DynamoDB table: the items that it writes, lost responses, and the errors when the
//! table can't be used.

mod common;

use aws_sdk_dynamodb::types::AttributeValue;
use common::{account, at, claim, client, delivered, entry, failed, key, sim, slot, target};
use groundcrew_core::notification::{ClaimOutcome, NotificationState};
use groundcrew_core::ports::{Ledger, NotificationLedger, SlotLimits, SlotOutcome};
use groundcrew_ledger::DynamoLedger;
use groundcrew_sim::{Fault, Rejection, SimAws};
use rstest::rstest;

const COMMIT: &str = "TransactWriteItems";

/// As many attempts as the client of these tests makes.
const ATTEMPTS: usize = 6;

fn ledger(sim: &SimAws) -> DynamoLedger {
    DynamoLedger::new(client(sim), sim.table_name())
}

/// Ways in which the first attempt can fail, and the second as well.
#[rstest]
#[case::reply_lost(&[Fault::ResponseLost])]
#[case::replies_lost(&[Fault::ResponseLost, Fault::ResponseLost])]
#[case::not_connected(&[Fault::ConnectionFailed])]
#[case::throttled(&[Fault::Rejected(Rejection::Throttled)])]
#[case::hung(&[Fault::Hung { takes_effect: false }])]
#[case::lost_then_throttled(&[Fault::ResponseLost, Fault::Rejected(Rejection::Throttled)])]
#[case::hung_then_lost(&[Fault::Hung { takes_effect: false }, Fault::ResponseLost])]
#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_not_taken_for_another_hosts(#[case] faults: &[Fault]) {
    let sim = sim();
    let ledger = ledger(&sim);
    let next = || faults.iter().for_each(|fault| sim.inject_fault(COMMIT, *fault));
    next();
    assert_eq!(ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await, Ok(SlotOutcome::Acquired));
    next();
    ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap();
    assert_eq!(ledger.slots().await, Ok(vec![]));
    assert_eq!(ledger.progress(&account(1), &target()).await, Ok(failed(1)));
    next();
    assert_eq!(ledger.began(at(1)).await, Ok(at(1)));
    next();
    assert!(matches!(ledger.claim(&claim(1, "one", 0)).await, Ok(ClaimOutcome::Acquired(_))));
    next();
    assert_eq!(ledger.complete(&key(1), "one", &delivered(), at(1)).await, Ok(true));
    next();
    let recorded = entry(2, NotificationState::Suppressed, 0);
    assert_eq!(ledger.insert_if_absent(&key(2), &recorded).await, Ok(true));
    let commits = u64::try_from(6 * (1 + faults.len())).unwrap();
    assert_eq!(sim.calls()[COMMIT], commits);
}

#[tokio::test(start_paused = true)]
async fn when_every_answer_is_lost_the_same_call_again_finds_its_effect() {
    let sim = sim();
    let ledger = ledger(&sim);
    for _ in 0..ATTEMPTS {
        sim.inject_fault(COMMIT, Fault::ResponseLost);
    }
    ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await.unwrap_err();
    assert_eq!(
        ledger.take_slot(&slot(1), SlotLimits::in_all(1)).await,
        Ok(SlotOutcome::AlreadyHeld(slot(1)))
    );
    for _ in 0..ATTEMPTS {
        sim.inject_fault(COMMIT, Fault::ResponseLost);
    }
    ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap_err();
    ledger.free_slot(&slot(1), Some(&failed(1)), None).await.unwrap();
    assert_eq!(ledger.progress(&account(1), &target()).await, Ok(failed(1)));
    assert_eq!(ledger.slots().await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_table_can_be_read_by_a_person() {
    let sim = sim();
    let ledger = ledger(&sim);
    ledger.claim(&claim(1, "one", 0)).await.unwrap();
    let answer = client(&sim)
        .get_item()
        .table_name(sim.table_name())
        .key("pk", AttributeValue::S("notification/onboard/000000000001/ams".into()))
        .key("sk", AttributeValue::S("-".into()))
        .send()
        .await
        .unwrap();
    let item = answer.item.unwrap();
    assert_eq!(
        item["value"].as_s().unwrap(),
        r#"{"account":"000000000001","notifier":"ams","state":"taken","by":"one","until":"2026-09-21T14:14:20Z","attempts":1,"changed_at":"2026-09-21T14:13:20Z"}"#
    );
    assert!(item["version"].is_n());
    assert_eq!(item.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_missing_table_is_named_with_the_way_to_make_it() {
    let sim = sim();
    let ledger = DynamoLedger::new(client(&sim), "ledgers");
    for error in
        [ledger.slots().await.unwrap_err(), ledger.all_progress(&target()).await.unwrap_err()]
    {
        let named = format!("DynamoDB table `ledgers` in {}", sim.region());
        let text = error.to_string();
        assert!(text.starts_with(&format!("ledger: {named}")), "{text}");
        assert!(text.contains("aws dynamodb create-table --table-name ledgers "), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_throttles_on_and_on_is_named() {
    let sim = sim();
    let ledger = ledger(&sim);
    for _ in 0..ATTEMPTS {
        sim.inject_fault("GetItem", Fault::Rejected(Rejection::Throttled));
    }
    let text = ledger.slots().await.unwrap_err().to_string();
    assert!(text.contains("`groundcrew`") && text.contains("on-demand capacity"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_item_of_something_else_is_not_misread() {
    let sim = sim();
    client(&sim)
        .put_item()
        .table_name(sim.table_name())
        .item("pk", AttributeValue::S("slots".into()))
        .item("sk", AttributeValue::S("-".into()))
        .item("version", AttributeValue::S("1".into()))
        .send()
        .await
        .unwrap();
    let text = ledger(&sim).slots().await.unwrap_err().to_string();
    assert!(text.contains("give groundcrew a table of its own"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_no_slot_is_named() {
    let sim = sim();
    client(&sim)
        .put_item()
        .table_name(sim.table_name())
        .item("pk", AttributeValue::S("slots".into()))
        .item("sk", AttributeValue::S("-".into()))
        .item("version", AttributeValue::N("1".into()))
        .item("value", AttributeValue::S("{\"111\": 1}".into()))
        .send()
        .await
        .unwrap();
    let text = ledger(&sim).slots().await.unwrap_err().to_string();
    assert!(text.starts_with("ledger: can't read the item `slots`, `-`: `111` is not"), "{text}");
}
