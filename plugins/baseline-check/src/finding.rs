//! The texts of findings, which are short: the host limits their length, and people read them.

use crate::settings::FindingAction;

/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 64;
/// Alternatives that are shown.
const MAX_ALTERNATIVES: usize = 5;
/// Bytes of one finding.
const MAX_FINDING_BYTES: usize = 480;
/// Bytes of a reason. The host takes 1024.
const MAX_REASON_BYTES: usize = 1000;
/// Findings that annotate. The host's limit is the same.
const MAX_LINES: usize = 32;

/// A deviation that a check has found.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) action: FindingAction,
    text: String,
}

impl Finding {
    pub(crate) fn new(action: FindingAction, mut text: String) -> Self {
        if text.len() > MAX_FINDING_BYTES {
            text.truncate(text.floor_char_boundary(MAX_FINDING_BYTES - '…'.len_utf8()));
            text.push('…');
        }
        Self { action, text }
    }
}

/// The number of findings.
pub(crate) fn count(findings: &[Finding]) -> String {
    match findings.len() {
        0 => "ok".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    }
}

/// One line for each finding; the last line has the number of the remaining ones.
pub(crate) fn lines(findings: &[Finding]) -> Vec<String> {
    let shown = if findings.len() > MAX_LINES { MAX_LINES - 1 } else { findings.len() };
    let mut lines: Vec<_> = findings.iter().take(shown).map(|one| one.text.clone()).collect();
    if shown < findings.len() {
        lines.push(format!("and {} more findings", findings.len() - shown));
    }
    lines
}

/// All findings in one line, as far as they fit.
pub(crate) fn reason(findings: &[Finding]) -> String {
    /// `; and 999 more`
    const MORE: usize = 16;
    let mut reason = String::new();
    for (index, Finding { text, .. }) in findings.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        if reason.len() + separator.len() + text.len() > MAX_REASON_BYTES - MORE {
            reason.push_str(&format!("{separator}and {} more", findings.len() - index));
            break;
        }
        reason.push_str(separator);
        reason.push_str(text);
    }
    reason
}

/// A value in one line, shortened if it is long.
pub(crate) fn quoted(value: &str) -> String {
    let value = one_line(value);
    let mut shown: String = value.chars().take(MAX_VALUE_CHARS).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The expected values: the first few, and the number of the others.
pub(crate) fn any_of<'a>(values: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = values.len().saturating_sub(MAX_ALTERNATIVES);
    let mut shown: Vec<String> = values.take(MAX_ALTERNATIVES).map(quoted).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.pop() {
        Some(last) if !shown.is_empty() => format!("{} or {last}", shown.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Without line breaks and control characters, so that no value can imitate another finding.
pub(crate) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
