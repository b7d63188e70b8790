//! The metrics of the service for Prometheus.

use groundcrew_aws::CallCounter;
use groundcrew_core::config::Config;
use groundcrew_core::decision_combiner::DecisionOutcome;
use groundcrew_core::scheduler::{LaneView, SchedulerView};
use groundcrew_engine::{EngineEvent, Observer};
use jiff::Timestamp;
use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The metrics of one service.
pub struct Metrics {
    registry: Registry,
    lanes: Vec<String>,
    waiting: IntGaugeVec,
    in_flight: IntGaugeVec,
    held: IntGaugeVec,
    paused: IntGaugeVec,
    started: IntCounterVec,
    ended: IntCounterVec,
    sweeps: IntCounter,
    last_sweep: Gauge,
    accounts: IntGauge,
    outdated: IntGauge,
    decisions: IntCounterVec,
    notifications: IntCounterVec,
    alerts: IntCounter,
    aws_calls: IntCounterVec,
    call_counter: CallCounter,
}

impl Metrics {
    /// Creates all metrics with the value 0.
    ///
    /// # Errors
    /// When two have the same name, which is a bug.
    pub fn new(config: &Config, call_counter: CallCounter) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(format!("groundcrew_{name}"), help);
        let gauges = |name, help, labels: &[&str]| -> Result<_, prometheus::Error> {
            let metric = IntGaugeVec::new(opts(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters = |name, help, labels: &[&str]| -> Result<_, prometheus::Error> {
            let metric = IntCounterVec::new(opts(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name, help| -> Result<_, prometheus::Error> {
            let metric = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counter = |name, help| -> Result<_, prometheus::Error> {
            let metric = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let last_sweep = Gauge::with_opts(opts(
            "last_sweep_timestamp_seconds",
            "When the last completed sweep of the organization began.",
        ))?;
        registry.register(Box::new(last_sweep.clone()))?;
        let metrics = Self {
            lanes: config.lane_names(),
            waiting: gauges("updates_waiting", "Accounts that wait for their update.", &["lane"])?,
            in_flight: gauges("updates_in_flight", "Updates that run.", &["lane"])?,
            held: gauges("updates_held", "Accounts that policies hold.", &["lane"])?,
            paused: gauges("lane_paused", "1 while the lane is paused.", &["lane"])?,
            started: counters("updates_started_total", "Updates begun or adopted.", &["lane"])?,
            ended: counters("updates_ended_total", "Updates by their end.", &["lane", "outcome"])?,
            sweeps: counter("sweeps_total", "Completed sweeps of the organization.")?,
            last_sweep,
            accounts: gauge("accounts", "Enrolled accounts at the last sweep.")?,
            outdated: gauge("accounts_outdated", "Of these, to be decided about.")?,
            decisions: counters("decisions_total", "Decisions about updates.", &["verdict"])?,
            notifications: counters(
                "notifications_total",
                "What became of notifications.",
                &["notifier", "outcome"],
            )?,
            alerts: counter("alerts_total", "Alerts that are out.")?,
            aws_calls: counters(
                "aws_calls_total",
                "Calls of AWS, repeats included.",
                &["operation"],
            )?,
            call_counter,
            registry,
        };
        // A lane without events has its metrics, too.
        for lane in &metrics.lanes {
            metrics.started.with_label_values(&[lane]);
            for outcome in ["succeeded", "retried", "given_up"] {
                metrics.ended.with_label_values(&[lane.as_str(), outcome]);
            }
        }
        Ok(metrics)
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When they can't be encoded as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        for (operation, calls) in self.call_counter.by_operation() {
            let counter = self.aws_calls.with_label_values(&[operation]);
            counter.inc_by(calls.saturating_sub(counter.get()));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn record_status(&self, view: &SchedulerView) {
        for (name, lane) in self.lanes.iter().zip(&view.lanes) {
            let LaneView { waiting, in_flight, held, paused } = lane;
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.waiting.with_label_values(&[name]).set(number(*waiting));
            self.in_flight.with_label_values(&[name]).set(number(*in_flight));
            self.held.with_label_values(&[name]).set(number(*held));
            self.paused.with_label_values(&[name]).set(i64::from(*paused));
        }
        if let Some(swept) = view.swept {
            self.last_sweep.set(swept.as_millisecond() as f64 / 1000.0);
        }
    }
}

impl Observer for Metrics {
    fn observe(&self, _: Timestamp, event: EngineEvent<'_>) {
        match event {
            EngineEvent::Status(view) => self.record_status(view),
            EngineEvent::Swept { accounts, outdated, .. } => {
                self.sweeps.inc();
                self.accounts.set(i64::try_from(accounts).unwrap_or(i64::MAX));
                self.outdated.set(i64::try_from(outdated).unwrap_or(i64::MAX));
            }
            EngineEvent::Decided { decision, .. } => {
                let verdict = match decision.outcome {
                    DecisionOutcome::Proceed { .. } => "proceed",
                    DecisionOutcome::Skip { .. } => "skip",
                    DecisionOutcome::Hold { .. } => "hold",
                };
                self.decisions.with_label_values(&[verdict]).inc();
            }
            EngineEvent::Started(slot) => self.started.with_label_values(&[&slot.lane]).inc(),
            EngineEvent::Ended { slot, ending } => {
                self.ended.with_label_values(&[slot.lane.as_str(), ending.name()]).inc();
            }
            EngineEvent::NotificationHandled(delivery) => {
                let outcome = delivery.outcome.to_string();
                self.notifications.with_label_values(&[delivery.notifier.as_str(), &outcome]).inc();
            }
            EngineEvent::Alerted(_) => self.alerts.inc(),
            // The notifications of the event are counted.
            EngineEvent::EventHandled(_) => {}
            // `/readyz` shows it.
            EngineEvent::HeartbeatWritten(_) => {}
        }
    }
}
