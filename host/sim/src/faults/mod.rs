//! The faults and their frequency, random by the seed.
//!
//! Each kind of fault has a random generator of its own, so that one more API call does not change
//! which updates fail.

pub(crate) mod contention;
mod failure;
mod fault;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use contention::QuotaExceeded;
pub(crate) use failure::OperationFailure;
pub(crate) use fault::{EventDelivery, RoundTrip};
pub use fault::{Fault, Rejection};

/// How many faults occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultLevel {
    /// No faults. Only the latency of calls is random.
    #[default]
    None,
    /// The faults of a large organization in a normal week.
    Light,
    /// The faults of a large organization on its worst day.
    Heavy,
}

/// Probabilities in thousandths.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct FaultRates {
    /// Of calls.
    throttled: u32,
    server_error: u32,
    not_connected: u32,
    reply_lost: u32,
    hung: u32,
    #[serde(rename = "garbled", default)]
    malformed_response: u32,
    /// Of events.
    event_lost: u32,
    event_repeated: u32,
    event_late: u32,
    /// Of updates over the quota: those whose call is accepted and whose record fails.
    refused_by_record: u32,
    /// Of updates.
    contention: u32,
    transient: u32,
    generic: u32,
    /// Of accounts.
    never_updates: u32,
    /// Mean time between the operations of other callers. Zero: there are none.
    foreign_every: Duration,
}

impl FaultLevel {
    fn rates(self) -> FaultRates {
        match self {
            Self::None => FaultRates {
                throttled: 0,
                server_error: 0,
                not_connected: 0,
                reply_lost: 0,
                hung: 0,
                malformed_response: 0,
                event_lost: 0,
                event_repeated: 0,
                event_late: 0,
                refused_by_record: 0,
                contention: 0,
                transient: 0,
                generic: 0,
                never_updates: 0,
                foreign_every: Duration::ZERO,
            },
            Self::Light => FaultRates {
                throttled: 5,
                server_error: 3,
                not_connected: 2,
                reply_lost: 2,
                hung: 1,
                malformed_response: 1,
                event_lost: 20,
                event_repeated: 20,
                event_late: 20,
                refused_by_record: 500,
                contention: 10,
                transient: 5,
                generic: 5,
                never_updates: 5,
                foreign_every: Duration::from_secs(6 * 3600),
            },
            Self::Heavy => FaultRates {
                throttled: 50,
                server_error: 30,
                not_connected: 20,
                reply_lost: 20,
                hung: 4,
                malformed_response: 10,
                event_lost: 200,
                event_repeated: 100,
                event_late: 100,
                refused_by_record: 500,
                contention: 50,
                transient: 30,
                generic: 30,
                never_updates: 10,
                foreign_every: Duration::from_secs(3600),
            },
        }
    }
}

/// Status of a response from something between the caller and the service, and whether the request
/// still takes effect.
const MALFORMED_RESPONSES: [(u16, bool); 5] =
    [(502, false), (504, true), (407, false), (200, false), (200, true)];

/// The random generators of a simulation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FaultInjector {
    rates: FaultRates,
    #[serde(with = "crate::state_serde::rng")]
    calls: Rng,
    #[serde(with = "crate::state_serde::rng")]
    events: Rng,
    #[serde(with = "crate::state_serde::rng")]
    updates: Rng,
    #[serde(with = "crate::state_serde::rng")]
    foreign: Rng,
    accounts_seed: u64,
    /// How many of the planned failures in the snapshot have occurred, by account.
    planned: BTreeMap<u32, usize>,
}

impl FaultInjector {
    pub(crate) fn new(level: FaultLevel, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            rates: level.rates(),
            calls: rng.fork(),
            events: rng.fork(),
            updates: rng.fork(),
            foreign: rng.fork(),
            accounts_seed: rng.u64(..),
            planned: BTreeMap::new(),
        }
    }

    /// Draws latency and fault of one request.
    pub(crate) fn call(&mut self) -> RoundTrip {
        let request_latency = Duration::from_millis(self.calls.u64(20..=60));
        let response_latency = Duration::from_millis(self.calls.u64(20..=60));
        let rates = self.rates;
        let mut dice = Dice::roll(&mut self.calls);
        let fault = if dice.hits(rates.throttled) {
            Some(Fault::Rejected(Rejection::Throttled))
        } else if dice.hits(rates.server_error) {
            Some(Fault::Rejected(Rejection::ServerError))
        } else if dice.hits(rates.not_connected) {
            Some(Fault::ConnectionFailed)
        } else if dice.hits(rates.reply_lost) {
            Some(Fault::ResponseLost)
        } else if dice.hits(rates.hung) {
            Some(Fault::Hung { takes_effect: self.calls.bool() })
        } else if dice.hits(rates.malformed_response) {
            let (status, takes_effect) =
                MALFORMED_RESPONSES[self.calls.usize(..MALFORMED_RESPONSES.len())];
            Some(Fault::MalformedResponse { status, takes_effect })
        } else {
            None
        };
        RoundTrip { request_latency, response_latency, fault }
    }

    /// Draws the delivery of one event.
    pub(crate) fn event(&mut self) -> EventDelivery {
        let rates = self.rates;
        let mut dice = Dice::roll(&mut self.events);
        if dice.hits(rates.event_lost) {
            EventDelivery::Dropped
        } else if dice.hits(rates.event_repeated) {
            EventDelivery::Duplicated(Duration::from_secs(self.events.u64(1..=600)))
        } else if dice.hits(rates.event_late) {
            EventDelivery::Delayed(Duration::from_secs(self.events.u64(60..=1800)))
        } else {
            EventDelivery::OnTime
        }
    }

    /// The next planned failure of the snapshot for an account.
    pub(crate) fn planned(
        &mut self,
        account: u32,
        failures: &[String],
    ) -> Option<OperationFailure> {
        let come = self.planned.entry(account).or_default();
        let description = failures.get(*come)?.clone();
        *come += 1;
        Some(OperationFailure { code: "ResourceUpdateFailed".into(), description, after: 0.8 })
    }

    /// Draws the failure of one update, for an account in the OU with this name.
    pub(crate) fn update(&mut self, account: u32, ou: &str) -> Option<OperationFailure> {
        let rates = self.rates;
        let mut own = Rng::with_seed(
            self.accounts_seed ^ u64::from(account).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        if Dice::roll(&mut own).hits(rates.never_updates) {
            return Some(OperationFailure {
                code: "InvalidParametersException".into(),
                description: format!(
                    "The parent organizational unit '{ou}' is not enrolled in AWS Control Tower."
                ),
                after: 0.02,
            });
        }
        let mut dice = Dice::roll(&mut self.updates);
        let (code, description, after) = if dice.hits(rates.contention) {
            let (code, description) = contention::contention_error(&mut self.updates);
            (code, description, 0.01)
        } else if dice.hits(rates.transient) {
            ("InternalServerError", "An internal error occurred. Try again later.", 0.4)
        } else if dice.hits(rates.generic) {
            (
                "ResourceUpdateFailed",
                "AWS Control Tower failed to deploy one or more stack set instances: StackSet operation failed.",
                0.8,
            )
        } else {
            return None;
        };
        Some(OperationFailure { code: code.into(), description: description.to_owned(), after })
    }

    /// Draws how Control Tower rejects an update over the quota.
    pub(crate) fn quota_exceeded(&mut self, quota: usize) -> QuotaExceeded {
        let mut dice = Dice::roll(&mut self.updates);
        match dice.hits(self.rates.refused_by_record) {
            true => QuotaExceeded::record(&mut self.updates, quota),
            false => QuotaExceeded::call(&mut self.updates, quota),
        }
    }

    /// Draws the wait until another caller's next operation, and its account, out of `accounts`.
    pub(crate) fn foreign(&mut self, accounts: u32) -> Option<(Duration, u32)> {
        let mean = self.rates.foreign_every;
        if mean.is_zero() || accounts == 0 {
            return None;
        }
        // Exponentially distributed, as for independent callers.
        let wait = mean.mul_f64(-(1.0 - self.foreign.f64()).ln());
        Some((wait, self.foreign.u32(..accounts)))
    }
}

/// One random number out of a thousand, compared with several probabilities in turn.
struct Dice(u32);

impl Dice {
    fn roll(rng: &mut Rng) -> Self {
        Self(rng.u32(..1000))
    }

    fn hits(&mut self, of_thousand: u32) -> bool {
        if self.0 < of_thousand {
            self.0 = u32::MAX;
            return true;
        }
        self.0 -= of_thousand;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_faults_nothing_goes_wrong() {
        let mut faults = FaultInjector::new(FaultLevel::None, 1);
        for account in 0..10_000 {
            assert_eq!(faults.call().fault, None);
            assert_eq!(faults.event(), EventDelivery::OnTime);
            assert_eq!(faults.update(account, "Prod"), None);
        }
        assert_eq!(faults.foreign(10), None);
    }

    #[test]
    fn heavy_faults_come_as_often_as_told() {
        let mut faults = FaultInjector::new(FaultLevel::Heavy, 1);
        let faulty = (0..100_000).filter(|_| faults.call().fault.is_some()).count();
        assert!((12_900..13_900).contains(&faulty), "{faulty}");
        let lost = (0..10_000).filter(|_| faults.event() == EventDelivery::Dropped).count();
        assert!((1_850..2_150).contains(&lost), "{lost}");
    }

    #[test]
    fn some_accounts_never_update() {
        let mut faults = FaultInjector::new(FaultLevel::Heavy, 1);
        let never: Vec<u32> = (0..1000)
            .filter(|account| {
                (0..5).all(|_| {
                    faults
                        .update(*account, "Prod")
                        .is_some_and(|failure| failure.description.contains("'Prod'"))
                })
            })
            .collect();
        assert!((1..30).contains(&never.len()), "{never:?}");
    }
}
