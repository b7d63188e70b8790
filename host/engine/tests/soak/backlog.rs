//! Many events at once, each with a notification, and their invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use groundcrew_aws::AwsSupport;
use groundcrew_core::event::Event;
use groundcrew_core::notification::{Notification, NotificationKey, NotifyFailure, Receipt};
use groundcrew_core::ports::{Clock, NotificationLedger, Notifier};
use groundcrew_core::route::{EventMatch, OncePer, Route};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_engine::notifications::{
    ConfiguredNotifier, ConfiguredRoute, NotificationPorts, NotificationSettings, Notifications,
};
use groundcrew_sim::SimAws;
use groundcrew_testkit::events::CREATED;
use groundcrew_testkit::{cases, hosts};
use jiff::Timestamp;

use super::scenario::Scenario;

/// The text that makes it another event: the id of its delivery, and its message.
const ID: &str = "999cccaa-eaaa-0000-1111-123456789012";
const MESSAGE: &str = "AWS Control Tower successfully created a managed account.";

/// The events of a seed.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// When all events arrive, in seconds after the beginning.
    pub at: u64,
    /// The number of events.
    pub events: usize,
    /// Whether notifications go through their queue.
    pub queue: bool,
    /// How long a delivery takes, in seconds.
    pub takes: u64,
}

/// When notifiers were called, by any host.
#[derive(Default)]
pub struct DeliveryLog(Mutex<Vec<Timestamp>>);

impl DeliveryLog {
    /// The number of calls before this moment, and the time from it to the next call.
    pub fn around(&self, moment: Timestamp) -> (usize, Option<Duration>) {
        let asked = self.0.lock().unwrap();
        let first = asked.iter().find(|at| **at >= moment);
        let after = first.map(|first| Duration::try_from(*first - moment).unwrap());
        (asked.iter().filter(|at| **at < moment).count(), after)
    }
}

/// Waits, and opens a case.
struct SlowNotifier {
    takes: Duration,
    support: AwsSupport,
    sim: SimAws,
    asked: Arc<DeliveryLog>,
}

#[async_trait]
impl Notifier for SlowNotifier {
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        self.asked.0.lock().unwrap().push(self.sim.clock().now());
        tokio::time::sleep(self.takes).await;
        let subject = notification.key.to_string();
        cases::open(&self.support, &notification.key, subject, "It has landed.".into()).await
    }
}

impl Backlog {
    fn id(event: usize) -> String {
        format!("999cccaa-eaaa-0000-1111-{event:012}")
    }

    fn text(event: usize, scenario: &Scenario) -> String {
        let account = scenario.account(event % scenario.snapshot.accounts.len());
        CREATED
            .replace("111122223333", account.as_str())
            .replace(ID, &Self::id(event))
            .replace(MESSAGE, &format!("Event {event}."))
    }

    /// Lets all events arrive.
    pub fn arrive(&self, scenario: &Scenario, sim: &SimAws) {
        (0..self.events).for_each(|event| sim.inject_event(&Self::text(event, scenario)));
    }

    /// The notifications of a host of this name.
    pub fn onboarding(
        &self,
        host: &str,
        sim: &SimAws,
        ledger: Arc<dyn NotificationLedger>,
        clock: Arc<dyn Clock>,
        asked: Arc<DeliveryLog>,
    ) -> Notifications {
        let ports = NotificationPorts { clock, ..hosts::notifications(sim, ledger, self.queue) };
        let route = Route {
            when: EventMatch::ByName {
                events: vec!["CreateManagedAccount".to_owned()],
                states: vec!["SUCCEEDED".to_owned()],
            },
            policies: None,
            notifiers: vec!["ams".to_owned()],
            once_per: OncePer::Event,
        };
        let takes = Duration::from_secs(self.takes);
        let support = AwsSupport::new(hosts::clients(sim).support);
        let settings = NotificationSettings {
            routes: vec![ConfiguredRoute { route, policies: vec![] }],
            notifiers: vec![ConfiguredNotifier {
                name: "ams".to_owned(),
                digest: "none".to_owned(),
                gate: false,
                timeout: Duration::from_secs(60),
                notifier: Arc::new(SlowNotifier { takes, support, sim: sim.clone(), asked }),
            }],
            lookback: Duration::from_secs(3600),
            host: host.to_owned(),
            suggestions: CommandFormatter::default(),
        };
        Notifications::new(ports, settings)
    }

    /// Whether nothing is left in the queues.
    pub fn is_notified(sim: &SimAws) -> bool {
        [sim.events_url(), sim.notifications_url()].iter().all(|url| sim.messages(url).is_empty())
    }

    /// Each event was delivered once, or is a dead letter with an alert. Returns how many were
    /// delivered.
    pub fn check(&self, scenario: &Scenario, sim: &SimAws) -> usize {
        let mut cases: BTreeMap<String, usize> = BTreeMap::new();
        for case in sim.cases() {
            *cases.entry(case.subject).or_default() += 1;
        }
        let dead = [sim.events_dlq_url(), sim.notifications_dlq_url()];
        let letters: Vec<String> = dead.iter().flat_map(|url| sim.messages(url)).collect();
        let alerts = sim.alerts();
        let mut delivered = BTreeSet::new();
        for event in 0..self.events {
            let parsed = Event::parse(&Self::text(event, scenario)).unwrap();
            let key = NotificationKey::for_event(&parsed, "ams").to_string();
            match cases.get(&key) {
                Some(1) => {
                    delivered.insert(key);
                }
                Some(more) => panic!("{key} was told {more} times"),
                None => {
                    let id = Self::id(event);
                    let letter = letters.iter().any(|letter| letter.contains(&id));
                    let alert = alerts.iter().any(|alert| alert.message.contains(&id));
                    assert!(letter && alert, "{key} is lost: letter {letter}, alert {alert}");
                }
            }
        }
        delivered.len()
    }
}
