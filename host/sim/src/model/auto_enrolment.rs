//! Auto-enrolment, which landing zones from version 3.1 on have: an account that is moved into a
//! registered OU gets the OU's baselines. Such an account has no provisioned product, and no event
//! except those of its baselines.

use groundcrew_core::account::AccountId;
use jiff::Timestamp;
use serde_json::Value;

use super::events;
use super::{EVENT_DELAY, Model};
use crate::ids;
use crate::services::control_tower::ControlTower;
use crate::time::saturating_later;

impl Model {
    /// Moves an account into the OU with this path, whose baseline it gets. Returns whether both
    /// exist and the OU is registered.
    pub fn auto_enroll(&mut self, now: Timestamp, account: &AccountId, path: &[&str]) -> bool {
        self.advance(now);
        let Some(index) = self.fleet.find(account.as_str()) else { return false };
        if path.is_empty() || !self.organizations.move_account(index, path) {
            return false;
        }
        let unit = self.organizations.ou_id(index).to_owned();
        if self.control_tower.unregistered.contains(&unit) {
            return false;
        }
        self.control_tower.auto_enrolled.insert(account.as_str().to_owned());
        let details = ControlTower::details(&self.organizations, &unit, self.fleet.get(index));
        self.emit_baseline(now, "EnableBaseline", details);
        true
    }

    /// Resets the baseline of the OU of an account, and with it the baselines of all accounts in
    /// the OU. Returns whether the account exists in an OU.
    pub fn reset_ou_baseline(&mut self, now: Timestamp, account: &AccountId) -> bool {
        self.advance(now);
        let (Some(index), Some(zone)) =
            (self.fleet.find(account.as_str()), &self.control_tower.landing_zone)
        else {
            return false;
        };
        let unit = self.organizations.ou_id(index).to_owned();
        if !unit.starts_with("ou-") {
            return false;
        }
        let within = self.organizations.accounts_in(&unit);
        let governed = within.filter(|account| self.control_tower.governs(zone, account));
        let targets = std::iter::once(None).chain(governed.map(Some));
        let details: Vec<Value> = targets
            .map(|account| ControlTower::details(&self.organizations, &unit, account))
            .collect();
        for details in details {
            self.emit_baseline(now, "ResetEnabledBaseline", details);
        }
        true
    }

    fn emit_baseline(&mut self, now: Timestamp, name: &str, details: Value) {
        let (id, event_id) = (ids::uuid(&mut self.rng), ids::uuid(&mut self.rng));
        let event =
            events::baseline(&id, &event_id, saturating_later(now, EVENT_DELAY), name, details);
        self.emit(now, event);
    }
}
