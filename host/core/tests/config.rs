//! Configs as users write them: valid ones, and the problems of invalid ones.

use groundcrew_core::config::{Config, LedgerLocation, PluginSource};
use groundcrew_core::decision::NamedLanes;
use groundcrew_core::decision_combiner::Fallback;
use groundcrew_core::http::{HttpSecret, SecretLocation};
use groundcrew_core::parameters::ParameterSource;
use groundcrew_core::pattern::Pattern;
use groundcrew_core::route::{EventMatch, OncePer, Route};
use rstest::rstest;

fn problems(text: &str) -> String {
    Config::parse("crew.toml", text).expect_err("the config should be refused").to_string()
}

#[test]
fn an_empty_file_is_complete() {
    let config = Config::parse("crew.toml", "").unwrap();
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.account_factory.product_name, "AWS Control Tower Account Factory");
    assert_eq!(config.account_factory.parameters, ParameterSource::Rebuild);
    assert_eq!(config.account_factory.identity_center_region, "us-east-1");
    assert_eq!(config.updates.max_concurrent_operations, 4);
    assert_eq!(config.updates.account_quota, 5);
    assert_eq!(config.updates.poll_interval.as_secs(), 30);
    assert_eq!(config.updates.operation_timeout.as_secs(), 3600);
    assert_eq!(config.updates.max_attempts, 5);
    assert_eq!(config.updates.default, Fallback::Proceed);
    assert_eq!(config.updates.window.as_secs(), 86_400);
    assert_eq!(config.lanes.len(), 1);
    assert_eq!((config.lanes[0].name.as_str(), config.lanes[0].concurrency), ("all", 4));
    assert!(config.policies.is_empty());
}

#[rstest]
#[case::home("", "eu-west-1")]
#[case::another("identity_center_region = \"us-east-2\"", "us-east-2")]
fn identity_center_is_in_the_home_region_unless_said(#[case] text: &str, #[case] region: &str) {
    let text = format!(
        "[aws]\nregion = \"eu-west-1\"\n[account_factory]\nparameters = \"previous\"\n{text}"
    );
    let factory = Config::parse("crew.toml", &text).unwrap().account_factory;
    assert_eq!(factory.parameters, ParameterSource::Previous);
    assert_eq!(factory.identity_center_region, region);
}

#[test]
fn the_shape_of_the_example_is_accepted() {
    let config = Config::parse(
        "crew.toml",
        r#"
[aws]
region = "eu-central-1"
[updates]
max_concurrent_operations = 8
account_quota = 10
operation_timeout = "90m"
[[lanes]]
name = "tagged"
concurrency = 8
[[lanes]]
name = "others"
concurrency = 1
[queues]
updates_url = "https://sqs.us-east-1.amazonaws.com/111122223333/groundcrew-updates.fifo"
events_url = "https://sqs.us-east-1.amazonaws.com/111122223333/groundcrew-events"
[alerts]
topic_arn = "arn:aws:sns:us-east-1:111122223333:groundcrew-alerts"
[[policies]]
plugin = "./own/ring.wasm"
limits = { timeout = "500ms", memory = "16MiB" }
[policies.settings]
rings = ["canary", "prod"]
nested = { depth = 2 }
"#,
    )
    .unwrap();
    let policy = &config.policies[0];
    assert_eq!(policy.plugin_config.name, "ring");
    assert_eq!(policy.plugin_config.plugin, PluginSource::File("./own/ring.wasm".into()));
    assert_eq!(policy.plugin_config.limits.timeout.as_millis(), 500);
    assert_eq!(policy.plugin_config.limits.memory, 16 << 20);
    assert_eq!(policy.plugin_config.settings.json["rings"][1], "prod");
    assert_eq!(policy.plugin_config.settings.line("/nested/depth"), 24);
    assert_eq!(policy.plugin_config.settings.line("/rings/1"), 23);
    assert_eq!(policy.plugin_config.settings.line("/not/there"), 22);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = r#"[updates]
max_concurent_operations = 4
poll_interval = "30"
operation_timeout = "soon"
default = "update"

[lane]
name = "x"

[[policies]]
name = "p"
sha256 = "abc"
actions = ["delete"]
[policies.limits]
memory = "64 megs"
timout = "1s"
"#;
    insta::assert_snapshot!(problems(text), @r#"
    crew.toml:2: unknown key `max_concurent_operations` in [updates]; did you mean `max_concurrent_operations`?
    crew.toml:3: `updates.poll_interval` is "30", expected a duration such as "30s", from 1s to 1h, or as many seconds
    crew.toml:4: `updates.operation_timeout` is "soon", expected a duration such as "30s", "60m", "24h" or "14d", at most 366 days
    crew.toml:5: `updates.default` is "update", expected "proceed" or "skip"
    crew.toml:7: unknown table `lane`; did you mean `lanes`?
    crew.toml:10: `plugin` is missing in [[policies]]: expected a text
    crew.toml:12: `policies.sha256` is "abc", expected a SHA-256 digest: 64 hexadecimal digits
    crew.toml:13: `policies.actions` is ["delete"], expected a list of "onboard" or "update" or "vend"
    crew.toml:15: `policies.limits.memory` is "64 megs", expected a size such as "64MiB"
    crew.toml:16: unknown key `timout` in [policies.limits]; did you mean `timeout`?
    "#);
}

#[rstest]
#[case::zero(
    "[updates]\nmax_concurrent_operations = 0",
    "crew.toml:2: `updates.max_concurrent_operations` is 0, expected a whole number from 1 to 10"
)]
#[case::above_the_default_quota(
    "[updates]\nmax_concurrent_operations = 6",
    "crew.toml:2: `updates.max_concurrent_operations` is 6, above `account_quota` (5): expected 1 to 5. If AWS has raised the quota \"Concurrent account operations\" for you, say so in `account_quota`"
)]
#[case::quota_above_ten(
    "[updates]\naccount_quota = 11",
    "crew.toml:2: `updates.account_quota` is 11, expected a whole number from 1 to 10"
)]
#[case::lane_of_zero(
    "[[lanes]]\nname = \"a\"\nconcurrency = 0",
    "crew.toml:3: `lanes.concurrency` is 0, expected a whole number from 1 to 10"
)]
#[case::lane_above_the_quota(
    "[[lanes]]\nname = \"a\"\nconcurrency = 6",
    "crew.toml:3: `lanes.concurrency` is 6, above `updates.account_quota` (5): expected 1 to 5"
)]
#[case::two_lanes_of_one_name(
    "[[lanes]]\nname = \"a\"\n[[lanes]]\nname = \"a\"",
    "crew.toml:4: a second lane is named `a`: each needs its own name"
)]
#[case::two_policies_of_one_name(
    "[[policies]]\nplugin = \"x\"\n[[policies]]\nplugin = \"x\"",
    "crew.toml:3: a second policy is named `x`: each needs its own `name`"
)]
#[case::window_over_retention(
    "[updates]\nwindow = \"15d\"",
    "crew.toml:2: `updates.window` is over 14 days, the longest that SQS keeps a message"
)]
#[case::lanes_as_a_table(
    "[lanes]\nname = \"a\"",
    "crew.toml:1: `lanes` is written as [[lanes]], once for each"
)]
#[case::a_value_for_a_table("updates = 3", "crew.toml:1: `updates` is 3, expected a table")]
#[case::topic(
    "[alerts]\ntopic_arn = \"groundcrew\"",
    "crew.toml:2: `alerts.topic_arn` is \"groundcrew\", expected the ARN of an SNS topic"
)]
#[case::two_ledgers(
    "[ledger]\nfile = \"a.db\"\ntable = \"crew\"",
    "crew.toml:3: `ledger` has both `file` and `table`: a ledger is in one place; remove one"
)]
#[case::notifier_on_what_is_no_event(
    "[[notifiers]]\nplugin = \"ams-case\"\non = [\"CreateAccount\"]",
    "crew.toml:3: `notifiers.on` is [\"CreateAccount\"], expected a list of \
     \"CreateManagedAccount\" or \"UpdateManagedAccount\""
)]
#[case::notifier_whose_file_makes_no_name(
    "[[notifiers]]\nplugin = \"./our cmdb.wasm\"",
    "crew.toml:2: the notifier `our cmdb` needs a `name` of its own: a name of 1 to 40 letters, \
     digits, `-` and `_`"
)]
#[case::two_notifiers_of_one_name(
    "[[notifiers]]\nplugin = \"ams-case\"\n[[notifiers]]\nplugin = \"ams-case\"",
    "crew.toml:3: a second notifier is named `ams-case`: each needs its own `name`"
)]
#[case::a_grant_that_is_none(
    "[[notifiers]]\nplugin = \"ams-case\"\n[notifiers.grants]\nsupport_case = [\"x\"]",
    "crew.toml:4: unknown key `support_case` in [notifiers.grants]; did you mean `support_cases`?"
)]
fn limits_and_cross_checks(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(problems(text), expected);
}

#[test]
fn text_that_is_not_toml_is_told_with_its_line() {
    let told = problems("[aws]\nregion = \"us-east-1\nx = 1\n");
    assert!(told.starts_with("crew.toml:2: not TOML: "), "{told}");
}

const TWO_LANES: &str = "[[lanes]]\nname = \"first\"\n[[lanes]]\nname = \"second\"\n\
                         [[policies]]\nplugin = \"p\"\n";

#[rstest]
#[case::named(TWO_LANES, NamedLanes::Only(vec!["second".into()]), &[])]
#[case::cannot_be_told(TWO_LANES, NamedLanes::Any, &[])]
#[case::never_named(TWO_LANES, NamedLanes::Only(vec![]), &["3: nothing can reach the lane `second`"])]
#[case::not_a_lane(TWO_LANES, NamedLanes::Only(vec!["second".into(), "secnd".into()]), &["6: policy `p` names the lane `secnd`, which is not one of [[lanes]]: first, second; did you mean `second`?"])]
#[case::asked_about_something_else(
    "[[lanes]]\nname = \"first\"\n[[lanes]]\nname = \"second\"\n[[policies]]\nplugin = \"p\"\nactions = [\"onboard\"]",
    NamedLanes::Any,
    &["3: nothing can reach the lane `second`"]
)]
#[case::nothing_proceeds(
    "[updates]\ndefault = \"skip\"\n[[policies]]\nplugin = \"p\"\nactions = [\"onboard\"]",
    NamedLanes::Any,
    &["1: nothing can be updated"]
)]
fn lanes_that_nothing_can_reach(
    #[case] text: &str,
    #[case] named: NamedLanes,
    #[case] expected: &[&str],
) {
    let config = Config::parse("crew.toml", text).unwrap();
    let found = config.check_lanes(&[named]);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (problem, expected) in found.iter().zip(expected) {
        let told = format!("{}: {}", problem.line, problem.message);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn notifiers_have_their_own_limits_and_grants() {
    let config = Config::parse(
        "crew.toml",
        r#"
[queues]
notifications_url = "https://sqs.us-east-1.amazonaws.com/111122223333/n.fifo"
[ledger]
table = "crew"
onboarding_lookback = "7d"
[[notifiers]]
name = "ams"
plugin = "ams-case"
on = ["CreateManagedAccount", "UpdateManagedAccount"]
limits = { memory = "32MiB" }
[notifiers.settings]
severity_code = "low"
[[notifiers]]
plugin = "./cmdb.wasm"
[notifiers.grants]
support_cases = ["general-info"]
"#,
    )
    .unwrap();
    assert_eq!(config.queues.updates_url, None);
    assert!(config.queues.notifications_url.is_some());
    assert_eq!(config.ledger.location, LedgerLocation::Table("crew".into()));
    assert_eq!(config.ledger.onboarding_lookback.as_secs(), 7 * 24 * 3600);
    let [ams, cmdb] = config.notifiers.as_slice() else { panic!("two notifiers") };
    assert_eq!(ams.plugin_config.limits.timeout.as_secs(), 30);
    assert_eq!(ams.plugin_config.limits.memory, 32 << 20);
    assert_eq!(ams.plugin_config.settings.json["severity_code"], "low");
    assert_eq!(ams.grants.support_cases, ["service-ams-operations-service-request"]);
    assert_eq!(cmdb.plugin_config.name, "cmdb");
    assert_eq!(cmdb.grants.support_cases, ["general-info"]);
    assert_eq!(
        config.routes,
        [
            route(&["CreateManagedAccount", "UpdateManagedAccount"], "SUCCEEDED", &["ams"]),
            route(&["CreateManagedAccount"], "SUCCEEDED", &["cmdb"]),
        ]
    );
}

fn route(events: &[&str], state: &str, notifiers: &[&str]) -> Route {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Route {
        when: EventMatch::ByName { events: owned(events), states: owned(&[state]) },
        policies: None,
        notifiers: owned(notifiers),
        once_per: OncePer::Account,
    }
}

const ROUTED: &str = r#"
[[policies]]
name = "updates"
plugin = "managed-tag"
[[policies]]
name = "by-ou"
plugin = "onboard-by-ou.rego"
actions = ["onboard"]
[[notifiers]]
name = "slack"
plugin = "webhook"
[[notifiers]]
name = "baseline"
plugin = "baseline-check"
gate = true
[[notifiers]]
name = "cmdb"
plugin = "cmdb"
on = ["UpdateManagedAccount"]
[[routes]]
"#;

#[test]
fn routes_come_in_their_order_and_before_what_notifiers_listen_to() {
    let text = format!(
        "{ROUTED}events = [\"UpdateLandingZone\"]\nstates = [\"FAILED\"]\nnotifiers = [\"slack\"]\n\
         [[routes]]\npattern.source = [\"groundcrew\"]\npolicies = [\"by-ou\"]\n\
         notifiers = [\"slack\", \"cmdb\"]\n"
    );
    let config = Config::parse("crew.toml", &text).unwrap();
    let pattern = Pattern::parse(&serde_json::json!({ "source": ["groundcrew"] })).unwrap();
    assert_eq!(
        config.routes,
        [
            route(&["UpdateLandingZone"], "FAILED", &["slack"]),
            Route {
                when: EventMatch::ByPattern(pattern),
                policies: Some(vec!["by-ou".into()]),
                notifiers: vec!["slack".into(), "cmdb".into()],
                once_per: OncePer::Account,
            },
            // `slack` is named by a route and has no `on` of its own.
            route(&["CreateManagedAccount"], "SUCCEEDED", &["baseline"]),
            route(&["UpdateManagedAccount"], "SUCCEEDED", &["cmdb"]),
        ]
    );
    assert_eq!(
        config.notifiers.iter().map(|one| one.gate).collect::<Vec<_>>(),
        [false, true, false]
    );
}

/// The pattern of a rule of EventBridge, as its JSON has it, and a route with every update.
#[test]
fn a_route_of_json_and_one_of_every_event() {
    let text = format!(
        "{ROUTED}pattern_json = '''{{\"detail\": {{\"errorCode\": [null]}}}}'''\n\
         notifiers = [\"slack\"]\n[[routes]]\nevents = [\"UpdateManagedAccount\"]\n\
         once_per = \"event\"\nnotifiers = [\"slack\"]\n"
    );
    let config = Config::parse("crew.toml", &text).unwrap();
    let pattern = serde_json::json!({ "detail": { "errorCode": [null] } });
    assert_eq!(config.routes[0].when, EventMatch::ByPattern(Pattern::parse(&pattern).unwrap()));
    assert_eq!(config.routes[0].once_per, OncePer::Account);
    assert_eq!(config.routes[1].once_per, OncePer::Event);
}

#[rstest]
#[case::json_and_events(
    "notifiers = [\"slack\"]\nevents = [\"UpdateLandingZone\"]\npattern_json = \"{}\"",
    "23: a route has `events` or a `pattern_json`, not both"
)]
#[case::no_json(
    "notifiers = [\"slack\"]\npattern_json = \"{\"",
    "22: `pattern_json` is not JSON: EOF while parsing"
)]
#[case::wrong_json(
    "notifiers = [\"slack\"]\npattern_json = '{\"a\": \"b\"}'",
    "22: `pattern_json.a`: expected a list of values, such as [\"b\"]"
)]
#[case::once_per_what(
    "notifiers = [\"slack\"]\nevents = [\"UpdateLandingZone\"]\nonce_per = \"ou\"",
    "23: `routes.once_per` is \"ou\""
)]
#[case::nothing("notifiers = [\"slack\"]", "20: a route needs `events`, or a `pattern`")]
#[case::both(
    "notifiers = [\"slack\"]\nevents = [\"UpdateLandingZone\"]\npattern.source = [\"a\"]",
    "23: a route has `events` or a `pattern`, not both"
)]
#[case::no_notifiers("events = [\"UpdateLandingZone\"]", "20: `notifiers` is missing")]
#[case::no_event(
    "notifiers = [\"slack\"]\nevents = [\"UpdateLandingzone\"]",
    "22: `routes.events`"
)]
#[case::no_notifier(
    "events = [\"UpdateLandingZone\"]\nnotifiers = [\"slak\"]",
    "22: `slak` in `routes.notifiers` is not a notifier; did you mean `slack`?"
)]
#[case::no_policy_of_onboarding(
    "events = [\"UpdateLandingZone\"]\nnotifiers = [\"slack\"]\npolicies = [\"updates\"]",
    "23: `updates` in `routes.policies` is not a policy that is asked about `onboard`"
)]
#[case::pattern(
    "notifiers = [\"slack\"]\n[routes.pattern]\nsource = [\"a\"]\ndetail.name = \"b\"",
    "24: `pattern.detail.name`: expected a list of values, such as [\"b\"]"
)]
fn routes_that_are_wrong(#[case] route: &str, #[case] expected: &str) {
    let problems = problems(&format!("{ROUTED}{route}\n"));
    assert!(problems.contains(&format!("crew.toml:{expected}")), "{problems}");
}

#[test]
fn the_ledger_is_a_file_beside_the_config_unless_told_otherwise() {
    let config = Config::parse("crew.toml", "").unwrap();
    assert_eq!(config.ledger.location, LedgerLocation::File("groundcrew.db".into()));
}

#[test]
fn grants_of_http() {
    let config = Config::parse(
        "crew.toml",
        r#"
[[notifiers]]
plugin = "cmdb"
[notifiers.limits]
http_calls = 3
http_response = "2MiB"
[[notifiers.grants.http]]
url = "https://CMDB.example.com/api/"
methods = ["GET", "POST"]
headers.Authorization = { secret = "cmdb", field = "token", prefix = "Bearer " }
headers.X-Tenant = { file = "tenant.txt" }
ca_file = "ca.pem"
proxy = "http://proxy:3128"
[[notifiers.grants.http]]
url = "http://10.0.0.7:8080"
methods = ["PUT"]
allow_private = true
sign = { env = "SIGNING_KEY" }
"#,
    )
    .unwrap();
    let notifier = &config.notifiers[0];
    let limits = notifier.http_limits;
    assert_eq!((limits.calls, limits.response, limits.request), (3, 2 << 20, 256 << 10));
    assert_eq!(limits.timeout.as_secs(), 10);
    let [cmdb, other] = notifier.grants.http.as_slice() else { panic!("two grants") };
    assert_eq!(cmdb.url.to_string(), "https://cmdb.example.com/api/");
    assert_eq!(cmdb.methods, ["GET", "POST"]);
    let location =
        SecretLocation::SecretsManager { id: "cmdb".into(), field: Some("token".into()) };
    let token = HttpSecret { prefix: "Bearer ".into(), location };
    let tenant =
        HttpSecret { prefix: String::new(), location: SecretLocation::File("tenant.txt".into()) };
    assert_eq!(cmdb.headers, [("authorization".into(), token), ("x-tenant".into(), tenant)]);
    assert_eq!(cmdb.ca_file, Some("ca.pem".into()));
    assert_eq!(cmdb.proxy.as_ref().map(|proxy| proxy.port()), Some(3128));
    assert_eq!((cmdb.allow_private, &cmdb.sign), (false, &None));
    let sign = other.sign.as_ref().unwrap();
    assert_eq!(sign.key.location, SecretLocation::EnvironmentVariable("SIGNING_KEY".into()));
    assert_eq!(sign.header, "x-groundcrew-signature");
    assert!(other.allow_private);

    // Relative paths start at the config file.
    let within = cmdb.clone().relative_to("/etc/crew".as_ref());
    assert_eq!(within.ca_file, Some("/etc/crew/ca.pem".into()));
    assert_eq!(within.headers[1].1.location, SecretLocation::File("/etc/crew/tenant.txt".into()));
}

/// Lines of a grant, and their problem. It does not repeat a text that may be a secret.
#[rstest]
#[case::no_url("methods = [\"GET\"]", "4: `url` is missing in [[notifiers.grants.http]]")]
#[case::no_methods("url = \"https://a\"", "4: `methods` is missing")]
#[case::query(
    "url = \"https://a/?x=1\"\nmethods = [\"GET\"]",
    "5: `notifiers.grants.http.url` is \"https://a/?x=1\" (it has a query or fragment), expected"
)]
#[case::query_beside_a_placeholder(
    "url = \"https://a/?x=1&sig=$(s)\"\nmethods = [\"GET\"]\nsecrets = { s = { env = \"A\" } }",
    "5: `notifiers.grants.http.url` is \"https://a/?x=1&sig=$(s)\" (it has a query or fragment)"
)]
#[case::placeholder_of_nothing(
    "url = \"https://a/$(slakc)\"\nmethods = [\"GET\"]\nsecrets = { slack = { env = \"A\" } }",
    "5: `$(slakc)` in `url` is the placeholder of no secret; did you mean `slack`?: name it in \
     `secrets`, as in `secrets = { slakc = { secret = \"NAME or ARN\" } }`"
)]
#[case::placeholder_of_nothing_in_the_query(
    "url = \"https://a/?sig=$(sig)\"\nmethods = [\"GET\"]",
    "5: `$(sig)` in `url` is the placeholder of no secret"
)]
#[case::placeholder_that_does_not_end(
    "url = \"https://a/$(slack\"\nmethods = [\"GET\"]",
    "5: `$(slack)` in `url` is the placeholder of no secret"
)]
#[case::placeholder_in_the_host(
    "url = \"https://$(slack)/\"\nmethods = [\"GET\"]\nsecrets = { slack = { env = \"A\" } }",
    "5: `notifiers.grants.http.url` is \"https://$(slack)/\" (its host is neither"
)]
#[case::placeholder_in_the_port(
    "url = \"https://a:$(slack)/\"\nmethods = [\"GET\"]\nsecrets = { slack = { env = \"A\" } }",
    "5: `notifiers.grants.http.url` is \"https://a:$(slack)/\" (its port is"
)]
#[case::placeholder_in_braces(
    "url = \"https://a/{slack}\"\nmethods = [\"GET\"]\nsecrets = { slack = { env = \"A\" } }",
    "5: `notifiers.grants.http.url` is \"https://a/{slack}\" (its path has a character"
)]
#[case::secret_that_is_not_used(
    "url = \"https://a/\"\nmethods = [\"GET\"]\nsecrets = { slack = { env = \"A\" } }",
    "7: the secret `slack` is used nowhere: write `$(slack)` where it goes in `url`"
)]
#[case::url_secret_in_the_config(
    "url = \"https://a/$(s)\"\nmethods = [\"GET\"]\nsecrets = { s = \"hunter2\" }",
    "7: `notifiers.grants.http.secrets` is a table in which `s` is a text (not shown here"
)]
#[case::url_secret_with_a_prefix(
    "url = \"https://a/$(s)\"\nmethods = [\"GET\"]\n\
     secrets = { s = { env = \"A\", prefix = \"b\" } }",
    "7: `notifiers.grants.http.secrets` is a table in which `s` is one with a `prefix`"
)]
#[case::url_secret_without_a_name(
    "url = \"https://a/\"\nmethods = [\"GET\"]\nsecrets = { \"a b\" = { env = \"A\" } }",
    "is a table with \"a b\", which is not a name of 1 to 40 letters"
)]
#[case::url_secret_in_the_clear(
    "url = \"http://a/$(s)\"\nmethods = [\"GET\"]\nsecrets = { s = { env = \"A\" } }",
    "7: secrets are sent by https, or with `allow_private = true`"
)]
#[case::method("url = \"https://a\"\nmethods = [\"TRACE\"]", "6: `notifiers.grants.http.methods`")]
#[case::misspelt("url = \"https://a\"\nmetods = [\"GET\"]", "did you mean `methods`?")]
#[case::secret_in_the_config(
    "url = \"https://a\"\nmethods = [\"GET\"]\nheaders = { Authorization = \"hunter2\" }",
    "is a table in which `Authorization` is a text (not shown here, since it may be a secret)"
)]
#[case::key_in_the_config(
    "url = \"https://a\"\nmethods = [\"GET\"]\nsign = \"hunter2\"",
    "7: `notifiers.grants.http.sign` is a text (not shown here"
)]
#[case::two_places(
    "url = \"https://a\"\nmethods = [\"GET\"]\nsign = { env = \"A\", file = \"hunter2\" }",
    "is another table (not shown here"
)]
#[case::hosts_own_header(
    "url = \"https://a\"\nmethods = [\"GET\"]\nheaders = { Host = { env = \"A\" } }",
    "is a table with \"Host\", which is no header field to add"
)]
#[case::signature_nowhere(
    "url = \"https://a\"\nmethods = [\"GET\"]\nsign_header = \"a b\"",
    "7: \"a b\" is no header field to add"
)]
#[case::secret_in_the_clear(
    "url = \"http://a\"\nmethods = [\"GET\"]\nheaders = { X = { env = \"A\" } }",
    "7: secrets are sent by https, or with `allow_private = true`"
)]
#[case::proxy(
    "url = \"https://a\"\nmethods = [\"GET\"]\nproxy = \"https://b\"",
    "7: a proxy is named by an `http` URL"
)]
fn grants_of_http_that_are_wrong(#[case] grant: &str, #[case] expected: &str) {
    let told = problems(&format!(
        "[[notifiers]]\nplugin = \"cmdb\"\n\n[[notifiers.grants.http]]\n{grant}\n"
    ));
    assert!(told.contains(expected), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn secrets_in_the_url_of_a_grant() {
    let config = Config::parse(
        "crew.toml",
        r#"
[[notifiers]]
plugin = "webhook"
[notifiers.settings]
url = "https://a.example/invoke/$(id)?v=1&sig=$(sig)"
body = { text = "$(date) is no placeholder, nor is http://x/$(y)" }
[[notifiers.grants.http]]
url = "https://a.example/invoke/$(id)?sig=$(sig)"
methods = ["POST"]
secrets.id = { file = "id.txt" }
secrets.sig = { secret = "hook", field = "sig" }
"#,
    )
    .unwrap();
    let [grant] = config.notifiers[0].grants.http.as_slice() else { panic!("one grant") };
    assert_eq!(grant.url.to_string(), "https://a.example/invoke/$(id)");
    assert_eq!(grant.query, ["sig=$(sig)"]);
    let names: Vec<_> = grant.secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["id", "sig"]);
    let within = grant.clone().relative_to("/etc/crew".as_ref());
    assert_eq!(within.secrets[0].secret.location, SecretLocation::File("/etc/crew/id.txt".into()));
    assert_eq!(grant.secrets().count(), 2);
}

/// `check` finds a placeholder in a setting's URL that no grant has, before the first account needs
/// it.
#[test]
fn a_placeholder_in_a_setting_that_no_grant_has() {
    let told = problems(
        "[[notifiers]]\nplugin = \"webhook\"\n[notifiers.settings]\n\
         url = \"https://a/$(slakc)\"\n[[notifiers.grants.http]]\nurl = \"https://a/$(slack)\"\n\
         methods = [\"POST\"]\nsecrets = { slack = { env = \"A\" } }\n",
    );
    assert!(
        told.contains(
            "4: notifier `webhook`, setting `url`: `$(slakc)` is the placeholder of no secret; did \
             you mean `slack`?"
        ),
        "{told}"
    );
}
