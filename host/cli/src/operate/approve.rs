//! `groundcrew approve`: shows a plan and its changes, and asks for confirmation.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};

use groundcrew_core::plan_id::{PlanId, RuleChange, rule_changes};
use groundcrew_core::ports::{
    Approval, ApprovalState, ApprovedPlan, LedgerError, Orders, SweepRecord, SweptLane,
};

use super::operator;
use super::session::OperatorSession;
use crate::command_error::CommandError;
use crate::commands::Approve;
use crate::formatting::{format_minute, paragraph, thousands};
use crate::output::{print, print_sanitized};
use crate::totals::Totals;

/// What the ledger knows about a plan.
struct PlanContext {
    /// The lanes of the config, in the order in which they run.
    lanes: Vec<String>,
    orders: Orders,
    sweep: Option<SweepRecord>,
    previous: Option<ApprovedPlan>,
}

impl PlanContext {
    async fn load(session: &OperatorSession) -> Result<Self, LedgerError> {
        let ledger = &session.aws.ledger().updates;
        Ok(Self {
            lanes: session.config.lane_names(),
            orders: ledger.orders().await?,
            sweep: ledger.last_sweep().await?,
            previous: ledger.last_approved().await?,
        })
    }

    fn approval_state(&self, plan: &PlanId) -> ApprovalState {
        self.orders.approval_state(plan, self.sweep.as_ref())
    }

    /// Why a plan that doesn't wait for approval can't be approved.
    fn not_approvable(&self, plan: &PlanId, approval_state: &ApprovalState) -> CommandError {
        let why = match approval_state {
            ApprovalState::Superseded { by: None } => {
                "plans need no approval, by the config of the host that swept last".to_owned()
            }
            ApprovalState::Superseded { by: Some(by) } => {
                let stands = match self.approval_state(by) {
                    ApprovalState::Pending => "waits for approval now",
                    ApprovalState::Approved(_) => "is approved",
                    _ => "has nothing to start",
                };
                format!("superseded, by another version or other rules; {by} {stands}")
            }
            _ => {
                let waiting = match self.orders.waiting(self.sweep.as_ref()) {
                    Some(waiting) => format!("{waiting} does"),
                    None => {
                        "no plan waits for approval: `groundcrew status` shows those there were"
                            .to_owned()
                    }
                };
                format!("this plan does not wait for approval; {waiting}")
            }
        };
        CommandError::Usage(format!("{plan}: {why}"))
    }
}

pub fn run(options: &Approve) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let plan = &options.plan;
        // Opened again for writing: while somebody reads, a service that starts must be able to
        // open the file.
        let context = {
            let session = OperatorSession::open(&options.config).await?;
            PlanContext::load(&session).await?
        };
        match context.approval_state(plan) {
            ApprovalState::Pending => {}
            ApprovalState::Approved(approval) => return print_already_approved(plan, &approval),
            approval_state => return Err(context.not_approvable(plan, &approval_state)),
        }
        print_sanitized(&render(plan, &context))?;
        if !options.yes {
            confirm(plan)?;
        }
        let session = OperatorSession::open(&options.config).await?;
        let issued_by = operator::issued_by(&session.aws).await;
        let ledger = &session.aws.ledger().updates;
        match ledger.approve(plan, &issued_by).await? {
            ApprovalState::Pending => print_sanitized(&format!(
                "{plan}: approved by {}; {}\n",
                issued_by.by,
                session.pickup_notice()
            )),
            ApprovalState::Approved(approval) => print_already_approved(plan, &approval),
            approval_state => {
                Err(PlanContext::load(&session).await?.not_approvable(plan, &approval_state))
            }
        }
    })
}

fn print_already_approved(plan: &PlanId, approval: &Approval) -> Result<(), CommandError> {
    print_sanitized(&format!(
        "{plan}: approved already by {} at {}\n",
        approval.by,
        format_minute(approval.at)
    ))
}

/// Asks the person at the terminal for confirmation.
fn confirm(plan: &PlanId) -> Result<(), CommandError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::Usage(format!(
            "{plan}: not approved. Nobody can be asked, since stdin is no terminal: read what is \
             shown above, then approve with `--yes`"
        )));
    }
    print(&format!("Approve {plan}? [y/N] "))?;
    std::io::stdout().flush().map_err(|error| CommandError::Other(error.to_string()))?;
    match is_confirmation(&mut stdin.lock())
        .map_err(|error| CommandError::Other(error.to_string()))?
    {
        true => Ok(()),
        false => Err(CommandError::Other(format!("{plan}: not approved"))),
    }
}

/// Whether the next line is a confirmation. The end of the input is none.
fn is_confirmation(input: &mut impl BufRead) -> std::io::Result<bool> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn render(plan: &PlanId, context: &PlanContext) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(plan, context, &mut out);
    out
}

fn write(plan: &PlanId, context: &PlanContext, out: &mut String) -> std::fmt::Result {
    let Some(sweep) = &context.sweep else {
        return paragraph(out, &format!("plan        {plan}; no sweep has found its changes yet"));
    };
    let line = format!(
        "plan        {plan}, to {}, as of the sweep of {}",
        sweep.target,
        format_minute(sweep.completed)
    );
    paragraph(out, &line)?;
    writeln!(out)?;
    lanes(context, sweep, out)?;
    writeln!(out)?;
    let sum = |of: fn(&SweptLane) -> usize| sweep.lanes.values().map(of).sum::<usize>();
    let accounts = Totals {
        total: sweep.accounts,
        updated: None,
        to_update: sum(|summary| summary.to_update),
        skipped: sweep.skipped,
        held: sweep.held_in_all,
        failed: Some(sum(|summary| summary.dead_lettered)),
        current: sweep.current,
        not_enrolled: None,
        closed: sweep.closed,
    };
    paragraph(out, &format!("accounts    {}", accounts.summary()))?;
    match &context.previous {
        Some(previous) => {
            let Approval { by, at } = &previous.approval;
            let (plan, at) = (&previous.plan, format_minute(*at));
            paragraph(out, &format!("before      {plan}, approved by {by} at {at}"))?;
            changes(previous, sweep, out)
        }
        None => write_unknown_previous(&context.orders, out),
    }
}

/// The lanes, in the order of the config, with their accounts in the last approved plan. Lanes that
/// are no longer configured come last.
fn lanes(context: &PlanContext, sweep: &SweepRecord, out: &mut String) -> std::fmt::Result {
    let previous = context.previous.as_ref();
    let names =
        sweep.lanes.keys().chain(previous.iter().flat_map(|previous| previous.lanes.keys()));
    let others: BTreeSet<&String> = names.filter(|lane| !context.lanes.contains(lane)).collect();
    let lanes: Vec<&String> = context.lanes.iter().chain(others).collect();
    let width = lanes.iter().map(|lane| lane.len()).max().unwrap_or(0).max(4);
    let head = if previous.is_some() { "  before" } else { "" };
    writeln!(out, "{:width$}  accounts  held{head}", "lane")?;
    for lane in lanes {
        let summary = sweep.lanes.get(lane).cloned().unwrap_or_default();
        let accounts = thousands(summary.to_update as u64);
        let held = thousands(summary.held as u64);
        let previous = previous.map(|previous| previous.lanes.get(lane).copied().unwrap_or(0));
        let previous = previous.map(|previous| format!("  {:>6}", thousands(previous as u64)));
        let previous = previous.unwrap_or_default();
        writeln!(out, "{lane:width$}  {accounts:>8}  {held:>4}{previous}")?;
    }
    Ok(())
}

/// The changes since the plan that was approved last.
fn changes(previous: &ApprovedPlan, sweep: &SweepRecord, out: &mut String) -> std::fmt::Result {
    if previous.target != sweep.target {
        let line = format!("changed     version: {}, was {}", sweep.target, previous.target);
        paragraph(out, &line)?;
    }
    let changes = rule_changes(&previous.rules, &sweep.rules);
    for change in &changes {
        let line = match change {
            RuleChange::Added { about, is } => format!("added       {about}: {is}"),
            RuleChange::Removed { about } => format!("removed     {about}"),
            RuleChange::Changed { about, was, is } => {
                format!("changed     {about}: {is}, was {was}")
            }
        };
        paragraph(out, &line)?;
    }
    if changes.is_empty() && previous.target == sweep.target {
        paragraph(out, "changed     nothing that is known: it may be another groundcrew's plan")?;
    }
    Ok(())
}

/// Nothing but possibly the name of the last approved plan is known.
fn write_unknown_previous(orders: &Orders, out: &mut String) -> std::fmt::Result {
    let approved = orders.plans.iter().filter_map(|(plan, record)| {
        let approval = record.approved.as_ref()?;
        Some((approval.at, plan, approval))
    });
    match approved.max_by_key(|(at, ..)| *at) {
        None => paragraph(out, "before      no plan that was approved is known"),
        Some((at, plan, approval)) => {
            let line = format!(
                "before      {plan}, approved by {} at {}; its rules were not recorded",
                approval.by,
                format_minute(at)
            );
            paragraph(out, &line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::catalog::ArtifactId;
    use groundcrew_core::ports::PlanRecord;
    use jiff::Timestamp;
    use rstest::rstest;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn plan(number: u8) -> PlanId {
        PlanId::from_digest(&[number; 6])
    }

    fn rules(rules: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        rules.iter().map(|(about, is)| ((*about).to_owned(), (*is).to_owned())).collect()
    }

    fn approval() -> Approval {
        let by = "arn:aws:sts::123456789012:assumed-role/ops/ada (ada@desk)".to_owned();
        Approval { by, at: AT }
    }

    fn context() -> PlanContext {
        let sweep = serde_json::json!({
            "began": AT, "completed": AT, "target": "pa-aaaaaaaaaaaac", "plan": plan(1),
            "accounts": 2521, "current": 1000, "skipped": 12, "closed": 3,
            "lanes": {
                "canary": { "to_update": 3, "given_up": 1, "held": 2, "succeeded": 0 },
                "production": { "to_update": 1500, "given_up": 0, "succeeded": 0 },
            },
            "held": [], "held_in_all": 2,
        });
        let sweep: SweepRecord = serde_json::from_value(sweep).unwrap();
        let waits = PlanRecord { since: AT, approved: None };
        let orders = Orders { plans: [(plan(1), waits)].into(), ..Orders::default() };
        PlanContext {
            lanes: vec!["canary".into(), "production".into()],
            orders,
            sweep: Some(SweepRecord {
                rules: rules(&[
                    ("lane canary", "concurrency 1, start_when drained"),
                    ("policy freeze", "sha256 0123456789ab, settings 44136fa355b3"),
                    ("updates.reserve", "0"),
                ]),
                ..sweep
            }),
            previous: None,
        }
    }

    fn previous() -> ApprovedPlan {
        ApprovedPlan {
            plan: plan(9),
            approval: approval(),
            target: ArtifactId::new("pa-aaaaaaaaaaaab"),
            lanes: [("canary".into(), 3), ("others".into(), 7)].into(),
            rules: rules(&[
                ("lane canary", "concurrency 4, start_when drained"),
                ("lane others", "concurrency 1, start_when drained"),
                ("updates.reserve", "0"),
            ]),
        }
    }

    fn shown(context: &PlanContext) -> String {
        let screen = render(&plan(1), context);
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "over 80 columns: {line}");
        }
        screen
    }

    #[test]
    fn the_first_plan() {
        insta::assert_snapshot!(shown(&context()), @"
        plan        plan-010101010101, to pa-aaaaaaaaaaaac, as of the sweep of
                    2026-09-21 14:13 UTC

        lane        accounts  held
        canary             3     2
        production     1,500     0

        accounts    2,521: 1,503 to update, 12 skipped, 2 held, 1 failed, 1,000 current,
                    3 closed
        before      no plan that was approved is known
        ");
    }

    #[test]
    fn what_is_new_since_the_last_approved_plan() {
        insta::assert_snapshot!(shown(&PlanContext { previous: Some(previous()), ..context() }), @"
        plan        plan-010101010101, to pa-aaaaaaaaaaaac, as of the sweep of
                    2026-09-21 14:13 UTC

        lane        accounts  held  before
        canary             3     2       3
        production     1,500     0       0
        others             0     0       7

        accounts    2,521: 1,503 to update, 12 skipped, 2 held, 1 failed, 1,000 current,
                    3 closed
        before      plan-090909090909, approved by
                    arn:aws:sts::123456789012:assumed-role/ops/ada (ada@desk) at
                    2026-09-21 14:13 UTC
        changed     version: pa-aaaaaaaaaaaac, was pa-aaaaaaaaaaaab
        changed     lane canary: concurrency 1, start_when drained, was concurrency 4,
                    start_when drained
        removed     lane others
        added       policy freeze: sha256 0123456789ab, settings 44136fa355b3
        ");
    }

    #[test]
    fn an_older_groundcrew_took_the_last_approval() {
        let mut context = context();
        let record = PlanRecord { since: AT, approved: Some(approval()) };
        context.orders.plans.insert(plan(9), record);
        let screen = shown(&context);
        let (_, previous) = screen.split_once("before ").unwrap();
        insta::assert_snapshot!(previous, @r"
             plan-090909090909, approved by
                    arn:aws:sts::123456789012:assumed-role/ops/ada (ada@desk) at
                    2026-09-21 14:13 UTC; its rules were not recorded
        ");
    }

    #[test]
    fn the_same_rules_by_another_groundcrew() {
        let mut context = PlanContext { previous: Some(previous()), ..context() };
        let previous = context.previous.as_mut().unwrap();
        let sweep = context.sweep.as_ref().unwrap();
        (previous.rules, previous.target) = (sweep.rules.clone(), sweep.target.clone());
        let screen = shown(&context);
        assert!(screen.contains("changed     nothing that is known"), "{screen}");
    }

    #[rstest]
    #[case::unknown(7, Some(1), "this plan does not wait for approval; plan-010101010101 does")]
    #[case::unknown_and_none_waits(
        7,
        Some(9),
        "this plan does not wait for approval; no plan waits for approval: `groundcrew status` shows those there were"
    )]
    #[case::superseded(
        1,
        Some(2),
        "superseded, by another version or other rules; plan-020202020202 waits for approval now"
    )]
    #[case::superseded_by_an_approved_one(
        1,
        Some(9),
        "superseded, by another version or other rules; plan-090909090909 is approved"
    )]
    #[case::superseded_by_one_that_starts_nothing(
        1,
        Some(3),
        "superseded, by another version or other rules; plan-030303030303 has nothing to start"
    )]
    #[case::no_longer_needed(
        1,
        None,
        "plans need no approval, by the config of the host that swept last"
    )]
    fn what_can_not_be_approved_is_refused(
        #[case] asked: u8,
        #[case] made: Option<u8>,
        #[case] message: &str,
    ) {
        let mut context = context();
        let record = PlanRecord { since: AT, approved: Some(approval()) };
        context.orders.plans.insert(plan(9), record);
        context.orders.plans.insert(plan(2), PlanRecord { since: AT, approved: None });
        context.sweep.as_mut().unwrap().plan = made.map(plan);
        let not_approvable =
            context.not_approvable(&plan(asked), &context.approval_state(&plan(asked)));
        let CommandError::Usage(text) = not_approvable else { panic!("{not_approvable}") };
        assert_eq!(text, format!("{}: {message}", plan(asked)));
    }

    #[rstest]
    #[case("y\n", true)]
    #[case("YES\n", true)]
    #[case("yes", true)]
    #[case("\n", false)]
    #[case("", false)]
    #[case("no\n", false)]
    #[case("yesterday\n", false)]
    fn only_yes_is_yes(#[case] line: &str, #[case] yes: bool) {
        assert_eq!(is_confirmation(&mut line.as_bytes()).unwrap(), yes);
    }
}
