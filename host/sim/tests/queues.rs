//! SQS semantics and the queue adapters.

mod common;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use common::{Setup, run};
use groundcrew_aws::SqsEventQueue;
use groundcrew_core::catalog::{ArtifactId, ProvisionedProductId};
use groundcrew_core::ports::{DeadLetter, EventQueue, QueuedUpdate, UpdateQueue};
use groundcrew_sim::{Fault, QueueOptions};
use tokio::time::sleep;

fn queued_update(account: u64, attempt: u32) -> QueuedUpdate {
    QueuedUpdate {
        account: format!("{account:012}").parse().unwrap(),
        provisioned_product: ProvisionedProductId::new(format!("pp-{account}")),
        target: ArtifactId::new("pa-1"),
        lane: "tagged".into(),
        attempt,
        serial: 1,
    }
}

/// A FIFO queue with a visibility timeout of 30 s and a redrive after two receives.
struct Fifo {
    setup: Setup,
    client: Client,
    url: String,
    dead_url: String,
}

impl Fifo {
    fn new() -> Self {
        let setup = Setup::of(1);
        let client = setup.clients.sqs.clone();
        let options = |name: &str, redrive| QueueOptions {
            name: name.to_owned(),
            fifo: true,
            visibility: Duration::from_secs(30),
            retention: Duration::from_secs(4 * 24 * 3600),
            redrive,
        };
        let dead_url = setup.sim.create_queue(options("dead.fifo", None));
        let url = setup.sim.create_queue(options("test.fifo", Some(("dead.fifo".into(), 2))));
        Self { setup, client, url, dead_url }
    }

    async fn send(&self, group: &str, id: &str) {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group)
            .message_deduplication_id(id)
            .message_body(id)
            .send()
            .await
            .unwrap();
    }

    async fn receive(&self, max: i32) -> Vec<Message> {
        self.client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap()
            .messages
            .unwrap_or_default()
    }

    async fn bodies(&self, max: i32) -> Vec<String> {
        self.receive(max).await.into_iter().map(|message| message.body.unwrap()).collect()
    }

    async fn delete(&self, message: &Message) -> Result<(), String> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(message.receipt_handle().unwrap())
            .send()
            .await
            .map(|_| ())
            .map_err(|error| error.into_service_error().to_string())
    }
}

#[test]
fn a_group_waits_while_one_of_its_messages_is_in_flight() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "a1").await;
        fifo.send("a", "a2").await;
        fifo.send("b", "b1").await;
        let first = fifo.receive(1).await;
        assert_eq!(first[0].body(), Some("a1"));
        assert_eq!(fifo.bodies(10).await, ["b1"]);
        assert_eq!(fifo.bodies(10).await, [""; 0]);
        fifo.delete(&first[0]).await.unwrap();
        assert_eq!(fifo.bodies(10).await, ["a2"]);
    });
}

#[test]
fn one_receive_may_give_several_of_a_group_in_order() {
    run(async {
        let fifo = Fifo::new();
        for id in ["a1", "a2", "b1", "a3"] {
            fifo.send(&id[..1], id).await;
        }
        assert_eq!(fifo.bodies(10).await, ["a1", "a2", "b1", "a3"]);
    });
}

#[test]
fn an_id_is_a_repeat_for_five_minutes_even_after_deletion() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "same").await;
        let first = fifo.receive(10).await;
        fifo.delete(&first[0]).await.unwrap();
        fifo.send("a", "same").await;
        assert_eq!(fifo.bodies(10).await, [""; 0]);
        sleep(Duration::from_secs(5 * 60)).await;
        assert_eq!(fifo.bodies(10).await, [""; 0]);
        fifo.send("a", "same").await;
        assert_eq!(fifo.bodies(10).await, ["same"]);
    });
}

#[test]
fn a_message_comes_again_after_its_visibility_timeout_and_the_old_receipt_is_worthless() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "a1").await;
        let first = fifo.receive(10).await;
        sleep(Duration::from_secs(31)).await;
        let error = fifo.delete(&first[0]).await.unwrap_err();
        assert!(error.contains("expired"), "{error}");
        let second = fifo.receive(10).await;
        let count =
            &second[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, "2");
        assert!(fifo.delete(&first[0]).await.is_err());
        fifo.delete(&second[0]).await.unwrap();
        // A second delete has no effect.
        fifo.delete(&second[0]).await.unwrap();
    });
}

#[test]
fn a_message_received_too_often_is_moved_to_the_dead_letter_queue() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "poison").await;
        fifo.send("a", "next").await;
        for _ in 0..2 {
            assert_eq!(fifo.bodies(1).await, ["poison"]);
            sleep(Duration::from_secs(31)).await;
        }
        assert_eq!(fifo.bodies(1).await, ["next"]);
        assert_eq!(fifo.setup.sim.messages(&fifo.dead_url), ["poison"]);
        assert_eq!(fifo.setup.sim.messages(&fifo.url), ["next"]);
    });
}

#[test]
fn visibility_is_counted_from_the_receipt_and_bounded() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "a1").await;
        let message = fifo.receive(1).await.remove(0);
        let change = async |seconds: i32| {
            fifo.client
                .change_message_visibility()
                .queue_url(&fifo.url)
                .receipt_handle(message.receipt_handle().unwrap())
                .visibility_timeout(seconds)
                .send()
                .await
        };
        change(43_000).await.unwrap();
        sleep(Duration::from_secs(1000)).await;
        assert!(change(43_200).await.is_err(), "beyond twelve hours from the receipt");
        change(0).await.unwrap();
        assert_eq!(fifo.bodies(1).await, ["a1"]);
    });
}

#[test]
fn counts_lag_by_a_minute() {
    run(async {
        let fifo = Fifo::new();
        let visible = async || {
            let answer = fifo
                .client
                .get_queue_attributes()
                .queue_url(&fifo.url)
                .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
                .send()
                .await
                .unwrap();
            answer.attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessages].clone()
        };
        fifo.send("a", "a1").await;
        assert_eq!(visible().await, "0");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(visible().await, "0");
        sleep(Duration::from_secs(35)).await;
        assert_eq!(visible().await, "1");
    });
}

#[test]
fn messages_are_dropped_after_their_retention() {
    run(async {
        let fifo = Fifo::new();
        fifo.send("a", "old").await;
        sleep(Duration::from_secs(4 * 24 * 3600)).await;
        assert_eq!(fifo.bodies(1).await, [""; 0]);
        assert_eq!(fifo.setup.sim.messages(&fifo.url), [""; 0]);
    });
}

#[test]
fn a_long_poll_ends_when_something_comes_or_when_its_time_is_up() {
    run(async {
        let setup = Setup::of(1);
        let start = tokio::time::Instant::now();
        assert!(setup.events.receive(Duration::from_secs(20)).await.unwrap().is_empty());
        assert_eq!(start.elapsed().as_secs(), 20);

        let start = tokio::time::Instant::now();
        let (events, ()) = tokio::join!(setup.events.receive(Duration::from_secs(20)), async {
            sleep(Duration::from_secs(7)).await;
            setup.sim.inject_event("{}");
        });
        assert_eq!(events.unwrap()[0].body, "{}");
        assert_eq!(start.elapsed().as_secs(), 7);
    });
}

#[test]
fn hints_come_back_as_they_were_sent_and_repeats_are_swallowed() {
    run(async {
        let setup = Setup::of(1);
        let queued_updates: Vec<QueuedUpdate> =
            (0..23).map(|account| queued_update(account, 1)).collect();
        assert_eq!(setup.updates.send(&queued_updates).await.unwrap(), []);
        assert_eq!(setup.updates.send(&queued_updates).await.unwrap(), []);
        let mut received = Vec::new();
        while let more = setup.updates.receive(10, Duration::ZERO).await.unwrap()
            && !more.is_empty()
        {
            for message in more {
                let message = message.unwrap();
                setup.updates.delete(&message.receipt_handle).await.unwrap();
                received.push(message.body);
            }
        }
        assert_eq!(received, queued_updates);
        assert_eq!(setup.sim.calls()["SendMessageBatch"], 6);
        assert_eq!(setup.updates.receive(0, Duration::from_secs(20)).await.unwrap(), []);
        // Another attempt is not a duplicate.
        setup.updates.send(&[queued_update(0, 2)]).await.unwrap();
        assert_eq!(setup.updates.receive(10, Duration::ZERO).await.unwrap().len(), 1);
    });
}

#[test]
fn a_lost_reply_to_a_send_does_not_double_a_hint() {
    run(async {
        let setup = Setup::of(1);
        setup.sim.inject_fault("SendMessageBatch", Fault::ResponseLost);
        setup.updates.send(&[queued_update(1, 1)]).await.unwrap();
        assert_eq!(setup.sim.calls()["SendMessageBatch"], 2);
        assert_eq!(setup.sim.messages(&setup.sim.updates_url()).len(), 1);
    });
}

#[test]
fn a_postponed_hint_comes_again_then() {
    run(async {
        let setup = Setup::of(1);
        setup.updates.send(&[queued_update(1, 1)]).await.unwrap();
        let first = setup.updates.receive(1, Duration::ZERO).await.unwrap().remove(0).unwrap();
        setup.updates.postpone(&first.receipt_handle, Duration::from_secs(3600)).await.unwrap();
        sleep(Duration::from_secs(3500)).await;
        assert_eq!(setup.updates.receive(1, Duration::ZERO).await.unwrap(), []);
        sleep(Duration::from_secs(100)).await;
        assert_eq!(setup.updates.receive(1, Duration::ZERO).await.unwrap().len(), 1);
        let error = setup.updates.delete(&first.receipt_handle).await.unwrap_err();
        assert_eq!(error.class, groundcrew_core::aws_error::ErrorClass::NotFound, "{error}");
    });
}

#[test]
fn unreadable_messages_and_dead_letters_are_kept_with_their_reason() {
    run(async {
        let setup = Setup::of(1);
        setup
            .clients
            .sqs
            .send_message()
            .queue_url(setup.sim.updates_url())
            .message_group_id("x")
            .message_deduplication_id("x")
            .message_body("not json")
            .send()
            .await
            .unwrap();
        let received = setup.updates.receive(10, Duration::ZERO).await.unwrap();
        let unreadable = received[0].as_ref().unwrap_err();
        assert_eq!(unreadable.body, "not json");
        setup.updates.reject(unreadable).await.unwrap();
        assert!(setup.sim.messages(&setup.sim.updates_url()).is_empty());

        let queued_update = queued_update(1, 5);
        let letter = DeadLetter {
            redriven: 0,
            account: queued_update.account,
            provisioned_product: queued_update.provisioned_product,
            target: queued_update.target,
            lane: queued_update.lane,
            reason: "The parent organizational unit 'Custom' is not enrolled".into(),
            attempts: 5,
        };
        setup.updates.dead_letter(&letter).await.unwrap();
        setup.sim.inject_event("?");
        let event = setup.events.receive(Duration::ZERO).await.unwrap().remove(0);
        setup.events.reject(&event, "the event is not JSON").await.unwrap();

        let dead = setup.sim.messages(&setup.sim.updates_dlq_url());
        assert_eq!(dead.len(), 2);
        assert!(dead[0].contains("not json") && dead[0].contains("reason"), "{}", dead[0]);
        assert_eq!(serde_json::from_str::<DeadLetter>(&dead[1]).unwrap(), letter);
        let dead = setup.sim.messages(&setup.sim.events_dlq_url());
        assert_eq!(dead, [r#"{"reason":"the event is not JSON","unreadable":"?"}"#]);
        assert!(setup.sim.messages(&setup.sim.events_url()).is_empty());
        // The dead-letter queue of each queue is looked up once.
        assert_eq!(setup.sim.calls()["GetQueueUrl"], 2);
    });
}

/// An EventBridge rule can fill a FIFO queue if it sets a message group. The events are received
/// one after the other, and each is deleted or dead-lettered.
#[test]
fn events_may_come_through_a_fifo_queue() {
    run(async {
        let fifo = Fifo::new();
        let events = SqsEventQueue::new(fifo.client.clone(), fifo.url.as_str());
        for id in ["one", "two"] {
            fifo.send("control-tower", id).await;
        }
        let received = events.receive(Duration::from_secs(20)).await.unwrap();
        let bodies: Vec<&str> = received.iter().map(|event| event.body.as_str()).collect();
        assert_eq!(bodies, ["one", "two"]);
        events.delete(&received[0].receipt_handle).await.unwrap();
        events.reject(&received[1], "no event").await.unwrap();
        assert_eq!(fifo.setup.sim.messages(&fifo.url), Vec::<String>::new());
        let letter = r#"{"reason":"no event","unreadable":"two"}"#;
        assert_eq!(fifo.setup.sim.messages(&fifo.dead_url), [letter]);
    });
}
