//! Whole runs: alerts, repeatability, faults.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Setup, run};
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{RecordStatus, UpdateRequest};
use groundcrew_core::parameters::Parameters;
use groundcrew_core::ports::{AccountDirectory, Alert, Alerts, Catalog, Clock, EventQueue};
use groundcrew_sim::{FaultLevel, LoggedOperation, random_fleet};
use tokio::time::sleep;

#[test]
fn alerts_are_made_to_fit_and_arrive() {
    run(async {
        let setup = Setup::of(1);
        let alert = Alert {
            subject: format!("{}\n<&>", "x".repeat(200)),
            message: "a <b> & \"c\"\nd".into(),
        };
        setup.alerts.publish(&alert).await.unwrap();
        let alert = Alert { subject: "a <b> & c".into(), ..alert };
        setup.alerts.publish(&alert).await.unwrap();
        let published = setup.sim.alerts();
        assert_eq!(published[0].subject.len(), 99);
        assert_eq!(published[1].subject, "a <b> & c");
        assert_eq!(published[1].message, alert.message);
    });
}

#[test]
fn subjects_and_topics_are_checked_as_sns_does() {
    run(async {
        let setup = Setup::of(1);
        let publish = async |topic: &str, subject: &str| {
            let sns = &setup.clients.sns;
            let sent = sns.publish().topic_arn(topic).subject(subject).message("m").send().await;
            sent.map_err(|error| error.into_service_error())
        };
        let topic = setup.sim.topic_arn();
        assert!(publish(&topic, &"x".repeat(99)).await.is_ok());
        assert!(
            publish(&topic, &"x".repeat(100)).await.unwrap_err().is_invalid_parameter_exception()
        );
        assert!(publish(&topic, "a\nb").await.unwrap_err().is_invalid_parameter_exception());
        let other = format!("{topic}-other");
        assert!(publish(&other, "a").await.unwrap_err().is_not_found_exception());
        let alerts = groundcrew_aws::SnsAlerts::new(setup.clients.sns.clone(), other);
        let alert = Alert { subject: "s".into(), message: "m".into() };
        assert_eq!(alerts.publish(&alert).await.unwrap_err().class, ErrorClass::NotFound);
    });
}

/// The traces of a run.
#[derive(Debug, PartialEq)]
struct Trace {
    calls: BTreeMap<String, u64>,
    operations: Vec<LoggedOperation>,
    errors: Vec<String>,
    end: jiff::Timestamp,
}

/// A naive host: it updates each product once, four at a time, and retries when it must.
fn naive(level: FaultLevel, seed: u64) -> Trace {
    run(async {
        let setup = Setup::new(random_fleet(60, 50, 3), level, seed);
        setup.sim.announce_artifact();
        let mut errors = Vec::new();
        let factory =
            retry_until_answered(&mut errors, async || setup.catalog.account_factory().await).await;
        let path = retry_until_answered(&mut errors, async || {
            setup.catalog.launch_path(&factory.product).await
        })
        .await;
        let (mut products, mut next) = (Vec::new(), None::<String>);
        loop {
            let page = retry_until_answered(&mut errors, async || {
                setup.catalog.provisioned_products(&factory.product, next.as_deref()).await
            })
            .await;
            products.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        for product in &products {
            retry_until_answered(&mut errors, async || {
                setup.directory.tags(&product.account).await
            })
            .await;
        }
        for four in products.chunks(4) {
            let mut records = Vec::new();
            for product in four {
                let request = UpdateRequest {
                    provisioned_product: product.id.clone(),
                    product: factory.product.clone(),
                    target: factory.target.clone(),
                    launch_path: path.clone(),
                    parameters: Parameters::Previous,
                    token: format!("t-{}", product.id),
                };
                let start = async || setup.catalog.start_update(&request).await;
                records.push((&product.id, retry_until_answered(&mut errors, start).await));
            }
            for (product, record) in &records {
                loop {
                    let read = async || setup.catalog.record(product, record).await;
                    let now = retry_until_answered(&mut errors, read).await;
                    if matches!(now.status, RecordStatus::Succeeded | RecordStatus::Failed) {
                        break;
                    }
                    if let Ok(events) = setup.events.receive(Duration::from_secs(20)).await {
                        for event in events {
                            let _ = setup.events.delete(&event.receipt_handle).await;
                        }
                    }
                }
            }
        }
        Trace {
            calls: setup.sim.calls(),
            operations: setup.sim.operations(),
            errors,
            end: setup.sim.clock().now(),
        }
    })
}

async fn retry_until_answered<T>(
    errors: &mut Vec<String>,
    call: impl AsyncFn() -> Result<T, AwsError>,
) -> T {
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => errors.push(error.to_string()),
        }
        assert!(errors.len() < 1000, "{:?}", errors.last());
        sleep(Duration::from_secs(30)).await;
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for level in [FaultLevel::None, FaultLevel::Light, FaultLevel::Heavy] {
        assert_eq!(naive(level, 5), naive(level, 5), "{level:?}");
    }
    assert_ne!(naive(FaultLevel::Heavy, 5), naive(FaultLevel::Heavy, 6));
}

#[test]
fn without_faults_there_are_no_errors() {
    let trace = naive(FaultLevel::None, 1);
    assert_eq!(trace.errors, [""; 0]);
    assert_eq!(trace.operations.len(), 60);
    assert!(trace.operations.iter().all(|operation| !operation.foreign));
}

#[test]
fn under_heavy_faults_a_token_still_starts_one_update() {
    for seed in 0..5 {
        let trace = naive(FaultLevel::Heavy, seed);
        let mut own: Vec<_> =
            trace.operations.iter().filter(|operation| !operation.foreign).collect();
        assert_eq!(own.len(), 60, "seed {seed}");
        own.sort_by(|a, b| a.account.cmp(&b.account));
        own.dedup_by(|a, b| a.account == b.account);
        assert_eq!(own.len(), 60, "seed {seed}");
    }
}
