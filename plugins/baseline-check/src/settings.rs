//! The settings, and the checks that are made from them.

use std::collections::BTreeMap;
use std::time::Duration;

use groundcrew_sdk::Problem;
use regex_lite::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::BaselineCheck;
use crate::check::{Checks, ExpectedOu, Pattern, RequiredTag, Value};
use crate::ou_pattern::OuPattern;

/// AWS's limits on tags, in characters.
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// The host's own minimum of a hold, and its maximum of durations elsewhere.
const MIN_DURATION: Duration = Duration::from_secs(60);
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

// The schemas of the tables are inline and without `null`, so that the host can report each wrong
// key at its place.

/// Settings of `baseline-check`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tags that an account must have, by their keys.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, TagCheck>")]
    pub tags: Option<BTreeMap<String, TagCheck>>,
    /// The OUs that an account may be in.
    #[serde(default)]
    #[schemars(with = "OuCheck")]
    pub ou: Option<OuCheck>,
    /// What the account's name must match.
    #[serde(default)]
    #[schemars(with = "PatternCheck")]
    pub name: Option<PatternCheck>,
    /// What the root user's email address must match.
    #[serde(default)]
    #[schemars(with = "PatternCheck")]
    pub email: Option<PatternCheck>,
    /// What a finding does, unless its check says otherwise.
    #[serde(default)]
    pub on_finding: FindingAction,
    /// What is done where the tags, or the account itself, can't be read.
    #[serde(default = "hold")]
    pub on_unreadable: FindingAction,
    /// How long a hold lasts until the account is looked at again, such as `1h`.
    #[serde(default = "hold_for")]
    pub hold_for: String,
    /// How long after the account's joining findings hold, such as `7d`.
    #[serde(default = "hold_at_most")]
    pub hold_at_most: String,
    /// What a finding that holds does after that.
    #[serde(rename = "then", default)]
    pub after_hold: AfterHold,
}

/// A tag that an account must have.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct TagCheck {
    /// The values that it may have. Without them, and without a pattern: any that is not blank.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub allowed: Option<Vec<String>>,
    /// A regular expression that its value must match.
    #[serde(default)]
    #[schemars(with = "String")]
    pub pattern: Option<String>,
    /// What a finding does.
    #[serde(default)]
    #[schemars(with = "FindingAction")]
    pub on_finding: Option<FindingAction>,
}

/// The OUs that an account may be in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct OuCheck {
    /// Each by the names from the top-level OU down, such as `Workloads/Prod`, or by its id.
    /// With `/*` at the end: all that are below.
    pub expected: Vec<String>,
    /// What a finding does.
    #[serde(default)]
    #[schemars(with = "FindingAction")]
    pub on_finding: Option<FindingAction>,
}

/// What a name or an address must match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct PatternCheck {
    /// A regular expression.
    pub pattern: String,
    /// What a finding does.
    #[serde(default)]
    #[schemars(with = "FindingAction")]
    pub on_finding: Option<FindingAction>,
}

/// What a finding does to the notifications after this one. A stricter one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[allow(missing_docs)] // Documented, the schema would have one schema for each.
pub enum FindingAction {
    #[default]
    Annotate,
    Hold,
    Stop,
}

/// What a finding does that has held for long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[allow(missing_docs)]
pub enum AfterHold {
    #[default]
    Annotate,
    Stop,
}

impl From<AfterHold> for FindingAction {
    fn from(after_hold: AfterHold) -> Self {
        match after_hold {
            AfterHold::Annotate => Self::Annotate,
            AfterHold::Stop => Self::Stop,
        }
    }
}

fn hold() -> FindingAction {
    FindingAction::Hold
}

fn hold_for() -> String {
    "1h".to_owned()
}

fn hold_at_most() -> String {
    "7d".to_owned()
}

/// Collects problems.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(at, message));
    }

    /// Returns the value, or adds its problem.
    fn value_or_report<T>(&mut self, at: impl Into<String>, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.add(at, message)).ok()
    }
}

impl Settings {
    /// The notifier with these settings.
    ///
    /// # Errors
    /// All problems of the settings.
    pub(crate) fn into_notifier(self) -> Result<BaselineCheck, Vec<Problem>> {
        let mut problems = Problems::default();
        let wrong = &mut problems;
        let Self { on_finding, on_unreadable, .. } = self;
        if self.tags.is_none() && self.ou.is_none() && self.name.is_none() && self.email.is_none() {
            wrong.add("", "nothing is checked: set `tags`, `ou`, `name` or `email`");
        }
        if self.tags.as_ref().is_some_and(BTreeMap::is_empty) {
            wrong.add("/tags", "empty: name a tag, as in `owner = {}`, or leave it out");
        }
        let tags = self.tags.unwrap_or_default().into_iter();
        let tags = tags.map(|(key, tag)| tag.required(key, on_finding, wrong)).collect();
        let ou = self.ou.and_then(|ou| ou.expected(on_finding, wrong));
        let name = self.name.and_then(|name| name.compiled("/name", on_finding, wrong));
        let email = self.email.and_then(|email| email.compiled("/email", on_finding, wrong));
        let hold_for = wrong.value_or_report("/hold_for", seconds(&self.hold_for));
        let hold_at_most = wrong.value_or_report("/hold_at_most", seconds(&self.hold_at_most));
        match (hold_for, hold_at_most) {
            (Some(hold_for), Some(hold_at_most)) if problems.0.is_empty() => Ok(BaselineCheck {
                checks: Checks { tags, ou, name, email, on_unreadable },
                hold_for,
                hold_at_most,
                after_hold: self.after_hold.into(),
            }),
            _ => Err(problems.0),
        }
    }
}

impl TagCheck {
    fn required(
        self,
        key: String,
        on_finding: FindingAction,
        problems: &mut Problems,
    ) -> RequiredTag {
        let at = format!("/tags/{}", key.replace('~', "~0").replace('/', "~1"));
        match key.chars().count() {
            _ if key.trim().is_empty() => problems.add(&at, "the key of a tag can't be blank"),
            length if length > MAX_KEY => {
                problems.add(&at, too_long(length, MAX_KEY, "a tag's key"));
            }
            _ => {}
        }
        if self.allowed.is_some() && self.pattern.is_some() {
            problems.add(&at, "it has `allowed` and `pattern`: leave one of them out");
        }
        if let Some(allowed) = &self.allowed {
            check_allowed(&format!("{at}/allowed"), allowed, problems);
        }
        let pattern = self.pattern.as_deref().map(regex);
        let pattern =
            pattern.and_then(|regex| problems.value_or_report(format!("{at}/pattern"), regex));
        let value = match (self.allowed, pattern) {
            (Some(allowed), _) => Value::OneOf(allowed),
            (None, Some(regex)) => Value::Match(regex),
            (None, None) => Value::Any,
        };
        RequiredTag { key, value, action: self.on_finding.unwrap_or(on_finding) }
    }
}

fn check_allowed(at: &str, allowed: &[String], problems: &mut Problems) {
    if allowed.is_empty() {
        problems.add(at, "empty: name the values that are allowed, or leave it out for any");
    }
    for (index, value) in allowed.iter().enumerate() {
        let at = format!("{at}/{index}");
        let length = value.chars().count();
        if value.trim().is_empty() {
            problems.add(at, "blank: a tag without a value counts as none");
        } else if length > MAX_VALUE {
            problems.add(at, too_long(length, MAX_VALUE, "a tag's value"));
        }
    }
}

impl OuCheck {
    fn expected(self, on_finding: FindingAction, problems: &mut Problems) -> Option<ExpectedOu> {
        const AT: &str = "/ou/expected";
        if self.expected.is_empty() {
            problems.add(AT, "empty: name the OUs that are expected, or leave `ou` out");
        }
        let ou_patterns = self.expected.iter().enumerate().filter_map(|(index, text)| {
            problems.value_or_report(format!("{AT}/{index}"), OuPattern::parse(text))
        });
        let ou_patterns = ou_patterns.collect();
        Some(ExpectedOu { ou_patterns, action: self.on_finding.unwrap_or(on_finding) })
    }
}

impl PatternCheck {
    fn compiled(
        self,
        at: &str,
        on_finding: FindingAction,
        problems: &mut Problems,
    ) -> Option<Pattern> {
        let regex = problems.value_or_report(format!("{at}/pattern"), regex(&self.pattern))?;
        Some(Pattern { regex, action: self.on_finding.unwrap_or(on_finding) })
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("empty: it would match everything".to_owned());
    }
    Regex::new(text).map_err(|error| format!("no regular expression: {error}"))
}

fn seconds(text: &str) -> Result<i64, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| (MIN_DURATION..=MAX_DURATION).contains(duration))
        .and_then(|duration| i64::try_from(duration.as_secs()).ok())
        .ok_or_else(|| {
            format!(
                "{text:?}: expected a duration such as \"30m\", \"1h\" or \"7d\", from a minute \
                 to 366 days"
            )
        })
}

fn too_long(length: usize, limit: usize, what: &str) -> String {
    format!("{length} characters: AWS allows {limit} in {what}")
}
