//! `groundcrew explain`: one account, every policy that is evaluated, the input and decision of
//! each, and which one wins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use groundcrew_core::account::{AccountState, Tags};
use groundcrew_core::decision::{Action, Candidate, Cause, PolicyDecision};
use groundcrew_core::plan::{CandidateFinder, PrePolicyState};
use groundcrew_engine::{Evaluation, PolicyPipeline, PolicyResult};
use jiff::Timestamp;
use serde::Serialize;

use crate::command_error::CommandError;
use crate::commands::{Explain, ExplainAction, Format};
use crate::formatting::{format_minute, paragraph};
use crate::loaded_config::{PluginSelection, read_config};
use crate::output::{print, print_sanitized, to_json};
use crate::plan::{AccountDecision, read_snapshot};
use crate::ports::NoSupportCases;
use crate::snapshot::read_live_account;

/// The input and the decisions of the policies for an account.
#[derive(Debug, Serialize)]
struct Report {
    at: Timestamp,
    action: Action,
    cause: Cause,
    account: Account,
    /// Why policies would not be evaluated now, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_asked: Option<String>,
    #[serde(rename = "answers")]
    results: Vec<PolicyResultReport>,
    decision: AccountDecision,
    /// The final decision if monitored policies counted, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    with_monitored: Option<AccountDecision>,
}

/// What policies see of the account.
#[derive(Debug, Serialize)]
struct Account {
    id: String,
    name: String,
    email: String,
    ou: Vec<String>,
    tags: Option<BTreeMap<String, String>>,
    tags_unreadable: Option<String>,
    joined: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<AccountState>,
    product: Option<Product>,
}

#[derive(Debug, Serialize)]
struct Product {
    id: String,
    status: String,
    artifact: String,
    target_artifact: String,
}

/// The decision of one policy.
#[derive(Debug, Serialize)]
struct PolicyResultReport {
    policy: String,
    /// SHA-256 of its component or script.
    digest: String,
    monitored: bool,
    /// `abstain`, `proceed`, `skip`, `hold` or `failure`.
    #[serde(rename = "says")]
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    micros: u64,
}

pub fn run(options: &Explain) -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    let report = runtime.block_on(report(options))?;
    match options.format {
        Format::Text => print_sanitized(&render(&report))?,
        Format::Json => print(&to_json(&report)?)?,
    }
    let failed = report.results.iter().filter(|result| result.result == "failure");
    crate::command_error::failing_policies_error(failed.map(|result| result.policy.as_str()))
        .map_or(Ok(()), Err)
}

async fn report(options: &Explain) -> Result<Report, CommandError> {
    // Errors of the config are reported before AWS is read.
    let loaded = read_config(Some(&options.config))?
        .load(PluginSelection::All, Arc::new(NoSupportCases))
        .await?;
    let wanted = &options.account;
    let snapshot = match &options.snapshot {
        Some(file) => read_snapshot(file)?,
        None => read_live_account(&loaded.config, wanted).await?,
    };
    let account = snapshot.accounts.iter().find(|account| account.id == wanted.as_str());
    let account = account.ok_or_else(|| {
        CommandError::Usage(format!("account {wanted} is not in the organization: check the id"))
    })?;
    let at = options.at.unwrap_or_else(Timestamp::now);

    let mut finder = CandidateFinder::new(&snapshot, at, loaded.config.updates.causes);
    let invalid =
        |error: groundcrew_core::account::InvalidAccountId| CommandError::Usage(error.to_string());
    let candidate = finder.candidate(account).map_err(invalid)?;
    let (candidate, not_asked) = match options.action {
        ExplainAction::Update => {
            let not_asked = match finder.find(account).map_err(invalid)? {
                PrePolicyState::Outdated(_) => None,
                PrePolicyState::Excluded(why) => Some(why.to_owned()),
                PrePolicyState::Current => {
                    Some("it is on the newest Account Factory version".to_owned())
                }
                PrePolicyState::Closed(state) => Some(format!("it is closed ({state})")),
                PrePolicyState::NotEnrolled => {
                    let why =
                        "it has no provisioned product, so that Account Factory can't update it";
                    Some(why.to_owned())
                }
            };
            (candidate, not_asked)
        }
        ExplainAction::Onboard => {
            let candidate = Candidate {
                action: Action::Onboard,
                cause: Cause::Lifecycle,
                product: None,
                ..candidate
            };
            let closed = candidate.account.closed_state();
            (candidate, closed.map(|state| format!("it is closed ({state})")))
        }
    };
    let pipeline = loaded.pipeline(candidate.action);
    let evaluation = pipeline.evaluate(&candidate).await;
    Ok(Report::of(&candidate, not_asked, &pipeline, evaluation))
}

impl Report {
    fn of(
        candidate: &Candidate,
        not_asked: Option<String>,
        pipeline: &PolicyPipeline,
        evaluation: Evaluation<'_>,
    ) -> Self {
        let account = &candidate.account;
        let decided = |decision| {
            let lane = |index| pipeline.lane_name(index).to_owned();
            AccountDecision::new(account.id.as_str(), &account.name, decision, lane)
        };
        Self {
            at: candidate.now,
            action: candidate.action,
            cause: candidate.cause,
            account: Account::of(candidate),
            not_asked,
            results: evaluation.results.iter().map(PolicyResultReport::of).collect(),
            with_monitored: evaluation.with_monitored.map(decided),
            decision: decided(evaluation.decision),
        }
    }
}

impl Account {
    fn of(candidate: &Candidate) -> Self {
        let account = &candidate.account;
        let units = account.organizational_units.iter();
        let (tags, tags_unreadable) = match &candidate.tags {
            Tags::Known(tags) => (Some(tags.clone()), None),
            Tags::Unreadable(why) => (None, Some(why.clone())),
        };
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            email: account.email.clone(),
            ou: units.map(|unit| unit.name.clone()).collect(),
            tags,
            tags_unreadable,
            joined: account.joined,
            state: account.state,
            product: candidate.product.as_ref().map(|(product, target)| Product {
                id: product.id.to_string(),
                status: product.status.to_string(),
                artifact: product.artifact.to_string(),
                target_artifact: target.to_string(),
            }),
        }
    }
}

impl PolicyResultReport {
    fn of(answer: &PolicyResult<'_>) -> Self {
        let (decision, lane, reason, until) = match &answer.result {
            Ok(PolicyDecision::Abstain) => ("abstain", None, None, None),
            Ok(PolicyDecision::Proceed(lane)) => ("proceed", lane.clone(), None, None),
            Ok(PolicyDecision::Skip(reason)) => ("skip", None, Some(reason.clone()), None),
            Ok(PolicyDecision::Hold { until, reason, lane }) => {
                ("hold", lane.clone(), Some(reason.clone()), Some(*until))
            }
            Err(failure) => ("failure", None, Some(failure.message.clone()), None),
        };
        Self {
            policy: answer.policy.name.clone(),
            digest: answer.policy.digest.clone(),
            monitored: answer.policy.monitored,
            result: decision,
            lane,
            reason,
            until,
            micros: u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// The report as text.
fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let Report { account, action, .. } = report;
    let at = format_minute(report.at);
    paragraph(out, &format!("Account {} {}: {action}, {at}", account.id, account.name))?;
    if let Some(why) = &report.not_asked {
        let closed = account.state.is_some_and(AccountState::is_closed);
        let otherwise = if closed { "if it were open" } else { "if it were outdated" };
        let line = format!("            no policy is asked now: {why}; {otherwise}:");
        paragraph(out, &line)?;
    }
    writeln!(out, "\npolicies see")?;
    write_account(report, out)?;
    writeln!(out, "\npolicies say")?;
    if report.results.is_empty() {
        writeln!(out, "            nothing: none is asked about this action")?;
    }
    let width =
        report.results.iter().map(|result| result.policy.chars().count()).max().unwrap_or(0);
    let width = width.max(8);
    for result in &report.results {
        let mode = if result.monitored { ", monitored: doesn't count" } else { "" };
        let digest: String = result.digest.chars().take(12).collect();
        let line = format!(
            "  {:<width$}  {}{mode}  ({} µs, sha256 {digest}…)",
            result.policy,
            describe_decision(
                result.result,
                result.lane.as_deref(),
                result.reason.as_deref(),
                result.until
            ),
            result.micros
        );
        paragraph(out, &line)?;
    }
    writeln!(out)?;
    let fallback = match action {
        Action::Onboard => "nothing says otherwise",
        _ => "says updates.default",
    };
    let decided = |decided: &AccountDecision| {
        let AccountDecision { decision, lane, reason, until, policy, .. } = decided;
        let by = policy.as_ref().map_or(fallback.to_owned(), |policy| format!("says {policy}"));
        (describe_decision(decision, lane.as_deref(), reason.as_deref(), *until), by)
    };
    let (what, by) = decided(&report.decision);
    paragraph(out, &format!("decision    {what} ({by})"))?;
    if let Some(monitored) = &report.with_monitored {
        let (what, by) = decided(monitored);
        let line = format!("monitored   if the monitored policies counted: {what} ({by})");
        paragraph(out, &line)?;
    }
    Ok(())
}

fn write_account(report: &Report, out: &mut String) -> std::fmt::Result {
    let account = &report.account;
    let mut line = |label: &str, value: &str| paragraph(out, &format!("  {label:<10}{value}"));
    line("cause", &report.cause.to_string())?;
    line("email", &account.email)?;
    let ou = account.ou.join(" / ");
    line("OU", if ou.is_empty() { "none: directly under the root" } else { &ou })?;
    match (&account.tags, &account.tags_unreadable) {
        (Some(tags), _) if tags.is_empty() => line("tags", "none")?,
        (Some(tags), _) => {
            for (key, value) in tags {
                line("tag", &format!("{key} = {value}"))?;
            }
        }
        (None, why) => line("tags", &format!("unreadable: {}", why.as_deref().unwrap_or("")))?,
    }
    if let Some(state) = account.state {
        line("state", &state.to_string())?;
    }
    if let Some(joined) = account.joined {
        line("joined", &format_minute(joined))?;
    }
    if let Some(product) = &account.product {
        line("product", &format!("{} {}", product.id, product.status))?;
        line("artifact", &format!("{}, target {}", product.artifact, product.target_artifact))?;
    }
    Ok(())
}

/// A decision in words.
fn describe_decision(
    decision: &str,
    lane: Option<&str>,
    reason: Option<&str>,
    until: Option<Timestamp>,
) -> String {
    let lane = lane.filter(|lane| !lane.is_empty()).map(|lane| format!(", lane {lane}"));
    let until = until.map(|until| format!(" until {}", format_minute(until)));
    let reason = reason.map(|reason| format!(": {reason}"));
    [Some(decision.to_owned()), lane, until, reason].into_iter().flatten().collect()
}
