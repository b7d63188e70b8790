//! `groundcrew audit`: the trail of operator commands, read from the ledger alone.

use std::fmt::Write as _;

use groundcrew_core::ports::{Operator, Order, TrailEntry};
use jiff::Timestamp;
use serde::Serialize;

use super::session::{OperatorSession, with_timeout};
use crate::command_error::CommandError;
use crate::commands::{Audit, Format};
use crate::formatting::{paragraph, thousands};
use crate::output::{print, print_sanitized, to_json};
use crate::timestamp_arg::Since;

/// The trail.
#[derive(Debug, Serialize)]
struct Report {
    /// The most commands that are kept.
    #[serde(rename = "kept")]
    max_orders: u64,
    /// The commands, the oldest first.
    orders: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    number: u64,
    at: Timestamp,
    by: Operator,
    #[serde(flatten)]
    order: Order,
    /// The command in words.
    what: String,
    /// Whether a host has read it, and so executes it.
    #[serde(rename = "taken_in")]
    is_logged: bool,
}

pub fn run(options: &Audit) -> Result<(), CommandError> {
    crate::runtime::current_thread()?.block_on(async {
        let (trail, last_logged) = with_timeout(async {
            let session = OperatorSession::open_read_only(&options.config).await?;
            let ledger = &session.aws.ledger().updates;
            let last_logged = ledger.orders().await?.last_logged;
            Ok((ledger.trail().await?, last_logged))
        })
        .await?;
        let report = Report::of(trail, last_logged, options.since.map(|Since(since)| since));
        match options.format {
            Format::Text => print_sanitized(&render(&report)),
            Format::Json => print(&to_json(&report)?),
        }
    })
}

impl Report {
    fn of(trail: Vec<TrailEntry>, last_logged: u64, since: Option<Timestamp>) -> Self {
        let wanted = |trail_entry: &TrailEntry| since.is_none_or(|since| trail_entry.at >= since);
        let entry = |trail_entry: TrailEntry| Entry {
            number: trail_entry.number,
            at: trail_entry.at,
            by: trail_entry.by,
            what: trail_entry.order.to_string(),
            order: trail_entry.order,
            is_logged: trail_entry.number <= last_logged,
        };
        Self {
            max_orders: TrailEntry::MAX_ENTRIES,
            orders: trail.into_iter().filter(wanted).map(entry).collect(),
        }
    }
}

fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    for entry in &report.orders {
        let second = entry.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let waits = if entry.is_logged { "" } else { "; no host has applied it yet" };
        paragraph(out, &format!("{second}  {}", entry.what))?;
        paragraph(out, &format!("            by {}{waits}", entry.by))?;
    }
    if report.orders.is_empty() {
        writeln!(out, "No order was given.")?;
    }
    // The number of the oldest shows whether there were any before it.
    if report.orders.len() as u64 == report.max_orders {
        writeln!(out, "The last {} orders are kept.", thousands(report.max_orders))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn trail_entry(number: u64, order: Order) -> TrailEntry {
        let by = Operator::new(
            Some("arn:aws:sts::123456789012:assumed-role/ops/ada".into()),
            Some("ada".into()),
            Some("desk".into()),
        );
        let at = AT + std::time::Duration::from_secs(number);
        TrailEntry { number, at, by, order }
    }

    fn trail() -> Vec<TrailEntry> {
        let accounts = (1..=6_u64).map(|number| format!("{number:012}").parse().unwrap());
        let target = groundcrew_core::catalog::ArtifactId::new("pa-aaaaaaaaaaaac");
        vec![
            trail_entry(7, Order::Pause { lane: "canary".into() }),
            trail_entry(
                8,
                Order::Resume {
                    lane: "canary".into(),
                    paused: "failed updates in a row: 3 (failure_threshold)\u{1b}[2J".into(),
                },
            ),
            TrailEntry {
                by: Operator::default(),
                ..trail_entry(9, Order::Redrive { target, accounts: accounts.collect() })
            },
        ]
    }

    #[test]
    fn a_trail_for_people() {
        let screen = render(&Report::of(trail(), 8, None));
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        insta::assert_snapshot!(screen, @r"
        2026-09-21 14:13:27 UTC  pause canary
                    by arn:aws:sts::123456789012:assumed-role/ops/ada (ada@desk)
        2026-09-21 14:13:28 UTC  resume canary, which was paused: failed updates in a
                    row: 3 (failure_threshold)\u{1b}[2J
                    by arn:aws:sts::123456789012:assumed-role/ops/ada (ada@desk)
        2026-09-21 14:13:29 UTC  redrive to pa-aaaaaaaaaaaac: 000000000001,
                    000000000002, 000000000003, 000000000004, 000000000005, 000000000006
                    by unknown; no host has applied it yet
        ");
        let since = Some(AT + std::time::Duration::from_secs(60));
        assert_eq!(render(&Report::of(trail(), 9, since)), "No order was given.\n");
    }

    #[test]
    fn a_full_trail_says_so() {
        let trail =
            (1..=TrailEntry::MAX_ENTRIES).map(|number| trail_entry(number, Order::Sweep)).collect();
        let screen = render(&Report::of(trail, 0, None));
        assert!(screen.ends_with("The last 1,000 orders are kept.\n"));
    }

    #[test]
    fn a_trail_for_programs() {
        let report = Report::of(trail(), 8, Some(AT + std::time::Duration::from_secs(8)));
        let report = serde_json::to_value(&report).unwrap();
        assert_eq!(
            report["orders"][0],
            serde_json::json!({
                "number": 8,
                "at": "2026-09-21T14:13:28Z",
                "by": {
                    "arn": "arn:aws:sts::123456789012:assumed-role/ops/ada",
                    "user": "ada",
                    "host": "desk",
                },
                "order": "resume",
                "lane": "canary",
                "paused": "failed updates in a row: 3 (failure_threshold)\u{1b}[2J",
                "what": "resume canary, which was paused: failed updates in a row: 3 \
                         (failure_threshold)\u{1b}[2J",
                "taken_in": true,
            })
        );
        assert_eq!(report["orders"][1]["taken_in"], false);
        assert_eq!(
            (&report["kept"], report["orders"].as_array().unwrap().len()),
            (&1000.into(), 2)
        );
    }
}
