//! The plan as text, within 80 columns and without colour.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::report::{AccountDecision, ORDER, Report};
use crate::formatting::{count, format_duration, format_minute, list, paragraph, thousands};

/// Most kinds of decisions that are listed; the others are counted.
const MAX_LISTED: usize = 8;

/// Renders the plan. With `all` it lists every account.
pub fn render(report: &Report, all: bool) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, all, &mut out);
    out
}

fn write(report: &Report, all: bool, out: &mut String) -> std::fmt::Result {
    let accounts = count(report.accounts.total, "account");
    let taken = report.taken_at.map(|taken| format!(", as read at {}", format_minute(taken)));
    let taken = taken.unwrap_or_default();
    paragraph(out, &format!("Plan for {}: {accounts}{taken}", format_minute(report.at)))?;
    writeln!(out)?;
    lanes(report, out)?;
    paragraph(out, &format!("note        {ORDER}"))?;
    if report.accounts.to_update > 0 {
        let line = format!(
            "time        about {}: done on {} if updates take as long as the snapshot says \
             (20 min where it says nothing) and nothing else runs meanwhile",
            format_duration(Duration::from_secs(report.time.seconds)),
            format_minute(report.time.ends_at)
        );
        paragraph(out, &line)?;
    }
    if let Some(plan) = &report.plan {
        paragraph(out, &format!("plan        {plan}, which starts once it is approved"))?;
    }
    paragraph(out, &format!("accounts    {}", report.accounts.summary()))?;
    let listed = if all { usize::MAX } else { MAX_LISTED };
    for lane in &report.lanes {
        let in_lane = |decided: &&AccountDecision| {
            decided.decision == "proceed" && decided.lane.as_deref() == Some(&lane.name)
        };
        let of_lane = report.decisions.iter().filter(in_lane);
        groups(of_lane, "  update", "in lane ", listed, out)?;
    }
    for (word, label) in [("skip", "  skip"), ("hold", "  hold")] {
        let of_word = report.decisions.iter().filter(|decided| decided.decision == word);
        groups(of_word, label, "", listed, out)?;
    }
    without_product(report, all, out)?;
    closed(report, all, out)?;
    monitored(report, listed, out)?;
    for fails in &report.failures {
        let accounts = count(fails.accounts, "account");
        let mode = if fails.monitored { ", which is monitored" } else { "" };
        let line = format!("FAILS       {}{mode}, on {accounts}: {}", fails.policy, fails.message);
        paragraph(out, &line)?;
    }
    if all {
        writeln!(out)?;
        write_all(&report.decisions, "says", out)?;
        write_all(&report.monitored, "monitored", out)?;
    }
    Ok(())
}

fn lanes(report: &Report, out: &mut String) -> std::fmt::Result {
    let width = report.lanes.iter().map(|lane| lane.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  accounts  at once  {:>12}  ends", "lane", "takes")?;
    for lane in &report.lanes {
        let (takes, ends) = match lane.accounts {
            0 => ("-".to_owned(), "-".to_owned()),
            _ => (format_duration(Duration::from_secs(lane.seconds)), format_minute(lane.ends_at)),
        };
        let accounts = thousands(lane.accounts as u64);
        let line = format!(
            "{:width$}  {accounts:>8}  {:>7}  {takes:>12}  {ends}",
            lane.name, lane.concurrency
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out)?;
    for lane in report.lanes.iter().filter(|lane| lane.held > 0) {
        let held = count(lane.held, "account");
        paragraph(out, &format!("held        {held} of lane {}", lane.name))?;
    }
    for lane in &report.lanes {
        if let Some(waits_for) = &lane.waits_for {
            let line = format!(
                "waits       lane {} waits for {} of lane {}, held until {}",
                lane.name,
                count(waits_for.accounts, "account"),
                waits_for.lane,
                format_minute(waits_for.until)
            );
            paragraph(out, &line)?;
        }
    }
    Ok(())
}

/// The accounts that are closed, by state.
fn closed(report: &Report, all: bool, out: &mut String) -> std::fmt::Result {
    let mut states: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for closed in &report.closed {
        states.entry(closed.state.to_string()).or_default().push(&closed.account);
    }
    for (state, accounts) in states {
        let named = if all { accounts.join(", ") } else { list(&accounts) };
        let number = thousands(accounts.len() as u64);
        let line = format!("closed      {number} {state}, which can't be updated: {named}");
        paragraph(out, &line)?;
    }
    Ok(())
}

/// The accounts in the organization that are not in Account Factory, among them those that
/// auto-enrolment has enrolled.
fn without_product(report: &Report, all: bool, out: &mut String) -> std::fmt::Result {
    let accounts: Vec<&str> =
        report.without_product.iter().map(|account| account.account.as_str()).collect();
    if accounts.is_empty() {
        return Ok(());
    }
    let named = if all { accounts.join(", ") } else { list(&accounts) };
    let number = thousands(accounts.len() as u64);
    let line = format!("no product  {number}, which Account Factory can't update: {named}");
    paragraph(out, &line)
}

/// Accounts with the same decision by the same policy, for the same reason.
type Groups<'a> = BTreeMap<Group<'a>, Vec<&'a str>>;
/// Decision, reason or lane, end of the hold, and policy.
type Group<'a> = (&'a str, &'a str, String, &'a str);

fn grouped<'a>(decisions: impl Iterator<Item = &'a AccountDecision>) -> Groups<'a> {
    let mut groups = Groups::new();
    for decided in decisions {
        let until = decided.until.map(|until| format!(" until {}", format_minute(until)));
        let held_in = decided.lane.as_ref().filter(|_| decided.decision == "hold");
        let held_in = held_in.map(|lane| format!(" in lane {lane}")).unwrap_or_default();
        let key = (
            decided.decision,
            decided.reason.as_deref().or(decided.lane.as_deref()).unwrap_or_default(),
            held_in + &until.unwrap_or_default(),
            decided.policy.as_deref().unwrap_or("updates.default"),
        );
        groups.entry(key).or_default().push(&decided.account);
    }
    groups
}

/// The groups, the largest first.
fn by_size<'a>(
    decisions: impl Iterator<Item = &'a AccountDecision>,
) -> Vec<(Group<'a>, Vec<&'a str>)> {
    let mut groups: Vec<_> = grouped(decisions).into_iter().collect();
    groups.sort_by_key(|(_, accounts)| std::cmp::Reverse(accounts.len()));
    groups
}

/// Writes the accounts grouped by their decision, the largest groups first, at most this many.
pub fn groups<'a>(
    decisions: impl Iterator<Item = &'a AccountDecision>,
    label: &str,
    what: &str,
    listed: usize,
    out: &mut String,
) -> std::fmt::Result {
    let groups = by_size(decisions);
    for ((_, detail, until, policy), accounts) in groups.iter().take(listed) {
        let number = thousands(accounts.len() as u64);
        let accounts = list(accounts);
        let line = format!("{label:<12}{number} {what}{detail}{until} (says {policy}): {accounts}");
        paragraph(out, &line)?;
    }
    rest(groups.iter().skip(listed).map(|(_, accounts)| accounts.len()), label, out)
}

/// The number that is not listed.
fn rest(
    accounts: impl ExactSizeIterator<Item = usize>,
    label: &str,
    out: &mut String,
) -> std::fmt::Result {
    let groups = accounts.len();
    match accounts.sum::<usize>() {
        0 => Ok(()),
        accounts => {
            let groups = count(groups, "more kind");
            let line =
                format!("{label:<12}{} of {groups}; --all lists them", count(accounts, "account"));
            paragraph(out, &line)
        }
    }
}

fn monitored(report: &Report, listed: usize, out: &mut String) -> std::fmt::Result {
    let groups = by_size(report.monitored.iter());
    for ((decision, what, until, policy), accounts) in groups.iter().take(listed) {
        let number = thousands(accounts.len() as u64);
        let would = match *decision {
            "proceed" => format!("update {number} in lane {what}"),
            decision => format!("{decision} {number}, {what}{until}"),
        };
        let accounts = list(accounts);
        paragraph(
            out,
            &format!("monitored   with {policy} enforced, it would {would}: {accounts}"),
        )?;
    }
    rest(groups.iter().skip(listed).map(|(_, accounts)| accounts.len()), "monitored", out)
}

fn write_all(decisions: &[AccountDecision], who: &str, out: &mut String) -> std::fmt::Result {
    for decided in decisions {
        let what = match (&decided.lane, &decided.reason, decided.until) {
            (lane, reason, Some(until)) => {
                let lane = lane.as_ref().map(|lane| format!(" in lane {lane}")).unwrap_or_default();
                let reason = reason.as_deref().unwrap_or_default();
                format!("hold{lane} until {}: {reason}", format_minute(until))
            }
            (Some(lane), ..) => format!("update in lane {lane}"),
            (None, reason, None) => format!("skip: {}", reason.as_deref().unwrap_or_default()),
        };
        let policy = decided.policy.as_deref().unwrap_or("updates.default");
        let line = format!("{}  {}: {what} ({who} {policy})", decided.account, decided.name);
        paragraph(out, &line)?;
    }
    Ok(())
}
