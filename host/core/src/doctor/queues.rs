//! The SQS queues: their kind, their dead-letter queues, and how messages can be lost in them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Check, Fact, Finding, QueueFacts, ReadFailureReason, count};
use crate::config::Config;

/// Starting an update, or handling an event, takes several calls, each of which may be throttled. A
/// message that becomes visible again meanwhile is processed twice.
const MIN_VISIBILITY: Duration = Duration::from_secs(60);

/// The rest of a message's visibility timeout after a notifier has reached its timeout.
const ANSWER_MARGIN: Duration = Duration::from_secs(30);

/// A host that is down for a weekend loses no message with this retention.
const MIN_RETENTION: Duration = Duration::from_secs(4 * 24 * 3600);

/// An update that waits for a free slot is received again and again: at every `poll_interval`, for
/// as long as others use the quota.
const MIN_RECEIVES: u64 = 100;
/// A notification that a gate holds is received every hour, for thirteen days. SQS itself would
/// dead-letter it without an alert.
const MIN_RECEIVES_HELD: u64 = 400;

/// The longest that SQS keeps a message.
const MAX_RETENTION: &str = "1209600";

/// The role of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueRole {
    Updates,
    Notifications,
    Events,
}

/// Where a queue moves messages that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// Name of the dead-letter queue.
    pub name: String,
    /// Id of the account that it is in.
    pub owner: String,
    /// The number of receives after which it moves a message.
    pub max_receives: Option<u64>,
}

/// A dead-letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    /// The redrive policy that names it.
    pub redrive: RedrivePolicy,
    /// Its attributes.
    pub attributes: Fact<BTreeMap<String, String>>,
}

impl RedrivePolicy {
    /// Reads the redrive policy in a queue's attributes, if it has one.
    pub fn from_attributes(attributes: &BTreeMap<String, String>) -> Option<Self> {
        let policy: Value = serde_json::from_str(attributes.get("RedrivePolicy")?).ok()?;
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut arn = policy["deadLetterTargetArn"].as_str()?.rsplit(':');
        Some(Self {
            name: arn.next()?.to_owned(),
            owner: arn.next()?.to_owned(),
            // A number or a text, depending on how it was set.
            max_receives: match &policy["maxReceiveCount"] {
                Value::String(text) => text.parse().ok(),
                number => number.as_u64(),
            },
        })
    }
}

impl QueueRole {
    fn check(self) -> Check {
        match self {
            Self::Updates => Check::UpdatesQueue,
            Self::Notifications => Check::NotificationsQueue,
            Self::Events => Check::EventsQueue,
        }
    }

    fn min_receives(self) -> u64 {
        match self {
            Self::Updates | Self::Events => MIN_RECEIVES,
            Self::Notifications => MIN_RECEIVES_HELD,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Updates => "queues.updates_url",
            Self::Notifications => "queues.notifications_url",
            Self::Events => "queues.events_url",
        }
    }

    /// What it means if there is none.
    fn absence_meaning(self) -> &'static str {
        match self {
            Self::Updates => "no account is updated",
            Self::Notifications => "notifiers are called at once",
            Self::Events => "only events that are passed to groundcrew",
        }
    }

    /// Whether the queue has to be a FIFO queue. A queue of events may be of either kind.
    fn fifo(self) -> bool {
        self != Self::Events
    }

    /// The shortest sufficient visibility timeout.
    fn visibility(self, config: &Config) -> Duration {
        let longest = config.notifiers.iter().map(|notifier| notifier.plugin_config.limits.timeout);
        match self {
            Self::Notifications => longest
                .max()
                .map_or(MIN_VISIBILITY, |timeout| MIN_VISIBILITY.max(timeout + ANSWER_MARGIN)),
            _ => MIN_VISIBILITY,
        }
    }

    /// The shortest sufficient retention.
    fn retention(self, config: &Config) -> Duration {
        match self {
            Self::Updates => config.updates.window,
            _ => MIN_RETENTION,
        }
    }
}

pub(super) fn queue(
    config: &Config,
    role: QueueRole,
    url: Option<&str>,
    queue: Option<&Fact<QueueFacts>>,
) -> Vec<Finding> {
    let check = role.check();
    let (Some(url), Some(queue)) = (url, queue) else {
        return vec![Finding::not_configured(
            check,
            format!("{} is not set: {}", role.key(), role.absence_meaning()),
        )];
    };
    let queue = match queue {
        Ok(queue) => queue,
        Err(read_failure) if read_failure.reason == ReadFailureReason::Absent => {
            return vec![absent(config, role, url)];
        }
        Err(read_failure) => return vec![read_failure.required_finding(check)],
    };
    let mut findings = Vec::new();
    kind(role, url, queue, &mut findings);
    times(config, role, queue, &mut findings);
    if role == QueueRole::Events {
        senders(queue, &mut findings);
    }
    dead_letters(role, name(url), queue, &mut findings);
    if findings.is_empty() {
        findings.push(Finding::ok(check, summary(url, queue)));
    }
    // In addition to all other findings: the doctor can't see the rule.
    if role == QueueRole::Events && is_fifo(&queue.attributes) {
        findings.push(Finding::ok(
            check,
            format!("{} is a FIFO queue: its rule's target needs a MessageGroupId", name(url)),
        ));
    }
    findings
}

fn absent(config: &Config, role: QueueRole, url: &str) -> Finding {
    // https://sqs.REGION.amazonaws.com/ACCOUNT/NAME
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let elsewhere = host
        .strip_prefix("sqs.")
        .and_then(|rest| rest.split('.').next())
        .filter(|region| *region != config.region);
    match elsewhere {
        Some(region) => Finding::failed(
            role.check(),
            format!("{} is in {region}, and groundcrew calls {}", name(url), config.region),
            format!("set {} to a queue in {}", role.key(), config.region),
        ),
        None => Finding::failed(
            role.check(),
            format!("there is no queue {} for this caller in {}", name(url), config.region),
            format!("make it, or set {} to the URL of one that is there", role.key()),
        ),
    }
}

fn kind(role: QueueRole, url: &str, queue: &QueueFacts, findings: &mut Vec<Finding>) {
    let name = name(url);
    if role.fifo() && !is_fifo(&queue.attributes) {
        findings.push(Finding::failed(
            role.check(),
            format!("{name} is a standard queue; it has to be a FIFO queue"),
            format!(
                "make one whose name ends in .fifo, with a FIFO queue for dead letters, and set {} \
                 to its URL: a queue's kind can't be changed",
                role.key()
            ),
        ));
    }
}

fn times(config: &Config, role: QueueRole, queue: &QueueFacts, findings: &mut Vec<Finding>) {
    let mut least = |attribute: &str, least: Duration, what: &str, otherwise: &str| {
        let Some(found) = seconds(&queue.attributes, attribute) else { return };
        if found < least {
            findings.push(Finding::warning(
                role.check(),
                format!("{what} {}", span(found)),
                format!("set {attribute} to at least {}: {otherwise}", least.as_secs()),
            ));
        }
    };
    least(
        "VisibilityTimeout",
        role.visibility(config),
        "a received message is seen again after",
        "what is still worked on would be begun a second time",
    );
    least(
        "MessageRetentionPeriod",
        role.retention(config).min(Duration::from_secs(14 * 24 * 3600)),
        "messages are thrown away after",
        match role {
            QueueRole::Updates => "that is updates.window, the work that is handed over at once",
            _ => "what comes in while no host runs would be lost",
        },
    );
}

/// Whether EventBridge can send its events to the queue.
fn senders(queue: &QueueFacts, findings: &mut Vec<Finding>) {
    let attribute = |name| queue.attributes.get(name).map(String::as_str).unwrap_or_default();
    let key = attribute("KmsMasterKeyId");
    if key.ends_with("alias/aws/sqs") {
        findings.push(Finding::failed(
            Check::EventsQueue,
            "it is encrypted with the key of AWS (alias/aws/sqs), which EventBridge may not use",
            "set SqsManagedSseEnabled, or use a key of your own whose policy lets \
             events.amazonaws.com kms:GenerateDataKey and kms:Decrypt",
        ));
    }
    if !attribute("Policy").contains("events.amazonaws.com") {
        findings.push(Finding::warning(
            Check::EventsQueue,
            "its policy does not let EventBridge send into it",
            "allow sqs:SendMessage to the service events.amazonaws.com, with aws:SourceArn the \
             rule, unless the rule has a role for it",
        ));
    }
}

fn dead_letters(role: QueueRole, source: &str, queue: &QueueFacts, findings: &mut Vec<Finding>) {
    let check = role.check();
    let Some(dead) = &queue.dead_letters else {
        findings.push(Finding::failed(
            check,
            format!("{source} has no dead-letter queue"),
            format!(
                "make {}, and set RedrivePolicy with its deadLetterTargetArn and a maxReceiveCount \
                 of {}",
                if is_fifo(&queue.attributes) {
                    "a FIFO queue for them"
                } else {
                    "a queue for them"
                },
                role.min_receives()
            ),
        ));
        return;
    };
    let name = &dead.redrive.name;
    let why = match role {
        QueueRole::Updates => Some((
            "an account is a dead letter",
            "each wait for a free slot costs one; failures are counted by updates.max_attempts",
        )),
        QueueRole::Notifications => Some((
            "a notification is a dead letter, without an alert",
            "what a gate holds is received by the hour; deliveries that fail are counted apart",
        )),
        QueueRole::Events => None,
    };
    let least = role.min_receives();
    if let (Some((what, why)), Some(max)) = (why, dead.redrive.max_receives)
        && max < least
    {
        findings.push(Finding::warning(
            check,
            format!("after {} {what}", count(max as usize, "receive")),
            format!("set maxReceiveCount to at least {least} (AWS takes 1000): {why}"),
        ));
    }
    let attributes = match &dead.attributes {
        Ok(attributes) => attributes,
        Err(read_failure) if read_failure.reason == ReadFailureReason::Absent => {
            findings.push(Finding::failed(
                check,
                format!("its dead-letter queue {name} does not exist"),
                "make it, or set RedrivePolicy to one that is there",
            ));
            return;
        }
        Err(read_failure) => {
            findings.push(read_failure.required_finding(check));
            return;
        }
    };
    if is_fifo(attributes) != is_fifo(&queue.attributes) {
        findings.push(Finding::failed(
            check,
            format!("its dead-letter queue {name} is of the other kind"),
            "the dead-letter queue of a FIFO queue is a FIFO queue, that of a standard queue a \
             standard queue: make one of that kind and set RedrivePolicy",
        ));
    }
    let letters: usize = attributes
        .get("ApproximateNumberOfMessages")
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    if letters > 0 {
        findings.push(Finding::warning(
            check,
            format!("{} in the dead-letter queue {name}", count(letters, "message")),
            "read them: each says what failed; fix it, then redrive or delete them",
        ));
    }
    let kept = seconds(attributes, "MessageRetentionPeriod");
    if let (Some(kept), Some(before)) = (kept, seconds(&queue.attributes, "MessageRetentionPeriod"))
        && kept < before
    {
        findings.push(Finding::warning(
            check,
            format!("the dead-letter queue {name} keeps messages for {} only", span(kept)),
            format!(
                "set its MessageRetentionPeriod to {MAX_RETENTION}: it should keep them longer \
                 than the queue that they come from"
            ),
        ));
    }
}

fn summary(url: &str, queue: &QueueFacts) -> String {
    let attributes = &queue.attributes;
    let mut parts = vec![name(url).to_owned()];
    if let Some(dead) = &queue.dead_letters {
        parts.push(format!("dead letters to {}", dead.redrive.name));
    }
    let key = attributes.get("KmsMasterKeyId").filter(|key| !key.is_empty());
    if let Some(key) = key {
        parts.push(format!("encrypted with {key}"));
    }
    parts.join(", ")
}

fn is_fifo(attributes: &BTreeMap<String, String>) -> bool {
    attributes.get("FifoQueue").is_some_and(|fifo| fifo == "true")
}

fn seconds(attributes: &BTreeMap<String, String>, name: &str) -> Option<Duration> {
    attributes.get(name)?.parse().ok().map(Duration::from_secs)
}

/// As in a config: `4d`, `1h`, `90s`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    match units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::super::{ReadFailure, Status};
    use super::*;
    use rstest::rstest;

    const URL: &str = "https://sqs.us-east-1.amazonaws.com/111122223333/crew-updates.fifo";

    fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// A correct FIFO queue, or a correct standard one, with some attributes changed.
    fn good(fifo: bool, changed: &[(&str, &str)], dead: &[(&str, &str)]) -> QueueFacts {
        let name = if fifo { "dead.fifo" } else { "dead" };
        let policy = format!(
            r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:{name}","maxReceiveCount":"1000"}}"#
        );
        let mut own = attributes(&[
            ("VisibilityTimeout", "300"),
            ("MessageRetentionPeriod", "1209600"),
            ("RedrivePolicy", &policy),
            ("Policy", r#"{"Principal":{"Service":"events.amazonaws.com"}}"#),
        ]);
        let mut of_dead = attributes(&[("MessageRetentionPeriod", "1209600")]);
        if fifo {
            own.extend(attributes(&[("FifoQueue", "true")]));
            of_dead.extend(attributes(&[("FifoQueue", "true")]));
        }
        own.extend(attributes(changed));
        of_dead.extend(attributes(dead));
        let dead_letters = RedrivePolicy::from_attributes(&own)
            .map(|redrive| DeadLetterQueue { redrive, attributes: Ok(of_dead) });
        QueueFacts { attributes: own, dead_letters }
    }

    fn judged(role: QueueRole, found: Fact<QueueFacts>) -> Vec<Finding> {
        let config = Config::parse("c", "").unwrap();
        queue(&config, role, Some(URL), Some(&found))
    }

    #[test]
    fn a_redrive_policy_is_read() {
        let queue = good(true, &[], &[]);
        let expected = RedrivePolicy {
            name: "dead.fifo".into(),
            owner: "111122223333".into(),
            max_receives: Some(1000),
        };
        assert_eq!(RedrivePolicy::from_attributes(&queue.attributes), Some(expected));
        assert_eq!(RedrivePolicy::from_attributes(&attributes(&[("RedrivePolicy", "{}")])), None);
    }

    #[rstest]
    #[case(QueueRole::Updates, true)]
    #[case(QueueRole::Notifications, true)]
    #[case(QueueRole::Events, false)]
    fn good_queues_are_good(#[case] role: QueueRole, #[case] fifo: bool) {
        let findings = judged(role, Ok(good(fifo, &[], &[])));
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(statuses, [Status::Ok], "{findings:?}");
    }

    #[rstest]
    #[case(QueueRole::Updates, good(false, &[], &[]), Status::Failed, "is a standard queue")]
    #[case(QueueRole::Updates, good(true, &[("RedrivePolicy", "")], &[]), Status::Failed, "no dead-letter queue")]
    #[case(QueueRole::Updates, good(true, &[("VisibilityTimeout", "30")], &[]), Status::Warning, "seen again after 30s")]
    #[case(QueueRole::Updates, good(true, &[("MessageRetentionPeriod", "3600")], &[]), Status::Warning, "thrown away after 1h")]
    #[case(QueueRole::Updates, good(true, &[("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:d.fifo","maxReceiveCount":5}"#)], &[]), Status::Warning, "after 5 receives")]
    #[case(QueueRole::Notifications, good(true, &[("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:d.fifo","maxReceiveCount":100}"#)], &[]), Status::Warning, "after 100 receives")]
    #[case(QueueRole::Updates, good(true, &[], &[("FifoQueue", "false")]), Status::Failed, "of the other kind")]
    #[case(QueueRole::Updates, good(true, &[], &[("ApproximateNumberOfMessages", "2")]), Status::Warning, "2 messages in the dead-letter queue")]
    #[case(QueueRole::Updates, good(true, &[], &[("MessageRetentionPeriod", "345600")]), Status::Warning, "for 4d only")]
    #[case(QueueRole::Events, good(false, &[("Policy", "")], &[]), Status::Warning, "does not let EventBridge")]
    #[case(QueueRole::Events, good(false, &[("KmsMasterKeyId", "alias/aws/sqs")], &[]), Status::Failed, "which EventBridge may not use")]
    fn what_is_wrong_is_found(
        #[case] role: QueueRole,
        #[case] queue: QueueFacts,
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let findings = judged(role, Ok(queue));
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.status, status);
        assert!(finding.found.contains(found), "{finding:?}");
        assert!(finding.fix.is_some());
    }

    #[rstest]
    #[case("us-east-1", "there is no queue crew-updates.fifo")]
    #[case("eu-west-1", "is in us-east-1, and groundcrew calls eu-west-1")]
    fn a_missing_queue_may_be_in_another_region(#[case] region: &str, #[case] found: &str) {
        let config = Config::parse("c", &format!("[aws]\nregion = \"{region}\"")).unwrap();
        let read_failure = ReadFailure {
            action: "sqs:GetQueueAttributes".into(),
            reason: ReadFailureReason::Absent,
            message: String::new(),
        };
        let findings = queue(&config, QueueRole::Updates, Some(URL), Some(&Err(read_failure)));
        assert!(findings[0].found.contains(found), "{findings:?}");
    }

    #[test]
    fn a_slow_notifier_needs_a_long_visibility() {
        let config = Config::parse(
            "c",
            "[[notifiers]]\nplugin = \"ams-case\"\nlimits = { timeout = \"5m\" }",
        )
        .unwrap();
        let found = Ok(good(true, &[], &[]));
        let findings = queue(&config, QueueRole::Notifications, Some(URL), Some(&found));
        assert!(findings[0].fix.as_ref().unwrap().contains("at least 330"), "{findings:?}");
    }

    /// EventBridge sends into a FIFO queue if the rule's target has a message group.
    #[rstest]
    #[case(&[], &[], &[Status::Ok, Status::Ok])]
    #[case(&[("ContentBasedDeduplication", "true")], &[], &[Status::Ok, Status::Ok])]
    #[case(&[("RedrivePolicy", "")], &[], &[Status::Failed, Status::Ok])]
    #[case(&[("Policy", "")], &[], &[Status::Warning, Status::Ok])]
    #[case(&[], &[("FifoQueue", "false")], &[Status::Failed, Status::Ok])]
    fn events_may_come_through_a_fifo_queue(
        #[case] changed: &[(&str, &str)],
        #[case] dead: &[(&str, &str)],
        #[case] expected: &[Status],
    ) {
        let findings = judged(QueueRole::Events, Ok(good(true, changed, dead)));
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(statuses, expected, "{findings:?}");
        let note = findings.last().unwrap();
        assert!(note.found.contains("target needs a MessageGroupId"), "{note:?}");
        for finding in &findings {
            let fix = finding.fix.as_deref().unwrap_or_default();
            assert!(!fix.contains("a queue for them"), "{finding:?}");
        }
    }

    #[test]
    fn no_queue_is_no_problem() {
        let findings = queue(&Config::parse("c", "").unwrap(), QueueRole::Events, None, None);
        assert_eq!(findings[0].status, Status::NotConfigured);
    }
}
