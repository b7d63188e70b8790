//! The test cases in files `*.cases.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundcrew_core::account::{Account, AccountId, AccountState, OrganizationalUnit, Tags};
use groundcrew_core::catalog::{
    ArtifactId, ProductStatus, ProvisionedProduct, ProvisionedProductId, RecordId,
};
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::envelope;
use groundcrew_plugins::files;
use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::timestamp_arg;

/// The end of the name of a file of test cases.
pub const SUFFIX: &str = ".cases.toml";

/// A file of test cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CasesFile {
    /// The plugin under test: a bundled one, a component or a script.
    pub plugin: Option<String>,
    /// Or a whole config, whose policies are evaluated as a pipeline.
    pub config: Option<PathBuf>,
    /// The names of the lanes, if a plugin is tested.
    #[serde(default)]
    pub lanes: Vec<String>,
    /// The plugin's settings.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The cases.
    pub cases: Vec<Spanned<Case>>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of the case.
    pub name: String,
    /// The candidate.
    #[serde(default)]
    pub candidate: CaseCandidate,
    /// The expected decision.
    pub expect: Expect,
}

/// A candidate; every field has a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseCandidate {
    action: Option<Action>,
    cause: Option<Cause>,
    #[serde(default, deserialize_with = "deserialize_timestamp")]
    now: Option<Timestamp>,
    #[serde(default)]
    account: CaseAccount,
    product: Option<CaseProduct>,
    /// A file with an EventBridge event, relative to the file of cases.
    event: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAccount {
    id: Option<AccountId>,
    name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    ou: Vec<String>,
    /// Ids of the OUs, in the same order; invented by default.
    #[serde(default)]
    ou_ids: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Why the tags can't be read.
    tags_unreadable: Option<String>,
    #[serde(default, deserialize_with = "deserialize_timestamp")]
    joined: Option<Timestamp>,
    state: Option<AccountState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseProduct {
    id: Option<String>,
    name: Option<String>,
    status: Option<ProductStatus>,
    artifact: Option<String>,
    target_artifact: Option<String>,
}

/// The expected decision of a policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The decision.
    pub decision: Expected,
    /// The lane, for `proceed`.
    pub lane: Option<String>,
    /// A pattern for the reason of `skip` and `hold`, or for the message of `failure`.
    #[serde(default, deserialize_with = "deserialize_pattern")]
    pub reason: Option<Regex>,
    /// The moment, for `hold`.
    #[serde(default, deserialize_with = "deserialize_timestamp")]
    pub until: Option<Timestamp>,
}

/// Decisions, and a failure to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    Abstain,
    Proceed,
    Skip,
    Hold,
    Failure,
}

/// A moment, as text or as a TOML datetime.
fn deserialize_timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrDatetime {
        Text(String),
        Toml(toml::value::Datetime),
    }
    let text = match TextOrDatetime::deserialize(deserializer)? {
        TextOrDatetime::Text(text) => text,
        TextOrDatetime::Toml(moment) => moment.to_string(),
    };
    let wrong =
        |expected| serde::de::Error::custom(format!("`{text}` is not a moment: {expected}"));
    timestamp_arg::parse_timestamp(&text).map(Some).map_err(wrong)
}

fn deserialize_pattern<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Regex>, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    // The parser's message shows the pattern; its last line is the error.
    let wrong = |error: regex::Error| {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        serde::de::Error::custom(format!("`{pattern}` is not a regular expression: {last}"))
    };
    Regex::new(&pattern).map(Some).map_err(wrong)
}

impl CasesFile {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn read(path: &Path) -> Result<(Self, LineIndex), String> {
        let name = path.display();
        if !path.to_string_lossy().ends_with(SUFFIX) {
            return Err(format!(
                "{name}: expected a file of test cases, named like `rings{SUFFIX}`"
            ));
        }
        let text = files::read_text_argument(path, files::MAX_TEXT_BYTES)
            .map_err(|error| format!("{name}: {error}"))?;
        let lines = LineIndex(text.match_indices('\n').map(|(at, _)| at).collect());
        let file: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| lines.line_at(span.start));
            format!("{name}:{line}: {}", error.message().replace('\n', ", "))
        })?;
        match (&file.plugin, &file.config) {
            (Some(_), None) => {}
            (None, Some(_)) if file.lanes.is_empty() && file.settings.is_empty() => {}
            (None, Some(_)) => {
                return Err(format!("{name}:1: `lanes` and `settings` are those of the `config`"));
            }
            _ => {
                return Err(format!(
                    "{name}:1: expected `plugin = \"…\"`, the policy that is asked, or \
                     `config = \"…\"`, a config whose policies are asked"
                ));
            }
        }
        if file.cases.is_empty() {
            return Err(format!("{name}:1: no cases: expected at least one `[[cases]]`"));
        }
        for case in &file.cases {
            let Case { name: case_name, candidate, expect } = case.get_ref();
            let wrong = |problem: &str| {
                let line = lines.line_at(case.span().start);
                Err(format!("{name}:{line}: case `{case_name}`: {problem}"))
            };
            let account = &candidate.account;
            if account.tags_unreadable.is_some() && !account.tags.is_empty() {
                return wrong("it has `tags` and `tags_unreadable`: an account has one of them");
            }
            if account.ou_ids.len() > account.ou.len() {
                return wrong("it has more `ou_ids` than `ou`: name each OU");
            }
            if expect.lane.is_some()
                && !matches!(expect.decision, Expected::Proceed | Expected::Hold)
            {
                return wrong("`lane` is expected of something else than `proceed` or `hold`");
            }
            if expect.until.is_some() && expect.decision != Expected::Hold {
                return wrong("`until` is expected of something else than `hold`");
            }
        }
        Ok((file, lines))
    }
}

/// The positions at which lines begin.
pub struct LineIndex(Vec<usize>);

impl LineIndex {
    /// The line of a byte, from 1.
    pub fn line_at(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

impl CaseCandidate {
    /// The candidate, with defaults for missing fields. Files are relative to `base`.
    ///
    /// # Errors
    /// When the event can't be read.
    pub fn candidate(&self, base: &Path) -> Result<Candidate, String> {
        let action = self.action.unwrap_or(Action::Update);
        let event = self.event.as_ref().map(|path| {
            let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let text = files::read_text(&base.join(path), files::MAX_TEXT_BYTES);
            let text = text.map_err(|error| named(&error))?;
            let [event] = <[_; 1]>::try_from(envelope::events(&text)).map_err(|several| {
                named(&format!("it has {} events: expected one", several.len()))
            })?;
            event.map(Arc::new).map_err(|error| named(&error))
        });
        let account = self.account.account()?;
        let product = match (&self.product, action) {
            (Some(product), _) => Some(product.product(&account)),
            (None, Action::Update) => Some(CaseProduct::default().product(&account)),
            (None, _) => None,
        };
        Ok(Candidate {
            action,
            cause: self.cause.unwrap_or(match action {
                Action::Update => Cause::Artifact,
                Action::Onboard | Action::Vend => Cause::Lifecycle,
            }),
            tags: match &self.account.tags_unreadable {
                Some(why) => Tags::Unreadable(why.clone()),
                None => Tags::Known(self.account.tags.clone()),
            },
            account: Arc::new(account),
            product,
            event: event.transpose()?,
            now: self.now.unwrap_or(Timestamp::constant(1_767_225_600, 0)),
        })
    }
}

impl CaseAccount {
    fn account(&self) -> Result<Account, String> {
        let unit = |(index, name): (usize, &String)| OrganizationalUnit {
            id: self.ou_ids.get(index).cloned().unwrap_or_else(|| format!("ou-test-{index:08}")),
            name: name.clone(),
        };
        Ok(Account {
            id: match &self.id {
                Some(id) => id.clone(),
                None => "111122223333".parse().map_err(|error| format!("{error}"))?,
            },
            name: self.name.clone().unwrap_or_else(|| "account".to_owned()),
            email: self.email.clone().unwrap_or_else(|| "aws@example.com".to_owned()),
            organizational_units: self.ou.iter().enumerate().map(unit).collect(),
            joined: self.joined,
            state: Some(self.state.unwrap_or(AccountState::Active)),
        })
    }
}

impl CaseProduct {
    fn product(&self, account: &Account) -> (ProvisionedProduct, ArtifactId) {
        let text = |text: &Option<String>, default: &str| text.as_deref().unwrap_or(default).into();
        let artifact: String = text(&self.artifact, "pa-aaaaaaaaaaaaa");
        let target: String = text(&self.target_artifact, "pa-bbbbbbbbbbbbb");
        let id: String = text(&self.id, "pp-aaaaaaaaaaaaa");
        let product = ProvisionedProduct {
            id: ProvisionedProductId::new(id),
            name: text(&self.name, &account.name),
            account: account.id.clone(),
            status: self.status.unwrap_or_default(),
            artifact: ArtifactId::new(artifact),
            last_record: None,
            last_successful_record: Some(RecordId::new("rec-aaaaaaaaaaaaa")),
        };
        (product, ArtifactId::new(target))
    }
}
