//! Opens an AWS Support case that requests AWS Managed Services (AMS) to onboard an account.
//!
//! Subject and body are templates. The values of a notification are data to them: one line of text
//! each, with any characters, and never a template.

#![deny(missing_docs)]

mod settings;
mod templates;
#[cfg(test)]
mod tests;

use groundcrew_sdk::support_cases::{self, SupportCase};
use groundcrew_sdk::{Context, Failure, Notification, Notifier, Problem, Receipt};
use groundcrew_templates::one_line;

pub use settings::{IssueType, Settings, Severity};
use templates::Templates;

/// Longest subject, in characters. AWS Support documents no limit; its console shows
/// subjects in one line of a table.
const MAX_SUBJECT: usize = 250;

/// The notifier.
pub struct AmsCase {
    templates: Templates,
    settings: Settings,
}

impl Notifier for AmsCase {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = settings.check();
        match Templates::new(&settings.subject, &settings.body) {
            Ok(templates) if problems.is_empty() => return Ok(Self { templates, settings }),
            Ok(_) => {}
            Err(more) => problems.extend(more),
        }
        Err(problems)
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        support_cases::open(&self.case(notification)?).map(Receipt::new)
    }
}

impl AmsCase {
    /// The case of a notification.
    fn case(&self, notification: &Notification) -> Result<SupportCase, Failure> {
        let (subject, body) = self.templates.render(notification)?;
        let settings = &self.settings;
        Ok(SupportCase {
            subject: truncate(one_line(&subject), MAX_SUBJECT),
            body,
            service_code: settings.service_code.clone(),
            category_code: settings.category_code.clone(),
            severity_code: settings.severity_code.code().to_owned(),
            cc_email_addresses: settings.cc_email_addresses.clone(),
            language: settings.language.clone(),
            issue_type: settings.issue_type.code().to_owned(),
        })
    }
}

/// The text, or its beginning and an ellipsis.
fn truncate(mut text: String, limit: usize) -> String {
    if text.chars().count() > limit {
        let end = text.char_indices().nth(limit - 1).map_or(text.len(), |(at, _)| at);
        text.truncate(end);
        text.push('…');
    }
    text
}

groundcrew_sdk::notifier!(AmsCase);
