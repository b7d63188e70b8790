//! The findings, and their texts.

use groundcrew_sdk::{Account, GateDecision};
use rstest::rstest;
use serde_json::{Value, json};

use super::{account, all, ask, findings, known, of, stop, units};

#[test]
fn an_account_that_is_as_it_should_be() {
    assert_eq!(ask(all(), &of(account())), ("ok".to_owned(), GateDecision::Go));
}

#[test]
fn what_is_about_no_account_goes() {
    let none = Account {
        id: String::new(),
        name: String::new(),
        email: String::new(),
        organizational_units: vec![],
        tags: known(&[]),
        joined: None,
        state: groundcrew_sdk::AccountState::Active,
    };
    assert_eq!(ask(all(), &of(none)), ("ok".to_owned(), GateDecision::Go));
}

#[rstest]
#[case::any(json!({}), Some("x"), None)]
#[case::missing(json!({}), None, Some("tag `owner` is missing"))]
#[case::missing_of_some(json!({ "allowed": ["a"] }), None, Some("tag `owner` is missing"))]
#[case::empty(json!({}), Some(""), Some("tag `owner` is empty"))]
#[case::blank(json!({ "pattern": "." }), Some(" \t"), Some("tag `owner` is empty"))]
#[case::allowed(json!({ "allowed": ["a", "b"] }), Some("b"), None)]
#[case::case_counts(
    json!({ "allowed": ["a"] }), Some("A"), Some("tag `owner` is `A`, expected `a`")
)]
#[case::of_two(
    json!({ "allowed": ["a", "b"] }), Some("c"), Some("tag `owner` is `c`, expected `a` or `b`")
)]
#[case::of_many(
    json!({ "allowed": ["a", "b", "c", "d", "e", "f", "g"] }),
    Some("x"),
    Some("tag `owner` is `x`, expected `a`, `b`, `c`, `d`, `e` or 2 more")
)]
#[case::matched(json!({ "pattern": "^team-" }), Some("team-a"), None)]
#[case::anywhere(json!({ "pattern": "team" }), Some("the-team-a"), None)]
#[case::unmatched(
    json!({ "pattern": "^team-" }),
    Some("a\nb"),
    Some("tag `owner` is `a b`, expected a match of `^team-`")
)]
fn tags(#[case] tag: Value, #[case] value: Option<&str>, #[case] expected: Option<&str>) {
    let pairs: Vec<_> = value.map(|value| ("owner", value)).into_iter().collect();
    let account = Account { tags: known(&pairs), ..account() };
    let found = findings(json!({ "tags": { "owner": tag } }), account);
    assert_eq!(found, Vec::from_iter(expected));
}

#[rstest]
#[case::directly("Workloads", &["Workloads"], true)]
#[case::not_below("Workloads", &["Workloads", "Prod"], false)]
#[case::path("Workloads/Prod", &["Workloads", "Prod"], true)]
#[case::from_the_top("Prod", &["Workloads", "Prod"], false)]
#[case::case_counts("workloads", &["Workloads"], false)]
#[case::below("Workloads/*", &["Workloads", "Prod"], true)]
#[case::far_below("Workloads/*", &["Workloads", "Prod", "EU"], true)]
#[case::itself_is_not_below("Workloads/*", &["Workloads"], false)]
#[case::below_another("Workloads/*", &["Workloads-old", "Prod"], false)]
#[case::below_a_path("Workloads/Prod/*", &["Workloads", "Prod", "EU"], true)]
#[case::beside_a_path("Workloads/Prod/*", &["Workloads", "Test", "EU"], false)]
#[case::any("*", &["Sandbox"], true)]
#[case::any_but_the_root("*", &[], false)]
#[case::id("ou-abcd-00000001", &["Workloads", "Prod"], true)]
#[case::id_above("ou-abcd-00000000", &["Workloads", "Prod"], false)]
#[case::below_id("ou-abcd-00000000/*", &["Workloads", "Prod"], true)]
#[case::id_is_not_below("ou-abcd-00000001/*", &["Workloads", "Prod"], false)]
#[case::a_name_is_no_id("ou-abcd-99999999", &["ou-abcd-99999999"], false)]
#[case::a_name_is_no_path("Workloads/Prod", &["Workloads/Prod"], false)]
#[case::a_name_like_an_id("ou-team", &["ou-team"], true)]
fn organizational_units(#[case] expected: &str, #[case] names: &[&str], #[case] fits: bool) {
    let settings = json!({ "ou": { "expected": ["Elsewhere", expected] } });
    let account = Account { organizational_units: units(names), ..account() };
    let found =
        if names.is_empty() { "the root".to_owned() } else { format!("`{}`", names.join("/")) };
    let finding = format!("OU is {found}, expected `Elsewhere` or `{expected}`");
    assert_eq!(findings(settings, account), Vec::from_iter((!fits).then_some(finding)));
}

#[test]
fn all_findings_are_told_in_the_same_order() {
    let account = Account {
        name: "Payments Prod".to_owned(),
        email: "someone@example.com".to_owned(),
        organizational_units: units(&["Sandbox"]),
        tags: known(&[("environment", "prd")]),
        ..account()
    };
    let expected = [
        "tag `cost-center` is missing",
        "tag `environment` is `prd`, expected `prod` or `test`",
        "tag `owner` is missing",
        "OU is `Sandbox`, expected `Workloads/*`",
        "name is `Payments Prod`, expected a match of `^[a-z0-9-]+$`",
        r"email is `someone@example.com`, expected a match of `^aws\+[a-z0-9-]+@example\.com$`",
    ];
    assert_eq!(findings(all(), account.clone()), expected);

    let mut settings = all();
    settings["ou"]["on_finding"] = "stop".into();
    let told = ask(settings, &of(account));
    assert_eq!(told, ("6 findings".to_owned(), stop(&expected.join("; "))));
}

/// The host's limits: 32 lines, 1024 bytes of a reason.
#[test]
fn many_findings_have_room() {
    let tags: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("{n:02}{}", "🦀".repeat(100)), json!({}))).collect();
    let settings = json!({ "tags": tags });
    let lines = findings(settings.clone(), account());
    assert_eq!(lines.len(), 32);
    assert!(lines[0].starts_with("tag `00🦀") && lines[0].ends_with("🦀…` is missing"));
    assert_eq!(lines[31], "and 19 more findings");

    let mut settings = settings;
    settings["on_finding"] = "stop".into();
    let GateDecision::Stop(reason) = ask(settings, &of(account())).1 else { panic!("not stopped") };
    assert!(reason.len() <= 1024 && reason.ends_with("; and 47 more"), "{reason}");
}

#[test]
fn one_long_finding_has_room() {
    let allowed: Vec<_> = (0..9).map(|n| format!("{n}{}", "🦀".repeat(200))).collect();
    let settings = json!({ "tags": { "owner": { "allowed": allowed } }, "on_finding": "stop" });
    let GateDecision::Stop(reason) = ask(settings, &of(account())).1 else { panic!("not stopped") };
    assert!(reason.len() <= 1024 && reason.ends_with('…'), "{reason}");
}
