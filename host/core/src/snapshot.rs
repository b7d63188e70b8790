//! A snapshot of an organization, from which a simulation or a plan starts. It is written by hand,
//! or read from a live organization.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use crate::account::{AccountId, AccountState};
use crate::catalog::{ArtifactId, ProductId, ProductStatus, ProvisionedProductId};

/// How long an update takes by default. Control Tower takes 10 to 30 minutes.
const UPDATE_SECONDS: u64 = 1200;

/// The longest update in a snapshot: a week.
const MAX_UPDATE_SECONDS: u64 = 7 * 24 * 3600;

/// When accounts joined for which a file has no date: long before any lookback.
const JOINED: Timestamp = Timestamp::constant(1_577_836_800, 0);

/// The accounts at the start of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// When it was read; absent when it was written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// The artifact that accounts should be on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub target: Option<SnapshotTarget>,
    /// In the order in which AWS lists them.
    #[serde(deserialize_with = "objects")]
    pub accounts: Vec<SnapshotAccount>,
}

/// The artifact that the accounts of a [`Snapshot`] should be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotTarget {
    /// The Account Factory product.
    pub product: ProductId,
    /// Its newest active provisioning artifact.
    pub artifact: ArtifactId,
    /// The product's name.
    pub name: String,
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
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Names of the OUs from the top-level one down; by default directly under the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ou: Vec<String>,
    /// Their ids, as many as names; by default made up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ou_ids: Vec<String>,
    /// When the account joined the organization, if known; in a file by default 1 January 2020.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Timestamp>,
    /// Its state in the organization, if known; in a file by default `ACTIVE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AccountState>,
    /// The tags; `null` when reading them is denied; by default none.
    #[serde(default = "no_tags")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Why there are no tags, if they could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_error: Option<String>,
    /// Whether it has a provisioned product of Account Factory, which can be updated.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enrolled: bool,
    /// Whether it is not yet on the artifact that it should be on. In a simulation, that is the
    /// newest artifact, which the accounts that are not outdated have.
    #[serde(default = "yes")]
    pub outdated: bool,
    /// Its provisioned product; by default made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProvisionedProductId>,
    /// The artifact that the product is on; by default made up. If it contradicts `outdated`, the
    /// artifact counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactId>,
    /// Status of its provisioned product. In a simulation, the operation behind `UNDER_CHANGE` and
    /// `PLAN_IN_PROGRESS` is someone else's, and ends `update_seconds` after the start.
    #[serde(default, skip_serializing_if = "is_available")]
    pub status: ProductStatus,
    /// How long an update of it takes.
    #[serde(default = "twenty_minutes", skip_serializing_if = "is_twenty_minutes")]
    pub update_seconds: u64,
    /// The errors of its first updates, one after the other; by default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update_failures: Vec<String>,
}

impl SnapshotAccount {
    /// An enrolled, outdated account without tags directly under the root.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            email: String::new(),
            ou: Vec::new(),
            ou_ids: Vec::new(),
            joined: None,
            state: None,
            tags: no_tags(),
            tags_error: None,
            enrolled: true,
            outdated: true,
            product: None,
            artifact: None,
            status: ProductStatus::Available,
            update_seconds: UPDATE_SECONDS,
            update_failures: Vec::new(),
        }
    }
}

fn no_tags() -> Option<BTreeMap<String, String>> {
    Some(BTreeMap::new())
}

fn yes() -> bool {
    true
}

fn twenty_minutes() -> u64 {
    UPDATE_SECONDS
}

// serde passes a reference to these.

fn is_true(flag: &bool) -> bool {
    *flag
}

fn is_available(status: &ProductStatus) -> bool {
    *status == ProductStatus::Available
}

fn is_twenty_minutes(seconds: &u64) -> bool {
    *seconds == UPDATE_SECONDS
}

/// A value that is read only from a JSON object. A derived `Deserialize` also accepts a list, and
/// takes its items for the fields in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|object| object.0).collect())
}

/// The kind of a text that is JSON but not a snapshot; `None` if it may be a snapshot.
fn other_document(text: &str) -> Option<&'static str> {
    let value: Json = serde_json::from_str(text).ok()?;
    let of_aws = |account: &Json| account.get("Id").is_some() && account.get("Arn").is_some();
    Some(match &value {
        Json::Object(fields) if fields.contains_key("accounts") => return None,
        Json::Object(fields) if fields.contains_key("Accounts") => {
            "what `aws organizations list-accounts` prints"
        }
        Json::Object(_) => return None,
        Json::Array(accounts) if accounts.first().is_some_and(of_aws) => {
            "a list of accounts as AWS Organizations has them"
        }
        Json::Array(_) => "a JSON list",
        Json::String(_) => "a JSON text",
        Json::Number(_) => "a JSON number",
        Json::Bool(_) | Json::Null => "a JSON word",
    })
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
        /// The parser's message.
        message: String,
    },
    /// It is JSON of another kind.
    #[error(
        "this is {found}, no snapshot; expected {{\"accounts\":[{{\"id\":\"111122223333\",\"name\":\"Prod\"}}]}}, \
         as `groundcrew snapshot` writes it"
    )]
    Other {
        /// The kind of document.
        found: &'static str,
    },
    /// It is parsed, but some of its values are not valid.
    #[error("the snapshot has {} problem(s):\n{}", .0.len(), .0.join("\n"))]
    Invalid(
        /// Every problem, each naming its account.
        Vec<String>,
    ),
}

impl Snapshot {
    /// Parses and checks a snapshot.
    ///
    /// # Errors If it is not JSON of this shape (the first such place), or if ids, tags or
    /// durations are not valid (all of them).
    pub fn parse(text: &str) -> Result<Self, SnapshotError> {
        let text = text.trim_start_matches('\u{feff}');
        let mut snapshot: Self = serde_json::from_str::<Object<Self>>(text)
            .map(|object| object.0)
            .map_err(|error| match other_document(text) {
                Some(found) => SnapshotError::Other { found },
                None => SnapshotError::Syntax {
                    line: error.line(),
                    column: error.column(),
                    message: plain(&error),
                },
            })?;
        snapshot.complete();
        let problems = snapshot.problems();
        if problems.is_empty() { Ok(snapshot) } else { Err(SnapshotError::Invalid(problems)) }
    }

    /// The snapshot as JSON text with a line for each account, so that two snapshots are easy to
    /// compare.
    ///
    /// # Errors Never in practice: everything in it can be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = String::from("{");
        if let Some(taken_at) = &self.taken_at {
            text += &format!("\"taken_at\":{},\n", serde_json::to_string(taken_at)?);
        }
        if let Some(target) = &self.target {
            text += &format!("\"target\":{},\n", serde_json::to_string(target)?);
        }
        text += "\"accounts\":[";
        for (index, account) in self.accounts.iter().enumerate() {
            text += if index == 0 { "\n" } else { ",\n" };
            text += &serde_json::to_string(account)?;
        }
        text += "\n]}\n";
        Ok(text)
    }

    /// Fills in the defaults, so that every reader of the snapshot has the same values.
    pub fn complete(&mut self) {
        let made_up = self.unit_ids();
        for account in &mut self.accounts {
            if account.email.is_empty() {
                account.email = format!("aws+{}@example.com", account.id);
            }
            account.joined.get_or_insert(JOINED);
            account.state.get_or_insert(AccountState::Active);
            if account.ou_ids.is_empty() {
                let ways = (1..=account.ou.len()).map(|depth| &account.ou[..depth]);
                account.ou_ids = ways.filter_map(|way| made_up.get(way).cloned()).collect();
            }
        }
    }

    /// Ids of the OUs by their names from the top-level one down: given ids, and made-up ones.
    fn unit_ids(&self) -> BTreeMap<Vec<String>, String> {
        let ways = |account: &SnapshotAccount| {
            let ou = account.ou.clone();
            (1..=ou.len()).map(move |depth| ou[..depth].to_vec())
        };
        let mut ids: BTreeMap<Vec<String>, String> = BTreeMap::new();
        for account in &self.accounts {
            ids.extend(ways(account).zip(account.ou_ids.iter().cloned()));
        }
        let mut seen = BTreeSet::new();
        for way in self.accounts.iter().flat_map(ways) {
            let index = seen.len();
            if seen.insert(way.clone()) {
                ids.entry(way).or_insert_with(|| format!("ou-sim1-{index:08}"));
            }
        }
        ids
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut units: BTreeMap<&str, &[String]> = BTreeMap::new();
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
            if !account.ou_ids.is_empty() && account.ou_ids.len() != account.ou.len() {
                problem(format!(
                    "`ou` of {id} has {} entries and `ou_ids` {}: give an id for each, or none",
                    account.ou.len(),
                    account.ou_ids.len()
                ));
            }
            for (depth, ou) in account.ou_ids.iter().enumerate() {
                let way = account.ou.get(..=depth).unwrap_or(&account.ou);
                if !is_ou_id(ou) {
                    problem(format!("`{ou}` is not the id of an OU, as in ou-abcd-l3zc8b3h"));
                } else if *units.entry(ou).or_insert(way) != way {
                    problem(format!("the OU {ou} of {id} has another name or place elsewhere"));
                }
            }
            if account.tags.is_some() && account.tags_error.is_some() {
                problem(format!("{id} has a tags_error, so its tags must be null"));
            }
            if !(1..=MAX_UPDATE_SECONDS).contains(&account.update_seconds) {
                problem(format!("update_seconds of {id} must be 1 to {MAX_UPDATE_SECONDS}"));
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

/// `^ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}$`, as Organizations has it.
fn is_ou_id(text: &str) -> bool {
    let good = |part: &str, least: usize| {
        (least..=32).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let parts = text.strip_prefix("ou-").and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(root, unit)| good(root, 4) && good(unit, 8))
}

/// The parser's message without the position, which is shown separately.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn what_is_left_out_has_its_default() {
        let snapshot =
            Snapshot::parse(r#"{"accounts":[{"id":"111122223333","name":"A"}]}"#).unwrap();
        assert_eq!(
            snapshot.accounts[0],
            SnapshotAccount {
                email: "aws+111122223333@example.com".into(),
                joined: Some("2020-01-01T00:00:00Z".parse().unwrap()),
                state: Some(AccountState::Active),
                ..SnapshotAccount::new("111122223333", "A")
            }
        );
    }

    /// The same OU has the same id, given or made up.
    #[test]
    fn units_without_an_id_get_one() {
        let text = r#"{"accounts":[
            {"id":"111122223331","name":"A","ou":["W","P"]},
            {"id":"111122223332","name":"B","ou":["W"],"ou_ids":["ou-abcd-11111111"]},
            {"id":"111122223333","name":"C","ou":["W","P"]},
            {"id":"111122223334","name":"D","ou":["X"]}
        ]}"#;
        let snapshot = Snapshot::parse(text).unwrap();
        let ids: Vec<_> =
            snapshot.accounts.iter().map(|account| account.ou_ids.join(" ")).collect();
        assert_eq!(
            ids,
            [
                "ou-abcd-11111111 ou-sim1-00000001",
                "ou-abcd-11111111",
                "ou-abcd-11111111 ou-sim1-00000001",
                "ou-sim1-00000002",
            ]
        );
    }

    /// Files that people mistook for a snapshot, and the message for each.
    #[rstest]
    #[case::list(r#"[{"id":"111122223333","name":"A"}]"#, "this is a JSON list, no snapshot")]
    #[case::list_of_aws(
        r#"[{"Id":"111122223333","Arn":"arn:aws:organizations::1:account/o-1/111122223333"}]"#,
        "this is a list of accounts as AWS Organizations has them"
    )]
    #[case::answer_of_aws(
        r#"{"Accounts":[]}"#,
        "this is what `aws organizations list-accounts` prints"
    )]
    #[case::empty_list("[]", "this is a JSON list")]
    #[case::fields_without_names(r#"[null, null, []]"#, "this is a JSON list")]
    #[case::text(r#""accounts""#, "this is a JSON text")]
    #[case::number("12", "this is a JSON number")]
    #[case::word("null", "this is a JSON word")]
    #[case::accounts_without_names(r#"{"accounts":[["111122223333","A"]]}"#, "line 1, column 13: ")]
    #[case::target_without_names(
        r#"{"target":["prod","pa","x"],"accounts":[]}"#,
        "invalid type: sequence, expected an object"
    )]
    fn what_is_no_snapshot(#[case] text: &str, #[case] expected: &str) {
        let error = Snapshot::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(r#"expected {"accounts":[{"id":"111122223333","name":"Prod"}]}"#));
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let mut snapshot = Snapshot::parse(
            r#"{"accounts":[
                {"id":"200000000000","name":"account-00001","ou":["Workloads","Prod"],
                    "tags":{"account-factory-managed":"true"},"update_seconds":620},
                {"id":"200000000001","name":"account-00002","ou":["Sandbox"]},
                {"id":"200000000002","name":"account-00003","ou":["Infrastructure","Network"],
                    "update_seconds":1733}]}"#,
        )
        .unwrap();
        snapshot.taken_at = Some("2026-09-01T08:00:00Z".parse().unwrap());
        snapshot.target = Some(SnapshotTarget {
            product: ProductId::new("prod-a"),
            artifact: ArtifactId::new("pa-b"),
            name: "AWS Control Tower Account Factory".into(),
        });
        snapshot.accounts[1] = SnapshotAccount {
            email: "a@example.com".into(),
            ou: vec!["Prod".into()],
            ou_ids: vec!["ou-abcd-11111111".into()],
            joined: Some("2020-01-02T03:04:05.678Z".parse().unwrap()),
            state: Some(AccountState::PendingClosure),
            tags: None,
            tags_error: Some("denied".into()),
            enrolled: false,
            outdated: false,
            product: Some(ProvisionedProductId::new("pp-a")),
            artifact: Some(ArtifactId::new("pa-a")),
            status: ProductStatus::Tainted,
            ..SnapshotAccount::new("111122223333", "A")
        };
        let text = snapshot.to_json().unwrap();
        assert_eq!(Snapshot::parse(&text).unwrap(), snapshot);
        assert_eq!(text.lines().count(), 7, "{text}");
    }

    #[test]
    fn what_is_as_by_default_is_left_out() {
        let account = SnapshotAccount::new("111122223333", "A");
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(text, r#"{"id":"111122223333","name":"A","tags":{},"outdated":true}"#);
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
               {"id":"111122223333","name":"C","update_seconds":0},
               {"id":"111122223334","name":"D","ou":["A"],"ou_ids":["ou-abcd-11111111","B"],
                "tags_error":"?"},
               {"id":"111122223335","name":"E","ou":["B"],"ou_ids":["ou-abcd-11111111"]}]}"#,
        )
        .unwrap_err();
        let SnapshotError::Invalid(problems) = &error else { panic!("{error}") };
        assert_eq!(
            problems,
            &[
                "accounts[0]: `1` is not an AWS account id: expected twelve digits",
                "accounts[1]: the name of 111122223333 must have 1 to 128 characters",
                "accounts[2]: the id 111122223333 is also that of accounts[1]: ids are unique",
                "accounts[2]: update_seconds of 111122223333 must be 1 to 604800",
                "accounts[3]: `ou` of 111122223334 has 1 entries and `ou_ids` 2: give an id for each, or none",
                "accounts[3]: `B` is not the id of an OU, as in ou-abcd-l3zc8b3h",
                "accounts[3]: 111122223334 has a tags_error, so its tags must be null",
                "accounts[4]: the OU ou-abcd-11111111 of 111122223335 has another name or place elsewhere",
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
}
