//! The support plan. Notifiers that open cases need it.

use std::collections::BTreeSet;

use super::{Check, Fact, Finding, list};
use crate::config::Config;

pub(super) fn support(config: &Config, offered: Option<&Fact<BTreeSet<String>>>) -> Vec<Finding> {
    const CHECK: Check = Check::Support;
    let Some(offered) = offered else {
        return vec![Finding::not_configured(CHECK, "no notifier opens support cases")];
    };
    let offered = match offered {
        Ok(offered) => offered,
        Err(read_failure) => {
            return vec![match read_failure.reason {
                super::ReadFailureReason::NoSupportPlan => read_failure.required_finding(CHECK),
                _ => read_failure.optional_finding(CHECK),
            }];
        }
    };
    let granted = granted_service_codes(config);
    let missing: Vec<&String> = granted.difference(offered).collect();
    match missing.is_empty() {
        true => {
            let codes: Vec<&String> = granted.iter().collect();
            vec![Finding::ok(CHECK, format!("it offers {}", list(&codes)))]
        }
        false => vec![Finding::warning(
            CHECK,
            format!("AWS Support does not offer {} to this account", list(&missing)),
            "have the account onboarded to the service that takes such cases, or grant and set a \
             code that `aws support describe-services` lists",
        )],
    }
}

/// The service codes that any notifier may open cases for.
pub fn granted_service_codes(config: &Config) -> BTreeSet<String> {
    let grants = config.notifiers.iter().map(|notifier| &notifier.grants.support_cases);
    grants.flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ReadFailure, ReadFailureReason, Status};
    use super::*;
    use rstest::rstest;

    const CODE: &str = "service-ams-operations-service-request";

    fn judged(offered: Option<Fact<BTreeSet<String>>>) -> Finding {
        let config = Config::parse("c", "[[notifiers]]\nplugin = \"ams-case\"").unwrap();
        support(&config, offered.as_ref()).remove(0)
    }

    fn read_failure(reason: ReadFailureReason) -> Fact<BTreeSet<String>> {
        Err(ReadFailure { action: "support:DescribeServices".into(), reason, message: "no".into() })
    }

    #[rstest]
    #[case(Some(Ok(BTreeSet::from([CODE.to_owned()]))), Status::Ok)]
    #[case(Some(Ok(BTreeSet::new())), Status::Warning)]
    #[case(Some(read_failure(ReadFailureReason::NoSupportPlan)), Status::Failed)]
    #[case(Some(read_failure(ReadFailureReason::Denied)), Status::Unknown)]
    #[case(None, Status::NotConfigured)]
    fn a_plan_is_needed_for_cases(
        #[case] offered: Option<Fact<BTreeSet<String>>>,
        #[case] status: Status,
    ) {
        let finding = judged(offered);
        assert_eq!(finding.status, status, "{finding:?}");
    }
}
