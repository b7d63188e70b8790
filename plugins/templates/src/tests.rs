//! The values that templates insert, and the errors of wrong templates. `ams-case` tests every
//! variable.

use groundcrew_sdk::{Notification, Problem, Tag, Tags};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{Templates, reject_blank, variables};

fn named(name: &str) -> Notification {
    let [mut notification, _] = variables::samples();
    notification.account.name = name.to_owned();
    notification
}

fn messages(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.message.split(';').next().unwrap()).collect()
}

/// For any account name, the name stays in its own part of the URL.
#[rstest]
#[case("payments-prod_1.~", "payments-prod_1.~")]
#[case("a/../b", "a%2F..%2Fb")]
#[case("a?x=1&y#z", "a%3Fx%3D1%26y%23z")]
#[case("a b\r\nHost: evil", "a%20b%20Host%3A%20evil")]
#[case("{{ 7*7 }}", "%7B%7B%207%2A7%20%7D%7D")]
#[case("Zürich", "Z%C3%BCrich")]
fn what_is_inserted_into_urls_is_encoded(#[case] name: &str, #[case] expected: &str) {
    let mut templates = Templates::new();
    let source = "https://a/{{ account.name }}/{% set x %}{{ account.name }}{% endset %}{{ x }}\
                  ?q={{ account.name ~ '' }}";
    assert_eq!(templates.add_url("/url", source, &[]), []);
    assert_eq!(
        templates.render_url("/url", &named(name), &[]),
        Ok(format!("https://a/{expected}/{expected}?q={expected}"))
    );
}

#[rstest]
#[case("ftp://a/", "expected a URL that begins with `https://` and a host")]
#[case("https:///a", "expected a URL that begins with `https://` and a host")]
#[case("{{ account.name }}", "expected a URL that begins with `https://` and a host")]
#[case("https://a/ b", "' ' must be percent-encoded in a URL")]
#[case("https://a/{{ account.nmae }}", "line 1: `account.nmae` is not known")]
fn urls_that_are_wrong(#[case] source: &str, #[case] expected: &str) {
    let problems = Templates::new().add_url("/url", source, &[]);
    assert_eq!(messages(&problems), [expected]);
    assert_eq!(problems[0].at, "/url");
}

#[test]
fn texts_in_json_are_templates() {
    let value = json!({
        "id": "{{ account.id }}",
        "deep": [{ "a/b": "<{{ account.name }}>" }, 1, true, null],
        "owner": "{{ account.tags.owner }}",
    });
    let mut templates = Templates::new();
    assert_eq!(templates.add_json("/body", &value, &[]), []);
    let mut notification = named("x\", \"admin\": \"true");
    notification.account.tags = Tags::Known(vec![Tag::new("owner", "{{ key }}")]);
    let rendered = templates.render_json("/body", &value, &notification, &[]).unwrap();
    assert_eq!(
        rendered,
        json!({
            "id": "111122223333",
            "deep": [{ "a/b": "<x\", \"admin\": \"true>" }, 1, true, null],
            "owner": "{{ key }}",
        })
    );
}

/// State and account of each kind of event.
#[rstest]
#[case(include_str!("../../../tests/events/update-managed-account-succeeded.json"), "SUCCEEDED 111122223333")]
#[case(include_str!("../../../tests/events/update-landing-zone-succeeded.json"), "SUCCEEDED ")]
#[case(include_str!("../../../tests/events/enable-baseline-of-an-account.json"), "SUCCEEDED 321098765432")]
#[case(include_str!("../../../tests/events/enable-baseline-of-an-account-failed.json"), "FAILED 321098765432")]
#[case(include_str!("../../../tests/events/update-enabled-baseline-failed.json"), "FAILED ")]
fn what_events_tell(#[case] event: &str, #[case] expected: &str) {
    let mut templates = Templates::new();
    let value = json!("{{ event.state }} {{ event.account }}");
    assert_eq!(templates.add_json("/body", &value, &[]), []);
    let mut notification = named("x");
    let parsed: Value = serde_json::from_str(event).unwrap();
    let told = notification.event.as_mut().unwrap();
    told.name = parsed["detail"]["eventName"].as_str().unwrap().to_owned();
    told.json = event.to_owned();
    let rendered = templates.render_json("/body", &value, &notification, &[]);
    assert_eq!(rendered, Ok(json!(expected)));
}

#[test]
fn what_is_wrong_in_json_is_told_where_it_is() {
    let value = json!({ "a": ["{{ b }}", "{{ key }}"], "c/d": "{{", "e": 1 });
    let problems = Templates::new().add_json("/body", &value, &[]);
    let at: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(at, ["/body/a/0", "/body/c~1d"]);
}

#[test]
fn a_plugin_has_variables_of_its_own() {
    let mut templates = Templates::new();
    assert_eq!(templates.add_url("/url", "https://a/{{ reference }}", &[("reference", "1")]), []);
    let reference: &[(&str, &str)] = &[("reference", "../7")];
    assert_eq!(
        templates.render_url("/url", &named("x"), reference),
        Ok("https://a/..%2F7".to_owned())
    );
    let problems = templates.add_url("/other", "https://a/{{ refrence }}", reference);
    assert!(problems[0].message.ends_with("now, key, cause, reference"), "{problems:?}");
    assert_eq!(messages(&templates.add_url("/none", "https://a/{{ reference }}", &[])).len(), 1);
}

#[test]
fn what_makes_nothing_of_one_account_is_told_with_its_setting() {
    let mut templates = Templates::new();
    let value = Value::from("{{ account.organizational_units[0] }}");
    let problems = templates.add_json("/fields/ou", &value, &[]);
    assert!(problems[0].message.contains("only id and name"), "{problems:?}");
    assert_eq!(templates.add_text("/blank", " ", &[], reject_blank).len(), 1);
}

/// Whether URLs contain the account's id, and whether their paths do.
#[rstest]
#[case("https://a/{{ account.id }}", true, true)]
#[case("https://a/b/aws-{{ account.id }}/c?d=e", true, true)]
#[case("https://a/{{ key }}", true, true)]
#[case("https://a/b?id={{ account.id }}", true, false)]
#[case("https://a/b#{{ account.id }}", true, false)]
#[case("https://a/b/{{ mine }}", true, false)]
#[case("https://a/b/{{ account.name }}", false, false)]
#[case("https://a/keys/account.id", false, false)]
#[case("https://a/111122223333", false, false)]
#[case("https://{{ account.id }}.a/b", false, false)]
#[case("https://a", false, false)]
fn urls_that_name_the_account(#[case] url: &str, #[case] anywhere: bool, #[case] in_path: bool) {
    let extra: crate::ExtraVariables<'_> = &[("mine", "one-of-my-own")];
    let mut templates = Templates::new();
    assert_eq!(templates.add_url("/url", url, extra), []);
    let by_itself = !url.contains("mine") && templates.path_names_account("/url");
    assert_eq!((templates.url_names_account("/url", extra), by_itself), (anywhere, in_path));
}
