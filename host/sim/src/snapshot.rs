//! A snapshot of an organization: what a simulation starts from.

use std::collections::{BTreeMap, BTreeSet};

use groundcrew_core::account::AccountId;
use serde::{Deserialize, Serialize};

/// Tag that [`Snapshot::generate`] puts on its tagged accounts.
const TAG_KEY: &str = "account-factory-managed";

/// The OUs of a generated organization.
const GENERATED_OUS: [&[&str]; 6] = [
    &["Workloads", "Prod"],
    &["Workloads", "Test"],
    &["Workloads", "Dev"],
    &["Infrastructure", "Network"],
    &["Infrastructure"],
    &["Sandbox"],
];

/// Accounts as a simulation finds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// In the order in which AWS lists them.
    pub accounts: Vec<SnapshotAccount>,
}

/// One account of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotAccount {
    /// Twelve digits.
    pub id: String,
    /// The account's name.
    pub name: String,
    /// The root user's email address; by default made from the id.
    #[serde(default)]
    pub email: String,
    /// Names of the OUs from the top-level one down; by default directly under the root.
    #[serde(default)]
    pub ou: Vec<String>,
    /// The tags; `null` when reading them is denied; by default none.
    #[serde(default = "no_tags")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether the account lacks the artifact that the simulation releases.
    #[serde(default = "yes")]
    pub outdated: bool,
    /// Status of its provisioned product.
    #[serde(default)]
    pub status: SnapshotStatus,
    /// How long an update of it takes.
    #[serde(default = "twenty_minutes")]
    pub update_seconds: u64,
}

/// Status of a provisioned product in a [`Snapshot`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SnapshotStatus {
    /// Nothing runs.
    #[default]
    Available,
    /// Someone else's operation runs; it ends well `update_seconds` after the start.
    UnderChange,
    /// The last update failed.
    Tainted,
    /// The last operation failed and the product is not usable.
    Error,
    /// A plan is being made; it ends `update_seconds` after the start.
    PlanInProgress,
}

fn no_tags() -> Option<BTreeMap<String, String>> {
    Some(BTreeMap::new())
}

fn yes() -> bool {
    true
}

fn twenty_minutes() -> u64 {
    1200
}

/// A snapshot that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is not JSON of the expected shape.
    #[error(
        "the snapshot can't be read at line {line}, column {column}: {message}; expected {{\"accounts\":[{{\"id\":\"111122223333\",\"name\":\"Prod\"}}]}}"
    )]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// It can be read, but not all of it makes sense.
    #[error("the snapshot has {} problem(s):\n{}", .0.len(), .0.join("\n"))]
    Invalid(
        /// Every problem, each naming its account.
        Vec<String>,
    ),
}

impl Snapshot {
    /// Reads a snapshot from JSON text and checks it.
    ///
    /// # Errors
    /// When it is not JSON of this shape (the first such place), or when ids, tags or
    /// durations can't be (every one of them).
    pub fn parse(text: &str) -> Result<Self, SnapshotError> {
        let mut snapshot: Self =
            serde_json::from_str(text).map_err(|error| SnapshotError::Syntax {
                line: error.line(),
                column: error.column(),
                message: plain(&error),
            })?;
        snapshot.complete();
        let problems = snapshot.problems();
        if problems.is_empty() { Ok(snapshot) } else { Err(SnapshotError::Invalid(problems)) }
    }

    /// Makes an organization of so many accounts in a handful of nested OUs. Exactly
    /// `tagged_percent` of them carry the tag `account-factory-managed = "true"`.
    /// Updates take 10 to 30 minutes.
    pub fn generate(accounts: usize, tagged_percent: u8, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(!seed);
        let mut order: Vec<usize> = (0..accounts).collect();
        rng.shuffle(&mut order);
        let tagged = accounts * usize::from(tagged_percent.min(100)) / 100;
        let tagged: BTreeSet<usize> = order.into_iter().take(tagged).collect();
        let mut snapshot = Self {
            accounts: (0..accounts)
                .map(|index| {
                    let mut tags = BTreeMap::new();
                    if tagged.contains(&index) {
                        tags.insert(TAG_KEY.to_owned(), "true".to_owned());
                    }
                    let ou = GENERATED_OUS[rng.usize(..GENERATED_OUS.len())];
                    SnapshotAccount {
                        id: format!("{:012}", 200_000_000_000_u64 + index as u64),
                        name: format!("account-{:05}", index + 1),
                        email: String::new(),
                        ou: ou.iter().map(|name| (*name).to_owned()).collect(),
                        tags: Some(tags),
                        outdated: true,
                        status: SnapshotStatus::Available,
                        update_seconds: rng.u64(600..=1800),
                    }
                })
                .collect(),
        };
        snapshot.complete();
        snapshot
    }

    fn complete(&mut self) {
        for account in &mut self.accounts {
            if account.email.is_empty() {
                account.email = format!("aws+{}@example.com", account.id);
            }
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, account) in self.accounts.iter().enumerate() {
            let mut problem = |text: String| problems.push(format!("accounts[{index}]: {text}"));
            let id = account.id.as_str();
            if let Err(error) = id.parse::<AccountId>() {
                problem(error.to_string());
            } else if let Some(first) = seen.insert(id, index) {
                problem(format!("the id {id} is also that of accounts[{first}]: ids are unique"));
            }
            if account.name.is_empty() || account.name.chars().count() > 128 {
                problem(format!("the name of {id} must have 1 to 128 characters"));
            }
            if !account.email.contains('@') {
                problem(format!("`{}` is not an email address", account.email));
            }
            if account.ou.iter().any(String::is_empty) {
                problem(format!("an OU of {id} has an empty name"));
            }
            if account.update_seconds == 0 {
                problem(format!("update_seconds of {id} must be at least 1"));
            }
            for (key, value) in account.tags.iter().flatten() {
                if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
                    problem(format!(
                        "the tag `{key}` of {id} must have a key of 1 to 128 and a value of at most 256 characters"
                    ));
                }
            }
        }
        problems
    }
}

/// The parser's message without the place, which is told apart.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let snapshot =
            Snapshot::parse(r#"{"accounts":[{"id":"111122223333","name":"A"}]}"#).unwrap();
        assert_eq!(
            snapshot.accounts[0],
            SnapshotAccount {
                id: "111122223333".into(),
                name: "A".into(),
                email: "aws+111122223333@example.com".into(),
                ou: Vec::new(),
                tags: Some(BTreeMap::new()),
                outdated: true,
                status: SnapshotStatus::Available,
                update_seconds: 1200,
            }
        );
    }

    #[test]
    fn null_tags_are_denied_tags() {
        let snapshot =
            Snapshot::parse(r#"{"accounts":[{"id":"111122223333","name":"A","tags":null}]}"#)
                .unwrap();
        assert_eq!(snapshot.accounts[0].tags, None);
    }

    #[test]
    fn every_problem_is_told() {
        let error = Snapshot::parse(
            r#"{"accounts":[{"id":"1","name":"A"},{"id":"111122223333","name":""},
               {"id":"111122223333","name":"C","update_seconds":0}]}"#,
        )
        .unwrap_err();
        let SnapshotError::Invalid(problems) = &error else { panic!("{error}") };
        assert_eq!(
            problems,
            &[
                "accounts[0]: `1` is not an AWS account id: expected twelve digits",
                "accounts[1]: the name of 111122223333 must have 1 to 128 characters",
                "accounts[2]: the id 111122223333 is also that of accounts[1]: ids are unique",
                "accounts[2]: update_seconds of 111122223333 must be at least 1",
            ]
        );
    }

    #[test]
    fn a_wrong_shape_is_told_with_its_place() {
        let error =
            Snapshot::parse("{\n \"accounts\": [{\"id\":\"1\",\"nam\":\"A\"}]}").unwrap_err();
        let SnapshotError::Syntax { line, column, message } = error else { panic!("{error}") };
        assert_eq!((line, column), (2, 29));
        assert!(message.starts_with("unknown field `nam`"), "{message}");
        assert!(!message.contains("at line"), "{message}");
    }

    #[test]
    fn exactly_the_percentage_is_tagged_and_a_seed_repeats() {
        let snapshot = Snapshot::generate(1000, 30, 7);
        let tagged = snapshot.accounts.iter().filter(|account| account.tags != no_tags()).count();
        assert_eq!(tagged, 300);
        assert_eq!(snapshot, Snapshot::generate(1000, 30, 7));
        assert_ne!(snapshot, Snapshot::generate(1000, 30, 8));
        assert!(snapshot.problems().is_empty());
    }
}
