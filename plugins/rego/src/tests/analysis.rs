//! Faults that are found in scripts that can be parsed, and correct scripts without findings.

use groundcrew_sdk::Policy as _;
use rstest::rstest;
use serde_json::{Value, json};

use super::{candidate, configured, lanes, script, settings};
use crate::Rego;

const DECIDES: &str = "decision := \"abstain\"\n";

/// The messages about rules, without the file.
fn told(rules: &str, data: Value) -> Vec<String> {
    let problems = configured(&script(rules), data).err().unwrap_or_default();
    let told = problems.into_iter().map(|problem| {
        assert_eq!(problem.at, "", "{}", problem.message);
        problem.message.replace("test.rego:", "")
    });
    told.collect()
}

/// Rules beside a decision. The first is in line 4.
fn beside(rules: &str) -> String {
    format!("{DECIDES}{rules}\n")
}

#[rstest]
#[case::a_name(
    "x := input.account.tag.tier",
    "4:20: there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::the_first_name(
    "x := input.acount.id",
    "4:12: there is no `input.acount`, did you mean `account`?"
)]
#[case::nothing_alike(
    "x := input.zzz",
    "4:12: there is no `input.zzz`: expected one of account, action, cause, event, now, now_ns, product"
)]
#[case::in_brackets(
    "x := input[\"account\"][\"tag\"].tier",
    "4:24: there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::in_brackets_of_a_raw_string("x := input[`acount`]", "there is no `input.acount`")]
#[case::in_brackets_at_the_end(
    "x := input[\"account\"].tags.a.b",
    "there is no `input.account.tags.a.b`: `input.account.tags.a` has nothing below it"
)]
#[case::below_a_text("x := input.account.id.x", "`input.account.id` has nothing below it")]
#[case::below_an_array(
    "x := input.account.ou.name",
    "4:23: there is no `input.account.ou.name`: `input.account.ou` is an array, as in `some x in input.account.ou`"
)]
#[case::of_an_element(
    "x := input.account.organizational_units[0].nam",
    "there is no `input.account.organizational_units[_].nam`, did you mean `name`?"
)]
#[case::of_each_element("x := input.account.organizational_units[_].nam", "did you mean `name`?")]
#[case::of_a_tag(
    "x if { some k; input.account.tags[k].x }",
    "`input.account.tags[_]` has nothing below it"
)]
#[case::by_a_variable(
    "x if { acct := input.account; acct.tag == 1 }",
    "4:36: there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::by_a_variable_that_is_unified(
    "x if { acct = input.account; acct.tag }",
    "there is no `input.account.tag`"
)]
#[case::by_two_variables(
    "x if { a := input; b := a.account; b.tag }",
    "there is no `input.account.tag`"
)]
#[case::by_a_variable_in_the_head(
    "x := acct.tag if acct := input.account",
    "there is no `input.account.tag`"
)]
#[case::by_an_element(
    "x if { some unit in input.account.organizational_units; unit.nam }",
    "did you mean `name`?"
)]
#[case::by_an_element_with_its_key(
    "x if { some i, unit in input.account.organizational_units; unit.nam == i }",
    "did you mean `name`?"
)]
#[case::by_every_element(
    "x if { every unit in input.account.organizational_units { unit.nam } }",
    "did you mean `name`?"
)]
#[case::of_what_is_gone_through("x if { some t in input.account.tag; t }", "did you mean `tags`?")]
#[case::of_what_every_goes_through(
    "x if { every t in input.account.tag { t } }",
    "did you mean `tags`?"
)]
#[case::by_a_rule("x := acct.tag\nacct := input.account", "4:11: there is no `input.account.tag`")]
#[case::by_rules_of_rules(
    "x := c.tag\nc := b.account\nb := input",
    "there is no `input.account.tag`"
)]
#[case::in_not("x if not input.account.tag", "did you mean `tags`?")]
#[case::in_a_comprehension("x := [t | t := input.account.tag]", "did you mean `tags`?")]
#[case::in_an_object_comprehension(
    "x := {k: input.account.tag | some k in [1]}",
    "did you mean `tags`?"
)]
#[case::in_the_body_of_a_set("x contains 1 if input.account.tag", "did you mean `tags`?")]
#[case::in_the_key_of_a_set("x contains input.account.tag", "did you mean `tags`?")]
#[case::in_the_key_of_an_object("x[input.account.tag] := 1", "did you mean `tags`?")]
#[case::in_an_else("x := 1 if false else := input.account.tag", "did you mean `tags`?")]
#[case::in_a_function("f(y) if input.account.tag == y", "did you mean `tags`?")]
#[case::in_an_argument("x := count(input.account.tag)", "did you mean `tags`?")]
#[case::in_an_index("x := {\"a\": 1}[input.account.tag]", "did you mean `tags`?")]
#[case::in_a_computed_index("x := input[input.acount]", "did you mean `account`?")]
#[case::in_what_a_mock_is(
    "x if { y with input as input.acount }\ny := 1",
    "did you mean `account`?"
)]
#[case::beside_a_mock(
    "x if { input.acount; y with input as 1 }\ny := 1",
    "did you mean `account`?"
)]
#[case::in_a_membership("x if \"a\" in input.account.ous", "did you mean `ou`?")]
#[case::in_arithmetic("x := input.now_nss + 1", "did you mean `now_ns`?")]
#[case::by_object_get(
    "x := object.get(input, \"acount\", {})",
    "4:25: there is no `input.acount`, did you mean `account`?"
)]
#[case::by_a_path_of_object_get(
    "x := object.get(input, [\"account\", \"tag\", \"x\"], 1)",
    "there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::by_object_get_of_a_variable(
    "x if { a := input.account; object.get(a, \"tag\", 1) }",
    "there is no `input.account.tag`"
)]
fn a_path_of_the_candidate(#[case] rules: &str, #[case] expected: &str) {
    let told = told(&beside(rules), json!({}));
    assert!(matches!(&told[..], [one] if one.contains(expected)), "{told:#?}");
}

#[rstest]
#[case::an_import_of_input(
    "import input.account as a\n\nx := a.tag\n",
    "there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::an_import_of_its_last_name(
    "import input.account\n\nx := account.tag\n",
    "there is no `input.account.tag`, did you mean `tags`?"
)]
#[case::what_is_imported(
    "import input.acount\n\nx := acount.id\n",
    "there is no `input.acount`, did you mean `account`?"
)]
#[case::an_import_of_data(
    "import data.limits as l\n\nx := l.smal\n",
    "there is no `data.limits.smal` in the script's `schema`, did you mean `small`?"
)]
fn by_an_import(#[case] rules: &str, #[case] expected: &str) {
    let schema = r#"
schema := {
	"properties": {"limits": {"type": "object", "properties": {"small": {"type": "integer"}}, "additionalProperties": false}},
	"additionalProperties": false,
}
"#;
    let told = told(&format!("{rules}{DECIDES}{schema}"), json!({"limits": {}}));
    assert!(matches!(&told[..], [one] if one.contains(expected)), "{told:#?}");
}

/// A schema with a value of each kind.
const SCHEMA: &str = r#"
schema := {
	"properties": {
		"min_age_days": {"type": "integer"},
		"windows": {"type": "array", "items": {
			"type": "object",
			"properties": {"start": {"type": "string"}},
			"additionalProperties": false,
		}},
		"by_owner": {"type": "object", "additionalProperties": {"type": "string"}},
		"open": {"type": "object", "properties": {"a": {"type": "string"}}},
		"anything": {},
	},
	"additionalProperties": false,
}
"#;

#[rstest]
#[case::a_name(
    "x := data.min_age_dyas",
    "4:11: there is no `data.min_age_dyas` in the script's `schema`, did you mean `min_age_days`?"
)]
#[case::in_brackets("x := data[\"min_age_dyas\"]", "did you mean `min_age_days`?")]
#[case::by_a_variable("x if { d := data; d.min_age_dyas > 1 }", "did you mean `min_age_days`?")]
#[case::by_a_rule(
    "x := windows[0].strt\nwindows := data.windows",
    "there is no `data.windows[_].strt` in the script's `schema`, did you mean `start`?"
)]
#[case::of_an_element("x if { some w in data.windows; w.strt }", "did you mean `start`?")]
#[case::below_a_text("x := data.by_owner.me.end", "`data.by_owner.me` has nothing below it")]
#[case::below_a_lane("x := data.lanes[0].name", "`data.lanes[_]` has nothing below it")]
#[case::of_lanes("x := data.lane[0]", "did you mean `lanes`?")]
#[case::by_object_get("x := object.get(data, \"min_age_dyas\", 1)", "did you mean `min_age_days`?")]
fn a_path_of_the_data(#[case] rules: &str, #[case] expected: &str) {
    let told = told(&format!("{}{SCHEMA}", beside(rules)), json!({}));
    assert!(matches!(&told[..], [one] if one.contains(expected)), "{told:#?}");
}

#[rstest]
#[case::all_that_is_there(
    "x := [input.action, input.cause, input.now, input.now_ns, input.account.tags.a, input.account.ou[0], input.product.status, input.event.name]"
)]
#[case::an_event("x := input.event.detail.a.b[0].c")]
#[case::a_tag_by_its_key("x if { some k; input.account.tags[k] == \"a\" }")]
#[case::a_tag_with_a_dash("x := input[\"account\"][\"tags\"][\"cost-center\"]")]
#[case::a_computed_key("x := input[k].y if { some k in [\"account\"] }")]
#[case::another_that_is_called_the_same("x if { some input_ in [{\"acount\": 1}]; input_.acount }")]
#[case::a_mock("x if { input.acount with input as {\"acount\": 1} }")]
#[case::a_part_of_a_mock("x if { input.account.tag with input.account as {\"tag\": 1} }")]
#[case::mocked_data("x if { data.nothing with data.nothing as 1 }")]
#[case::an_argument("f(account) := account.tag\nx := f({\"tag\": 1})")]
#[case::an_argument_like_a_rule(
    "account := input.account\nf(account) := account.tag\nx := f({\"tag\": 1})"
)]
#[case::an_argument_in_an_object("account := input.account\nf({\"a\": account}) := account.tag")]
#[case::a_declared_variable(
    "account := input.account\nx if { some account; account = {\"tag\": 1}; account.tag }"
)]
#[case::an_outer_variable_that_is_compared("f(a) if { a = input.account; a.tag }")]
#[case::a_rule_with_a_default(
    "default account := {\"tag\": 1}\naccount := input.account if input.now_ns > 1\nx := account.tag"
)]
#[case::a_rule_with_an_else(
    "account := input.account if false\nelse := {\"tag\": 1}\nx := account.tag"
)]
#[case::two_rules(
    "account := input.account if false\naccount := {\"tag\": 1} if true\nx := account.tag"
)]
#[case::taken_apart("x if { {\"a\": account} := {\"a\": {\"tag\": 1}}; account.tag }")]
#[case::what_object_get_answers("x := object.get(input, \"product\", {\"none\": 1}).none")]
#[case::what_a_function_answers("x := object.union(input.account, {\"tag\": 1}).tag")]
#[case::data_with_no_schema("x := data.anything.at.all")]
#[case::its_own_rules("x := data.test.y.z\ny := {\"z\": 1}")]
#[case::a_walk("x if { walk(input, [path, value]); path == value }")]
#[case::a_number_in_brackets("x := input.account.ou[count(input.account.ou) - 1]")]
#[case::only_in_a_text("x := \"input.account.tag\" # input.account.tag")]
fn nothing_is_said_of(#[case] rules: &str) {
    assert_eq!(told(&beside(rules), json!({})), Vec::<String>::new());
}

#[rstest]
#[case::what_is_there(
    "x := [data.min_age_days, data.windows[0].start, data.by_owner.me, data.lanes[0]]"
)]
#[case::what_is_open("x := [data.open.b.c, data.anything.b.c]")]
#[case::its_own_rules("x := data.test.min_age_dyas\nmin_age_dyas := 1")]
#[case::its_whole_package("x := data.test")]
#[case::a_computed_key("x := data[k] if { some k in [\"min_age_dyas\"] }")]
fn with_a_schema_nothing_is_said_of(#[case] rules: &str) {
    let rules = format!("{}{SCHEMA}", beside(rules));
    assert_eq!(told(&rules, json!({})), Vec::<String>::new());
}

#[rstest]
#[case::a_word(r#""procede""#, "3:14: \"procede\" is no decision, did you mean `proceed`?")]
#[case::a_number("7", "3:13: 7 is no decision: expected \"abstain\"")]
#[case::an_array("[1]", "[1] is no decision")]
#[case::nothing_in_it("{}", "{} is no decision")]
#[case::another_key(
    r#"{"skipp": "x"}"#,
    "3:15: a decision has no key \"skipp\", did you mean `skip`?"
)]
#[case::a_key_too_many(
    r#"{"skip": "x", "lane": "test"}"#,
    "3:28: a decision with \"skip\" has no key \"lane\""
)]
#[case::two_kinds(r#"{"skip": "x", "proceed": "test"}"#, "has no key \"proceed\"")]
#[case::no_end(
    r#"{"hold": "x"}"#,
    "3:13: a hold has no end: expected {\"hold\": reason, \"until\": time}"
)]
#[case::soon(
    r#"{"hold": "x", "until": "soon"}"#,
    "3:37: to hold until \"soon\": expected a text such as"
)]
#[case::seconds(r#"{"hold": "x", "until": 1767323045}"#, "to hold until 1767323045")]
#[case::until_nothing(r#"{"hold": "x", "until": null}"#, "to hold until null")]
#[case::another_end(
    r#"{"hold": "x", "untl": "2026-01-01T00:00:00Z"}"#,
    "a decision with \"hold\" has no key \"untl\", did you mean `until`?"
)]
#[case::a_reason_that_is_none(r#"{"skip": 1}"#, "\"skip\" is 1: expected a text, the reason")]
#[case::a_computed_reason_that_is_none(
    r#"{"skip": [x | some x in [1]]}"#,
    "expected a text, the reason"
)]
#[case::a_lane_that_is_none(r#"{"proceed": 1}"#, "1 is no lane: expected its name, a text")]
#[case::a_lane(r#"{"proceed": "tset"}"#, "3:26: there is no lane \"tset\", did you mean `test`?")]
#[case::a_held_lane(
    r#"{"hold": "x", "until": "2026-01-01T00:00:00Z", "lane": "tset"}"#,
    "3:69: there is no lane \"tset\", did you mean `test`?"
)]
fn a_decision(#[case] value: &str, #[case] expected: &str) {
    let forms =
        [format!("decision := {value}\n"), format!("decision := {value} if input.now_ns > 1\n")];
    for rules in forms {
        let told = told(&rules, json!({}));
        assert!(told.first().is_some_and(|one| one.contains(expected)), "{rules}{told:#?}");
    }
    let rules = format!("decision := \"abstain\" if false\nelse := {value} if true\n");
    assert!(!told(&rules, json!({})).is_empty(), "{rules}");
    // A default may not contain a comprehension that refers to anything.
    let rules = format!("default decision := {value}\n");
    assert!(!told(&rules, json!({})).is_empty(), "{rules}");
}

#[rstest]
#[case::in_its_head(
    "decision if input.now_ns > 1\n",
    "3:1: `decision` is true here: expected \"abstain\""
)]
#[case::in_an_else(
    "decision := \"abstain\" if false\nelse if true\n",
    "4:1: `decision` is true here"
)]
fn a_decision_without_a_value(#[case] rules: &str, #[case] expected: &str) {
    let told = told(rules, json!({}));
    assert!(matches!(&told[..], [one] if one.starts_with(expected)), "{told:#?}");
}

#[rstest]
#[case::a_word("decision := \"proceed\"")]
#[case::a_lane("decision := {\"proceed\": \"test\"}")]
#[case::a_reason("decision := {\"skip\": sprintf(\"%s\", [input.account.id])}")]
#[case::an_end("decision := {\"hold\": \"x\", \"until\": \"2026-01-01T00:00:00+01:00\"}")]
#[case::nanoseconds("decision := {\"hold\": \"x\", \"until\": 1767323045000000000}")]
#[case::a_computed_end("decision := {\"hold\": \"x\", \"until\": input.now_ns + 1}")]
#[case::a_held_lane(
    "decision := {\"hold\": \"x\", \"until\": \"2026-01-01T00:00:00Z\", \"lane\": \"test\"}"
)]
#[case::a_computed_held_lane(
    "decision := {\"hold\": \"x\", \"until\": input.now, \"lane\": data.lanes[0]}"
)]
#[case::a_computed_lane("decision := {\"proceed\": lower(\"TEST\")}")]
#[case::a_computed_key("decision := {k: \"x\"} if { some k in [\"skip\"] }")]
#[case::computed("decision := json.unmarshal(\"7\")")]
#[case::of_another_rule("decision := verdict\nverdict := 7")]
fn nothing_is_said_of_the_decision(#[case] rules: &str) {
    assert_eq!(told(&format!("{rules}\n"), json!({})), Vec::<String>::new());
}

#[rstest]
#[case::not_among_the_scripts(
    "lanes := [\"canary\", \"prod\"]",
    "there is no lane \"test\": expected one of canary, prod"
)]
#[case::where_it_has_none(
    "lanes := []",
    "there is no lane \"test\": the script's `lanes` are none"
)]
fn a_lane_that_the_script_does_not_declare(#[case] declared: &str, #[case] expected: &str) {
    let told = told(&format!("{declared}\ndecision := {{\"proceed\": \"test\"}}\n"), json!({}));
    assert!(matches!(&told[..], [one] if one.contains(expected)), "{told:#?}");
}

/// A policy may be evaluated without lanes: for new accounts.
#[test]
fn a_lane_is_not_missed_where_there_are_none() {
    let text = script("decision := {\"proceed\": \"test\"}");
    assert!(Rego::configure(settings(&text, json!({})), &lanes(&[])).is_ok());
}

#[rstest]
#[case::without_conditions("x := 1\nx := 2")]
#[case::on_the_same_condition("x := 1 if input.now_ns > 1\nx := 2 if input.now_ns > 1")]
#[case::on_the_same_conditions_in_another_order(
    "x := 1 if { input.now_ns > 1; true }\nx := 2 if { true; input.now_ns > 1 }"
)]
#[case::on_a_condition_more(
    "x := 1 if input.now_ns > 1\nx := 2 if { input.now_ns > 1; input.action == \"update\" }"
)]
#[case::on_a_condition_less(
    "x := 1 if { input.now_ns > 1; input.action == \"update\" }\nx := 2 if input.now_ns > 1"
)]
#[case::on_a_condition_and_on_none("x := 1 if input.now_ns > 1\nx := 2")]
#[case::with_an_else("x := 1 if input.now_ns > 1\nelse := 3\nx := 2 if input.now_ns > 1")]
#[case::of_what_has_parts("x := {\"a\": [1]}\nx := {\"a\": [2]}")]
#[case::with_the_same_variables(
    "x := 1 if { some a in [1]; a > 0 }\nx := 2 if { some a in [1]; a > 0 }"
)]
#[case::true_and_another("x if input.now_ns > 1\nx := 2 if input.now_ns > 1")]
fn rules_that_contradict_each_other(#[case] rules: &str) {
    let told = told(&beside(rules), json!({}));
    let [one] = &told[..] else { panic!("{told:#?}") };
    assert!(one.contains("`x` has another value in line 4 whenever this holds"), "{one}");
}

#[rstest]
#[case::on_other_conditions("x := 1 if input.now_ns > 1\nx := 2 if input.now_ns < 1")]
#[case::of_the_same_value("x := 1\nx := 1 if input.now_ns > 1")]
#[case::with_a_default("default x := 1\nx := 2 if input.now_ns > 1")]
#[case::computed("x := 1 if input.now_ns > 1\nx := input.now_ns if input.now_ns > 1")]
#[case::a_set("x contains 1\nx contains 2")]
#[case::an_object("x.a := 1\nx.b := 2")]
#[case::a_function("f(1) := 1\nf(2) := 2")]
#[case::in_an_else("x := 1 if input.now_ns > 1\nelse := 2 if input.now_ns > 1")]
#[case::on_variables_of_their_own("a := 3\nx := 1 if a > 0\nx := 2 if { a := 1; a > 0 }")]
#[case::on_texts_with_other_spaces(
    "x := 1 if input.account.name == \"a b\"\nx := 2 if input.account.name == \"a  b\""
)]
#[case::on_other_mocks("x := 1 if y with input as 1\nx := 2 if y with input as 2\ny if input == 1")]
fn rules_that_may_not(#[case] rules: &str) {
    assert_eq!(told(&beside(rules), json!({})), Vec::<String>::new());
}

#[test]
fn two_defaults_are_refused() {
    let told =
        told("default decision := \"abstain\"\ndefault decision := \"proceed\"\n", json!({}));
    assert!(told[0].contains("default"), "{told:#?}");
}

/// A fault that the text doesn't show fails the policy when it happens, in any rule.
#[rstest]
#[case::of_the_decision(
    "decision := {\"skip\": \"a\"} if input.account.id\ndecision := \"proceed\" if input.account.name"
)]
#[case::of_the_decision_beside_a_default(
    "default decision := \"proceed\"\ndecision := {\"skip\": \"a\"} if input.account.id\ndecision := \"proceed\" if input.account.name"
)]
#[case::of_another_rule(
    "decision := x\nx := \"abstain\" if input.account.id\nx := \"proceed\" if input.account.name"
)]
#[case::below_not(
    "default decision := \"proceed\"\ndecision := \"abstain\" if not frozen\nfrozen := false if input.account.id\nfrozen := true if input.account.name"
)]
#[case::below_an_else(
    "decision := {\"skip\": \"x\"} if frozen == 7 else := \"proceed\"\nfrozen := 7 if input.account.id\nfrozen := 8 if input.account.name"
)]
#[case::of_computed_values(
    "decision := input.action if input.account.id\ndecision := \"proceed\" if input.account.id"
)]
#[case::of_a_function(
    "decision := \"proceed\" if not f(1)\nf(x) := true if x > 0\nf(x) := false if x < 2"
)]
#[case::in_a_comprehension(
    "decision := \"proceed\" if count([y | y := x]) == 1\nx := 1 if input.account.id\nx := 2 if input.account.name"
)]
fn a_contradiction_fails_the_policy(#[case] rules: &str) {
    let rego = configured(&script(&format!("{rules}\n")), json!({})).unwrap_or_else(|problems| {
        panic!("{problems:?}");
    });
    for _ in 0..2 {
        let failure = rego.evaluate(&candidate()).expect_err("a contradiction decides nothing");
        assert!(
            failure.message.contains("conflicts with")
                || failure.message.contains("multiple outputs"),
            "{failure:?}"
        );
    }
}
