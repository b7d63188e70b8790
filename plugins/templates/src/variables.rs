//! The variables of templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundcrew_sdk::{
    Account, AccountState, Cause, Event, Notification, OrganizationalUnit, Tag, Tags, Timestamp,
};
use minijinja::value::{Enumerator, Object, merge_maps};
use minijinja::{Value, context};

use crate::ExtraVariables;

/// All variables of templates. They are texts, with these exceptions: the organizational units and
/// the annotations are lists of texts, and the tags are an object, in which `account.tags.owner` is
/// a text too.
pub(crate) const VARIABLE_NAMES: [&str; 19] = [
    "account.id",
    "account.name",
    "account.email",
    "account.organizational_units",
    "account.ou_path",
    "account.tags",
    "account.joined",
    "account.state",
    "event.id",
    "event.name",
    "event.source",
    "event.json",
    "event.state",
    "event.message",
    "event.account",
    "annotations",
    "now",
    "key",
    "cause",
];

/// The variables of a notification, and a plugin's own. All variables exist; unknown values are
/// empty.
pub(crate) fn variables_for(notification: &Notification, extra: ExtraVariables<'_>) -> Value {
    let Notification { key, cause, account, event, annotations, now, .. } = notification;
    let units: Vec<_> =
        account.organizational_units.iter().map(|unit| one_line(&unit.name)).collect();
    let event = event.as_ref();
    let of_event = |field: fn(&Event) -> &str| event.map(field).unwrap_or_default();
    let status = event.map(LifecycleStatus::from_event).unwrap_or_default();
    let variables = context! {
        account => context! {
            id => account.id.as_str(),
            name => one_line(&account.name),
            email => one_line(&account.email),
            ou_path => units.join("/"),
            organizational_units => units,
            tags => tags(&account.tags),
            joined => account.joined.map(rfc3339).unwrap_or_default(),
            state => account.state.name().unwrap_or_default(),
        },
        event => context! {
            id => one_line(of_event(|event| &event.id)),
            name => one_line(of_event(|event| &event.name)),
            source => one_line(of_event(|event| &event.source)),
            json => of_event(|event| &event.json),
            state => one_line(&status.state),
            message => one_line(&status.message),
            account => one_line(&status.account),
        },
        annotations => annotations.iter().map(|line| one_line(line)).collect::<Vec<_>>(),
        now => rfc3339(*now),
        key => key.as_str(),
        cause => cause_name(*cause),
    };
    match extra {
        [] => variables,
        extra => {
            let own = extra.iter().map(|(name, value)| ((*name).to_owned(), one_line(value)));
            merge_maps([variables, Value::from(own.collect::<BTreeMap<_, _>>())])
        }
    }
}

/// The result of an operation according to its lifecycle event. Empty for other events.
#[derive(Default)]
struct LifecycleStatus {
    state: String,
    message: String,
    account: String,
}

impl LifecycleStatus {
    /// Lenient: the body of each event has a name of its own, and newer events have other fields.
    fn from_event(event: &Event) -> Self {
        let root: serde_json::Value = serde_json::from_str(&event.json).unwrap_or_default();
        let mut name = event.name.chars();
        let first = name.next().map(|first| first.to_ascii_lowercase()).into_iter();
        let key: String = first.chain(name).chain("Status".chars()).collect();
        let at = |path: &[&str]| {
            let value = path.iter().try_fold(&root, |value, part| value.get(part));
            value.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let details = ["detail", "serviceEventDetails"];
        let of_status = |path: &[&str]| at(&[&details, &[key.as_str()][..], path].concat());
        // Baseline events contain it in the details of the baseline.
        let of_baseline = |path: &[&str]| {
            let path = [&["enabledBaselineDetails"], path].concat();
            or_if_empty(of_status(&path), || at(&[&details[..], &path].concat()))
        };
        let target = of_baseline(&["targetIdentifier"]);
        let target = target.split_once(":account/").and_then(|(_, path)| path.split('/').nth(1));
        Self {
            state: or_if_empty(of_status(&["state"]), || of_baseline(&["statusSummary", "status"])),
            message: of_status(&["message"]),
            account: or_if_empty(of_status(&["account", "accountId"]), || {
                target.unwrap_or_default().to_owned()
            }),
        }
    }
}

/// A text, or another if it is empty.
fn or_if_empty(text: String, other: impl FnOnce() -> String) -> String {
    if text.is_empty() { other() } else { text }
}

/// A notification with all fields, and one with as few as possible: without an event, since a sweep
/// found the account, and with only the account's id and name.
pub(crate) fn samples() -> [Notification; 2] {
    let account = |email: &str, units: Vec<OrganizationalUnit>, tags, joined| Account {
        id: "111122223333".to_owned(),
        name: "payments-prod".to_owned(),
        email: email.to_owned(),
        organizational_units: units,
        tags,
        joined,
        state: AccountState::Active,
    };
    let unit =
        |id: &str, name: &str| OrganizationalUnit { id: id.to_owned(), name: name.to_owned() };
    let notification = |cause, account, event| Notification {
        key: "onboard/111122223333/ams".to_owned(),
        cause,
        account,
        event,
        annotations: vec![],
        now: 1_767_323_045,
        attempt: 1,
    };
    let units = vec![unit("ou-abcd-11111111", "Workloads"), unit("ou-abcd-22222222", "Prod")];
    let tags = Tags::Known(vec![Tag::new("owner", "payments")]);
    [
        notification(
            Cause::Lifecycle,
            account("payments@example.com", units, tags, Some(1_767_323_000)),
            Some(Event {
                id: "7c36b9a2-9ee4-4b5e-9f3c-2f0e4a9d3f10".to_owned(),
                name: "CreateManagedAccount".to_owned(),
                source: "aws.controltower".to_owned(),
                json: "{}".to_owned(),
            }),
        ),
        notification(
            Cause::Lifecycle,
            account("", vec![], Tags::Unreadable("AccessDeniedException".to_owned()), None),
            None,
        ),
    ]
}

/// The text in one line and without control characters, so that no account name can imitate another
/// line of a notification.
pub fn one_line(text: &str) -> String {
    let space = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(space).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A moment as in RFC 3339.
fn rfc3339(timestamp: Timestamp) -> String {
    jiff::Timestamp::from_second(timestamp).map(|rfc3339| rfc3339.to_string()).unwrap_or_default()
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Artifact => "artifact",
        Cause::LandingZone => "landing-zone",
        Cause::OrganizationalUnitMoved => "organizational-unit-moved",
        Cause::Tainted => "tainted",
        Cause::Error => "error",
        Cause::Lifecycle => "lifecycle",
    }
}

fn tags(tags: &Tags) -> Value {
    let known = tags.known().unwrap_or_default();
    let pairs = known.iter().map(|tag| (one_line(&tag.key), one_line(&tag.value))).collect();
    Value::from_object(TagMap(pairs))
}

/// Tags by their keys. A missing tag is empty rather than undefined: which tags an account has is
/// unknown when the config is checked.
#[derive(Debug)]
struct TagMap(Vec<(String, String)>);

impl Object for TagMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let value = self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        Some(Value::from(value.unwrap_or_default()))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(key, _)| Value::from(key.as_str())).collect())
    }
}
