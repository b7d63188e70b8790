//! Patterns of events: every comparison operator that EventBridge documents, with events that match
//! and events that don't, and what is wrong with patterns. Source: "Comparison operators for use in
//! event patterns" of the EventBridge User Guide.

use groundcrew_core::pattern::Pattern;
use rstest::rstest;
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "source": "aws.controltower",
        "account": "111122223333",
        "resources": [],
        "detail": {
            "eventName": "UpdateLandingZone",
            "readOnly": false,
            "nothing": null,
            "attempts": 3,
            "units": [{ "name": "Sandbox" }, { "name": "Prod" }],
            "tags": ["blue", "green"],
            "nested": [["deep"], ["deeper"]],
            "sourceIPAddress": "10.0.0.33",
            "v6": "2001:db8::17",
            "path": "a*b\\c",
            "empty": "",
            "serviceEventDetails": { "updateLandingZoneStatus": { "state": "FAILED" } },
        },
    })
}

/// Whether an event whose `detail` has this value in the field `x` matches `{ "detail": { "x": [test] } }`.
fn matches(test: &Value, value: &Value) -> bool {
    let pattern = Pattern::parse(&json!({ "detail": { "x": [test] } })).unwrap();
    pattern.matches(&json!({ "detail": { "x": value } }))
}

/// Each operator, what matches it, and what doesn't.
#[rstest]
#[case::equals(json!("Alice"), json!(["Alice"]), json!(["alice", "Alicex", 1, null, {}]))]
#[case::empty(json!(""), json!([""]), json!(["a", null]))]
#[case::null(json!(null), json!([null]), json!(["", "null", 0, false, {}]))]
#[case::number(json!(100), json!([100, 100.0, 1e2]), json!([101, "100"]))]
#[case::flag(json!(true), json!([true]), json!([false, "true"]))]
#[case::ignore_case(
    json!({ "equals-ignore-case": "alice" }),
    json!(["Alice", "ALICE"]),
    json!(["Alicex", 1, null])
)]
#[case::prefix(json!({ "prefix": "us-" }), json!(["us-east-1"]), json!(["eu-us-", "US-east-1", 1]))]
#[case::prefix_ignoring_case(
    json!({ "prefix": { "equals-ignore-case": "EventB" } }),
    json!(["eventbridge", "EVENTB", "eventB-1"]),
    json!(["event", "xeventb", null])
)]
#[case::suffix(json!({ "suffix": ".png" }), json!(["a.png"]), json!(["a.PNG", "a.png.txt"]))]
#[case::suffix_ignoring_case(
    json!({ "suffix": { "equals-ignore-case": "tBridge" } }),
    json!(["EventBridge", "TBRIDGE"]),
    json!(["bridge", "eventbridges"])
)]
#[case::wildcard(
    json!({ "wildcard": "dir/*.png" }),
    json!(["dir/a.png", "dir/.png", "dir/b/c.png"]),
    json!(["dir/a.jpg", "a.png", "Dir/a.png"])
)]
#[case::wildcard_with_a_star(json!({ "wildcard": "a\\*b" }), json!(["a*b"]), json!(["axb", "a\\*b"]))]
#[case::wildcard_with_a_backslash(
    json!({ "wildcard": "a\\\\*" }),
    json!(["a\\", "a\\b"]),
    json!(["a", "a*"])
)]
#[case::wildcard_twice(json!({ "wildcard": "*ab*b" }), json!(["abab", "xabb"]), json!(["ab", "aba"]))]
#[case::wildcard_overlapping(json!({ "wildcard": "a*a" }), json!(["aa", "aba"]), json!(["a"]))]
#[case::wildcard_of_umlauts(json!({ "wildcard": "ü*" }), json!(["über"]), json!(["uber"]))]
#[case::anything_but(
    json!({ "anything-but": "initializing" }),
    json!(["running", "Initializing", null, 1]),
    json!(["initializing", {}])
)]
#[case::anything_but_a_number(json!({ "anything-but": 123 }), json!([1, "123"]), json!([123, 123.0]))]
#[case::anything_but_texts(
    json!({ "anything-but": ["stopped", "overloaded"] }),
    json!(["running"]),
    json!(["stopped", "overloaded"])
)]
#[case::anything_but_numbers(
    json!({ "anything-but": [100, 200] }),
    json!([150, "100"]),
    json!([100, 200.0])
)]
#[case::anything_but_null(json!({ "anything-but": [null] }), json!(["", 0]), json!([null]))]
#[case::anything_but_a_prefix(
    json!({ "anything-but": { "prefix": "us-" } }),
    json!(["eu-west-1", 1]),
    json!(["us-east-1"])
)]
#[case::anything_but_prefixes(
    json!({ "anything-but": { "prefix": ["us-", "eu-"] } }),
    json!(["ap-south-1", "US-"]),
    json!(["us-east-1", "eu-west-1"])
)]
#[case::anything_but_a_prefix_ignoring_case(
    json!({ "anything-but": { "prefix": { "equals-ignore-case": ["US-", "eu-"] } } }),
    json!(["ap-south-1"]),
    json!(["us-east-1", "EU-west-1"])
)]
#[case::anything_but_a_suffix(
    json!({ "anything-but": { "suffix": ".png" } }),
    json!(["a.jpg", "a.PNG"]),
    json!(["a.png"])
)]
#[case::anything_but_suffixes(
    json!({ "anything-but": { "suffix": [".png", ".jpg"] } }),
    json!(["a.txt"]),
    json!(["a.png", "a.jpg"])
)]
#[case::anything_but_a_suffix_ignoring_case(
    json!({ "anything-but": { "suffix": { "equals-ignore-case": ".PNG" } } }),
    json!(["a.txt"]),
    json!(["a.png", "a.Png"])
)]
#[case::anything_but_ignoring_case(
    json!({ "anything-but": { "equals-ignore-case": "initializing" } }),
    json!(["running"]),
    json!(["INITIALIZING", "initializing"])
)]
#[case::anything_but_several_ignoring_case(
    json!({ "anything-but": { "equals-ignore-case": ["initializing", "Stopped"] } }),
    json!(["running"]),
    json!(["INITIALIZING", "stopped"])
)]
#[case::anything_but_a_wildcard(
    json!({ "anything-but": { "wildcard": "*/lib/*" } }),
    json!(["a/bin/b"]),
    json!(["a/lib/b"])
)]
#[case::anything_but_wildcards(
    json!({ "anything-but": { "wildcard": ["*/lib/*", "*/bin/*"] } }),
    json!(["a/etc/b"]),
    json!(["a/lib/b", "a/bin/b"])
)]
#[case::exists(json!({ "exists": true }), json!(["", null, 0, ["a"]]), json!([{}, []]))]
#[case::exists_not(json!({ "exists": false }), json!([{}, []]), json!(["", null, 0]))]
#[case::numeric_equals(json!({ "numeric": ["=", 301.8] }), json!([301.8, 3.018e2]), json!([301, "301.8"]))]
#[case::numeric_range(
    json!({ "numeric": [">", 10, "<=", 20] }),
    json!([10.5, 20]),
    json!([10, 20.1, "15", null])
)]
#[case::numeric_at_least(json!({ "numeric": [">=", 10, "<", 20] }), json!([10, 19]), json!([9, 20]))]
#[case::cidr(
    json!({ "cidr": "10.0.0.0/24" }),
    json!(["10.0.0.0", "10.0.0.255"]),
    json!(["10.0.1.0", "::ffff:10.0.0.1", "10.0.0", 10, null])
)]
#[case::cidr_of_all(json!({ "cidr": "0.0.0.0/0" }), json!(["255.1.2.3"]), json!(["::1"]))]
#[case::cidr_of_one(json!({ "cidr": "10.0.0.1/32" }), json!(["10.0.0.1"]), json!(["10.0.0.2"]))]
#[case::cidr_v6(json!({ "cidr": "2001:db8::/32" }), json!(["2001:db8:1::1"]), json!(["2001:db9::1"]))]
fn operators(#[case] test: Value, #[case] matching: Value, #[case] others: Value) {
    for value in matching.as_array().unwrap() {
        assert!(matches(&test, value), "{test} of {value}");
    }
    for value in others.as_array().unwrap() {
        assert!(!matches(&test, value), "{test} of {value}");
    }
}

#[rstest]
#[case::value(json!({ "source": ["aws.controltower"] }), true)]
#[case::another(json!({ "source": ["aws.s3"] }), false)]
#[case::one_of_them(json!({ "source": ["aws.s3", "aws.controltower"] }), true)]
#[case::all_fields(json!({ "source": ["aws.controltower"], "account": ["1"] }), false)]
#[case::nested(json!({ "detail": { "serviceEventDetails":
    { "updateLandingZoneStatus": { "state": ["FAILED"] } } } }), true)]
#[case::within_nothing(json!({ "detail": { "none": { "state": ["FAILED"] } } }), false)]
#[case::null_of_what_is_missing(json!({ "detail": { "none": [null] } }), false)]
#[case::element(json!({ "detail": { "tags": ["green"] } }), true)]
#[case::no_element(json!({ "detail": { "tags": ["red"] } }), false)]
#[case::deep_element(json!({ "detail": { "nested": ["deeper"] } }), true)]
#[case::an_element_that_is_another(json!({ "detail": { "tags": [{ "anything-but": "blue" }] } }), true)]
#[case::field_of_an_element(json!({ "detail": { "units": { "name": ["Prod"] } } }), true)]
#[case::but_nothing(json!({ "detail": { "none": [{ "anything-but": "X" }] } }), false)]
#[case::is_missing(json!({ "detail": { "none": [{ "exists": false }] } }), true)]
#[case::missing_within(json!({ "none": { "deep": [{ "exists": false }] } }), true)]
#[case::several_operators(json!({ "detail": { "eventName":
    [{ "prefix": "Create" }, { "suffix": "Zone" }] } }), true)]
#[case::either(json!({ "$or": [{ "source": ["x"] }, { "account": ["111122223333"] }] }), true)]
#[case::neither(json!({ "$or": [{ "source": ["x"] }, { "account": ["1"] }] }), false)]
#[case::either_within(json!({ "detail": { "$or":
    [{ "attempts": [{ "numeric": [">", 5] }] }, { "readOnly": [false] }] } }), true)]
fn matching(#[case] pattern: Value, #[case] expected: bool) {
    assert_eq!(Pattern::parse(&pattern).unwrap().matches(&event()), expected);
}

#[rstest]
#[case(json!([]), "``: expected a table of fields")]
#[case(json!({}), "``: it is empty: every event would match")]
#[case(json!({ "source": "x" }), "`/source`: expected a list of values, such as [\"x\"]")]
#[case(json!({ "source": [] }), "`/source`: expected a list of values, such as [[]]")]
#[case(json!({ "a": { "b": {} } }), "`/a/b`: it is empty: expected fields, or a list of values")]
#[case(json!({ "a": [["b"]] }), "`/a/0`: expected a value, not a list")]
#[case(json!({ "a": [{ "contains": "b" }] }), "`/a/0`: `contains` is no operator; there are \
    prefix, suffix, equals-ignore-case, wildcard, anything-but, exists, numeric, cidr")]
#[case(json!({ "a": [{ "prefix": "b", "suffix": "c" }] }), "`/a/0`: expected one operator: \
    prefix, suffix, equals-ignore-case, wildcard, anything-but, exists, numeric, cidr")]
#[case(json!({ "a": [{ "prefix": 1 }] }), "`/a/0`: `prefix` takes a text")]
#[case(json!({ "a": [{ "prefix": ["b", "c"] }] }), "`/a/0`: `prefix` takes a text")]
#[case(json!({ "a": [{ "prefix": { "suffix": "b" } }] }),
    "`/a/0`: `prefix` takes a text, or { \"equals-ignore-case\": a text }")]
#[case(json!({ "a": [{ "suffix": { "equals-ignore-case": 1 } }] }),
    "`/a/0`: `suffix` takes a text, or { \"equals-ignore-case\": a text }")]
#[case(json!({ "a": [{ "wildcard": "a\\b" }] }),
    "`/a/0`: in a `wildcard` a backslash stands before `*` or a backslash only")]
#[case(json!({ "a": [{ "exists": "yes" }] }), "`/a/0`: `exists` is true or false")]
#[case(json!({ "a": [{ "anything-but": [] }] }), "`/a/0`: `anything-but` has an empty list")]
#[case(json!({ "a": [{ "anything-but": [["b"]] }] }), "`/a/0`: expected a value, not a list")]
#[case(json!({ "a": [{ "anything-but": { "prefix": [] } }] }), "`/a/0`: `prefix` has an empty list")]
#[case(json!({ "a": [{ "anything-but": { "numeric": ["=", 1] } }] }), "`/a/0`: `anything-but` takes \
    no `numeric`, but values, prefix, suffix, equals-ignore-case or wildcard")]
#[case(json!({ "a": [{ "numeric": [">"] }] }),
    "`/a/0`: `numeric` takes comparisons such as [\">\", 0, \"<=\", 5]")]
#[case(json!({ "a": [{ "cidr": "10.0.0.0" }] }),
    "`/a/0`: `cidr` takes a block of addresses such as \"10.0.0.0/24\"")]
#[case(json!({ "a": [{ "cidr": "10.0.0.0/33" }] }),
    "`/a/0`: `cidr` takes a block of addresses such as \"10.0.0.0/24\"")]
#[case(json!({ "$or": [{ "a": ["b"] }] }), "`/$or`: expected a list of patterns")]
fn what_is_wrong(#[case] pattern: Value, #[case] expected: &str) {
    assert_eq!(Pattern::parse(&pattern).unwrap_err().to_string(), expected);
}
