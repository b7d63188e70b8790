//! The rules of a plan in words, for people who compare two plans. Uses only the config and the
//! digests of its policies; reads nothing.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use groundcrew_core::config::{CauseAction, Config, PolicyConfig, PolicyMode};
use groundcrew_core::scheduler::WhenHeld;
use groundcrew_core::update_need::Causes;
use sha2::{Digest, Sha256};

use crate::formatting::format_duration;

/// Shown hexadecimal digits of a digest.
const DIGITS: usize = 12;

/// A policy that is evaluated for updates.
pub struct PolicyRules<'p> {
    pub config: &'p PolicyConfig,
    /// SHA-256 of its component or script.
    pub digest: &'p str,
    /// Its settings, as JSON.
    pub settings: &'p str,
}

/// Each rule by its subject, in the words of the config.
pub fn describe_rules(config: &Config, policies: &[PolicyRules<'_>]) -> BTreeMap<String, String> {
    let updates = &config.updates;
    let names: Vec<&str> =
        policies.iter().map(|policy| policy.config.plugin_config.name.as_str()).collect();
    let mut rules = BTreeMap::from([
        ("lanes".to_owned(), config.lane_names().join(", ")),
        ("policies".to_owned(), names.join(", ")),
        (
            "updates.max_concurrent_operations".to_owned(),
            updates.max_concurrent_operations.to_string(),
        ),
        ("updates.account_quota".to_owned(), updates.account_quota.to_string()),
        ("updates.reserve".to_owned(), updates.reserve.to_string()),
        ("updates.default".to_owned(), updates.default.to_string()),
    ]);
    let Causes { moved, landing_zone, tainted, error } = updates.causes;
    let causes = [
        ("updates.on_moved", moved),
        ("updates.on_landing_zone", landing_zone),
        ("updates.on_tainted", tainted),
        ("updates.on_error", error),
    ];
    for (key, is_cause) in causes {
        rules.insert(key.to_owned(), CauseAction::from(is_cause).to_string());
    }
    if let Some(limit) = updates.per_ou_limit {
        rules.insert("updates.per_ou_limit".to_owned(), limit.to_string());
    }
    for lane in &config.lanes {
        let mut text = format!("concurrency {}, start_when {}", lane.concurrency, lane.start_when);
        if lane.held != WhenHeld::Wait {
            text += &format!(", held {}", lane.held);
        }
        if !lane.soak.is_zero() {
            text += &format!(", soak {}", format_duration(lane.soak));
        }
        if let Some(failures) = lane.failure_threshold {
            text += &format!(", failure_threshold {failures}");
        }
        rules.insert(format!("lane {}", lane.name), text);
    }
    for policy in policies {
        let mode = match policy.config.mode {
            PolicyMode::Enforce => "",
            PolicyMode::Monitor => ", mode monitor",
        };
        let on_failure = policy.config.on_failure;
        let on_failure = on_failure.map_or(String::new(), |what| format!(", on_failure {what}"));
        let text = format!(
            "sha256 {}, settings {}{mode}{on_failure}",
            first_digits(policy.digest),
            first_digits(&HEXLOWER.encode(&Sha256::digest(policy.settings)))
        );
        rules.insert(format!("policy {}", policy.config.plugin_config.name), text);
    }
    rules
}

fn first_digits(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::plan_id::{RuleChange, rule_changes};
    use rstest::rstest;

    const BEFORE: &str = r#"
[updates]
approval = "required"
[[lanes]]
name = "canary"
[[lanes]]
name = "production"
start_when = "succeeded"
soak = "1h"
failure_threshold = 3
[[policies]]
name = "rings"
plugin = "managed-tag"
"#;

    fn rules(text: &str, digest: &str, settings: &str) -> BTreeMap<String, String> {
        let config = Config::parse("crew.toml", text).unwrap();
        let policies: Vec<PolicyRules<'_>> =
            config.policies.iter().map(|config| PolicyRules { config, digest, settings }).collect();
        describe_rules(&config, &policies)
    }

    #[test]
    fn rules_are_in_the_words_of_the_config() {
        let digest = "9cff9ce22143b2c909de85acbb6333bbc00befe55b10f6c2e5e83d409820e5f2";
        let rules = rules(BEFORE, digest, "{}");
        let lines: Vec<String> = rules.iter().map(|(about, is)| format!("{about}: {is}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        lane canary: concurrency 4, start_when drained
        lane production: concurrency 4, start_when succeeded, soak 01:00:00, failure_threshold 3
        lanes: canary, production
        policies: rings
        policy rings: sha256 9cff9ce22143, settings 44136fa355b3
        updates.account_quota: 5
        updates.default: proceed
        updates.max_concurrent_operations: 4
        updates.on_error: skip
        updates.on_landing_zone: update
        updates.on_moved: update
        updates.on_tainted: update
        updates.reserve: 0
        ");
    }

    /// Every change that makes another plan is shown.
    #[rstest]
    #[case("soak = \"1h\"", "soak = \"2h\"", "lane production")]
    #[case("failure_threshold = 3", "failure_threshold = 4", "lane production")]
    #[case("start_when = \"succeeded\"", "", "lane production")]
    #[case("soak = \"1h\"", "soak = \"1h\"\nheld = \"pass\"", "lane production")]
    #[case("name = \"canary\"", "name = \"canary\"\nconcurrency = 1", "lane canary")]
    #[case("plugin =", "mode = \"monitor\"\nplugin =", "policy rings")]
    #[case("plugin =", "on_failure = \"proceed\"\nplugin =", "policy rings")]
    #[case("[updates]", "[updates]\nreserve = 1", "updates.reserve")]
    #[case("[updates]", "[updates]\ndefault = \"skip\"", "updates.default")]
    #[case("[updates]", "[updates]\non_error = \"update\"", "updates.on_error")]
    #[case(
        "[updates]",
        "[updates]\nmax_concurrent_operations = 2",
        "updates.max_concurrent_operations"
    )]
    #[case("[updates]", "[updates]\nper_ou_limit = 2", "updates.per_ou_limit")]
    fn what_is_changed_is_seen(#[case] text: &str, #[case] instead: &str, #[case] about: &str) {
        assert!(BEFORE.contains(text));
        let (before, now) =
            (rules(BEFORE, "a", "{}"), rules(&BEFORE.replacen(text, instead, 1), "a", "{}"));
        let changes = rule_changes(&before, &now);
        let named = changes.iter().any(|change| match change {
            RuleChange::Added { about: named, .. }
            | RuleChange::Removed { about: named }
            | RuleChange::Changed { about: named, .. } => *named == about,
        });
        assert!(named, "{changes:?}");
    }

    #[test]
    fn another_script_and_other_settings_are_seen() {
        let before = rules(BEFORE, "a", "{}");
        for now in [rules(BEFORE, "b", "{}"), rules(BEFORE, "a", "{\"a\":1}")] {
            let changes = rule_changes(&before, &now);
            assert!(
                matches!(changes[..], [RuleChange::Changed { about: "policy rings", .. }]),
                "{changes:?}"
            );
        }
    }
}
