//! `groundcrew explain`: one account, every policy that is asked, what each sees and says, and
//! which one wins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use groundcrew_core::account::{AccountState, Tags};
use groundcrew_core::decision::{Action, Candidate, Cause, PolicyDecision};
use groundcrew_core::plan::{CandidateFinder, PrePolicyState};
use groundcrew_engine::{Evaluation, PolicyPipeline, PolicyResult};
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::{About, Explain, Format};
use crate::failure::Failure;
use crate::loaded::{Need, read};
use crate::output::{json, print, screen};
use crate::plan::{Decided, from_file};
use crate::ports::NoSupport;
use crate::snapshot::live_account;
use crate::wording::{minute, paragraph};

/// What policies are asked and say about an account.
#[derive(Debug, Serialize)]
struct Report {
    at: Timestamp,
    action: Action,
    cause: Cause,
    account: Account,
    /// Why policies would not be asked now, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_asked: Option<String>,
    answers: Vec<Said>,
    decision: Decided,
    /// What would be decided if monitored policies had a say, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    with_monitored: Option<Decided>,
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

/// What one policy says.
#[derive(Debug, Serialize)]
struct Said {
    policy: String,
    /// SHA-256 of its component or script.
    digest: String,
    monitored: bool,
    /// `abstain`, `proceed`, `skip`, `hold` or `failure`.
    says: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    micros: u64,
}

pub fn run(options: &Explain) -> Result<(), Failure> {
    let runtime = crate::runtime::current_thread()?;
    let report = runtime.block_on(report(options))?;
    match options.format {
        Format::Text => screen(&render(&report))?,
        Format::Json => print(&json(&report)?)?,
    }
    let failed = report.answers.iter().filter(|said| said.says == "failure");
    crate::failure::failing(failed.map(|said| said.policy.as_str())).map_or(Ok(()), Err)
}

async fn report(options: &Explain) -> Result<Report, Failure> {
    // What is wrong with the config is told before AWS is read.
    let loaded = read(Some(&options.config))?.load(Need::All, Arc::new(NoSupport)).await?;
    let wanted = &options.account;
    let snapshot = match &options.snapshot {
        Some(file) => from_file(file)?,
        None => live_account(&loaded.config, wanted).await?,
    };
    let account = snapshot.accounts.iter().find(|account| account.id == wanted.as_str());
    let account = account.ok_or_else(|| {
        Failure::Usage(format!("account {wanted} is not in the organization: check the id"))
    })?;
    let at = options.at.unwrap_or_else(Timestamp::now);

    let mut finder = CandidateFinder::new(&snapshot, at, loaded.config.updates.causes);
    let invalid =
        |error: groundcrew_core::account::InvalidAccountId| Failure::Usage(error.to_string());
    let candidate = finder.candidate(account).map_err(invalid)?;
    let (candidate, not_asked) = match options.action {
        About::Update => {
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
        About::Onboard => {
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
            Decided::new(account.id.as_str(), &account.name, decision, lane)
        };
        Self {
            at: candidate.now,
            action: candidate.action,
            cause: candidate.cause,
            account: Account::of(candidate),
            not_asked,
            answers: evaluation.results.iter().map(Said::of).collect(),
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

impl Said {
    fn of(answer: &PolicyResult<'_>) -> Self {
        let (says, lane, reason, until) = match &answer.result {
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
            says,
            lane,
            reason,
            until,
            micros: u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// The report as a person reads it.
fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let Report { account, action, .. } = report;
    let at = minute(report.at);
    paragraph(out, &format!("Account {} {}: {action}, {at}", account.id, account.name))?;
    if let Some(why) = &report.not_asked {
        let closed = account.state.is_some_and(AccountState::is_closed);
        let otherwise = if closed { "if it were open" } else { "if it were outdated" };
        let line = format!("            no policy is asked now: {why}; {otherwise}:");
        paragraph(out, &line)?;
    }
    writeln!(out, "\npolicies see")?;
    sees(report, out)?;
    writeln!(out, "\npolicies say")?;
    if report.answers.is_empty() {
        writeln!(out, "            nothing: none is asked about this action")?;
    }
    let width = report.answers.iter().map(|said| said.policy.chars().count()).max().unwrap_or(0);
    let width = width.max(8);
    for said in &report.answers {
        let mode = if said.monitored { ", monitored: doesn't count" } else { "" };
        let digest: String = said.digest.chars().take(12).collect();
        let line = format!(
            "  {:<width$}  {}{mode}  ({} µs, sha256 {digest}…)",
            said.policy,
            words(said.says, said.lane.as_deref(), said.reason.as_deref(), said.until),
            said.micros
        );
        paragraph(out, &line)?;
    }
    writeln!(out)?;
    let fallback = match action {
        Action::Onboard => "nothing says otherwise",
        _ => "says updates.default",
    };
    let decided = |decided: &Decided| {
        let Decided { decision, lane, reason, until, policy, .. } = decided;
        let by = policy.as_ref().map_or(fallback.to_owned(), |policy| format!("says {policy}"));
        (words(decision, lane.as_deref(), reason.as_deref(), *until), by)
    };
    let (what, by) = decided(&report.decision);
    paragraph(out, &format!("decision    {what} ({by})"))?;
    if let Some(trial) = &report.with_monitored {
        let (what, by) = decided(trial);
        let line = format!("monitored   if the monitored policies counted: {what} ({by})");
        paragraph(out, &line)?;
    }
    Ok(())
}

fn sees(report: &Report, out: &mut String) -> std::fmt::Result {
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
        line("joined", &minute(joined))?;
    }
    if let Some(product) = &account.product {
        line("product", &format!("{} {}", product.id, product.status))?;
        line("artifact", &format!("{}, target {}", product.artifact, product.target_artifact))?;
    }
    Ok(())
}

/// A verdict in words.
fn words(says: &str, lane: Option<&str>, reason: Option<&str>, until: Option<Timestamp>) -> String {
    let lane = lane.filter(|lane| !lane.is_empty()).map(|lane| format!(", lane {lane}"));
    let until = until.map(|until| format!(" until {}", minute(until)));
    let reason = reason.map(|reason| format!(": {reason}"));
    [Some(says.to_owned()), lane, until, reason].into_iter().flatten().collect()
}
