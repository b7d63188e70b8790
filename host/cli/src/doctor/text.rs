//! The findings of a doctor, for people: within 80 columns, in colour on a terminal.

use std::io::IsTerminal as _;

use groundcrew_core::doctor::Status;

use super::report::{Counts, Finding, Report};
use crate::formatting::wrap;

/// Width of the names of checks, in columns.
const NAME_WIDTH: usize = 19;
/// The column at which findings begin.
const FOUND_COLUMN: usize = 10 + NAME_WIDTH;
/// The column at which fixes begin.
const FIX_COLUMN: usize = 8;

/// Whether stdout takes colours: it is a terminal, and the environment doesn't disable them.
pub fn use_colour() -> bool {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let dumb = variable("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && variable("NO_COLOR").is_none() && !dumb
}

/// Renders the report.
pub fn render(report: &Report, coloured: bool) -> String {
    let region = report.region.as_ref().map(|region| format!(", {region}")).unwrap_or_default();
    let mut lines = wrap(&format!("groundcrew doctor: {}{region}", report.config), 0);
    let mut group = "";
    for finding in &report.findings {
        if finding.group != group {
            group = finding.group;
            lines.push(String::new());
            lines.push(group.to_owned());
        }
        show(finding, coloured, &mut lines);
    }
    lines.push(String::new());
    lines.push(summary(&report.counts));
    lines.join("\n") + "\n"
}

fn show(finding: &Finding, coloured: bool, lines: &mut Vec<String>) {
    let (word, colour) = match finding.status {
        Status::Ok => ("ok", "32"),
        Status::Warning => ("warn", "33"),
        Status::Failed => ("FAIL", "1;31"),
        Status::Unknown => ("?", "36"),
        Status::NotConfigured => ("-", "2"),
    };
    let word = format!("{word:4}");
    let word = if coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
    let found = finding.found.lines().flat_map(|line| wrap(line, FOUND_COLUMN)).collect();
    push_block(
        &format!("  {word}  {:NAME_WIDTH$}  ", finding.check.name()),
        FOUND_COLUMN,
        found,
        lines,
    );
    if let Some(fix) = &finding.fix {
        push_block(
            &format!("{:FIX_COLUMN$}fix: ", ""),
            FIX_COLUMN + 5,
            wrap(fix, FIX_COLUMN + 5),
            lines,
        );
    }
}

/// Writes a text, its first line after `begin` and the others below it.
fn push_block(begin: &str, column: usize, text: Vec<String>, lines: &mut Vec<String>) {
    let below = " ".repeat(column);
    for (index, line) in text.iter().enumerate() {
        lines.push(format!("{}{line}", if index == 0 { begin } else { &below }));
    }
}

fn summary(counts: &Counts) -> String {
    let parts = [
        (counts.ok, "ok"),
        (counts.warnings, if counts.warnings == 1 { "warning" } else { "warnings" }),
        (counts.failed, "failed"),
        (counts.unknown, "unknown"),
        (counts.not_configured, "not configured"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, what)| format!("{number} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use groundcrew_core::doctor::{Check, Finding};

    use super::*;

    fn report() -> Report {
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen \
                    fourteen fifteen sixteen seventeen";
        let arn = format!("arn:aws:iam::111122223333:role/{}", "x".repeat(60));
        Report::new(
            "crew.toml".into(),
            Some("us-east-1".into()),
            vec![
                Finding::ok(Check::Config, "1 lane"),
                Finding::warning(Check::Credentials, long, long),
                Finding::failed(Check::Organization, "no", format!("see {arn} there")),
                Finding::unknown(Check::NotificationsQueue, "?", "look"),
                Finding::not_configured(Check::Topic, "not set"),
            ],
        )
    }

    #[test]
    fn a_screen_has_80_columns() {
        insta::assert_snapshot!(render(&report(), false));
    }

    #[test]
    fn colours_are_for_terminals() {
        let (plain, coloured) = (render(&report(), false), render(&report(), true));
        assert!(!plain.contains('\x1b'));
        assert!(coloured.contains("\x1b[1;31mFAIL\x1b[0m  organization"), "{coloured}");
    }
}
