//! The plan as a comment on a pull request, for GitHub and GitLab.
//!
//! Names and reasons are untrusted text. So tables and details are HTML, in which Markdown has no
//! meaning as long as no line is empty (CommonMark 0.31, 4.6). Each untrusted text is in a `code`
//! element, in which there are no mentions and no links, with HTML's own characters escaped and
//! without line breaks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use groundcrew_core::text::printable;

use super::report::{AccountDecision, ORDER, Report};
use crate::formatting::{and_closed, count, format_duration, format_minute, thousands};

/// GitHub takes comments of up to 65,536 characters.
const MAX_COMMENT_CHARS: usize = 65_000;
/// Numbers of rows of a table, tried in this order until the comment is short enough.
const ROW_LIMITS: [usize; 8] = [usize::MAX, 1000, 300, 100, 30, 10, 3, 0];
/// A longer text is cut. In characters.
const MAX_TEXT_CHARS: usize = 300;

/// Renders the plan. `config` is the file as the user named it.
pub fn render(report: &Report, config: &str) -> String {
    let mut out = String::new();
    for listed in ROW_LIMITS {
        let mut page = Page { out: String::new(), listed };
        // Writing to a string can't fail.
        let _ = page.write(report, config);
        out = page.out;
        if out.chars().count() <= MAX_COMMENT_CHARS {
            break;
        }
    }
    out
}

/// An untrusted text.
fn inline_code(text: &str) -> String {
    let mut shown: String = printable(text).chars().take(MAX_TEXT_CHARS).collect();
    if shown.len() < printable(text).len() {
        shown.push('…');
    }
    let mut code = "<code>".to_owned();
    for character in shown.chars() {
        match character {
            '&' => code += "&amp;",
            '<' => code += "&lt;",
            '>' => code += "&gt;",
            '"' => code += "&quot;",
            '\'' => code += "&#39;",
            // Line breaks of Unicode, which `printable` keeps.
            '\u{2028}' | '\u{2029}' => code.push(' '),
            character => code.push(character),
        }
    }
    code + "</code>"
}

/// Accounts with the same decision for the same reason.
struct Group<'r> {
    reason: &'r str,
    policy: &'r str,
    accounts: Vec<&'r AccountDecision>,
}

/// The groups, the largest first.
fn groups<'r>(decisions: impl Iterator<Item = &'r AccountDecision>) -> Vec<Group<'r>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&AccountDecision>> = BTreeMap::new();
    for decided in decisions {
        let reason = decided.reason.as_deref().unwrap_or_default();
        groups.entry((reason, policy(decided))).or_default().push(decided);
    }
    let mut groups: Vec<Group<'r>> = groups
        .into_iter()
        .map(|((reason, policy), accounts)| Group { reason, policy, accounts })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.accounts.len()));
    groups
}

/// The policy that decided.
fn policy(decided: &AccountDecision) -> &str {
    decided.policy.as_deref().unwrap_or("updates.default")
}

struct Page {
    out: String,
    listed: usize,
}

impl Page {
    fn write(&mut self, report: &Report, config: &str) -> std::fmt::Result {
        let a = &report.accounts;
        let number = |number: usize| thousands(number as u64);
        writeln!(self.out, "## Plan for {}\n", format_minute(report.at))?;
        let taken = report.taken_at.map(|taken| format!(", as read at {}", format_minute(taken)));
        writeln!(
            self.out,
            "**{} to update** of {}{}: {} skipped, {} held, {} current, {} without a product{}.\n",
            count(a.to_update, "account"),
            number(a.total),
            taken.unwrap_or_default(),
            number(a.skipped),
            number(a.held),
            number(a.current),
            number(a.not_enrolled.unwrap_or_default()),
            and_closed(a.closed)
        )?;
        self.failures(report)?;
        self.lanes(report)?;
        for lane in report.lanes.iter().filter(|lane| lane.accounts > 0) {
            let in_lane = |decided: &&AccountDecision| {
                decided.decision == "proceed" && decided.lane.as_deref() == Some(&lane.name)
            };
            let accounts: Vec<&AccountDecision> = report.decisions.iter().filter(in_lane).collect();
            let accounts_of = count(accounts.len(), "account");
            self.details(&format!("Lane {}: {accounts_of}", inline_code(&lane.name)), &accounts)?;
        }
        for (decision, what) in [("skip", "Skipped"), ("hold", "Held")] {
            let of_it = report.decisions.iter().filter(|decided| decided.decision == decision);
            self.groups(what, &groups(of_it))?;
        }
        self.monitored(report)?;
        self.approval(report, config)
    }

    /// First of all: what policies fail on is skipped.
    fn failures(&mut self, report: &Report) -> std::fmt::Result {
        if report.failures.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "### Policies that fail\n")?;
        let listed = self.listed;
        let rows = report.failures.iter().take(listed).map(|fails| {
            let mode = if fails.monitored { " (monitored)" } else { "" };
            vec![
                inline_code(&fails.policy) + mode,
                thousands(fails.accounts as u64),
                inline_code(&fails.code),
                inline_code(&fails.message),
            ]
        });
        table(&mut self.out, &["policy", "accounts", "code", "first message"], rows)?;
        self.rest(report.failures.len())?;
        writeln!(self.out)
    }

    fn lanes(&mut self, report: &Report) -> std::fmt::Result {
        let rows = report.lanes.iter().map(|lane| {
            let (takes, ends) = match lane.accounts {
                0 => ("-".to_owned(), "-".to_owned()),
                _ => (
                    format_duration(Duration::from_secs(lane.seconds)),
                    format_minute(lane.ends_at),
                ),
            };
            vec![
                inline_code(&lane.name),
                thousands(lane.accounts as u64),
                thousands(lane.held as u64),
                lane.concurrency.to_string(),
                takes,
                ends,
            ]
        });
        let head = ["lane", "accounts", "held", "at once", "takes", "ends"];
        table(&mut self.out, &head, rows)?;
        for lane in &report.lanes {
            if let Some(waits_for) = &lane.waits_for {
                writeln!(
                    self.out,
                    "<p>Lane {} waits for {} of lane {}, held until {}.</p>",
                    inline_code(&lane.name),
                    count(waits_for.accounts, "account"),
                    inline_code(&waits_for.lane),
                    format_minute(waits_for.until)
                )?;
            }
        }
        writeln!(self.out, "\n{ORDER} The times are estimates.\n")
    }

    /// What policies, or rules of the config, skip or exclude, and why.
    fn groups(&mut self, what: &str, groups: &[Group<'_>]) -> std::fmt::Result {
        if groups.is_empty() {
            return Ok(());
        }
        let accounts: usize = groups.iter().map(|group| group.accounts.len()).sum();
        writeln!(self.out, "### {what}: {}\n", count(accounts, "account"))?;
        for group in groups.iter().take(self.listed) {
            let summary = format!(
                "{}: {} (says {})",
                count(group.accounts.len(), "account"),
                inline_code(group.reason),
                inline_code(group.policy)
            );
            self.details(&summary, &group.accounts)?;
        }
        let left = groups.iter().skip(self.listed);
        let left: usize = left.map(|group| group.accounts.len()).sum();
        if left > 0 {
            writeln!(self.out, "And {} for other reasons.\n", count(left, "account"))?;
        }
        Ok(())
    }

    /// The decisions if monitored policies counted.
    fn monitored(&mut self, report: &Report) -> std::fmt::Result {
        if report.monitored.is_empty() {
            return Ok(());
        }
        let accounts = count(report.monitored.len(), "account");
        let decided: Vec<&AccountDecision> = report.monitored.iter().collect();
        let summary =
            format!("Monitored policies, if they counted: another decision on {accounts}");
        self.details(&summary, &decided)
    }

    /// A collapsed list of accounts with the decision about each.
    fn details(&mut self, summary: &str, accounts: &[&AccountDecision]) -> std::fmt::Result {
        writeln!(self.out, "<details>\n<summary>{summary}</summary>")?;
        let rows = accounts.iter().take(self.listed).map(|decided| {
            let until = decided.until.map(|until| format!(" until {}", format_minute(until)));
            let lane = decided.lane.as_ref().map(|lane| format!(" in {}", inline_code(lane)));
            let reason = decided.reason.as_ref().map(|reason| format!(": {}", inline_code(reason)));
            let decision = match decided.decision {
                "proceed" => "update",
                other => other,
            };
            let what = format!(
                "{decision}{}{}{}",
                lane.unwrap_or_default(),
                until.unwrap_or_default(),
                reason.unwrap_or_default()
            );
            vec![
                inline_code(&decided.account),
                inline_code(&decided.name),
                what,
                inline_code(policy(decided)),
            ]
        });
        let head = ["account", "name", "decision", "policy"];
        table(&mut self.out, &head, rows)?;
        self.rest(accounts.len())?;
        writeln!(self.out, "</details>\n")
    }

    /// The number of rows that a table does not list.
    fn rest(&mut self, rows: usize) -> std::fmt::Result {
        match rows.saturating_sub(self.listed) {
            0 => Ok(()),
            left => writeln!(self.out, "<p>And {} more.</p>", thousands(left as u64)),
        }
    }

    fn approval(&mut self, report: &Report, config: &str) -> std::fmt::Result {
        let Some(plan) = &report.plan else { return Ok(()) };
        let command = inline_code(&format!("groundcrew approve --config {config} {plan}"));
        writeln!(
            self.out,
            "### Approval\n\nThis is {plan}. Once a host runs with this config and has swept, it \
             starts nothing before somebody says:\n\n<pre>{command}</pre>"
        )
    }
}

/// Writes a table of cells that are HTML already.
fn table(
    out: &mut String,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> std::fmt::Result {
    writeln!(out, "<table>\n<tr><th>{}</th></tr>", head.join("</th><th>"))?;
    for row in rows {
        writeln!(out, "<tr><td>{}</td></tr>", row.join("</td><td>"))?;
    }
    writeln!(out, "</table>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulldown_cmark::{Options, Parser, html};
    use rstest::rstest;

    /// The text as a forge renders it.
    fn rendered(markdown: &str) -> String {
        let mut out = String::new();
        html::push_html(&mut out, Parser::new_ext(markdown, Options::all()));
        out
    }

    /// The document without untrusted texts.
    fn frame(html: &str) -> String {
        regex::Regex::new("<code>[^<>]*</code>").unwrap().replace_all(html, "<code/>").into_owned()
    }

    /// Details and a heading after them, with this text wherever an untrusted text can be.
    fn page(text: &str) -> String {
        let decided = AccountDecision {
            account: "111122223333".into(),
            name: text.to_owned(),
            decision: "skip",
            lane: None,
            reason: Some(text.to_owned()),
            until: None,
            policy: Some(text.to_owned()),
        };
        let mut page = Page { out: String::new(), listed: usize::MAX };
        page.groups("Skipped", &groups([&decided, &decided].into_iter())).unwrap();
        page.out += "### Next\n";
        page.out
    }

    #[rstest]
    #[case::of_a_table("a | b || c")]
    #[case::html("</code></td></tr></table><script>alert(1)</script><img src=x onerror=alert(1)>")]
    #[case::comment("<!-- ")]
    #[case::of_details("</details></summary>")]
    #[case::entities("&lt;b&gt;&#64;everyone&amp;")]
    #[case::mentions("@everyone @org/team #123 GH-1 !7 octocat/hello#5")]
    #[case::links("[a](javascript:alert(1)) ![b](https://example.com/x.png) www.example.com")]
    #[case::marks("**a** _b_ ~c~ `d` ``` e")]
    #[case::lines("a\n\nb\r\n# c\n\n- d\u{2028}e\u{85}f")]
    #[case::fences("```\n~~~\n</pre>")]
    #[case::quotes("\" ' ` \\")]
    #[case::nothing("")]
    #[case::blank(" \t ")]
    fn a_text_stays_a_text(#[case] text: &str) {
        let html = rendered(&page(text));
        assert_eq!(frame(&html), frame(&rendered(&page("a"))), "{html}");
    }

    proptest! {
        #[test]
        fn any_text_stays_a_text(
            text in "([<>&|@#`*_~\\[\\]()!\"'\\\\/\n\r\t -]|</?(code|table|details|pre)>|[a-c]|\\PC){0,40}",
        ) {
            let html = rendered(&page(&text));
            prop_assert_eq!(frame(&html), frame(&rendered(&page("a"))), "{}", html);
        }
    }

    #[test]
    fn a_text_is_shown_as_it_is() {
        assert_eq!(inline_code("R&D <1> \"x\""), "<code>R&amp;D &lt;1&gt; &quot;x&quot;</code>");
        assert_eq!(inline_code("a\nb\u{202e}"), "<code>a\\nb\\u{202e}</code>");
        assert_eq!(inline_code(&"é".repeat(400)).matches('é').count(), MAX_TEXT_CHARS);
        assert!(inline_code(&"é".repeat(400)).ends_with("…</code>"));
        assert!(!inline_code(&"é".repeat(300)).contains('…'));
    }
}
