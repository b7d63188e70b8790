//! Which lane may start updates: the reasons that block a lane, other than that the lanes before it
//! have accounts waiting or running.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use strum::{Display, EnumString, VariantNames};

use crate::lane::LaneId;
use crate::plan_id::PlanId;
use crate::ports::{LaneRecord, Pause};

/// One lane, as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRules {
    /// Its name.
    pub name: String,
    /// Most updates of it at once.
    pub concurrency: usize,
    /// Its condition on the lanes before it.
    pub start_when: StartWhen,
    /// Whether it waits for accounts that policies hold in the lanes before it.
    pub held: WhenHeld,
    /// How long it waits after the last update of the lanes before it.
    pub soak: Duration,
    /// The number of failed updates in a row that pauses the lane.
    pub failure_threshold: Option<u32>,
}

impl LaneRules {
    /// A lane with every default.
    pub fn new(name: impl Into<String>, concurrency: usize) -> Self {
        Self {
            name: name.into(),
            concurrency,
            start_when: StartWhen::Drained,
            held: WhenHeld::Wait,
            soak: Duration::ZERO,
            failure_threshold: None,
        }
    }
}

/// The condition of a lane on the lanes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum StartWhen {
    /// None of their accounts is waiting or running.
    Drained,
    /// In addition, none of their accounts is dead-lettered.
    Succeeded,
}

/// Whether a lane waits for accounts that policies hold in the lanes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum WhenHeld {
    /// It waits until they are no longer held, and then for their updates. So a maintenance window
    /// of the canaries keeps production back.
    Wait,
    /// It starts without them.
    Pass,
}

/// Why a lane starts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedReason {
    /// This lane or one before it is paused.
    Paused {
        /// The paused lane.
        lane: String,
        /// Why.
        why: String,
    },
    /// Accounts of a lane before it are dead-lettered.
    Failed {
        /// That lane.
        lane: String,
        /// How many.
        accounts: usize,
    },
    /// Policies hold accounts of a lane before it.
    Held {
        /// That lane: the first of them.
        lane: String,
        /// How many are held in it.
        accounts: usize,
        /// When the last of these holds ends, by the present decisions of the policies.
        until: Timestamp,
    },
    /// The plan is not approved.
    Unapproved {
        /// The plan that waits for approval.
        plan: PlanId,
    },
    /// The last update of the lanes before it ended too recently.
    Soaking {
        /// When it may start.
        until: Timestamp,
    },
}

/// The lanes, and what the ledger remembers of them.
#[derive(Debug)]
pub(super) struct LaneStates {
    rules: Vec<LaneRules>,
    records: Vec<LaneRecord>,
    /// When a write to a lane's record was last acknowledged: a read that began before may not show
    /// it.
    last_acknowledged: Vec<Option<Timestamp>>,
    /// Dead-lettered accounts for the target, by lane.
    dead_lettered: Vec<usize>,
    /// Lanes whose pause is being written: until then the ledger does not have it.
    pausing: BTreeMap<String, Pause>,
}

impl LaneStates {
    pub fn new(rules: Vec<LaneRules>) -> Self {
        let records = vec![LaneRecord::default(); rules.len()];
        let (last_acknowledged, dead_lettered) = (vec![None; rules.len()], vec![0; rules.len()]);
        Self { rules, records, last_acknowledged, dead_lettered, pausing: BTreeMap::new() }
    }

    /// Takes the records of a ledger read that began at `read_at`.
    pub fn load_records(&mut self, records: &BTreeMap<String, LaneRecord>, read_at: Timestamp) {
        for index in 0..self.rules.len() {
            if self.last_acknowledged[index]
                .is_none_or(|last_acknowledged| last_acknowledged < read_at)
            {
                let record = records.get(&self.rules[index].name).cloned();
                self.put(LaneId::from_index(index), record.unwrap_or_default());
            }
        }
    }

    /// Takes the record that the ledger returned for a write.
    pub fn update_record(&mut self, lane: &str, record: LaneRecord, now: Timestamp) {
        if let Some(lane) = lane_named(&self.rules, lane) {
            self.last_acknowledged[lane.index()] = Some(now);
            self.put(lane, record);
        }
    }

    fn put(&mut self, lane: LaneId, record: LaneRecord) {
        let pausing = self.pausing.get(&self.rules[lane.index()].name).cloned();
        self.records[lane.index()] = LaneRecord { paused: record.paused.or(pausing), ..record };
    }

    /// The pause of a lane is written.
    pub fn paused(&mut self, lane: &str, record: LaneRecord, now: Timestamp) {
        self.pausing.remove(lane);
        self.update_record(lane, record, now);
    }

    /// The lanes that a host has paused. That host may have died before it published the alert.
    pub fn paused_by_hosts(&self) -> Vec<(String, Pause)> {
        let lanes = self.rules.iter().zip(&self.records);
        let paused = lanes.filter_map(|(rules, record)| Some((rules, record.paused.clone()?)));
        paused
            .filter(|(_, pause)| pause.automatic)
            .map(|(rules, pause)| (rules.name.clone(), pause))
            .collect()
    }

    /// What the ledger remembers of a lane.
    pub fn record(&self, lane: LaneId) -> &LaneRecord {
        &self.records[lane.index()]
    }

    /// Whether a pause is being written.
    pub fn is_pausing(&self) -> bool {
        !self.pausing.is_empty()
    }

    /// Takes the dead-lettered accounts of a sweep, by lane.
    pub fn take_in_sweep(&mut self, dead_lettered: impl Iterator<Item = LaneId>) {
        self.dead_lettered.fill(0);
        dead_lettered.for_each(|lane| self.count_dead_letter(lane));
    }

    /// Counts one more dead-lettered account.
    pub fn count_dead_letter(&mut self, lane: LaneId) {
        if let Some(accounts) = self.dead_lettered.get_mut(lane.index()) {
            *accounts += 1;
        }
    }

    /// A lane that must be paused because of its failures. From here on it counts as paused.
    pub fn over_failure_threshold(&mut self, now: Timestamp) -> Option<(String, Pause)> {
        let lanes = self.rules.iter().zip(&mut self.records);
        for (rules, record) in lanes {
            let failures = record.failures_in_a_row;
            let threshold = rules.failure_threshold.unwrap_or(u32::MAX);
            if failures >= threshold && record.paused.is_none() {
                let why = format!("failed updates in a row: {failures} (failure_threshold)");
                let pause = Pause { why, at: now, automatic: true };
                record.paused = Some(pause.clone());
                self.pausing.insert(rules.name.clone(), pause.clone());
                return Some((rules.name.clone(), pause));
            }
        }
        None
    }

    /// Why a lane may start nothing now, if the lanes before it have nothing open.
    pub fn blocked(&self, lane: LaneId, now: Timestamp) -> Option<BlockedReason> {
        let until_here = self.rules.iter().zip(&self.records).take(lane.index() + 1);
        for (rules, record) in until_here {
            if let Some(pause) = &record.paused {
                return Some(BlockedReason::Paused {
                    lane: rules.name.clone(),
                    why: pause.why.clone(),
                });
            }
        }
        let rules = self.rules.get(lane.index())?;
        if rules.start_when == StartWhen::Succeeded {
            let dead_lettered = self.rules.iter().zip(&self.dead_lettered).take(lane.index());
            if let Some((earlier, accounts)) = dead_lettered.into_iter().find(|(_, n)| **n > 0) {
                return Some(BlockedReason::Failed {
                    lane: earlier.name.clone(),
                    accounts: *accounts,
                });
            }
        }
        let ended =
            self.records[..lane.index()].iter().filter_map(|record| record.last_ended).max();
        let until = ended.map(|ended| ended + rules.soak).filter(|until| *until > now);
        until.map(|until| BlockedReason::Soaking { until })
    }
}

/// The lane with this name in the ledger and the queues; `None` if it is no longer configured.
pub fn lane_named(rules: &[LaneRules], name: &str) -> Option<LaneId> {
    rules.iter().position(|rules| rules.name == name).map(LaneId::from_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    fn lanes() -> LaneStates {
        LaneStates::new(vec![
            LaneRules { failure_threshold: Some(3), ..LaneRules::new("canary", 1) },
            LaneRules {
                start_when: StartWhen::Succeeded,
                soak: Duration::from_secs(100),
                ..LaneRules::new("prod", 4)
            },
        ])
    }

    fn record(failures_in_a_row: u32, ended: i64, paused: bool) -> LaneRecord {
        LaneRecord {
            failures_in_a_row,
            last_ended: Some(at(ended)),
            paused: paused.then(|| Pause { why: "by hand".into(), at: at(0), automatic: false }),
            ..LaneRecord::default()
        }
    }

    fn word(blocked: Option<BlockedReason>) -> String {
        match blocked {
            None => "free".to_owned(),
            Some(BlockedReason::Paused { lane, .. }) => format!("{lane} paused"),
            Some(BlockedReason::Failed { lane, accounts }) => format!("{lane} failed {accounts}"),
            Some(BlockedReason::Unapproved { plan }) => format!("{plan} unapproved"),
            Some(BlockedReason::Held { lane, accounts, .. }) => format!("{lane} holds {accounts}"),
            Some(BlockedReason::Soaking { until }) => format!("until {}", until.as_second()),
        }
    }

    #[rstest]
    #[case::nothing_known(vec![], 0, 200, ["free", "free"])]
    #[case::soaking(vec![("canary", record(0, 150, false))], 0, 200, ["free", "until 250"])]
    #[case::soaked(vec![("canary", record(0, 100, false))], 0, 200, ["free", "free"])]
    #[case::its_own_end_does_not_matter(vec![("prod", record(0, 199, false))], 0, 200, ["free", "free"])]
    #[case::dead_lettered(vec![("canary", record(0, 0, false))], 2, 200, ["free", "canary failed 2"])]
    #[case::a_pause_blocks_those_after_it(vec![("canary", record(0, 0, true))], 0, 200, ["canary paused", "canary paused"])]
    #[case::and_none_before_it(vec![("prod", record(0, 0, true))], 0, 200, ["free", "prod paused"])]
    #[case::a_lane_that_is_gone(vec![("old", record(0, 199, true))], 0, 200, ["free", "free"])]
    fn a_lane_is_blocked(
        #[case] records: Vec<(&str, LaneRecord)>,
        #[case] dead_lettered: usize,
        #[case] now: i64,
        #[case] expected: [&str; 2],
    ) {
        let mut lanes = lanes();
        let records = records.into_iter().map(|(name, record)| (name.to_owned(), record));
        lanes.load_records(&records.collect(), at(now));
        lanes.take_in_sweep(std::iter::repeat_n(LaneId::FIRST, dead_lettered));
        assert_eq!(
            [0, 1].map(|lane| word(lanes.blocked(LaneId::from_index(lane), at(now)))),
            expected
        );
    }

    /// After the last update of all the lanes before it, in whichever of them it was.
    #[rstest]
    #[case(100, 150)]
    #[case(150, 100)]
    fn a_lane_soaks_after_the_last_end(#[case] first: i64, #[case] second: i64) {
        let soak = Duration::from_secs(100);
        let last = LaneRules { soak, ..LaneRules::new("last", 1) };
        let mut lanes =
            LaneStates::new(vec![LaneRules::new("first", 1), LaneRules::new("second", 1), last]);
        lanes.update_record("first", record(0, first, false), at(first));
        lanes.update_record("second", record(0, second, false), at(second));
        assert_eq!(word(lanes.blocked(LaneId::from_index(2), at(249))), "until 250");
        assert_eq!(word(lanes.blocked(LaneId::from_index(2), at(250))), "free");
    }

    #[test]
    fn failures_in_a_row_pause_a_lane_once() {
        let mut lanes = lanes();
        lanes.update_record("canary", record(2, 0, false), at(7));
        lanes.update_record("prod", record(9, 0, false), at(7));
        assert_eq!(lanes.over_failure_threshold(at(7)), None);
        lanes.update_record("canary", record(3, 0, false), at(7));
        let (lane, pause) = lanes.over_failure_threshold(at(7)).unwrap();
        assert_eq!((lane.as_str(), pause.at), ("canary", at(7)));
        assert!(pause.why.starts_with("failed updates in a row: 3"), "{}", pause.why);
        // A record from before the pause changes nothing.
        lanes.update_record("canary", record(4, 0, false), at(7));
        assert_eq!(lanes.over_failure_threshold(at(8)), None);
        assert_eq!(word(lanes.blocked(LaneId::from_index(1), at(8))), "canary paused");
        // Resumed by an operator, later.
        lanes.paused("canary", record(4, 0, true), at(7));
        lanes.update_record("canary", record(0, 0, false), at(7));
        assert_eq!(word(lanes.blocked(LaneId::from_index(1), at(200))), "free");
    }

    /// A read from before an acknowledged write does not undo the write.
    #[test]
    fn a_late_reading_resumes_no_lane() {
        let mut lanes = lanes();
        lanes.update_record("canary", record(3, 0, false), at(5));
        let (lane, _) = lanes.over_failure_threshold(at(5)).unwrap();
        lanes.paused(&lane, record(3, 0, true), at(7));
        let before = BTreeMap::from([("canary".to_owned(), record(3, 0, false))]);
        lanes.load_records(&before, at(6));
        assert_eq!(word(lanes.blocked(LaneId::from_index(0), at(8))), "canary paused");
        assert_eq!(lanes.over_failure_threshold(at(8)), None);
        // Resumed by an operator.
        lanes.load_records(&BTreeMap::from([("canary".to_owned(), record(0, 0, false))]), at(8));
        assert_eq!(word(lanes.blocked(LaneId::from_index(0), at(9))), "free");
    }
}
