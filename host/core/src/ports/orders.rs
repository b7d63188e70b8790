//! Operator commands as the ledger keeps them: the orders, who gave them, and the audit trail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LedgerError, Pause, SweepRecord, UpdateProgress};
use crate::account::AccountId;
use crate::catalog::ArtifactId;
use crate::plan_id::PlanId;

/// The operator commands, for every host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// When an operator last requested a sweep.
    #[serde(default)]
    pub sweep: Option<Timestamp>,
    /// The plans that need approval, by their ids: the last [`Orders::MAX_PLANS`].
    #[serde(default)]
    pub plans: BTreeMap<PlanId, PlanRecord>,
    /// Number of the last order in the trail; 0 before the first. A groundcrew without an audit
    /// trail writes this without it.
    #[serde(rename = "given", default)]
    pub last_number: u64,
    /// Number of the last order that a host has read and logged.
    #[serde(rename = "taken_in", default)]
    pub last_logged: u64,
}

impl Orders {
    /// The number of plans that are remembered.
    pub const MAX_PLANS: usize = 20;

    /// Whether updates of a plan may start.
    pub fn is_approved(&self, plan: &PlanId) -> bool {
        self.plans.get(plan).is_some_and(|record| record.approved.is_some())
    }

    /// Records the request of a sweep. `at` may come from any clock, but the recorded moment is
    /// later than the one before it: this is how hosts detect a new request.
    pub fn request_sweep(&mut self, at: Timestamp) {
        let later = |last: Timestamp| last.checked_add(Duration::from_nanos(1)).unwrap_or(at);
        self.sweep = self.sweep.filter(|last| *last >= at).map(later).or(Some(at));
    }

    /// The state of a plan that an operator wants to approve, given the last sweep.
    pub fn approval_state(&self, plan: &PlanId, sweep: Option<&SweepRecord>) -> ApprovalState {
        let Some(record) = self.plans.get(plan) else { return ApprovalState::Unknown };
        match (sweep, &record.approved) {
            (Some(sweep), _) if sweep.plan.as_ref() != Some(plan) => {
                ApprovalState::Superseded { by: sweep.plan.clone() }
            }
            (_, Some(approval)) => ApprovalState::Approved(approval.clone()),
            (_, None) => ApprovalState::Pending,
        }
    }

    /// The plan that waits for approval now, given the last sweep.
    pub fn waiting<'s>(&self, sweep: Option<&'s SweepRecord>) -> Option<&'s PlanId> {
        let plan = sweep?.plan.as_ref()?;
        (self.approval_state(plan, sweep) == ApprovalState::Pending).then_some(plan)
    }
}

/// What the ledger remembers of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// When it was first needed.
    pub since: Timestamp,
    /// Who approved it, and when; `None` before the approval.
    #[serde(default)]
    pub approved: Option<Approval>,
}

/// An operator's approval of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who, as [`Operator`] is displayed; only the user name if an older groundcrew recorded it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The state of a plan that an operator wants to approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// It waits for approval.
    Pending,
    /// Another operator has already approved it.
    Approved(Approval),
    /// The last sweep made another plan, or none if plans no longer need approval.
    Superseded {
        /// The other plan.
        by: Option<PlanId>,
    },
    /// No such plan has ever waited, or the ledger no longer remembers it.
    Unknown,
}

/// A plan as it was at its approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedPlan {
    /// Its id.
    pub plan: PlanId,
    /// Who approved it, and when.
    pub approval: Approval,
    /// The artifact to update to.
    pub target: ArtifactId,
    /// Accounts to update at that time, by lane.
    pub lanes: BTreeMap<String, usize>,
    /// The rules that it was made of: [`SweepRecord::rules`].
    #[serde(default)]
    pub rules: BTreeMap<String, String>,
}

impl ApprovedPlan {
    /// The plan of a sweep, approved.
    pub fn of(plan: &PlanId, sweep: &SweepRecord, approval: Approval) -> Self {
        let lanes = sweep.lanes.iter().map(|(lane, seen)| (lane.clone(), seen.to_update));
        Self {
            plan: plan.clone(),
            approval,
            target: sweep.target.clone(),
            lanes: lanes.collect(),
            rules: sweep.rules.clone(),
        }
    }
}

/// The author of an order, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// As AWS knows the caller (`sts:GetCallerIdentity`).
    #[serde(default)]
    pub arn: Option<String>,
    /// The user name on the operator's machine.
    #[serde(default)]
    pub user: Option<String>,
    /// The name of that machine.
    #[serde(default)]
    pub host: Option<String>,
}

impl Operator {
    /// Longest part, in characters. An ARN has at most 2048 characters, and the ARN of a caller
    /// rarely more than 150.
    pub const MAX_PART_CHARS: usize = 512;

    /// An operator with these names. An empty name counts as unknown, and a name that is too long
    /// is cut.
    pub fn new(arn: Option<String>, user: Option<String>, host: Option<String>) -> Self {
        let part = |text: Option<String>| {
            let text: String = text?.trim().chars().take(Self::MAX_PART_CHARS).collect();
            (!text.is_empty()).then_some(text)
        };
        Self { arn: part(arn), user: part(user), host: part(host) }
    }
}

impl fmt::Display for Operator {
    /// `arn:aws:sts::…:assumed-role/ops/ada (ada@laptop)`, `ada@laptop` or `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = match (&self.user, &self.host) {
            (Some(user), Some(host)) => Some(format!("{user}@{host}")),
            (Some(user), None) => Some(user.clone()),
            (None, Some(host)) => Some(format!("unknown@{host}")),
            (None, None) => None,
        };
        match (&self.arn, machine) {
            (Some(arn), Some(machine)) => write!(f, "{arn} ({machine})"),
            (Some(arn), None) => f.write_str(arn),
            (None, Some(machine)) => f.write_str(&machine),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// The author and the time of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedBy {
    /// Who.
    pub by: Operator,
    /// When, by the clock of the operator's machine.
    pub at: Timestamp,
}

/// An operator command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Updates of a plan may start.
    Approve {
        /// The plan.
        plan: PlanId,
        /// Accounts to update at that time, by lane.
        #[serde(default)]
        lanes: BTreeMap<String, usize>,
        /// Accounts that policies held at that time, by lane: they are updated as well, later.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        held: BTreeMap<String, usize>,
    },
    /// A lane starts no more updates.
    Pause {
        /// Its name.
        lane: String,
    },
    /// A paused lane resumes.
    Resume {
        /// Its name.
        lane: String,
        /// Why it was paused.
        paused: String,
    },
    /// Dead-lettered accounts are updated again.
    Redrive {
        /// The artifact to update to.
        target: ArtifactId,
        /// The accounts, at most [`Order::MAX_ACCOUNTS`].
        accounts: BTreeSet<AccountId>,
    },
    /// Dead-lettered notifications of a notifier are delivered again.
    RedriveNotifications {
        /// Its name.
        notifier: String,
    },
    /// A sweep of the organization.
    Sweep,
    /// An order of a newer groundcrew.
    #[serde(other)]
    Other,
}

impl Order {
    /// The most accounts in one order: a redrive of more gives several orders. A transaction of
    /// DynamoDB has at most 100 actions, and an account takes one of them.
    pub const MAX_ACCOUNTS: usize = 50;
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approve { plan, lanes, held } => {
                write!(f, "approve {plan}")?;
                let lane = |(lane, accounts): (&String, &usize)| match held.get(lane) {
                    None | Some(0) => format!("{lane} {accounts}"),
                    Some(held) => format!("{lane} {accounts} and {held} held"),
                };
                let lanes: Vec<String> = lanes.iter().map(lane).collect();
                if lanes.is_empty() { Ok(()) } else { write!(f, ": {}", lanes.join(", ")) }
            }
            Self::Pause { lane } => write!(f, "pause {lane}"),
            Self::Resume { lane, paused } => write!(f, "resume {lane}, which was paused: {paused}"),
            Self::Redrive { target, accounts } => {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                write!(f, "redrive to {target}: {}", accounts.join(", "))
            }
            Self::RedriveNotifications { notifier } => {
                write!(f, "redrive notifications of {notifier}")
            }
            Self::Sweep => f.write_str("sweep"),
            Self::Other => f.write_str("an order that a newer groundcrew knows"),
        }
    }
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailEntry {
    /// Counts from 1.
    pub number: u64,
    /// When, by the clock of the operator's machine.
    pub at: Timestamp,
    /// Who.
    pub by: Operator,
    /// What.
    #[serde(flatten)]
    pub order: Order,
}

impl TrailEntry {
    /// The number of orders that are kept: the last ones.
    pub const MAX_ENTRIES: u64 = 1000;
}

/// The operator commands in the ledger. Each order is written in one step with its effect and with
/// its entry in the trail. So no order is missing from the trail, and no entry of the trail was
/// without effect. A command that changes nothing writes no order.
#[async_trait]
pub trait OrderLedger: Send + Sync {
    /// The operator commands.
    async fn orders(&self) -> Result<Orders, LedgerError>;

    /// Pauses a lane. If it is paused already, it keeps that pause: the call returns it and writes
    /// nothing.
    async fn order_pause(
        &self,
        lane: &str,
        issued_by: &IssuedBy,
    ) -> Result<Option<Pause>, LedgerError>;

    /// Resumes a lane, and counts its failures from zero again. Returns the pause that ended;
    /// `None` if it was not paused, and then nothing is written.
    async fn order_resume(
        &self,
        lane: &str,
        issued_by: &IssuedBy,
    ) -> Result<Option<Pause>, LedgerError>;

    /// Requests a sweep from any running host.
    async fn order_sweep(&self, issued_by: &IssuedBy) -> Result<(), LedgerError>;

    /// Redrives dead-lettered accounts: they may be updated to this target again, and their
    /// failures count from zero. Also requests a sweep. Returns the new progress of each; accounts
    /// that were not dead-lettered are not included.
    async fn order_redrive(
        &self,
        accounts: &BTreeSet<AccountId>,
        target: &ArtifactId,
        issued_by: &IssuedBy,
    ) -> Result<BTreeMap<AccountId, UpdateProgress>, LedgerError>;

    /// Adds to the trail that the notifications of a notifier are redriven. The ledger does not
    /// know in which queue they wait.
    async fn order_redrive_notifications(
        &self,
        notifier: &str,
        issued_by: &IssuedBy,
    ) -> Result<(), LedgerError>;

    /// Approves a plan that waits for approval. Returns its state before the call: unless that was
    /// [`ApprovalState::Pending`], nothing is written.
    async fn approve(
        &self,
        plan: &PlanId,
        issued_by: &IssuedBy,
    ) -> Result<ApprovalState, LedgerError>;

    /// The plan that was approved last, as it was at its approval. `None` before the first, and if
    /// an older groundcrew recorded the approval.
    async fn last_approved(&self) -> Result<Option<ApprovedPlan>, LedgerError>;

    /// The last orders, the oldest first: at most [`TrailEntry::MAX_ENTRIES`].
    async fn trail(&self) -> Result<Vec<TrailEntry>, LedgerError>;

    /// Writes that the orders up to this number were read and logged. A repeat does nothing.
    async fn record_logged(&self, number: u64) -> Result<(), LedgerError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    #[rstest]
    #[case(
        Some("arn:aws:iam::1:user/ada"),
        Some("ada"),
        Some("desk"),
        "arn:aws:iam::1:user/ada (ada@desk)"
    )]
    #[case(Some("arn:aws:iam::1:user/ada"), None, None, "arn:aws:iam::1:user/ada")]
    #[case(None, Some("ada"), Some("desk"), "ada@desk")]
    #[case(None, Some("ada"), None, "ada")]
    #[case(None, None, Some("desk"), "unknown@desk")]
    #[case(Some(""), Some(" "), Some("\n"), "unknown")]
    #[case(None, None, None, "unknown")]
    fn an_operator_is_shown(
        #[case] arn: Option<&str>,
        #[case] user: Option<&str>,
        #[case] host: Option<&str>,
        #[case] shown: &str,
    ) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        assert_eq!(Operator::new(owned(arn), owned(user), owned(host)).to_string(), shown);
    }

    #[test]
    fn names_are_cut() {
        let long = Operator::new(Some("é".repeat(9_999)), None, None);
        assert_eq!(long.to_string().chars().count(), Operator::MAX_PART_CHARS);
    }

    #[rstest]
    #[case(
        Order::Approve {
            plan: PlanId::from_digest(&[7; 6]),
            lanes: [("canary".into(), 3)].into(),
            held: [].into(),
        },
        r#"{"order":"approve","plan":"plan-070707070707","lanes":{"canary":3}}"#,
        "approve plan-070707070707: canary 3"
    )]
    #[case(
        Order::Approve {
            plan: PlanId::from_digest(&[7; 6]),
            lanes: [("canary".into(), 0), ("prod".into(), 33)].into(),
            held: [("canary".into(), 3)].into(),
        },
        r#"{"order":"approve","plan":"plan-070707070707","lanes":{"canary":0,"prod":33},"held":{"canary":3}}"#,
        "approve plan-070707070707: canary 0 and 3 held, prod 33"
    )]
    #[case(
        Order::Pause { lane: "canary".into() },
        r#"{"order":"pause","lane":"canary"}"#,
        "pause canary"
    )]
    #[case(
        Order::Resume { lane: "canary".into(), paused: "by ada".into() },
        r#"{"order":"resume","lane":"canary","paused":"by ada"}"#,
        "resume canary, which was paused: by ada"
    )]
    #[case(
        Order::Redrive {
            target: ArtifactId::new("pa-1"),
            accounts: ["111122223333".parse().unwrap()].into()
        },
        r#"{"order":"redrive","target":"pa-1","accounts":["111122223333"]}"#,
        "redrive to pa-1: 111122223333"
    )]
    #[case(
        Order::RedriveNotifications { notifier: "ams".into() },
        r#"{"order":"redrive-notifications","notifier":"ams"}"#,
        "redrive notifications of ams"
    )]
    #[case(Order::Sweep, r#"{"order":"sweep"}"#, "sweep")]
    fn orders_are_written_and_shown(#[case] order: Order, #[case] json: &str, #[case] shown: &str) {
        assert_eq!(serde_json::to_string(&order).unwrap(), json);
        assert_eq!(serde_json::from_str::<Order>(json).unwrap(), order);
        assert_eq!(order.to_string(), shown);
    }

    #[test]
    fn an_order_of_a_newer_groundcrew_is_read() {
        let json = r#"{"number":7,"at":"2026-09-21T14:13:20Z","by":{"user":"ada","badge":9},
                       "order":"dance","partner":"bob"}"#;
        let trail_entry: TrailEntry = serde_json::from_str(json).unwrap();
        assert_eq!(
            (trail_entry.number, trail_entry.at, &trail_entry.order),
            (7, AT, &Order::Other)
        );
        assert_eq!(trail_entry.by.to_string(), "ada");
    }

    #[test]
    fn what_an_older_groundcrew_wrote_is_read() {
        let json = r#"{"sweep":"2026-09-21T14:13:20Z","plans":{"plan-070707070707":
            {"since":"2026-09-21T14:13:20Z","approved":{"by":"ada","at":"2026-09-21T14:13:20Z"}}}}"#;
        let orders: Orders = serde_json::from_str(json).unwrap();
        assert_eq!((orders.last_number, orders.last_logged), (0, 0));
        assert!(orders.is_approved(&PlanId::from_digest(&[7; 6])));
    }

    /// As written before sweeps recorded the rules of their plan.
    fn an_older_sweep() -> SweepRecord {
        let json = r#"{"began":"2026-09-21T14:13:20Z","completed":"2026-09-21T14:13:20Z",
            "target":"pa-1","accounts":9,"current":9,"skipped":0,"lanes":{},"held":[],
            "held_in_all":0}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn plans_stand_by_the_last_sweep() {
        let plan = |number: u8| PlanId::from_digest(&[number; 6]);
        let approval = Approval { by: "ada".into(), at: AT };
        let waits = PlanRecord { since: AT, approved: None };
        let approved = PlanRecord { since: AT, approved: Some(approval.clone()) };
        let plans = [(plan(1), waits), (plan(2), approved)].into();
        let orders = Orders { plans, ..Orders::default() };
        let by = |made: Option<u8>| SweepRecord { plan: made.map(plan), ..an_older_sweep() };
        let approval_state =
            |of: u8, sweep: Option<&SweepRecord>| orders.approval_state(&plan(of), sweep);
        assert_eq!(approval_state(3, None), ApprovalState::Unknown);
        assert_eq!(approval_state(3, Some(&by(Some(3)))), ApprovalState::Unknown);
        assert_eq!(approval_state(1, None), ApprovalState::Pending);
        assert_eq!(approval_state(1, Some(&by(Some(1)))), ApprovalState::Pending);
        assert_eq!(approval_state(2, Some(&by(Some(2)))), ApprovalState::Approved(approval));
        for of in [1, 2] {
            let superseded = ApprovalState::Superseded { by: Some(plan(3)) };
            assert_eq!(approval_state(of, Some(&by(Some(3)))), superseded);
            assert_eq!(approval_state(of, Some(&by(None))), ApprovalState::Superseded { by: None });
        }
        assert_eq!(orders.waiting(Some(&by(Some(1)))), Some(&plan(1)));
        assert_eq!(orders.waiting(Some(&by(Some(2)))), None);
        assert_eq!(orders.waiting(Some(&by(Some(3)))), None);
        assert_eq!(orders.waiting(None), None);
    }
}
