//! `groundcrew plan` and `groundcrew explain`, run as a user does.

mod common;

use common::server::Server;
use common::{CommandOutput, groundcrew, root};
use rstest::rstest;
use serde_json::{Value, json};

const AT: &str = "2026-11-20T10:00:00Z";

fn plan(args: &[&str]) -> CommandOutput {
    let common = ["plan", "--config", "groundcrew.toml", "--snapshot", "snapshot.json", "--at", AT];
    groundcrew(&root().join("tests/plan"), &[&common, args].concat())
}

fn explain(args: &[&str]) -> CommandOutput {
    let common =
        ["explain", "--config", "groundcrew.toml", "--snapshot", "snapshot.json", "--at", AT];
    groundcrew(&root().join("tests/plan"), &[&common, args].concat())
}

/// The output, which must fit in 80 columns, without colour.
fn screen(ran: &CommandOutput) -> &str {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    assert!(!ran.stdout.contains('\u{1b}'));
    &ran.stdout
}

/// Durations differ from run to run, and digests from build to build.
fn without_micros(screen: &str) -> String {
    let words = screen.split_inclusive(' ').collect::<Vec<_>>();
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        match words.get(index + 1).is_some_and(|next| next.starts_with("µs")) {
            true => out += "(… ",
            false => out += word,
        }
    }
    let digests = regex::Regex::new("[0-9a-f]{12}…").expect("a pattern");
    digests.replace_all(&out, "xxxxxxxxxxxx…").into_owned()
}

#[test]
fn a_plan_tells_lanes_reasons_and_what_a_monitored_policy_would_change() {
    insta::assert_snapshot!(screen(&plan(&[])));
}

#[test]
fn all_lists_every_account() {
    insta::assert_snapshot!(screen(&plan(&["--all"])));
}

#[test]
fn a_plan_for_programs() {
    let report = plan(&["--format", "json"]).json();
    assert_eq!(
        report["accounts"],
        json!({ "total": 6, "to_update": 3, "skipped": 1, "held": 0, "current": 1, "not_enrolled": 1,
                "closed": 0 })
    );
    assert_eq!(report["time"], json!({ "seconds": 3000, "ends_at": "2026-11-20T10:50:00Z" }));
    assert_eq!(
        report["lanes"][1],
        json!({
            "name": "others", "accounts": 1, "held": 0, "concurrency": 1, "seconds": 1200,
            "starts_at": "2026-11-20T10:30:00Z", "ends_at": "2026-11-20T10:50:00Z",
        })
    );
    assert_eq!(
        report["decisions"][3],
        json!({
            "account": "100000000004", "name": "secret", "decision": "skip",
            "reason": "tags-unreadable", "policy": "managed",
        })
    );
    let monitored: Vec<&Value> = report["monitored"].as_array().unwrap().iter().collect();
    assert_eq!(
        monitored,
        [&json!({
            "account": "100000000003", "name": "sandbox", "decision": "skip",
            "reason": "untagged", "policy": "only-tagged",
        })]
    );
    assert!(report["order"].as_str().unwrap().contains("not promised"));
}

/// Three canaries are held until their window opens: production waits for them, and the plan shows
/// it.
#[test]
fn a_plan_tells_what_a_lane_waits_for() {
    let account = |id: u64, ou: &str| json!({ "id": format!("{id:012}"), "name": "a", "ou": [ou] });
    let canaries = (1..4).map(|id| account(id, "Canary"));
    let accounts: Vec<Value> = canaries.chain((4..10).map(|id| account(id, "Prod"))).collect();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("snapshot.json");
    std::fs::write(&snapshot, json!({ "accounts": accounts }).to_string()).unwrap();
    let config = root().join("policies/canary-window.toml");
    let args = ["--config", config.to_str().unwrap(), "--snapshot", snapshot.to_str().unwrap()];
    let ran = groundcrew(dir.path(), &[&["plan", "--at", AT], &args[..]].concat());
    insta::assert_snapshot!(screen(&ran));

    // The simulation does the same.
    let rehearsal = ["simulate", "--at", AT, "--format", "json"];
    let ran = groundcrew(dir.path(), &[&rehearsal, &args[..]].concat());
    let report = ran.json();
    assert_eq!(report["accounts"]["updated"], 9, "{report}");
    // 2026-11-20 is a Friday: the window opens on Tuesday, 2026-11-24 at 12:00 UTC.
    let opens = (4 * 24 + 2) as f64 * 3600.0;
    assert!(report["lanes"][0]["first_start_s"].as_f64().unwrap() >= opens, "{report}");
    let first = report["lanes"][1]["first_start_s"].as_f64().unwrap();
    let canaries = report["lanes"][0]["last_finish_s"].as_f64().unwrap();
    assert!(first >= canaries + 86_400.0, "{first} {canaries}");
    let (took, bound) =
        (&report["time"]["virtual_seconds"], &report["time"]["lower_bound_seconds"]);
    let ratio = took.as_f64().unwrap() / bound.as_f64().unwrap();
    assert!((1.0..1.05).contains(&ratio), "{took} against {bound}");
}

#[test]
fn an_account_is_explained() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000001"]))));
}

#[test]
fn a_monitored_policy_is_explained() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000003"]))));
}

#[test]
fn an_account_that_is_current_is_explained_as_if_it_were_not() {
    insta::assert_snapshot!(without_micros(screen(&explain(&["--account", "100000000005"]))));
}

#[test]
fn an_explanation_for_programs() {
    let report = explain(&["--account", "100000000004", "--format", "json"]).json();
    assert_eq!(report["account"]["tags"], Value::Null);
    assert!(report["account"]["tags_unreadable"].as_str().unwrap().contains("AccessDenied"));
    let answer = &report["answers"][0];
    assert_eq!((&answer["policy"], &answer["says"]), (&json!("managed"), &json!("skip")));
    assert_eq!(answer["digest"].as_str().unwrap().len(), 64);
    assert_eq!(report["decision"]["reason"], "tags-unreadable");
}

#[test]
fn names_steer_no_terminal_and_forge_no_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let accounts = json!([{ "id": "100000000001", "name": "a\u{1b}[2J\nb", "ou": ["c\u{202e}d"] }]);
    let snapshot = json!({ "accounts": accounts }).to_string();
    std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
    for command in [&["plan", "--all"][..], &["explain", "--account", "100000000001"]] {
        let args = [command, &["--config", "crew.toml", "--snapshot", "snapshot.json"]].concat();
        let ran = groundcrew(dir.path(), &args);
        assert!(screen(&ran).contains("a\\u{1b}[2J\\nb"), "{}", ran.stdout);
        assert!(!ran.stdout.contains('\u{202e}'));
    }
}

#[test]
fn a_wrong_config_is_told_before_aws_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "[nothing]\n").unwrap();
    let aws = live();
    for command in [&["plan"][..], &["explain", "--account", "100000000001"]] {
        let ran = aws.groundcrew(dir.path(), &[command, &["--config", "crew.toml"]].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("unknown table `nothing`"), "{}", ran.stderr);
    }
    assert_eq!(aws.inspect("calls"), json!({}));
}

#[test]
fn a_plan_beyond_all_time_ends_somewhere() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("crew.toml"), "").unwrap();
    let snapshot = r#"{"accounts":[{"id":"100000000001","name":"a","update_seconds":604800}]}"#;
    std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
    let args = ["plan", "--config", "crew.toml", "--snapshot", "snapshot.json", "--at"];
    let ran = groundcrew(dir.path(), &[&args[..], &["9999-12-30T22:00:00Z"]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

/// A date is the start of that day in UTC; a time without an offset is ambiguous.
#[rstest]
#[case("2026-12-24", Some("2026-12-24T00:00:00Z"))]
#[case("2026-12-24T18:00:00+01:00", Some("2026-12-24T17:00:00Z"))]
#[case("2026-12-24T18:00:00", None)]
#[case("christmas", None)]
fn a_plan_is_for_a_moment_or_a_day(#[case] at: &str, #[case] expected: Option<&str>) {
    let dir = root().join("tests/plan");
    let common = ["--config", "groundcrew.toml", "--snapshot", "snapshot.json", "--format", "json"];
    let account = ["--account", "100000000001"];
    for command in [&["plan"][..], &[&["explain"][..], &account].concat()] {
        let ran = groundcrew(&dir, &[command, &common, &["--at", at]].concat());
        match expected {
            Some(expected) => assert_eq!(ran.json()["at"], expected, "{}", ran.stderr),
            None => {
                assert_eq!(ran.code, 2, "{}", ran.stdout);
                assert!(ran.stderr.contains("or a date such as 2026-12-24"), "{}", ran.stderr);
            }
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    let ran = explain(&["--account", "999999999999"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("999999999999 is not in the organization"), "{}", ran.stderr);
    let ran = groundcrew(
        &root().join("tests/plan"),
        &["plan", "--config", "groundcrew.toml", "--snapshot", "none.json"],
    );
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("none.json"), "{}", ran.stderr);
}

/// The organization of the snapshot, live: as `sim-aws` shows it.
fn live() -> Server {
    let snapshot = root().join("tests/plan/snapshot.json");
    Server::sim_aws_with(&["--snapshot", snapshot.to_str().unwrap()])
}

fn run_live(aws: &Server, args: &[&str]) -> CommandOutput {
    let (command, args) = args.split_first().unwrap();
    let common = [command, "--config", "groundcrew.toml", "--at", AT];
    aws.groundcrew(&root().join("tests/plan"), &[&common, args].concat())
}

#[test]
fn the_live_organization_gives_the_same_plan() {
    let aws = live();
    let planned = run_live(&aws, &["plan", "--format", "json"]).json();
    let expected = plan(&["--format", "json"]).json();
    assert_eq!(planned["accounts"], expected["accounts"]);
    assert_eq!(planned["decisions"], expected["decisions"]);
    assert_eq!(planned["monitored"], expected["monitored"]);
    // The duration of updates is unknown for a live organization.
    assert_eq!(planned["time"]["seconds"], 2400);

    let changing = ["UpdateProvisionedProduct", "SendMessageBatch", "Publish", "CreateCase"];
    let calls = aws.inspect("calls");
    assert!(changing.iter().all(|operation| calls.get(operation).is_none()), "{calls}");
}

#[rstest]
#[case("100000000001", "proceed", "tagged")]
#[case("100000000003", "proceed", "others")]
#[case("100000000004", "skip", "")]
fn a_live_account_is_explained(#[case] id: &str, #[case] decision: &str, #[case] lane: &str) {
    let aws = live();
    let report = run_live(&aws, &["explain", "--account", id, "--format", "json"]).json();
    assert_eq!(report["decision"]["decision"], decision);
    assert_eq!(report["decision"]["lane"].as_str().unwrap_or_default(), lane);
    assert_eq!(report["not_asked"], Value::Null);
}

#[test]
fn throttling_is_waited_out_and_a_denial_is_told_with_the_operation() {
    let aws = live();
    for _ in 0..2 {
        aws.control(
            "next-call",
            r#"{"operation":"SearchProvisionedProducts","fares":"throttled"}"#,
        );
    }
    let planned = run_live(&aws, &["plan", "--format", "json"]).json();
    assert_eq!(planned["accounts"]["to_update"], 3);

    aws.control("deny", r#"{"operation":"ListAccounts"}"#);
    let ran = run_live(&aws, &["plan"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("ListAccounts"), "{}", ran.stderr);
    assert!(ran.stderr.contains("AccessDenied"), "{}", ran.stderr);
}

#[test]
fn an_account_that_is_nowhere_is_told() {
    let aws = live();
    let ran = run_live(&aws, &["explain", "--account", "999999999999"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("999999999999 is not in the organization"), "{}", ran.stderr);
}

/// Closed accounts, outdated or not, are counted and listed with their state, and are in no lane.
#[test]
fn closed_accounts_are_shown_and_not_planned() {
    let dir = tempfile::tempdir().unwrap();
    let account = |number: u32, rest: &str| {
        format!(r#"{{"id": "10000000000{number}", "name": "a{number}", "ou": ["Prod"]{rest}}}"#)
    };
    let accounts = [
        account(1, ""),
        account(2, r#", "state": "SUSPENDED""#),
        account(3, r#", "state": "PENDING_CLOSURE", "outdated": false"#),
        account(4, r#", "state": "SUSPENDED", "enrolled": false"#),
        account(5, r#", "state": "ACTIVE""#),
    ];
    let snapshot = format!(r#"{{"accounts": [{}]}}"#, accounts.join(","));
    std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
    std::fs::write(dir.path().join("crew.toml"), "[[lanes]]\nname = \"all\"\n").unwrap();
    let run = |command: &str, args: &[&str]| {
        let common = [command, "--config", "crew.toml", "--snapshot", "snapshot.json"];
        groundcrew(dir.path(), &[&common, args].concat())
    };
    let plan = run("plan", &["--at", AT]);
    insta::assert_snapshot!(screen(&plan), @r"
    Plan for 2026-11-20 10:00 UTC: 5 accounts

    lane  accounts  at once         takes  ends
    all          2        4      00:20:00  2026-11-20 10:20 UTC

    note        Lanes run in this order, each when those before it are done; the
                order of the accounts inside a lane is not promised.
    time        about 00:20:00: done on 2026-11-20 10:20 UTC if updates take as long
                as the snapshot says (20 min where it says nothing) and nothing else
                runs meanwhile
    accounts    5: 2 to update, 0 skipped, 0 held, 0 current, 0 without a product, 3
                closed
      update    2 in lane all (says updates.default): 100000000001, 100000000005
    closed      1 PENDING_CLOSURE, which can't be updated: 100000000003
    closed      2 SUSPENDED, which can't be updated: 100000000002, 100000000004
    ");
    let plan = run("plan", &["--at", AT, "--format", "json"]).json();
    assert_eq!(
        (&plan["accounts"]["to_update"], &plan["accounts"]["closed"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        plan["closed"][1],
        json!({ "account": "100000000003", "name": "a3", "state": "PENDING_CLOSURE" })
    );

    let explained = run("explain", &["--at", AT, "--account", "100000000002"]);
    assert!(
        screen(&explained).contains("no policy is asked now: it is closed (SUSPENDED)"),
        "{}",
        explained.stdout
    );
    assert!(explained.stdout.contains("  state     SUSPENDED"), "{}", explained.stdout);

    let simulated = run("simulate", &["--format", "json"]).json();
    assert_eq!(
        simulated["accounts"],
        json!({ "total": 5, "current": 0, "updated": 2, "to_update": 0, "skipped": 0, "held": 0,
                "failed": 0, "not_enrolled": 0, "closed": 3 })
    );
    assert_eq!(simulated["operations"]["started"], 2);
    assert_eq!(simulated["alerts"], json!([]));
}

/// A field that a snapshot lacks means the same to a plan and to a simulation of that moment: a
/// policy whose reason contains its whole input gives the same reason in both, for accounts that
/// lack each field.
#[test]
fn a_plan_and_a_simulation_see_the_same() {
    let mut kinds = vec![
        json!({}),
        json!({ "joined": "2024-05-06T07:08:09Z" }),
        json!({ "email": "root@example.com" }),
        json!({ "ou": ["W", "P"] }),
        json!({ "ou": ["W", "Q"], "ou_ids": ["ou-abcd-11111111", "ou-abcd-22222222"] }),
        json!({ "ou": ["W"] }),
        json!({ "ou": ["X"] }),
        json!({ "tags": { "team": "blue" } }),
        json!({ "tags": null }),
        json!({ "tags": null, "tags_error": "AccessDenied" }),
        json!({ "enrolled": false }),
        json!({ "product": "pp-mine", "artifact": "pa-old" }),
    ];
    for state in ["ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED", "PENDING_ACTIVATION"] {
        kinds.push(json!({ "state": state }));
    }
    for status in ["AVAILABLE", "UNDER_CHANGE", "TAINTED", "ERROR", "PLAN_IN_PROGRESS"] {
        kinds.push(json!({ "status": status }));
        kinds.push(json!({ "status": status, "outdated": false }));
    }
    for (number, account) in kinds.iter_mut().enumerate() {
        account["id"] = json!(format!("{:012}", 100_000_000_000 + number as u64));
        account["name"] = json!(format!("account-{number}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("crew.toml", "[[policies]]\nname = \"see\"\nplugin = \"./see.rego\"\n");
    // The reason why tags can't be read differs between AWS and a snapshot: only the fact is
    // compared.
    write(
        "see.rego",
        "package see\n\naccount := object.remove(input.account, {\"tags_unreadable\"})\n\n\
         sees := [account, input.cause, input.product.status, \
         object.get(input.account, \"tags\", \"none\")]\n\ndecision := {\"skip\": json.marshal(sees)}\n",
    );
    write("snapshot.json", &json!({ "accounts": kinds }).to_string());
    let run = |command: &str| {
        let args = [command, "--config", "crew.toml", "--snapshot", "snapshot.json", "--at", AT];
        groundcrew(dir.path(), &[&args[..], &["--format", "json"]].concat()).json()
    };
    let (planned, simulated) = (run("plan"), run("simulate"));
    let decided = simulated["first_decisions"].as_array().unwrap();
    assert!(decided.len() > 10, "{simulated}");
    assert_eq!(&planned["decisions"].as_array().unwrap(), &decided);
    for (name, number) in planned["accounts"].as_object().unwrap() {
        assert_eq!(&simulated["accounts"][name], number, "{name}");
    }
}

#[rstest]
#[case::nothing_to_do("", false, &["--detailed-exitcode"], 0)]
#[case::changes_that_nobody_asks_for("", true, &[], 0)]
#[case::changes("", true, &["--detailed-exitcode"], 3)]
#[case::a_policy_fails("[[policies]]\nplugin = \"./fails.rego\"\n", true, &[], 1)]
#[case::it_fails_on_trial("[[policies]]\nmode = \"monitor\"\nplugin = \"./fails.rego\"\n", true, &["--detailed-exitcode"], 1)]
#[case::usage("[nonsense]\n", true, &["--detailed-exitcode"], 2)]
fn exit_codes(
    #[case] config: &str,
    #[case] outdated: bool,
    #[case] options: &[&str],
    #[case] code: i32,
) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("crew.toml", config);
    write("fails.rego", "package fails\n\ndecision := concat(\"\", [\"non\", \"sense\"])\n");
    let account = json!({ "id": "100000000001", "name": "one", "outdated": outdated });
    write("snapshot.json", &json!({ "accounts": [account] }).to_string());
    let args = ["plan", "--config", "crew.toml", "--snapshot", "snapshot.json"];
    let ran = groundcrew(dir.path(), &[&args[..], options].concat());
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
}

/// A comment for a pull request: names that have a meaning in Markdown, HTML or a forge have none
/// in it.
#[test]
fn a_plan_for_a_pull_request() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "a|b</code></td><script>x</script>\n\n# @everyone";
    let names = ["payments", hostile, "sandbox", "frozen", "broken"];
    let accounts: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let id = format!("{:012}", index + 1);
            json!({ "id": id, "name": name, "tags": { "wish": name } })
        })
        .collect();
    let target = json!({ "product": "prod-abcdefghijklm", "artifact": "pa-newabcdefghij",
                         "name": "AWS Control Tower Account Factory" });
    let snapshot = json!({ "taken_at": AT, "target": target, "accounts": accounts }).to_string();
    std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
    std::fs::write(
        dir.path().join("wishes.rego"),
        r#"package wishes

default decision := "abstain"

wish := input.account.tags.wish

decision := {"proceed": "canary"} if wish == "payments"

decision := {"skip": "<b>sandboxes</b> | are left alone"} if wish == "sandbox"

decision := {"hold": "frozen", "until": "2026-12-01T00:00:00Z"} if wish == "frozen"

decision := {"proceed": concat("", ["no", "where"])} if wish == "broken"
"#,
    )
    .unwrap();
    let config = |approval: &str| {
        let text = format!(
            "[updates]\napproval = \"{approval}\"\n[[lanes]]\nname = \"rest\"\n[[lanes]]\n\
             name = \"canary\"\n[[policies]]\nname = \"wishes\"\nplugin = \"wishes.rego\"\n"
        );
        std::fs::write(dir.path().join("crew.toml"), text).unwrap();
    };
    let plan = |format: &str| {
        let common = ["plan", "--config", "crew.toml", "--snapshot", "snapshot.json", "--at", AT];
        groundcrew(dir.path(), &[&common[..], &["--format", format]].concat())
    };
    config("required");
    // Whatever the exit code is: a policy fails.
    let json = || serde_json::from_str::<Value>(&plan("json").stdout).unwrap();
    let id = json()["plan"].as_str().unwrap().to_owned();
    assert!(plan("text").stdout.contains(&format!("plan        {id}, which starts once it is")));
    let comment = plan("markdown").stdout;
    insta::assert_snapshot!(comment.replace(&id, "plan-xxxxxxxxxxxx"));
    config("none");
    assert_eq!(json()["plan"], Value::Null);
    assert!(!plan("markdown").stdout.contains("Approval"));
}

/// GitHub takes comments of up to 65,536 characters, escapes included.
#[test]
fn a_comment_is_short_enough() {
    let dir = tempfile::tempdir().unwrap();
    let comment = |config: &str, account: fn(usize) -> Value| {
        let accounts: Vec<Value> = (1..=3000).map(account).collect();
        let snapshot = json!({ "accounts": accounts }).to_string();
        std::fs::write(dir.path().join("snapshot.json"), snapshot).unwrap();
        std::fs::write(dir.path().join("crew.toml"), config).unwrap();
        let files = ["--config", "crew.toml", "--snapshot", "snapshot.json"];
        let ran =
            groundcrew(dir.path(), &[&["plan"], &files[..], &["--format", "markdown"]].concat());
        assert!(ran.stdout.starts_with("## Plan for "), "{}", ran.stderr);
        assert!(ran.stdout.chars().count() <= 65_536, "{}", ran.stdout.chars().count());
        ran.stdout
    };
    let many = comment(
        "",
        |number| json!({ "id": format!("{number:012}"), "name": "x".repeat(number % 50 + 1) }),
    );
    assert!(many.contains("000000000300") && !many.contains("000000000301"), "{many}");
    assert!(many.contains("<p>And 2,700 more.</p>"), "{many}");

    let script = "package why\n\ndecision := {\"skip\": input.account.tags.why}\n";
    std::fs::write(dir.path().join("why.rego"), script).unwrap();
    let reasons = comment("[[policies]]\nplugin = \"why.rego\"\n", |number| {
        let why = format!("{number}{}", "\"".repeat(250));
        json!({ "id": format!("{number:012}"), "name": "'".repeat(128), "tags": { "why": why } })
    });
    assert!(reasons.contains("### Skipped: 3,000 accounts"), "{reasons}");
    assert!(reasons.contains("accounts for other reasons."), "{reasons}");
}
