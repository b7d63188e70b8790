//! What the service does, counted for Prometheus, and whether it does it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use groundcrew_aws::Calls;
use groundcrew_core::config::Config;
use groundcrew_core::pipeline::Outcome;
use groundcrew_core::scheduler::{LaneView, View};
use groundcrew_engine::{Notice, Witness};
use jiff::Timestamp;
use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use tokio::time::Instant;

/// The ledger is read every `wait_seconds`, and the answer observed; when nothing is for so many
/// times as long, and at least [`SILENCE`], the host is stuck.
const ROUNDS: u32 = 4;
const SILENCE: Duration = Duration::from_secs(120);

/// A sweep that is late by so many intervals makes the service unready.
const LATE: u32 = 2;

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
    calls: Calls,
    wait: Duration,
    sweep_interval: Duration,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How much the host has observed, and when it last observed something.
    observed: Option<(u64, Instant)>,
    /// When the last completed sweep began, and when that was first seen here.
    swept: Option<(Timestamp, Instant)>,
    /// Why the ledger can't be written, when that was tried last.
    unwritten: Option<String>,
}

impl Metrics {
    /// Metrics that begin at zero.
    ///
    /// # Errors
    /// When two have the same name, which is a bug.
    pub fn new(config: &Config, calls: Calls) -> Result<Self, prometheus::Error> {
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
            calls,
            wait: config.updates.wait,
            sweep_interval: config.updates.sweep_interval,
            seen: Mutex::default(),
            registry,
        };
        // A lane in which nothing has happened is there all the same.
        for lane in &metrics.lanes {
            metrics.started.with_label_values(&[lane]);
            for outcome in ["succeeded", "retried", "given_up"] {
                metrics.ended.with_label_values(&[lane.as_str(), outcome]);
            }
        }
        Ok(metrics)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Every statement leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong if the host observes nothing any more: its loop does not come round, or
    /// comes round and nothing comes of it.
    pub fn stuck(&self) -> Option<String> {
        let (_, last) = self.seen().observed?;
        let silent = last.elapsed();
        (silent > SILENCE.max(self.wait * ROUNDS)).then(|| {
            format!("the host has observed nothing for {} seconds; restart it", silent.as_secs())
        })
    }

    /// What is wrong if the organization was not looked at lately.
    pub fn unready(&self) -> Option<String> {
        if let Some(stuck) = self.stuck() {
            return Some(stuck);
        }
        if let Some(error) = &self.seen().unwritten {
            return Some(format!("it can't be written down what is done: {error}"));
        }
        match self.seen().swept {
            None => Some("no sweep is complete yet; see the log".to_owned()),
            Some((_, completed)) => {
                let age = completed.elapsed();
                (age > self.sweep_interval * LATE).then(|| {
                    format!(
                        "the last completed sweep is {} seconds old; see the log",
                        age.as_secs()
                    )
                })
            }
        }
    }

    /// As Prometheus reads it.
    ///
    /// # Errors
    /// When it can't be written as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        for (operation, calls) in self.calls.by_operation() {
            let counter = self.aws_calls.with_label_values(&[operation]);
            counter.inc_by(calls.saturating_sub(counter.get()));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn stands(&self, view: &View) {
        for (name, lane) in self.lanes.iter().zip(&view.lanes) {
            let LaneView { waiting, in_flight, held, paused } = lane;
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.waiting.with_label_values(&[name]).set(number(*waiting));
            self.in_flight.with_label_values(&[name]).set(number(*in_flight));
            self.held.with_label_values(&[name]).set(number(*held));
            self.paused.with_label_values(&[name]).set(i64::from(*paused));
        }
        let mut seen = self.seen();
        let now = Instant::now();
        if seen.observed.is_none_or(|(observed, _)| observed != view.observed) {
            seen.observed = Some((view.observed, now));
        }
        if seen.swept.map(|(swept, _)| swept) != view.swept {
            // A host that begins anew, after its time was set, has swept before.
            seen.swept = view.swept.map(|swept| (swept, now)).or(seen.swept);
        }
        if let Some(swept) = view.swept {
            self.last_sweep.set(swept.as_millisecond() as f64 / 1000.0);
        }
    }
}

impl Witness for Metrics {
    fn see(&self, _: Timestamp, notice: Notice<'_>) {
        match notice {
            Notice::Stands(view) => self.stands(view),
            Notice::Swept { accounts, outdated, .. } => {
                self.sweeps.inc();
                self.accounts.set(i64::try_from(accounts).unwrap_or(i64::MAX));
                self.outdated.set(i64::try_from(outdated).unwrap_or(i64::MAX));
            }
            Notice::Decided { decision, .. } => {
                let verdict = match decision.outcome {
                    Outcome::Proceed { .. } => "proceed",
                    Outcome::Skip { .. } => "skip",
                    Outcome::Hold { .. } => "hold",
                };
                self.decisions.with_label_values(&[verdict]).inc();
            }
            Notice::Started(slot) => self.started.with_label_values(&[&slot.lane]).inc(),
            Notice::Ended { slot, ending } => {
                self.ended.with_label_values(&[slot.lane.as_str(), ending.name()]).inc();
            }
            Notice::Told(told) => {
                let outcome = told.outcome.to_string();
                self.notifications.with_label_values(&[told.notifier.as_str(), &outcome]).inc();
            }
            Notice::Alerted(_) => self.alerts.inc(),
            Notice::Beaten(failed) => {
                self.seen().unwritten = failed.map(ToString::to_string);
            }
            // Its notifications are counted.
            Notice::Handled(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::ports::LedgerError;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn metrics() -> Metrics {
        let config = Config::parse("crew.toml", "[updates]\nsweep_interval = \"1h\"\n").unwrap();
        Metrics::new(&config, Calls::default()).unwrap()
    }

    /// The loop comes round, having observed so much; the last sweep began at `swept`.
    fn round(metrics: &Metrics, observed: u64, swept: Option<Timestamp>) {
        let view = View { lanes: vec![], blocked: None, swept, observed };
        metrics.see(AT, Notice::Stands(&view));
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Whatever the machine's clock shows meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_loop_that_only_turns_is_stuck() {
        let metrics = metrics();
        assert_eq!(metrics.stuck(), None);
        round(&metrics, 1, None);
        for _ in 0..4 {
            pass(30).await;
            round(&metrics, 1, None);
        }
        assert_eq!(metrics.stuck(), None);
        pass(1).await;
        round(&metrics, 1, None);
        let expected = "the host has observed nothing for 121 seconds; restart it";
        assert_eq!(metrics.stuck().as_deref(), Some(expected));
        assert_eq!(metrics.unready().as_deref(), Some(expected));
        round(&metrics, 2, None);
        assert_eq!(metrics.stuck(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_ages_with_what_has_passed() {
        let metrics = metrics();
        round(&metrics, 1, None);
        assert_eq!(metrics.unready().as_deref(), Some("no sweep is complete yet; see the log"));
        // By a clock that was two days ahead.
        round(&metrics, 2, Some(AT + Duration::from_secs(2 * 86_400)));
        assert_eq!(metrics.unready(), None);
        pass(7201).await;
        // The host began anew and has not swept since.
        round(&metrics, 3, None);
        let expected = "the last completed sweep is 7201 seconds old; see the log";
        assert_eq!(metrics.unready().as_deref(), Some(expected));
        round(&metrics, 4, Some(AT));
        assert_eq!(metrics.unready(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_cannot_be_written_makes_unready() {
        let metrics = metrics();
        round(&metrics, 1, Some(AT));
        let error = LedgerError("no space left on device".into());
        metrics.see(AT, Notice::Beaten(Some(&error)));
        let expected = "it can't be written down what is done: ledger: no space left on device";
        assert_eq!(metrics.unready().as_deref(), Some(expected));
        assert_eq!(metrics.stuck(), None);
        metrics.see(AT, Notice::Beaten(None));
        assert_eq!(metrics.unready(), None);
    }
}
