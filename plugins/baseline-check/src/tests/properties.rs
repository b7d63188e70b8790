//! Properties that hold for any account, any settings, and any time.

use groundcrew_sdk::{
    Account, Event, GateDecision, Hold, Notification, Notifier, OrganizationalUnit, Tag, Tags,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DAY, JOINED, account, ask, configure, of, unreadable};

/// Texts, some of which have a meaning in patterns.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c/*()\\[+ ]{0,8}",
        Just("ou-abcd-00000000".to_owned()),
        Just("ou-abcd-00000000/*".to_owned()),
    ]
}

fn any_account() -> impl Strategy<Value = Account> {
    let units = prop::collection::vec((text(), text()), 0..4);
    let units = units.prop_map(|units| {
        units.into_iter().map(|(id, name)| OrganizationalUnit { id, name }).collect()
    });
    let tags = prop_oneof![
        3 => prop::collection::vec((text(), text()), 0..6).prop_map(|tags| {
            Tags::Known(tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect())
        }),
        1 => any::<String>().prop_map(Tags::Unreadable),
    ];
    let texts = (text(), text(), text());
    (texts, units, tags, any::<Option<i64>>()).prop_map(
        |((id, name, email), organizational_units, tags, joined)| Account {
            id,
            name,
            email,
            organizational_units,
            tags,
            joined,
            state: groundcrew_sdk::AccountState::Active,
        },
    )
}

fn action() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["annotate", "hold", "stop"])
}

/// Settings of such patterns, OUs, and keys and values of tags.
fn settings_of(
    pattern: BoxedStrategy<String>,
    ou: BoxedStrategy<String>,
    tag: BoxedStrategy<String>,
) -> impl Strategy<Value = Value> {
    let allowed = prop::collection::vec(tag.clone(), 1..9);
    let required = prop_oneof![
        action().prop_map(|action| json!({ "on_finding": action })),
        allowed.prop_map(|allowed| json!({ "allowed": allowed })),
        pattern.clone().prop_map(|pattern| json!({ "pattern": pattern })),
    ];
    let tags = prop::collection::vec((tag, required), 1..50);
    let tags = tags.prop_map(|tags| Value::Object(tags.into_iter().collect()));
    let ou = prop::collection::vec(ou, 1..9).prop_map(|expected| json!({ "expected": expected }));
    let pattern = (pattern, action())
        .prop_map(|(pattern, action)| json!({ "pattern": pattern, "on_finding": action }));
    (prop::option::of(tags), ou, prop::option::of(pattern), action()).prop_map(
        |(tags, ou, pattern, action)| {
            json!({
                "tags": tags, "ou": ou, "name": pattern, "email": pattern, "on_finding": action,
            })
        },
    )
}

/// Settings that are accepted.
fn good_settings() -> impl Strategy<Value = Value> {
    let patterns = ["^a", "b$", "[a-c/]+", "(?i)^OU-", r"\*|🦀"];
    let ous = ["a", "a/*", "a/b", "*", "ou-abcd-00000000", "ou-abcd-00000000/*"];
    let pattern = prop::sample::select(patterns.map(str::to_owned).to_vec());
    let ou = prop::sample::select(ous.map(str::to_owned).to_vec());
    settings_of(pattern.boxed(), ou.boxed(), "[a-c🦀]{1,3}|[🦀x`]{100,128}".boxed())
}

/// Settings of any texts.
fn any_settings() -> impl Strategy<Value = Value> {
    settings_of(text().boxed(), text().boxed(), text().boxed())
}

proptest! {
    /// Settings are accepted, or each problem is at a place that exists.
    #[test]
    fn settings_are_right_or_wrong(settings in any_settings()) {
        if let Err(problems) = configure(settings.clone()) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(settings.pointer(&problem.at).is_some(), "{problem:?}");
            }
        }
    }

    /// For any input, the host accepts the result.
    #[test]
    fn always_answers(
        settings in good_settings(),
        account in any_account(),
        now in any::<i64>(),
        json in prop::option::of(any::<String>()),
    ) {
        let check = configure(settings).unwrap();
        let event = json.map(|json| Event {
            id: String::new(), name: String::new(), source: String::new(), json,
        });
        let receipt = check.notify(&Notification { event, now, ..of(account) }).unwrap();
        prop_assert!(!receipt.reference.is_empty());
        let texts = match receipt.decision {
            GateDecision::Go => vec![],
            GateDecision::Annotate(lines) => {
                prop_assert!((1..=32).contains(&lines.len()));
                lines
            }
            GateDecision::Hold(Hold { until, reason }) => {
                prop_assert!(until >= now);
                vec![reason]
            }
            GateDecision::Stop(reason) => vec![reason],
        };
        for text in texts {
            prop_assert!((1..=1024).contains(&text.len()), "{text}");
            prop_assert!(!text.contains(char::is_control), "{text}");
        }
    }

    /// Tags with an action each, some of them missing: the strictest of those wins.
    #[test]
    fn the_strictest_of_many_wins(
        tags in prop::collection::vec((action(), any::<bool>()), 1..9),
        tags_known in any::<bool>(),
        on_unreadable in action(),
        age in 0..14 * DAY,
        then in prop::sample::select(vec!["annotate", "stop"]),
    ) {
        let required: serde_json::Map<_, _> = tags
            .iter()
            .enumerate()
            .map(|(n, (action, _))| (format!("tag-{n}"), json!({ "on_finding": action })))
            .collect();
        let carried = tags.iter().enumerate().filter(|(_, (_, carried))| *carried);
        let carried = carried.map(|(n, _)| Tag::new(format!("tag-{n}"), "x")).collect();
        let settings = json!({ "tags": required, "on_unreadable": on_unreadable, "then": then });

        let missing: Vec<&str> = match tags_known {
            true => tags.iter().filter(|(_, carried)| !carried).map(|(one, _)| *one).collect(),
            false => vec![on_unreadable],
        };
        let done = |action| if action == "hold" && age >= 7 * DAY { then } else { action };
        let does = |action| missing.iter().any(|one| done(*one) == action);
        let expected = ["stop", "hold", "annotate"].into_iter().find(|action| does(*action));

        let tags = if tags_known { Tags::Known(carried) } else { unreadable() };
        let account = Account { tags, ..account() };
        let (reference, decision) =
            ask(settings, &Notification { now: JOINED + age, ..of(account) });
        let (action, told) = match decision {
            GateDecision::Go => (None, 0),
            GateDecision::Annotate(lines) => (Some("annotate"), lines.len()),
            GateDecision::Hold(hold) => (Some("hold"), hold.reason.split("; ").count()),
            GateDecision::Stop(reason) => (Some("stop"), reason.split("; ").count()),
        };
        prop_assert_eq!(action, expected);
        prop_assert_eq!(told, missing.len());
        let count = match missing.len() {
            0 => "ok".to_owned(),
            1 => "1 finding".to_owned(),
            count => format!("{count} findings"),
        };
        prop_assert_eq!(reference, count);
    }
}
