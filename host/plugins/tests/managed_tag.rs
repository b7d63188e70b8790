//! The bundled plugin, through the runtime.

use groundcrew_core::account::Tags;
use groundcrew_core::decision::{Candidate, NamedLanes, PolicyDecision};
use groundcrew_plugins::{Instance, LoadError, PolicySpec, World, bundled};
use groundcrew_testkit::policies::{candidate, managed_tag, runtime, tagged};
use rstest::rstest;
use serde_json::{Value, json};

fn all() -> Value {
    json!({})
}

fn tagged_only() -> Value {
    json!({ "tag_key": "managed", "tag_value": "true" })
}

fn priority() -> Value {
    json!({ "tag_key": "managed", "tag_value": "true", "priority_mode": true })
}

fn managed() -> Candidate {
    tagged(&[("managed", "true"), ("owner", "payments")])
}

fn untagged() -> Candidate {
    tagged(&[])
}

fn unreadable() -> Candidate {
    candidate(Tags::Unreadable("AccessDeniedException".to_owned()))
}

fn proceed(lane: &str) -> PolicyDecision {
    PolicyDecision::Proceed(Some(lane.to_owned()))
}

fn skip(reason: &str) -> PolicyDecision {
    PolicyDecision::Skip(reason.to_owned())
}

#[rstest]
#[case(all(), untagged(), PolicyDecision::Proceed(None))]
#[case(tagged_only(), managed(), PolicyDecision::Proceed(None))]
#[case(tagged_only(), untagged(), skip("untagged"))]
#[case(tagged_only(), unreadable(), skip("tags-unreadable"))]
#[case(priority(), managed(), proceed("first"))]
#[case(priority(), untagged(), proceed("second"))]
#[case(priority(), unreadable(), skip("tags-unreadable"))]
#[tokio::test]
async fn decides(
    #[case] settings: Value,
    #[case] candidate: Candidate,
    #[case] expected: PolicyDecision,
    #[values(Instance::Fresh, Instance::Kept)] instance: Instance,
) {
    let spec = PolicySpec { instance, ..managed_tag(settings) };
    let policy = runtime().load_policy(spec).await.unwrap();
    for _ in 0..3 {
        assert_eq!(policy.evaluate_typed(&candidate).await, Ok(expected.clone()));
    }
}

#[tokio::test]
async fn says_what_it_is() {
    let policy = runtime().load_policy(managed_tag(priority())).await.unwrap();
    assert_eq!(policy.name(), "by-tag");
    assert_eq!(policy.digest().len(), 64);
    assert_eq!(*policy.lanes(), NamedLanes::Only(vec!["first".to_owned(), "second".to_owned()]));
    assert_eq!(bundled::names(World::Policy).collect::<Vec<_>>(), ["managed-tag"]);
}

#[rstest]
#[case::by_schema(
    json!({ "tag_kye": "a", "priority_mode": "yes" }),
    &[
        ("/priority_mode", "expected boolean, found the string \"yes\""),
        ("/tag_kye", "unknown key `tag_kye`, did you mean `tag_key`?"),
    ],
)]
#[case::by_the_plugin(
    json!({ "priority_mode": true, "tag_value": "true" }),
    &[
        ("/priority_mode", "priority mode needs a tag: set `tag_key`"),
        ("/tag_value", "`tag_value` needs `tag_key` beside it"),
    ],
)]
#[tokio::test]
async fn rejects_settings(#[case] settings: Value, #[case] expected: &[(&str, &str)]) {
    let error = runtime().load_policy(managed_tag(settings)).await.unwrap_err();
    let LoadError::Settings(problems) = error else { panic!("{error}") };
    let mut found: Vec<_> =
        problems.iter().map(|problem| (problem.at.as_str(), problem.message.as_str())).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn waits_for_nobody() {
    let policy = runtime().load_policy(managed_tag(all())).await.unwrap();
    let candidate = managed();
    let (one, other) =
        tokio::join!(policy.evaluate_typed(&candidate), policy.evaluate_typed(&candidate));
    assert_eq!(
        (one, other),
        (Ok(PolicyDecision::Proceed(None)), Ok(PolicyDecision::Proceed(None)))
    );
}
