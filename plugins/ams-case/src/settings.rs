//! The settings.

use groundcrew_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// The default subject of a case.
const DEFAULT_SUBJECT: &str = "AMS onboarding of account {{ account.id }} ({{ account.name }})";

/// The default body of a case.
const DEFAULT_BODY: &str = "\
AWS Control Tower has created a new account in our organization. Please onboard it to AMS, \
and involve our Cloud Architect (CA) and Cloud Service Delivery Manager (CSDM).

Account ID: {{ account.id }}
Account name: {{ account.name }}
";

/// Settings of `ams-case`. All have defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Template of the subject. What it renders to is made one line and cut to 250
    /// characters.
    pub subject: String,
    /// Template of the body. It may render to 8000 characters, less what the host's
    /// reference line takes.
    pub body: String,
    /// AWS Support's code of the service.
    pub service_code: String,
    /// AWS Support's code of the category within the service.
    pub category_code: String,
    /// How urgent the case is.
    pub severity_code: Severity,
    /// Who gets copies: at most 10 addresses.
    #[schemars(length(max = 10))]
    pub cc_email_addresses: Vec<String>,
    /// Language of the case: the two letters of ISO 639-1.
    pub language: String,
    /// Who at AWS Support the case is for.
    pub issue_type: IssueType,
}

/// How urgent a case is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // Documented, the schema would have one schema for each.
pub enum Severity {
    Low,
    Normal,
    High,
    Urgent,
    Critical,
}

/// Who at AWS Support a case is for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum IssueType {
    CustomerService,
    Technical,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subject: DEFAULT_SUBJECT.to_owned(),
            body: DEFAULT_BODY.to_owned(),
            service_code: "service-ams-operations-service-request".to_owned(),
            category_code: "onboarding-or-offboarding".to_owned(),
            severity_code: Severity::Low,
            cc_email_addresses: vec![],
            language: "en".to_owned(),
            // AWS Support's own default.
            issue_type: IssueType::Technical,
        }
    }
}

impl Settings {
    /// The problems of the settings, except those of templates.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |at: String, message: String| problems.push(Problem::new(at, message));
        for (at, code) in
            [("/service_code", &self.service_code), ("/category_code", &self.category_code)]
        {
            if code.is_empty() || code.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let message = format!("{code:?} is no code of AWS Support: expected one word");
                problem(at.to_owned(), message);
            }
        }
        if self.language.len() != 2 || !self.language.bytes().all(|b| b.is_ascii_lowercase()) {
            let message =
                format!("{:?} is no language: expected two letters, such as `en`", self.language);
            problem("/language".to_owned(), message);
        }
        for (index, address) in self.cc_email_addresses.iter().enumerate() {
            if !is_address(address) {
                problem(
                    format!("/cc_email_addresses/{index}"),
                    format!("{address:?} is no email address: expected `name@domain`"),
                );
            }
        }
        problems
    }
}

/// Whether AWS Support may accept the text as an address; only AWS can decide that.
fn is_address(text: &str) -> bool {
    let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    plain
        && text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
}

impl Severity {
    /// AWS Support's code of it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
            Self::Critical => "critical",
        }
    }
}

impl IssueType {
    /// AWS Support's code of it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::CustomerService => "customer-service",
            Self::Technical => "technical",
        }
    }
}
