//! The status as text, within 80 columns and without colour.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::Report;
use crate::formatting::{count, format_duration, format_minute, paragraph, thousands};

/// Most failed and held accounts that are listed; the others are counted.
const MAX_LISTED: usize = 10;

/// Renders the status.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    report.hosts.write(report.at, !report.in_flight.is_empty(), out)?;
    let Some(sweep) = &report.sweep else {
        paragraph(
            out,
            match report.hosts.is_running() {
                true => "sweep       none is complete yet; the log of the host says why",
                false => "sweep       none is complete yet",
            },
        )?;
        return write_notifications(report, out);
    };
    let number = |number: usize| thousands(number as u64);
    paragraph(
        out,
        &format!("sweep       {}, to {}", format_minute(sweep.completed), sweep.target),
    )?;
    if let Some(accounts) = &report.accounts {
        paragraph(out, &format!("accounts    {}", accounts.summary()))?;
    }
    writeln!(out)?;

    let width = report.lanes.iter().map(|lane| lane.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  done  waiting  in flight  held  failed", "lane")?;
    for lane in &report.lanes {
        let paused = match &lane.paused {
            Some(paused) => {
                format!("  paused since {}: {}", format_minute(paused.since), paused.why)
            }
            None => String::new(),
        };
        let line = format!(
            "{:width$}  {:>4}  {:>7}  {:>4} of {:<2}  {:>4}  {:>6}{paused}",
            lane.name,
            thousands(lane.done),
            number(lane.waiting),
            lane.in_flight,
            lane.concurrency,
            number(lane.held),
            number(lane.failed)
        );
        paragraph(out, &line)?;
    }
    writeln!(out)?;

    match (&report.waits_for, report.ends_at) {
        (Some(what), _) => paragraph(out, &format!("waits for   {what}"))?,
        (None, Some(end)) if is_busy(report) => {
            let left = Duration::try_from(end - report.at).unwrap_or_default();
            let line =
                format!("done        about {}, in {}", format_minute(end), format_duration(left));
            paragraph(out, &line)?;
        }
        _ if is_busy(report) => {
            paragraph(out, "done        not before a host runs: nothing is started or followed")?;
        }
        _ => paragraph(out, "done        nothing waits and nothing runs")?,
    }
    if let Some(soaking_lane) = &report.soaking_lane {
        let line = format!(
            "waits       {} ({}): it soaks after the lanes before it, until {}",
            soaking_lane.lane,
            thousands(soaking_lane.accounts as u64),
            format_minute(soaking_lane.until)
        );
        paragraph(out, &line)?;
    }
    for held in &report.held_back {
        let waiting: Vec<String> = held
            .waiting
            .iter()
            .map(|(lane, accounts)| format!("{lane} ({})", thousands(*accounts as u64)))
            .collect();
        let line = format!(
            "waits       {}: for {} of lane {}, held until {}; since {}",
            waiting.join(", "),
            count(held.accounts, "account"),
            held.lane,
            format_minute(held.until),
            format_minute(held.since)
        );
        paragraph(out, &line)?;
    }
    for slot in &report.in_flight {
        let (what, rest) = slot.describe();
        paragraph(out, &format!("{what:12}{rest}"))?;
    }
    for failed in report.failed.iter().take(MAX_LISTED) {
        let line = format!(
            "failed      {} in {} after {}: {}",
            failed.account,
            failed.lane.as_deref().unwrap_or("-"),
            count(failed.attempts as usize, "attempt"),
            failed.reason
        );
        paragraph(out, &line)?;
    }
    write_more(out, report.failed.len().saturating_sub(MAX_LISTED), "failed")?;
    for held in report.held.iter().take(MAX_LISTED) {
        let lane = held.lane.as_ref().map(|lane| format!(" in {lane}")).unwrap_or_default();
        let line = format!(
            "held        {}{lane} until {}: {}",
            held.account,
            format_minute(held.until),
            held.reason
        );
        paragraph(out, &line)?;
    }
    write_more(out, report.held_in_all.saturating_sub(report.held.len().min(MAX_LISTED)), "held")?;
    for plan in report.plans.iter().take(1) {
        let line = match (&plan.approved_by, plan.approved_at) {
            (Some(by), Some(at)) => {
                format!("plan        {}: approved by {by} at {}", plan.id, format_minute(at))
            }
            _ => format!(
                "plan        {}: not approved, since {}",
                plan.id,
                format_minute(plan.since)
            ),
        };
        paragraph(out, &line)?;
    }
    write_notifications(report, out)
}

/// Writes the undelivered notifications.
fn write_notifications(report: &Report, out: &mut String) -> std::fmt::Result {
    match &report.notifications {
        Some(notifications) => notifications.write(out),
        None => Ok(()),
    }
}

fn is_busy(report: &Report) -> bool {
    report.lanes.iter().any(|lane| lane.waiting + lane.in_flight > 0)
}

fn write_more(out: &mut String, number: usize, what: &str) -> std::fmt::Result {
    match number {
        0 => Ok(()),
        _ => paragraph(
            out,
            &format!(
                "            and {} more {what}; --format json has those that are known",
                thousands(number as u64)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hosts::{HostPresence, HostsReport};
    use super::super::in_flight::{InFlight, RecordState};
    use super::super::report::{Failed, Lane, Paused, Plan, Sweep};
    use super::*;
    use crate::totals::Totals;
    use groundcrew_core::catalog::ProvisionedProductId;
    use groundcrew_core::ports::{BlockingHolds, Heartbeat, HeldAccount, HostKind};
    use jiff::Timestamp;
    use rstest::rstest;

    const AT: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn account(number: u64) -> groundcrew_core::account::AccountId {
        format!("{number:012}").parse().unwrap()
    }

    fn totals(to_update: usize, held: usize, failed: usize) -> Totals {
        Totals {
            total: 1015 + to_update + held + failed,
            updated: Some(0),
            to_update,
            skipped: 12,
            held,
            failed: Some(failed),
            current: 1000,
            not_enrolled: None,
            closed: 3,
        }
    }

    fn hosts(presence: HostPresence) -> HostsReport {
        let mut known = groundcrew_core::ports::Hosts::default();
        known.record_heartbeat(&Heartbeat {
            host: "file".into(),
            version: "0.1.0".into(),
            kind: HostKind::Service,
            since: AT - Duration::from_secs(7200),
            at: AT - Duration::from_secs(12),
        });
        let suggestions = groundcrew_core::suggestions::CommandFormatter::with_config("crew.toml");
        HostsReport::new(known, presence, AT, &suggestions)
    }

    fn lane(name: &str, waiting: usize, in_flight: usize, failed: usize) -> Lane {
        Lane {
            name: name.into(),
            concurrency: 4,
            done: 0,
            waiting,
            in_flight,
            held: 0,
            failed,
            paused: None,
        }
    }

    fn report() -> Report {
        Report {
            at: AT,
            hosts: hosts(HostPresence::Connected),
            notifications: None,
            sweep: Some(Sweep {
                completed: AT,
                target: "pa-aaaaaaaaaaaac".into(),
                accounts: 2559,
                current: 1000,
                skipped: 12,
                closed: 3,
            }),
            accounts: Some(totals(1501, 42, 1)),
            lanes: vec![lane("canary", 0, 1, 1), lane("production", 1500, 0, 0)],
            in_flight: vec![InFlight {
                account: account(1),
                lane: "canary".into(),
                product: ProvisionedProductId::new("pp-abcdefghijklm"),
                record: Some("rec-aaaaaaaaaaaaa".into()),
                attempt: 2,
                age_seconds: 754,
                state: RecordState::Running,
                error: None,
            }],
            failed: vec![Failed {
                account: account(2),
                lane: Some("canary".into()),
                attempts: 5,
                reason: "The parent organizational unit 'Sandbox' is not enrolled in AWS Control \
                         Tower."
                    .into(),
            }],
            held: vec![HeldAccount {
                account: account(3),
                until: AT,
                reason: "change freeze".into(),
                lane: Some("canary".into()),
            }],
            held_in_all: 42,
            soaking_lane: None,
            held_back: vec![],
            plans: vec![Plan {
                id: "plan-010203040506".into(),
                since: AT,
                approved_by: Some("ada".into()),
                approved_at: Some(AT),
            }],
            ends_at: Some(AT + Duration::from_secs(200_000)),
            waits_for: None,
        }
    }

    fn screen(report: &Report) -> String {
        let screen = render(report);
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "over 80 columns: {line}");
        }
        screen
    }

    #[test]
    fn busy() {
        insta::assert_snapshot!(screen(&report()), @"
        host        file: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC, last
                    seen 00:00:12 ago
        sweep       2026-09-21 14:13 UTC, to pa-aaaaaaaaaaaac
        accounts    2,559: 0 updated, 1,501 to update, 12 skipped, 42 held, 1 failed,
                    1,000 current, 3 closed

        lane        done  waiting  in flight  held  failed
        canary         0        0     1 of 4      0       1
        production     0    1,500     0 of 4      0       0

        done        about 2026-09-23 21:46 UTC, in 2d 07:33:20
        in flight   000000000001 in canary for 00:12:34, attempt 2: rec-aaaaaaaaaaaaa
        failed      000000000002 in canary after 5 attempts: The parent organizational
                    unit 'Sandbox' is not enrolled in AWS Control Tower.
        held        000000000003 in canary until 2026-09-21 14:13 UTC: change freeze
                    and 41 more held; --format json has those that are known
        plan        plan-010203040506: approved by ada at 2026-09-21 14:13 UTC
        ");
    }

    #[rstest]
    #[case::running(
        RecordState::Running,
        None,
        "in flight   000000000001 in canary for 00:12:34, attempt 2: rec-aaaaaaaaaaaaa"
    )]
    #[case::succeeded(
        RecordState::Succeeded,
        None,
        "ended       000000000001 in canary, attempt 2: rec-aaaaaaaaaaaaa has succeeded, no host has noticed it yet"
    )]
    #[case::failed(
        RecordState::Failed,
        Some("the stack set failed"),
        "ended       000000000001 in canary, attempt 2: rec-aaaaaaaaaaaaa has failed, no host has noticed it yet; the stack set failed"
    )]
    #[case::not_asked(
        RecordState::Unknown,
        Some("DescribeRecord: AccessDenied"),
        "begun       000000000001 in canary 00:12:34 ago, attempt 2: rec-aaaaaaaaaaaaa; DescribeRecord: AccessDenied"
    )]
    fn what_is_in_flight(
        #[case] state: RecordState,
        #[case] error: Option<&str>,
        #[case] expected: &str,
    ) {
        let mut report = report();
        report.in_flight[0].state = state;
        report.in_flight[0].error = error.map(str::to_owned);
        let screen = screen(&report);
        let lines = screen.lines().skip_while(|line| !line.contains("000000000001"));
        let lines = lines.take_while(|line| !line.starts_with("failed"));
        assert_eq!(lines.map(str::trim).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn waiting_for_an_operator() {
        let mut report = report();
        report.waits_for = Some("lane `canary`: `groundcrew resume canary`".into());
        report.lanes[0].paused = Some(Paused {
            since: AT,
            why: "failed updates in a row: 3 (failure_threshold)".into(),
        });
        insta::assert_snapshot!(screen(&report), @"
        host        file: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC, last
                    seen 00:00:12 ago
        sweep       2026-09-21 14:13 UTC, to pa-aaaaaaaaaaaac
        accounts    2,559: 0 updated, 1,501 to update, 12 skipped, 42 held, 1 failed,
                    1,000 current, 3 closed

        lane        done  waiting  in flight  held  failed
        canary         0        0     1 of 4      0       1  paused since 2026-09-21
                    14:13 UTC: failed updates in a row: 3 (failure_threshold)
        production     0    1,500     0 of 4      0       0

        waits for   lane `canary`: `groundcrew resume canary`
        in flight   000000000001 in canary for 00:12:34, attempt 2: rec-aaaaaaaaaaaaa
        failed      000000000002 in canary after 5 attempts: The parent organizational
                    unit 'Sandbox' is not enrolled in AWS Control Tower.
        held        000000000003 in canary until 2026-09-21 14:13 UTC: change freeze
                    and 41 more held; --format json has those that are known
        plan        plan-010203040506: approved by ada at 2026-09-21 14:13 UTC
        ");
    }

    /// The sweep had two lanes; then all hosts were killed.
    #[test]
    fn no_host_runs() {
        let mut report = Report { hosts: hosts(HostPresence::Absent), ends_at: None, ..report() };
        report.in_flight[0].state = RecordState::Unknown;
        insta::assert_snapshot!(screen(&report), @"
        host        none runs on this ledger since 2026-09-21 14:13 UTC, when file
                    (groundcrew 0.1.0 as a service) was last seen: what was in flight
                    may have ended; start one with `groundcrew run --config crew.toml`
        sweep       2026-09-21 14:13 UTC, to pa-aaaaaaaaaaaac
        accounts    2,559: 0 updated, 1,501 to update, 12 skipped, 42 held, 1 failed,
                    1,000 current, 3 closed

        lane        done  waiting  in flight  held  failed
        canary         0        0     1 of 4      0       1
        production     0    1,500     0 of 4      0       0

        done        not before a host runs: nothing is started or followed
        begun       000000000001 in canary 00:12:34 ago, attempt 2: rec-aaaaaaaaaaaaa
        failed      000000000002 in canary after 5 attempts: The parent organizational
                    unit 'Sandbox' is not enrolled in AWS Control Tower.
        held        000000000003 in canary until 2026-09-21 14:13 UTC: change freeze
                    and 41 more held; --format json has those that are known
        plan        plan-010203040506: approved by ada at 2026-09-21 14:13 UTC
        ");
        let report = Report { sweep: None, ..report };
        insta::assert_snapshot!(screen(&report), @"
        host        none runs on this ledger since 2026-09-21 14:13 UTC, when file
                    (groundcrew 0.1.0 as a service) was last seen: what was in flight
                    may have ended; start one with `groundcrew run --config crew.toml`
        sweep       none is complete yet
        ");
    }

    #[test]
    fn waiting_for_held_accounts() {
        let mut report = report();
        report.lanes[0].held = 3;
        report.held_back = vec![BlockingHolds {
            lane: "canary".into(),
            since: AT,
            until: AT + Duration::from_secs(3600),
            accounts: 3,
            waiting: vec![("production".into(), 1500)],
        }];
        let screen = screen(&report);
        let waits = screen.lines().skip_while(|line| !line.starts_with("waits")).take(2);
        insta::assert_snapshot!(waits.collect::<Vec<_>>().join("\n"), @r"
        waits       production (1,500): for 3 accounts of lane canary, held until
                    2026-09-21 15:13 UTC; since 2026-09-21 14:13 UTC
        ");
        assert!(screen.contains("1 of 4      3       1"), "{screen}");
    }

    #[test]
    fn nothing_to_do() {
        let report = Report {
            accounts: Some(totals(0, 0, 0)),
            lanes: vec![lane("all", 0, 0, 0)],
            in_flight: vec![],
            failed: vec![],
            held: vec![],
            held_in_all: 0,
            plans: vec![],
            ends_at: Some(AT),
            ..report()
        };
        insta::assert_snapshot!(screen(&report), @"
        host        file: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC, last
                    seen 00:00:12 ago
        sweep       2026-09-21 14:13 UTC, to pa-aaaaaaaaaaaac
        accounts    1,015: 0 updated, 0 to update, 12 skipped, 0 held, 0 failed, 1,000
                    current, 3 closed

        lane  done  waiting  in flight  held  failed
        all      0        0     0 of 4      0       0

        done        nothing waits and nothing runs
        ");
        insta::assert_snapshot!(screen(&Report { sweep: None, ..report }), @"
        host        file: groundcrew 0.1.0 as a service since 2026-09-21 12:13 UTC, last
                    seen 00:00:12 ago
        sweep       none is complete yet; the log of the host says why
        ");
    }
}
