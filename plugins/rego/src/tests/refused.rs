//! Scripts and data that are refused when they are loaded, and the messages.

use groundcrew_sdk::Policy as _;
use rstest::rstest;
use serde_json::{Value, json};

use super::{configured, lanes, script, settings};
use crate::Rego;

const DECIDES: &str = "decision := \"abstain\"\n";

fn problems(script: &str, data: Value) -> Vec<(String, String)> {
    let problems = configured(script, data).err().expect("problems");
    problems.into_iter().map(|problem| (problem.at, problem.message)).collect()
}

#[rstest]
#[case::syntax("package a\n\ndecision := if {", "test.rego:3:13: unexpected keyword `if`")]
#[case::the_old_syntax(
    "package a\ndecision { true }",
    "test.rego:2:10: `if` keyword is required before rule body"
)]
#[case::no_package("decision := 1", "test.rego:1:1: expecting `package`")]
#[case::empty("", "test.rego:")]
#[case::variable(
    "package a\ndecision := \"proceed\" if tags.x",
    "test.rego:2:26: use of undefined variable `tags` is unsafe"
)]
#[case::function(
    "package a\ndecision := http.send({})",
    "test.rego:2:22: there is no function `http.send`"
)]
#[case::randomness(
    "package a\ndecision := rand.intn(\"a\", 2)",
    "there is no function `rand.intn`"
)]
#[case::head_variable(
    "package a\ndecision := x",
    "test.rego:2:13: there is no rule or variable `x`"
)]
#[case::too_few_arguments(
    "package a\ndecision := \"proceed\" if startswith(\"a\")",
    "test.rego:2:36: `startswith` takes 2 arguments, found 1"
)]
#[case::too_many_arguments(
    "package a\ndecision := \"proceed\" if count([1], 1, 2)",
    "`count` takes 1 argument, found 3"
)]
#[case::arguments_for_time(
    "package a\ndecision := \"proceed\" if time.clock(1, 2)",
    "`time.clock` takes 1 argument, found 2"
)]
#[case::arguments_of_its_own(
    "package a\ndecision := f(1)\nf(x, y) := x + y",
    "test.rego:2:14: `f` takes 2 arguments, found 1"
)]
#[case::default(
    "package a\ndefault decision := input.x",
    "test.rego:2:21: a default must be a constant"
)]
#[case::import(
    "package a\nimport data.other\ndecision := other.x",
    "test.rego:2:1: there is no `data.other`: a script can't import another"
)]
#[case::imported_function(
    "package a\nimport data.lanes as b\ndecision := b.f(1)",
    "test.rego:3:16: there is no function `b.f`"
)]
#[case::no_decision(
    "package a\ndecide := 1",
    "test.rego: no rule `decision` in `package a`: it is what groundcrew asks for"
)]
#[case::a_set("package a\ndecision contains 1", "test.rego:2:1: `decision` must be one value")]
#[case::a_part("package a\ndecision.skip := 1", "test.rego:2:9: `decision` must be one value")]
#[case::a_function("package a\ndecision(x) := x", "test.rego:2:1: `decision` must be one value")]
#[case::the_lanes_package(
    "package lanes\ndecision := 1",
    "test.rego: `data.lanes` is the config's list of lanes"
)]
#[case::recursion_of_problems(
    "package a\ndecision := \"abstain\"\nproblems := x\nx := problems",
    "test.rego:3:1: recursion detected when evaluating rule"
)]
fn a_script(#[case] script: &str, #[case] expected: &str) {
    let problems = problems(script, json!({}));
    assert!(
        problems[0].1.starts_with(expected) || problems[0].1.contains(expected),
        "{problems:?}"
    );
    assert_eq!(problems[0].0, "");
    assert!(!problems[0].1.contains('\n'), "{problems:?}");
}

/// In every place where a call can be.
#[test]
fn all_unknown_functions_are_found() {
    let rules = r#"
decision := f1(1) if {
	not f2(1)
	every x in f3(1) { f4(x) }
	some y in f5(1)
	z := [f6(i) | some i in [1]]
	w := {f7(i): f8(i) | some i in [1]}
	input.x[f9(1)] == {"a": {f10(1)}}
	-f11(1) < 2 + f12(y)
	f13(1) in [w, z]
} else := f14(1) if known(f15(1))
decision2 contains f16(1)
known(x) := f17(x)
default known(_) := 1
own := data.test.known(1)
fine := json.unmarshal("1") if { print("x"); known(2); count([1]) > 0 }
"#;
    let found = problems(&script(rules), json!({}));
    let mut names: Vec<_> =
        found.iter().map(|(_, message)| message.split('`').nth(1).unwrap()).collect();
    names.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
    let expected: Vec<_> = (1..=17).map(|number| format!("f{number}")).collect();
    assert_eq!(names, expected);
}

/// In places that regorus doesn't check.
#[test]
fn all_unknown_variables_are_found() {
    let rules = r#"
decision := {"skip": v1} if input.x
else := v2 if y := 1
else := [v3, y, {v4: 1}] if y := 1
decision2 := v5.x[v6]
known(x) := x + v7 if x > 1
set contains v8 if x := 1
object[v9] := 1 if x := 1
inner := [v10 | some x in [1]]
body if {
	xs := {v11: v12 | some x in [1]}
	every x in xs { {v13 | x > 1} }
}
mocked if known(1) with input as v14
"#;
    let found = problems(&script(rules), json!({}));
    let mut names: Vec<_> =
        found.iter().map(|(_, message)| message.split('`').nth(1).unwrap()).collect();
    names.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
    let expected: Vec<_> = (1..=14).map(|number| format!("v{number}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn all_that_means_something_is_no_fault() {
    let rules = r#"
import data.limits
import data.limits.low as least
import input.account
decision := {"skip": reasons[i]} if {
	reasons[i] == limits.high
	[a, {"b": b}] := [1, {"b": 2}]
	a < b
} else := {"skip": x} if {
	some x, _ in account.tags
	walk(input, [path, value])
	value == least
	path == data.test.reasons
} else := "abstain"
reasons contains sprintf("%v", [n]) if n := numbers.range(1, 2)[_]
table[k] := v if some k, v in {"a": {"b": reasons}}
table.b.c := [w | w := table[_]]
both(a, [b, c]) := {a: b | a > c}
both2(_) := x if x := time.clock(1) with time.clock as both3
both3(_) := 2
default both(_, _) := {x | some x in [1]}
default both4 := -1
"#;
    let data = json!({ "limits": { "high": "x", "low": 1 } });
    let policy = configured(&script(rules), data);
    assert!(policy.is_ok(), "{:?}", policy.err());
}

#[test]
fn a_mark_at_the_beginning_of_a_script_is_passed_over() {
    assert!(configured(&format!("\u{feff}package a\n{DECIDES}"), json!({})).is_ok());
}

#[rstest]
#[case::lanes("package a", json!({ "lanes": [] }), "/data/lanes", "choose another key")]
#[case::the_package("package a", json!({ "a": {} }), "/data/a", "whose package is `a`")]
#[case::within("package a.b", json!({ "a": { "b": 1 } }), "/data/a/b", "whose package is `a.b`")]
#[case::above("package a.b", json!({ "a": 1 }), "/data/a", "whose package is `a`")]
#[case::escaped(r#"package a["x/~"]"#, json!({ "a": { "x/~": 1 } }), "/data/a/x~1~0", "")]
fn data_that_collides(
    #[case] package: &str,
    #[case] data: Value,
    #[case] at: &str,
    #[case] expected: &str,
) {
    let problems = problems(&format!("{package}\n{DECIDES}"), data);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.0, at);
    assert!(problem.1.contains(expected), "{problems:?}");
}

#[test]
fn data_beside_the_package_does_not_collide() {
    let package = format!("package a.b[\"c-d\"]\n{DECIDES}");
    assert!(configured(&package, json!({ "a": { "c": 1, "b": { "c": 1 } } })).is_ok());
}

#[rstest]
#[case("problems contains \"no owner\"", &[("/data", "no owner")])]
#[case(
    r#"problems := [{"message": "x"}, {"at": "/rings/0", "message": "y"}, {"at": "", "message": "z"}]"#,
    &[("/data", "x"), ("/data/rings/0", "y"), ("/data", "z")]
)]
#[case("problems := [1]", &[("", "test.rego: data.test.problems has 1: expected a text, or")])]
#[case(
    r#"problems := [{"at": "rings", "message": "x"}]"#,
    &[("", "test.rego: data.test.problems has")]
)]
#[case("problems := \"x\"", &[("", "test.rego: data.test.problems is \"x\": expected an array")])]
#[case(
    "problems := [x] if x := input.account.id",
    &[("", "test.rego: data.test.problems is undefined: it is evaluated when the script is loaded")]
)]
#[case("problems := time.now_ns()", &[("", "is undefined")])]
#[case("lanes := [1]", &[("", "test.rego: data.test.lanes has 1: expected the name of a lane")])]
#[case(
    "lanes := [\"beta\"]",
    &[("", "test.rego: data.test.lanes names \"beta\", which is no lane of the config: it has canary, test, prod")]
)]
#[case("lanes := {}", &[("", "test.rego: data.test.lanes is {}: expected an array or a set")])]
#[case(
    "lanes := [\"beta\"]\nproblems contains \"x\"",
    &[("/data", "x"), ("", "test.rego: data.test.lanes names \"beta\"")]
)]
#[case("lanes := data.x.y + 1\n", &[("", "data.test.lanes is undefined")])]
fn what_a_script_says_of_itself(#[case] rules: &str, #[case] expected: &[(&str, &str)]) {
    let found = problems(&script(&format!("{DECIDES}{rules}")), json!({}));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((at, message), (expected_at, expected_message)) in found.iter().zip(expected) {
        assert_eq!(at, expected_at, "{found:?}");
        assert!(message.contains(expected_message), "{found:?}");
    }
}

#[test]
fn a_config_without_lanes_has_none() {
    let rules =
        script("decision := \"abstain\"\nproblems contains \"no lanes\" if count(data.lanes) == 0");
    assert!(Rego::configure(settings(&rules, json!({})), &lanes(&[])).is_err());
    assert!(Rego::configure(settings(&rules, json!({})), &lanes(&["a"])).is_ok());
}

#[test]
fn a_lane_of_a_config_without_lanes_is_told_as_such() {
    let rules = script("decision := \"abstain\"\nlanes := [\"beta\"]");
    let problems = Rego::configure(settings(&rules, json!({})), &lanes(&[])).err().unwrap();
    assert!(problems[0].message.ends_with("no lane of the config: it has none"), "{problems:?}");
}

#[test]
fn settings_are_checked() {
    let parse = |value: Value| serde_json::from_value::<crate::Settings>(value);
    assert!(parse(json!({ "file": "a", "script": "b" })).unwrap().data.is_empty());
    for wrong in [
        json!({ "file": "a", "script": "b", "tag": 1 }),
        json!({ "file": "a" }),
        json!({ "file": "a", "script": "b", "data": [] }),
    ] {
        assert!(parse(wrong).is_err());
    }
}
