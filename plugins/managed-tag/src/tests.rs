//! The three modes, and the settings that they accept.

use groundcrew_sdk::{
    Account, Action, Candidate, Cause, Context, NamedLanes, Policy, PolicyDecision, Tag, Tags,
};
use rstest::rstest;

use crate::{ManagedTag, Settings};

fn settings(key: Option<&str>, value: Option<&str>, priority_mode: bool) -> Settings {
    Settings { tag_key: key.map(str::to_owned), tag_value: value.map(str::to_owned), priority_mode }
}

fn configured(
    settings: Settings,
    lanes: &[&str],
) -> Result<ManagedTag, Vec<groundcrew_sdk::Problem>> {
    let lanes = lanes.iter().map(|&lane| lane.to_owned()).collect();
    ManagedTag::configure(settings, &Context { lanes })
}

fn candidate(tags: Tags) -> Candidate {
    Candidate {
        action: Action::Update,
        cause: Cause::Artifact,
        account: Account {
            id: "111111111111".to_owned(),
            name: "one".to_owned(),
            email: String::new(),
            organizational_units: vec![],
            tags,
            joined: None,
            state: groundcrew_sdk::AccountState::Active,
        },
        product: None,
        event: None,
        now: 0,
    }
}

fn tagged() -> Tags {
    Tags::Known(vec![Tag::new("a", "b"), Tag::new("managed", "true")])
}

fn other_value() -> Tags {
    Tags::Known(vec![Tag::new("managed", "True")])
}

fn untagged() -> Tags {
    Tags::Known(vec![])
}

fn unreadable() -> Tags {
    Tags::Unreadable("AccessDeniedException".to_owned())
}

const ALL: (Option<&str>, Option<&str>, bool) = (None, None, false);
const TAGGED_ONLY: (Option<&str>, Option<&str>, bool) = (Some("managed"), Some("true"), false);
const PRIORITY: (Option<&str>, Option<&str>, bool) = (Some("managed"), Some("true"), true);

#[rstest]
#[case(ALL, tagged(), PolicyDecision::proceed())]
#[case(ALL, untagged(), PolicyDecision::proceed())]
#[case(ALL, unreadable(), PolicyDecision::proceed())]
#[case(TAGGED_ONLY, tagged(), PolicyDecision::proceed())]
#[case(TAGGED_ONLY, other_value(), PolicyDecision::skip("untagged"))]
#[case(TAGGED_ONLY, untagged(), PolicyDecision::skip("untagged"))]
#[case(TAGGED_ONLY, unreadable(), PolicyDecision::skip("tags-unreadable"))]
#[case(PRIORITY, tagged(), PolicyDecision::proceed_in("tagged"))]
#[case(PRIORITY, other_value(), PolicyDecision::proceed_in("rest"))]
#[case(PRIORITY, untagged(), PolicyDecision::proceed_in("rest"))]
#[case(PRIORITY, unreadable(), PolicyDecision::skip("tags-unreadable"))]
fn decides(
    #[case] (key, value, priority): (Option<&str>, Option<&str>, bool),
    #[case] tags: Tags,
    #[case] expected: PolicyDecision,
) {
    let policy = configured(settings(key, value, priority), &["tagged", "rest"]).unwrap();
    assert_eq!(policy.evaluate(&candidate(tags)), Ok(expected));
}

#[rstest]
#[case(ALL, &[])]
#[case(TAGGED_ONLY, &[])]
#[case(PRIORITY, &["tagged", "rest"])]
fn says_which_lanes_it_names(
    #[case] (key, value, priority): (Option<&str>, Option<&str>, bool),
    #[case] expected: &[&str],
) {
    let policy = configured(settings(key, value, priority), &["tagged", "rest", "spare"]).unwrap();
    let expected = expected.iter().map(|&lane| lane.to_owned()).collect();
    assert_eq!(policy.named_lanes(), NamedLanes::Only(expected));
}

#[rstest]
#[case::priority_without_key(settings(None, None, true), &["a", "b"], &["/priority_mode"])]
#[case::value_without_key(settings(None, Some("v"), false), &["a"], &["/tag_value"])]
#[case::key_without_value(settings(Some("k"), None, false), &["a"], &["/tag_key"])]
#[case::empty_key(settings(Some(""), Some("v"), false), &["a"], &["/tag_key"])]
#[case::long_key(settings(Some(&"ä".repeat(129)), Some("v"), false), &["a"], &["/tag_key"])]
#[case::long_value(settings(Some("k"), Some(&"ä".repeat(257)), false), &["a"], &["/tag_value"])]
#[case::one_lane(settings(Some("k"), Some("v"), true), &["a"], &["/priority_mode"])]
#[case::all_at_once(
    settings(None, Some(&"v".repeat(257)), true), &[],
    &["/priority_mode", "/tag_value", "/tag_value", "/priority_mode"]
)]
fn rejects(#[case] settings: Settings, #[case] lanes: &[&str], #[case] expected: &[&str]) {
    let problems = configured(settings, lanes).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(found, expected);
}

#[test]
fn accepts_the_longest_tag() {
    let (key, value) = ("ä".repeat(128), "ä".repeat(256));
    assert!(configured(settings(Some(&key), Some(&value), false), &[]).is_ok());
    assert!(configured(settings(Some("k"), Some(""), false), &[]).is_ok());
}
