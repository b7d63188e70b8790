//! AWS Support cases: their content, and how groundcrew recognises its own.
//!
//! `CreateCase` has no idempotency token, so a case is found again by the last line of its body,
//! `Ref: groundcrew/<key>`. Nothing else is compared: subjects repeat, and people quote bodies.

use crate::notification::NotificationKey;

/// Longest body of a case, in characters, the reference line included. From AWS Support's
/// service model.
pub const MAX_BODY: usize = 8000;
/// Most addresses in copy. From AWS Support's service model.
pub const MAX_CC: usize = 10;
/// The severities of AWS Support.
pub const SEVERITIES: [&str; 5] = ["low", "normal", "high", "urgent", "critical"];
/// The issue types of AWS Support.
pub const ISSUE_TYPES: [&str; 2] = ["customer-service", "technical"];

/// A case to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportCase {
    /// One line.
    pub subject: String,
    /// The text, without the reference line.
    pub body: String,
    /// For example `service-ams-operations-service-request`.
    pub service_code: String,
    /// For example `onboarding-or-offboarding`.
    pub category_code: String,
    /// One of [`SEVERITIES`].
    pub severity_code: String,
    /// At most [`MAX_CC`].
    pub cc_email_addresses: Vec<String>,
    /// ISO 639-1, for example `en`.
    pub language: String,
    /// One of [`ISSUE_TYPES`].
    pub issue_type: String,
}

/// A case that AWS Support would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the support case's {field} {problem}")]
pub struct CaseProblem {
    /// Which part of it.
    pub field: &'static str,
    /// What is wrong with it and what was expected.
    pub problem: String,
}

impl SupportCase {
    /// Checks what AWS Support would refuse, before anything is sent.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, key: &NotificationKey) -> Result<(), CaseProblem> {
        let wrong = |field, problem: String| Err(CaseProblem { field, problem });
        if self.subject.trim().is_empty() {
            return wrong("subject", "is empty: expected one line".to_owned());
        }
        if self.subject.chars().any(char::is_control) {
            return wrong("subject", "has a line break or control character".to_owned());
        }
        if self.body.trim().is_empty() {
            return wrong("body", "is empty: expected a text".to_owned());
        }
        let length = self.full_body(key).chars().count();
        if length > MAX_BODY {
            return wrong(
                "body",
                format!(
                    "has {length} characters with its reference line: expected at most {MAX_BODY}"
                ),
            );
        }
        for (field, value) in [
            ("service code", &self.service_code),
            ("category code", &self.category_code),
            ("language", &self.language),
        ] {
            if value.trim().is_empty() {
                return wrong(field, "is empty".to_owned());
            }
        }
        for (field, value, known) in [
            ("severity code", &self.severity_code, &SEVERITIES[..]),
            ("issue type", &self.issue_type, &ISSUE_TYPES[..]),
        ] {
            if !known.contains(&value.as_str()) {
                return wrong(field, format!("is {value:?}: expected one of {}", known.join(", ")));
            }
        }
        if self.cc_email_addresses.len() > MAX_CC {
            let count = self.cc_email_addresses.len();
            return wrong("cc list", format!("has {count} addresses: expected at most {MAX_CC}"));
        }
        Ok(())
    }

    /// The body, ending with the reference line.
    pub fn full_body(&self, key: &NotificationKey) -> String {
        format!("{}\n\n{}", self.body.trim_end(), reference_line(key))
    }
}

/// The line that identifies the case of this notification.
pub fn reference_line(key: &NotificationKey) -> String {
    format!("{REFERENCE}{key}")
}

/// The beginning of each reference line.
const REFERENCE: &str = "Ref: groundcrew/";

/// The reference line at the end of a case's body, if there is one.
pub fn find_reference_line(body: &str) -> Option<&str> {
    let last = body.trim_end().lines().next_back()?.trim();
    last.starts_with(REFERENCE).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn key() -> NotificationKey {
        NotificationKey::for_onboarding(&"111122223333".parse().unwrap(), "ams")
    }

    fn case() -> SupportCase {
        SupportCase {
            subject: "New account".into(),
            body: "Please onboard it.".into(),
            service_code: "service-ams-operations-service-request".into(),
            category_code: "onboarding-or-offboarding".into(),
            severity_code: "low".into(),
            cc_email_addresses: vec![],
            language: "en".into(),
            issue_type: "customer-service".into(),
        }
    }

    #[rstest]
    #[case::whole(|_: &mut SupportCase| (), None)]
    #[case::no_subject(|case: &mut SupportCase| case.subject = " ".into(), Some("subject is empty"))]
    #[case::lines(|case: &mut SupportCase| case.subject = "a\nb".into(), Some("subject has a line break"))]
    #[case::no_body(|case: &mut SupportCase| case.body = "\n".into(), Some("body is empty"))]
    #[case::long(|case: &mut SupportCase| case.body = "ä".repeat(7990), Some("expected at most 8000"))]
    #[case::just_fits(|case: &mut SupportCase| case.body = "ä".repeat(7957), None)]
    #[case::service(|case: &mut SupportCase| case.service_code = String::new(), Some("service code is empty"))]
    #[case::severity(|case: &mut SupportCase| case.severity_code = "bad".into(), Some("severity code is \"bad\""))]
    #[case::issue(|case: &mut SupportCase| case.issue_type = "x".into(), Some("issue type is \"x\""))]
    #[case::copies(|case: &mut SupportCase| case.cc_email_addresses = vec![String::new(); 11], Some("11 addresses"))]
    fn what_aws_would_refuse_is_found_before(
        #[case] change: fn(&mut SupportCase),
        #[case] problem: Option<&str>,
    ) {
        let mut case = case();
        change(&mut case);
        let found = case.check(&key()).err().map(|problem| problem.to_string());
        match problem {
            None => assert_eq!(found, None),
            Some(problem) => assert!(found.as_deref().unwrap_or("").contains(problem), "{found:?}"),
        }
    }

    #[rstest]
    #[case::ours("Please.\n\nRef: groundcrew/onboard/111122223333/ams", true)]
    #[case::trailing_space("Please.\r\n\r\nRef: groundcrew/onboard/111122223333/ams \r\n\n", true)]
    #[case::of_another_notifier("Please.\n\nRef: groundcrew/onboard/111122223333/ams2", false)]
    #[case::quoted("> Ref: groundcrew/onboard/111122223333/ams", false)]
    #[case::not_the_last("Ref: groundcrew/onboard/111122223333/ams\nThanks", false)]
    #[case::empty("", false)]
    fn only_the_closing_line_counts(#[case] body: &str, #[case] ours: bool) {
        let line = reference_line(&key());
        assert_eq!(find_reference_line(body) == Some(line.as_str()), ours);
    }

    #[test]
    fn a_case_is_known_by_its_own_text() {
        let text = case().full_body(&key());
        assert_eq!(find_reference_line(&text), Some(reference_line(&key()).as_str()));
    }
}
