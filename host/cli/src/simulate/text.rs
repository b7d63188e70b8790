//! The report as text, within 80 columns and without colour.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::report::{Notification, Report, TimelineEntry};
use crate::formatting::{count, format_duration, list, paragraph, thousands, write_aws_calls};

/// Columns of the timeline.
const TIMELINE_COLUMNS: usize = 64;
/// Most accounts that are listed one by one; the others are counted.
const MAX_LISTED: usize = 8;

/// Renders the report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    paragraph(out, &format!("Fleet update, simulated: {}", report.heading))?;
    writeln!(out)?;
    lanes(report, out)?;
    accounts(report, out)?;
    if let Some(waiting) = &report.waiting {
        paragraph(out, &format!("waiting     lane {}: {}", waiting.lane, waiting.why))?;
    }
    time(report, out)?;
    notifications(report, out)?;
    ignored(report, out)?;
    alerts(report, out)?;
    write_aws_calls(out, &report.aws_calls)?;
    timeline(report, out)
}

fn lanes(report: &Report, out: &mut String) -> std::fmt::Result {
    let width = report.lanes.iter().map(|lane| lane.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  accounts  first start  last finish  most at once", "lane")?;
    for lane in &report.lanes {
        let at = |seconds: Option<f64>| seconds.map_or("-".to_owned(), clock);
        writeln!(
            out,
            "{:width$}  {:>8}  {:>11}  {:>11}  {:>5} of {}",
            lane.name,
            thousands(lane.accounts as u64),
            at(lane.first_start_s),
            at(lane.last_finish_s),
            lane.max_concurrent,
            lane.cap
        )?;
    }
    writeln!(out)
}

fn accounts(report: &Report, out: &mut String) -> std::fmt::Result {
    paragraph(out, &format!("accounts    {}", report.accounts.summary()))?;
    for word in ["skip", "hold"] {
        let mut reasons: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
        for decided in report.decisions.iter().filter(|decided| decided.decision == word) {
            let reason = decided.reason.as_deref().unwrap_or("");
            let lane = decided.lane.as_deref().unwrap_or("");
            let plugin = decided.plugin.as_deref().unwrap_or("updates.default");
            reasons.entry((lane, reason, plugin)).or_default().push(decided.account.as_str());
        }
        let label = if word == "skip" { "  skipped" } else { "  held" };
        for ((lane, reason, plugin), accounts) in reasons {
            let number = thousands(accounts.len() as u64);
            let lane = if lane.is_empty() { String::new() } else { format!("in lane {lane}: ") };
            let accounts = list(&accounts);
            let line = format!("{label:<12}{number} {lane}{reason} (says {plugin}): {accounts}");
            paragraph(out, &line)?;
        }
    }
    let failed = |run: &&TimelineEntry| run.outcome == "failed";
    for run in report.timeline.iter().filter(failed).take(MAX_LISTED) {
        let reason = run.reason.as_deref().unwrap_or("unknown");
        let attempts = count(run.attempts as usize, "attempt");
        paragraph(out, &format!("  failed    {} after {attempts}: {reason}", run.account))?;
    }
    let more = report.timeline.iter().filter(failed).count().saturating_sub(MAX_LISTED);
    if more > 0 {
        writeln!(out, "  failed    and {} more", thousands(more as u64))?;
    }
    Ok(())
}

fn time(report: &Report, out: &mut String) -> std::fmt::Result {
    let o = &report.operations;
    writeln!(
        out,
        "operations  {} started, of these {} repeated; at most {} at once",
        thousands(o.started as u64),
        thousands(o.retried as u64),
        o.max_concurrent
    )?;
    let t = &report.time;
    let line = format!(
        "time        {} against a lower bound of {} (× {:.4}){}; took {:.1} s",
        clock(t.virtual_seconds),
        clock(t.lower_bound_seconds),
        if t.lower_bound_seconds > 0.0 { t.virtual_seconds / t.lower_bound_seconds } else { 1.0 },
        if t.held { ", holds included" } else { "" },
        t.real_seconds
    );
    paragraph(out, &line)?;
    if !report.reproducible {
        writeln!(
            out,
            "            a plugin ran into its timeout, which is real time: not repeatable"
        )?;
    }
    Ok(())
}

/// Writes nothing for a config without notifiers.
fn notifications(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.notifications.is_empty() {
        return Ok(());
    }
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for notification in &report.notifications {
        *outcomes.entry(&notification.outcome).or_default() += 1;
    }
    let outcomes = outcomes.into_iter().map(|(what, count)| format!("{} {what}", thousands(count)));
    writeln!(out, "notifiers   {}", outcomes.collect::<Vec<_>>().join(", "))?;
    for notification in report.notifications.iter().take(MAX_LISTED) {
        let Notification { notifier, account, about, outcome, reference, detail, .. } =
            notification;
        let about = account.as_ref().map_or(about.as_str(), |account| account.as_str());
        let more = reference.as_deref().or(detail.as_deref()).unwrap_or("");
        writeln!(out, "            {about}  {notifier}  {outcome}  {more}")?;
    }
    if report.notifications.len() > MAX_LISTED {
        writeln!(out, "            … and {} more", report.notifications.len() - MAX_LISTED)?;
    }
    Ok(())
}

/// The ignored events, and by which rule.
fn ignored(report: &Report, out: &mut String) -> std::fmt::Result {
    let events: Vec<_> = report.events.iter().filter(|event| event.rule.is_some()).collect();
    if events.is_empty() {
        return Ok(());
    }
    let total: u64 = events.iter().map(|event| event.times).sum();
    writeln!(out, "ignored     {}", count(total as usize, "event"))?;
    for event in events.iter().take(MAX_LISTED) {
        let name = event.event.as_deref().unwrap_or("an event");
        let rule = event.rule.map(|rule| rule.to_string()).unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        let times = thousands(event.times);
        paragraph(out, &format!("            {times} {name}  {rule}  {reason}"))?;
    }
    if events.len() > MAX_LISTED {
        writeln!(out, "            … and {} more", events.len() - MAX_LISTED)?;
    }
    Ok(())
}

fn alerts(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "alerts      {}", thousands(report.alerts.len() as u64))?;
    for alert in report.alerts.iter().take(MAX_LISTED) {
        writeln!(out, "            {}", alert.subject)?;
    }
    if report.alerts.len() > MAX_LISTED {
        writeln!(out, "            …")?;
    }
    Ok(())
}

/// One row for each slot: the lanes whose updates it ran, over time.
fn timeline(report: &Report, out: &mut String) -> std::fmt::Result {
    let mut runs: Vec<&TimelineEntry> =
        report.timeline.iter().filter(|run| run.end_s.is_some()).collect();
    runs.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let end = runs.iter().filter_map(|run| run.end_s).fold(0.0, f64::max);
    if end <= 0.0 {
        return Ok(());
    }
    let lane_symbols = lane_symbols(report);
    let mut slots: Vec<(f64, Vec<char>)> = Vec::new();
    for run in runs {
        let run_end = run.end_s.unwrap_or(end);
        let free = slots.iter().position(|(until, _)| *until <= run.start_s);
        let slot = match free {
            Some(slot) => slot,
            None => {
                slots.push((0.0, vec!['·'; TIMELINE_COLUMNS]));
                slots.len() - 1
            }
        };
        let column = |seconds: f64| {
            ((seconds / end * TIMELINE_COLUMNS as f64) as usize).min(TIMELINE_COLUMNS - 1)
        };
        let symbol =
            lane_symbols.iter().find(|(lane, _)| *lane == run.lane).map_or('?', |(_, l)| *l);
        slots[slot].0 = run_end;
        slots[slot].1[column(run.start_s)..=column(run_end)].fill(symbol);
    }
    writeln!(out)?;
    let legend: Vec<String> =
        lane_symbols.iter().map(|(lane, symbol)| format!("{symbol} {lane}")).collect();
    let column = clock(end / TIMELINE_COLUMNS as f64);
    writeln!(out, "timeline    {}, · free; one column is {column}", legend.join(", "))?;
    for (index, (_, cells)) in slots.iter().enumerate() {
        writeln!(out, "  slot {:<3}  {}", index + 1, cells.iter().collect::<String>())?;
    }
    Ok(())
}

/// A letter for each lane that ran: the first of its name that is still free.
fn lane_symbols(report: &Report) -> Vec<(&str, char)> {
    let mut lane_symbols: Vec<(&str, char)> = Vec::new();
    for lane in report.lanes.iter().filter(|lane| lane.accounts > 0) {
        let symbol = lane.name.chars().chain('a'..='z').chain('A'..='Z').find(|symbol| {
            symbol.is_alphanumeric() && lane_symbols.iter().all(|(_, taken)| taken != symbol)
        });
        lane_symbols.push((&lane.name, symbol.unwrap_or('#')));
    }
    lane_symbols
}

fn clock(seconds: f64) -> String {
    format_duration(Duration::from_secs_f64(seconds.max(0.0)))
}
