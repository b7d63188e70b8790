//! `groundcrew sweep --dry-run`: what a sweep would find now, with the state of the ledger.
//! Evaluates policies; records and delivers nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use groundcrew_core::account::AccountId;
use groundcrew_core::decision_combiner::FinalDecision;
use groundcrew_core::lane::LaneId;
use groundcrew_core::scheduler::{AccountUpdateState, Sweep};
use groundcrew_core::suggestions::CommandFormatter;
use groundcrew_engine::{EngineEvent, Host, Observer};
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::formatting::paragraph;
use crate::loaded_config::{PluginSelection, read_config};
use crate::output::print_sanitized;
use crate::plan::{AccountDecision, groups};
use crate::ports::{NoSupportCases, RealAws, environment};
use crate::totals::Totals;

/// Most kinds of decisions that are listed; the others are counted.
const MAX_LISTED: usize = 8;

/// Collects the decisions.
#[derive(Default)]
struct DecisionCollector(Mutex<BTreeMap<AccountId, FinalDecision>>);

impl Observer for DecisionCollector {
    fn observe(&self, _: Timestamp, event: EngineEvent<'_>) {
        if let EngineEvent::Decided { account, decision } = event {
            let mut decisions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            decisions.insert(account.clone(), decision.clone());
        }
    }
}

pub fn run(config: &Path) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let read = read_config(Some(config))?;
        let aws = RealAws::connect_read_only(&read, environment(&read.config).await).await?;
        let loaded = read.load(PluginSelection::All, Arc::new(NoSupportCases)).await?;
        let decisions = Arc::new(DecisionCollector::default());
        let ports = aws.dry_run_ports(&loaded, decisions.clone())?;
        let host = Host::new(ports, loaded.update_settings(aws.host()));
        let Some(sweep) = host.dry_run_sweep().await? else {
            return print_sanitized(
                "The landing zone is being changed (GetLandingZone says PROCESSING): no sweep is made.\n",
            );
        };
        let decisions = decisions.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lanes: Vec<String> = loaded.config.lane_names();
        print_sanitized(&render(&sweep, &lanes, decisions, &loaded.config.suggestions))
    })
}

fn render(
    sweep: &Sweep,
    lanes: &[String],
    decisions: BTreeMap<AccountId, FinalDecision>,
    suggestions: &CommandFormatter,
) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(sweep, lanes, decisions, suggestions, &mut out);
    out
}

fn totals(sweep: &Sweep) -> Totals {
    let number = |is: fn(&AccountUpdateState) -> bool| {
        sweep.accounts.values().filter(|candidate_state| is(candidate_state)).count()
    };
    Totals {
        total: sweep.accounts.len(),
        updated: None,
        to_update: number(|candidate_state| {
            matches!(candidate_state, AccountUpdateState::Outdated { .. })
        }),
        skipped: number(|candidate_state| matches!(candidate_state, AccountUpdateState::Skipped)),
        held: number(|candidate_state| matches!(candidate_state, AccountUpdateState::Held { .. })),
        failed: Some(number(|candidate_state| {
            matches!(candidate_state, AccountUpdateState::DeadLettered { .. })
        })),
        current: number(|candidate_state| matches!(candidate_state, AccountUpdateState::Current)),
        not_enrolled: None,
        closed: number(|candidate_state| matches!(candidate_state, AccountUpdateState::Closed)),
    }
}

fn write(
    sweep: &Sweep,
    lanes: &[String],
    decisions: BTreeMap<AccountId, FinalDecision>,
    suggestions: &CommandFormatter,
    out: &mut String,
) -> std::fmt::Result {
    let target = sweep.account_factory.target.as_str();
    paragraph(out, &format!("target      {target}"))?;
    paragraph(out, &format!("accounts    {}", totals(sweep).summary()))?;
    if let Some(plan) = &sweep.plan {
        paragraph(out, &format!("plan        {plan}"))?;
    }
    let decided: Vec<AccountDecision> = decisions
        .into_iter()
        .map(|(account, decision)| {
            let lane = |lane: LaneId| lanes.get(lane.index()).cloned().unwrap_or_default();
            AccountDecision::new(account.as_str(), "", decision, lane)
        })
        .collect();
    for (word, label, what) in
        [("proceed", "  update", "in lane "), ("skip", "  skip", ""), ("hold", "  hold", "")]
    {
        let of_word = decided.iter().filter(|decided| decided.decision == word);
        groups(of_word, label, what, MAX_LISTED, out)?;
    }
    let dead_lettered: Vec<&str> = sweep
        .accounts
        .iter()
        .filter(|(_, candidate_state)| {
            matches!(candidate_state, AccountUpdateState::DeadLettered { .. })
        })
        .map(|(account, _)| account.as_str())
        .collect();
    if !dead_lettered.is_empty() {
        let line = format!(
            "  failed    {}; `{}` says why, `{}` tries them again",
            crate::formatting::list(&dead_lettered),
            suggestions.command("status"),
            suggestions.command("redrive --all")
        );
        paragraph(out, &line)?;
    }
    writeln!(out, "Nothing was changed.")
}
