//! The alerts topic, and whether it has subscribers.

use std::collections::BTreeMap;

use super::{Check, Fact, Finding, ReadFailureReason, count};
use crate::config::Config;

pub(super) fn topic(
    config: &Config,
    attributes: Option<&Fact<BTreeMap<String, String>>>,
) -> Vec<Finding> {
    const CHECK: Check = Check::Topic;
    let (Some(arn), Some(attributes)) = (&config.alerts_topic, attributes) else {
        return vec![Finding::not_configured(
            CHECK,
            "alerts.topic_arn is not set: alerts go into the log alone",
        )];
    };
    // arn:aws:sns:REGION:ACCOUNT:NAME
    let mut parts = arn.split(':').skip(3);
    let (region, name) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or(arn));
    let mut findings = Vec::new();
    if region != config.region {
        return vec![Finding::failed(
            CHECK,
            format!("{name} is in {region}, and groundcrew publishes in {}", config.region),
            format!("set alerts.topic_arn to a topic in {}", config.region),
        )];
    }
    if name.ends_with(".fifo") {
        findings.push(Finding::failed(
            CHECK,
            format!("{name} is a FIFO topic, which takes no alerts"),
            "set alerts.topic_arn to a standard topic",
        ));
    }
    let attributes = match attributes {
        Ok(attributes) => attributes,
        Err(read_failure) => {
            findings.push(match read_failure.reason {
                ReadFailureReason::Absent => Finding::failed(
                    CHECK,
                    format!("there is no topic {name} in {region}"),
                    "make it, or set alerts.topic_arn to one that is there",
                ),
                _ => read_failure.optional_finding(CHECK),
            });
            return findings;
        }
    };
    let number = |name: &str| -> usize {
        attributes.get(name).and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let (confirmed, pending) = (number("SubscriptionsConfirmed"), number("SubscriptionsPending"));
    let waiting = match pending {
        0 => String::new(),
        _ => format!(" ({} not confirmed)", count(pending, "subscription")),
    };
    if confirmed == 0 {
        findings.push(Finding::warning(
            CHECK,
            format!("no confirmed subscription to {name}{waiting}"),
            "subscribe those who are on call, and have them confirm",
        ));
    }
    if findings.is_empty() {
        let heard = count(confirmed, "confirmed subscription");
        findings.push(Finding::ok(CHECK, format!("{name}, {heard}{waiting}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{ReadFailure, Status};
    use super::*;
    use rstest::rstest;

    const ARN: &str = "arn:aws:sns:us-east-1:111122223333:alerts";

    fn judged(arn: &str, attributes: Fact<BTreeMap<String, String>>) -> Finding {
        let config = Config::parse("c", &format!("[alerts]\ntopic_arn = \"{arn}\"")).unwrap();
        topic(&config, Some(&attributes)).remove(0)
    }

    fn subscriptions(confirmed: &str, pending: &str) -> Fact<BTreeMap<String, String>> {
        Ok(BTreeMap::from([
            ("SubscriptionsConfirmed".to_owned(), confirmed.to_owned()),
            ("SubscriptionsPending".to_owned(), pending.to_owned()),
        ]))
    }

    #[rstest]
    #[case(ARN, "2", "0", Status::Ok, "alerts, 2 confirmed subscriptions")]
    #[case(ARN, "0", "0", Status::Warning, "no confirmed subscription to alerts")]
    #[case(
        ARN,
        "0",
        "1",
        Status::Warning,
        "no confirmed subscription to alerts (1 subscription \
                                            not confirmed)"
    )]
    #[case(
        "arn:aws:sns:eu-west-1:111122223333:alerts",
        "1",
        "0",
        Status::Failed,
        "is in eu-west-1"
    )]
    fn a_topic_is_heard(
        #[case] arn: &str,
        #[case] confirmed: &str,
        #[case] pending: &str,
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let finding = judged(arn, subscriptions(confirmed, pending));
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[rstest]
    #[case(ReadFailureReason::Absent, Status::Failed)]
    #[case(ReadFailureReason::Denied, Status::Unknown)]
    fn a_topic_may_be_unreadable(#[case] reason: ReadFailureReason, #[case] status: Status) {
        let read_failure =
            ReadFailure { action: "sns:GetTopicAttributes".into(), reason, message: "no".into() };
        assert_eq!(judged(ARN, Err(read_failure)).status, status);
    }

    #[test]
    fn without_a_topic_there_is_the_log() {
        let finding = topic(&Config::parse("c", "").unwrap(), None).remove(0);
        assert_eq!(finding.status, Status::NotConfigured);
    }
}
