//! How the bundled notifiers evaluate responses: the shipped plugins on simulated systems that
//! behave like the real ones. A record of another account is not changed, and a request with a 2xx
//! response is not sent again.
//!
//! For a report about a system's response, add a line to a table here.

use std::path::Path;
use std::sync::Arc;

use groundcrew::simulated_transport::SimulatedTransport;
use groundcrew_core::account::{Account, AccountId, Tags};
use groundcrew_core::config::{Config, PluginSource};
use groundcrew_core::decision::Cause;
use groundcrew_core::notification::{
    Notification, NotificationKey, NotifyFailure, NotifyFailureKind, Receipt,
};
use groundcrew_core::ports::Notifier as _;
use groundcrew_plugins::http::HttpAccess;
use groundcrew_plugins::{
    LoadError, LoadedNotifier, NotifierSpec, Runtime, RuntimeOptions, Source,
};
use groundcrew_sim::{FaultLevel, ServiceNow, SimAws, SimOptions, WebRequest, random_fleet};
use rstest::rstest;
use serde_json::{Value, json};

const TABLE: &str = "https://acme.service-now.com/api/now/table/cmdb_ci_cloud_service_account";
const OURS: &str = "111122223333";
const OTHERS: &str = "444455556666";
/// How often a queue or a schedule retries.
const MAX_ATTEMPTS: usize = 3;

struct Fixture {
    sim: SimAws,
    notifier: LoadedNotifier,
}

impl Fixture {
    /// A notifier with these settings, and a grant for everything below this URL.
    async fn new(plugin: &str, settings: &str, granted: &str) -> Self {
        Self::load(plugin, settings, granted).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn load(plugin: &str, settings: &str, granted: &str) -> Result<Self, LoadError> {
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: "2026-01-02T03:04:05Z".parse().unwrap(),
            snapshot: random_fleet(1, 0, 1),
            faults: FaultLevel::None,
            account_quota: 5,
        });
        let config = format!(
            "[[notifiers]]\nname = \"one\"\nplugin = \"{plugin}\"\n{settings}\n\
             [[notifiers.grants.http]]\nurl = \"{granted}\"\n\
             methods = [\"GET\", \"POST\", \"PUT\", \"PATCH\"]\n"
        );
        let config = Config::parse("answers.toml", &config).unwrap_or_else(|e| panic!("{e}"));
        let notifier = &config.notifiers[0];
        let PluginSource::Bundled(bundled) = &notifier.plugin_config.plugin else {
            panic!("bundled")
        };
        let spec = NotifierSpec {
            name: notifier.plugin_config.name.clone(),
            source: Source::Bundled(bundled.clone()),
            sha256: None,
            settings: notifier.plugin_config.settings.json.clone(),
            limits: notifier.plugin_config.limits,
            support: None,
            http: Some(HttpAccess {
                grants: notifier.grants.http.clone(),
                limits: notifier.http_limits,
                transport: Arc::new(SimulatedTransport::new(sim.clone())),
            }),
        };
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
        let plugins = Runtime::new(RuntimeOptions { cache_dir: Some(cache) }).unwrap();
        Ok(Self { sim, notifier: plugins.load_notifier(spec).await? })
    }

    async fn cmdb(key_field: &str, service_now: ServiceNow) -> Self {
        let settings = format!(
            "[notifiers.settings.servicenow]\ninstance = \"https://acme.service-now.com\"\n\
             key_field = \"{key_field}\""
        );
        let fixture = Self::new("cmdb", &settings, TABLE).await;
        fixture.sim.set_service_now(service_now);
        fixture
    }

    /// Delivers the notification of an account, and retries as long as that may help.
    async fn deliver(&self, account: &str) -> Result<Receipt, NotifyFailure> {
        let id: AccountId = account.parse().unwrap();
        let mut outcome = None;
        for attempt in 1..=MAX_ATTEMPTS {
            let notification = Notification {
                key: NotificationKey::for_onboarding(&id, "one"),
                cause: Cause::Lifecycle,
                account: Some(Arc::new(Account {
                    id: id.clone(),
                    name: format!("account-{account}"),
                    email: String::new(),
                    organizational_units: [].into(),
                    joined: None,
                    state: None,
                })),
                tags: Tags::Known([].into()),
                event: None,
                annotations: vec![],
                now: "2026-01-02T03:04:05Z".parse().unwrap(),
                attempt: u32::try_from(attempt).unwrap(),
            };
            let result = self.notifier.notify(&notification).await;
            let again =
                result.as_ref().is_err_and(|error| error.kind == NotifyFailureKind::Transient);
            outcome = Some(result);
            if !again {
                break;
            }
        }
        outcome.unwrap()
    }

    /// Somebody else writes a record into the table.
    async fn insert_record(&self, record: Value) {
        let request = WebRequest {
            method: "POST".to_owned(),
            url: TABLE.to_owned(),
            idempotency_key: None,
            body: record.to_string().into_bytes(),
        };
        assert_eq!(self.sim.web(&request).await.unwrap().status, 201);
    }
}

/// Runs a test in virtual time.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

fn no_rows() -> ServiceNow {
    ServiceNow { invalid_query_returns_no_rows: true, ..ServiceNow::default() }
}

fn hiding() -> ServiceNow {
    ServiceNow { hidden: ["account_id".to_owned()].into(), ..ServiceNow::default() }
}

/// A CMDB that has a record already, and a key field that the table doesn't have or that the user
/// may not read: how the notification fails, and the number of records afterwards. The existing
/// record is unchanged.
#[rstest]
#[case::another_field("accountid", ServiceNow::default(), OTHERS, "was left alone", false, 1)]
#[case::another_field_of_its_own("accountid", ServiceNow::default(), OURS, "left alone", false, 1)]
#[case::and_no_rows("accountid", no_rows(), OTHERS, "was created", true, 2)]
#[case::hidden("account_id", hiding(), OURS, "left alone", false, 1)]
#[case::hidden_and_not_there("account_id", hiding(), OTHERS, "was created", true, 2)]
#[case::hidden_records(
    "account_id", ServiceNow { hides_records: true, ..ServiceNow::default() }, OURS,
    "shows the user none", false, 1
)]
fn a_cmdb_with_another_key(
    #[case] key_field: &str,
    #[case] service_now: ServiceNow,
    #[case] there: &str,
    #[case] part: &str,
    #[case] effect_possible: bool,
    #[case] records: usize,
) {
    run(async {
        let fixture = Fixture::cmdb(key_field, service_now).await;
        fixture.insert_record(json!({ "account_id": there, "name": "as it was" })).await;
        let failure = fixture.deliver(OURS).await.unwrap_err();
        assert_eq!(failure.kind, NotifyFailureKind::Invalid, "{failure}");
        assert_eq!(failure.effect_possible, effect_possible, "{failure}");
        assert!(failure.message.contains(part), "{failure}");
        assert!(failure.message.contains(key_field), "{failure}");
        let kept = fixture.sim.web_records();
        assert_eq!(kept.len(), records, "{kept:?}");
        assert_eq!((kept[0].writes, &kept[0].body["name"]), (1, &json!("as it was")));
    });
}

/// With the right key field each account has its record, whatever other records exist.
#[test]
fn a_cmdb_with_a_record_for_each() {
    run(async {
        for service_now in [ServiceNow::default(), no_rows()] {
            let fixture = Fixture::cmdb("account_id", service_now).await;
            fixture.insert_record(json!({ "account_id": "777788889999" })).await;
            for account in [OURS, OTHERS, OURS] {
                fixture.deliver(account).await.unwrap();
            }
            let kept = fixture.sim.web_records();
            let accounts: Vec<_> = kept.iter().map(|one| one.body["account_id"].clone()).collect();
            assert_eq!(accounts, ["777788889999", OURS, OTHERS]);
        }
    });
}

/// The search only reads: it is retried, and nothing is written.
#[test]
fn a_cmdb_that_hibernates() {
    run(async {
        let hibernating = ServiceNow { hibernating: true, ..ServiceNow::default() };
        let fixture = Fixture::cmdb("account_id", hibernating).await;
        let failure = fixture.deliver(OURS).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect_possible), (NotifyFailureKind::Transient, false));
        let expected = "answers 200 with a web page instead of JSON (text/html;charset=UTF-8); an \
                        instance that hibernates, a proxy or a login page answers so: <!DOCTYPE";
        assert!(failure.message.contains(expected), "{failure}");
    });
}

const SLACK: &str = "https://hooks.slack.com/services/T0/B0/xyz";
const TEAMS: &str = "https://acme.webhook.office.com/webhookb2/1";
const GITHUB: &str = "https://api.github.com/repos/acme/baseline/dispatches";
const TEXT: &str = "body = { text = \"{{ account.id }}\" }";

/// A webhook to an endpoint that accepts messages: the final number of messages, and how an
/// undelivered notification fails for good.
#[rstest]
#[case::slack(SLACK, "success = { text = \"ok\" }", TEXT, 1, None)]
#[case::slack_by_the_pointer_of_its_api(SLACK, "success = \"/ok\"", TEXT, 1, Some(": ok"))]
#[case::slack_without_a_test(SLACK, "", TEXT, 1, None)]
#[case::slack_by_a_reference(
    SLACK,
    "reference = \"/ts\"",
    TEXT,
    1,
    Some("the setting `reference`")
)]
#[case::slack_refuses(SLACK, "", "body = { key = \"{{ key }}\" }", 0, Some("400: no_text"))]
#[case::slack_is_gone(
    "https://hooks.slack.com/services/T0",
    "success = { text = \"ok\" }",
    TEXT,
    0,
    Some("404: no_service")
)]
#[case::slack_takes_no_text(SLACK, "", "body = \"new\"", 0, Some("400: invalid_payload"))]
#[case::teams(TEAMS, "success = { text = \"1\" }", TEXT, 1, None)]
#[case::teams_by_a_pattern(TEAMS, "success = { pattern = \"^1?$\" }", TEXT, 1, None)]
#[case::github(GITHUB, "reference = \"/id\"", "body = { event_type = \"landed\" }", 1, None)]
#[case::github_by_a_pointer(
    GITHUB,
    "success = \"/ok\"",
    "body = { event_type = \"landed\" }",
    1,
    Some("an empty body")
)]
fn an_endpoint_that_takes_messages(
    #[case] url: &str,
    #[case] setting: &str,
    #[case] body: &str,
    #[case] messages: usize,
    #[case] failure: Option<&str>,
) {
    run(async {
        let settings = format!("[notifiers.settings]\nurl = \"{url}\"\n{setting}\n{body}");
        let fixture = Fixture::new("webhook", &settings, url).await;
        let result = fixture.deliver(OURS).await;
        assert_eq!(fixture.sim.web_records().len(), messages, "{result:?}");
        match (result, failure) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => {
                assert_eq!(error.kind, NotifyFailureKind::Permanent, "{error}");
                assert!(error.message.contains(part), "{error}");
            }
            (result, _) => panic!("{result:?}"),
        }
    });
}

/// Teams responds with 200, and with a text that nothing was delivered.
#[test]
fn teams_says_that_delivery_failed() {
    run(async {
        let long = "a".repeat(30_000);
        let settings = format!(
            "[notifiers.settings]\nurl = \"{TEAMS}\"\nsuccess = {{ text = \"1\" }}\n\
             body = {{ text = \"{long}\" }}"
        );
        let fixture = Fixture::new("webhook", &settings, TEAMS).await;
        let failure = fixture.deliver(OURS).await.unwrap_err();
        assert_eq!(failure.kind, NotifyFailureKind::Permanent);
        let expected = "the setting `success`: POST https://acme.webhook.office.com/webhookb2/1 answers \
                        200, but its text is not `1`: Webhook message delivery failed with error: \
                        Microsoft Teams endpoint returned HTTP error 413";
        assert!(failure.message.contains(expected), "{failure}");
    });
}

/// Settings that would accept any response, or that can't be parsed: the messages.
#[rstest]
#[case::a_look_by_a_query(
    "cmdb",
    "[notifiers.settings.rest]\nlook = { url = \"https://a/b?id={{ account.id }}\", reference = \"/id\" }\n\
     create = { url = \"https://a/b\", body = {} }",
    "write `account`, a JSON pointer to the account id in the answer, such as `/items/0/account_id`"
)]
#[case::one_record_for_all(
    "cmdb",
    "[notifiers.settings.rest]\ncreate = { method = \"PUT\", url = \"https://a/b\", body = {} }",
    "all accounts would be put into one record: put `{{ account.id }}` into the URL"
)]
#[case::a_misspelt_test(
    "webhook",
    "[notifiers.settings]\nurl = \"https://a/b\"\nsuccess = { txt = \"ok\" }",
    "unknown key `txt`, did you mean `text`?"
)]
#[case::no_test(
    "webhook",
    "[notifiers.settings]\nurl = \"https://a/b\"\nsuccess = true",
    "expected string or object, found the boolean true"
)]
#[case::a_word(
    "webhook",
    "[notifiers.settings]\nurl = \"https://a/b\"\nsuccess = \"ok\"",
    "write { text = \"ok\" }"
)]
fn settings_that_are_refused(#[case] plugin: &str, #[case] settings: &str, #[case] part: &str) {
    run(async {
        let error = Fixture::load(plugin, settings, "https://a/b").await.err().unwrap();
        assert!(format!("{error:?} {error}").contains(part), "{error}");
    });
}
