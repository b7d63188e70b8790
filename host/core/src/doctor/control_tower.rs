//! Control Tower: its home Region, its landing zone, the OUs that it governs, and Identity Center.

use super::facts::LandingZoneDetail;
use super::{Check, Fact, Finding, IdentityCenter, LandingZoneFacts, UnitFacts, count, list};
use crate::config::Config;
use crate::parameters::ParameterSource;

/// The number of OUs that are named; the others are only counted.
const NAMED: usize = 4;

pub(super) fn home_region(config: &Config, zone: &Fact<Option<LandingZoneFacts>>) -> Finding {
    const CHECK: Check = Check::HomeRegion;
    let region = &config.region;
    let zone = match zone {
        Ok(Some(zone)) => zone,
        Ok(None) => {
            return Finding::failed(
                CHECK,
                format!("Control Tower shows no landing zone in {region}"),
                "set aws.region to Control Tower's home Region, and run in its management account",
            );
        }
        Err(read_failure) => return read_failure.optional_finding(CHECK),
    };
    // arn:aws:controltower:REGION:ACCOUNT:landingzone/ID
    match zone.arn.split(':').nth(3) {
        Some(home) if home != region => Finding::failed(
            CHECK,
            format!("Control Tower's home Region is {home}, and the config has {region}"),
            format!("set aws.region = \"{home}\""),
        ),
        _ => Finding::ok(CHECK, format!("{region} is Control Tower's")),
    }
}

pub(super) fn landing_zone(zone: &Fact<Option<LandingZoneFacts>>) -> Vec<Finding> {
    const CHECK: Check = Check::LandingZone;
    let detail = match zone {
        Ok(Some(zone)) => &zone.detail,
        Ok(None) => {
            return vec![Finding::failed(
                CHECK,
                "there is none here",
                "see the home Region; where Control Tower was never set up, set it up first",
            )];
        }
        Err(read_failure) => return vec![read_failure.optional_finding(CHECK)],
    };
    let detail = match detail {
        Ok(detail) => detail,
        Err(read_failure) => return vec![read_failure.optional_finding(CHECK)],
    };
    let version = match &detail.latest_version {
        Some(latest) if *latest != detail.version => {
            format!("version {}, and {latest} is available", detail.version)
        }
        _ => format!("version {}", detail.version),
    };
    let mut findings = match detail.status.as_deref() {
        Some("PROCESSING") => vec![Finding::warning(
            CHECK,
            format!("{version}; it is being set up or updated"),
            "wait until that has ended: accounts can't be updated meanwhile",
        )],
        Some("FAILED") => vec![Finding::failed(
            CHECK,
            format!("{version}; setting it up or updating it has failed"),
            "open the landing zone's settings in the Control Tower console, and repair or update \
             it: accounts can't be updated before",
        )],
        Some(status) => vec![Finding::ok(CHECK, format!("{version}, {status}"))],
        None => vec![Finding::ok(CHECK, version)],
    };
    if detail.drifted {
        findings.push(Finding::warning(
            CHECK,
            "it has drifted: what Control Tower set up was changed by others",
            "see what has drifted in the Control Tower console, and reset the landing zone",
        ));
    }
    findings
}

pub(super) fn units(
    zone: &Fact<Option<LandingZoneFacts>>,
    units: &Option<Fact<UnitFacts>>,
) -> Finding {
    const CHECK: Check = Check::OrganizationalUnits;
    let units = match units {
        Some(Ok(units)) => units,
        // Every sweep lists accounts, but only the doctor lists baselines.
        Some(Err(read_failure)) if read_failure.action.starts_with("controltower:") => {
            return read_failure.optional_finding(CHECK);
        }
        Some(Err(read_failure)) => return read_failure.required_finding(CHECK),
        None => {
            return Finding::unknown(
                CHECK,
                "enrolled accounts can't be found without the product",
                "see the product",
            );
        }
    };
    if units.enrolled.is_empty() && units.under_root == 0 {
        return Finding::ok(CHECK, "no account is enrolled yet");
    }
    if units.registered.is_empty() {
        return Finding::unknown(
            CHECK,
            format!(
                "{} with enrolled accounts, but Control Tower lists no OU that has \
                 AWSControlTowerBaseline",
                count(units.enrolled.len(), "OU")
            ),
            "look in the Control Tower console whether the OUs are registered",
        );
    }
    // This OU is governed with the landing zone, and has no baseline of its own.
    let security = detail(zone).and_then(|detail| detail.security_unit.as_ref());
    let left: Vec<(&str, String, usize)> = units
        .enrolled
        .iter()
        .filter(|(id, _)| !units.registered.contains(*id))
        .filter(|(_, (names, _))| {
            security.is_none_or(|security| names != std::slice::from_ref(security))
        })
        .map(|(id, (names, accounts))| (id.as_str(), names.join("/"), *accounts))
        .collect();
    let mut wrong: Vec<String> = left
        .iter()
        .take(NAMED)
        .map(|(id, name, accounts)| format!("{name} ({id}, {})", count(*accounts, "account")))
        .collect();
    if left.len() > NAMED {
        wrong.push(format!("{} more", left.len() - NAMED));
    }
    if units.under_root > 0 {
        wrong.push(format!("the root ({})", count(units.under_root, "account")));
    }
    if wrong.is_empty() {
        let accounts = units.enrolled.values().map(|(_, accounts)| accounts).sum();
        let ous = count(units.enrolled.len(), "registered OU");
        return Finding::ok(CHECK, format!("{} in {ous}", count(accounts, "enrolled account")));
    }
    Finding::warning(
        CHECK,
        format!("enrolled accounts sit where no OU is registered: {}", list(&wrong)),
        "register these OUs in the Control Tower console, or move the accounts into registered \
         ones: an update fails where the OU is not enrolled in Control Tower",
    )
}

pub(super) fn identity_center(
    config: &Config,
    zone: &Fact<Option<LandingZoneFacts>>,
    instances: &Fact<Vec<IdentityCenter>>,
) -> Finding {
    const CHECK: Check = Check::IdentityCenter;
    let factory = &config.account_factory;
    // If users are not looked up, only Account Factory uses it.
    let needed =
        factory.parameters == ParameterSource::Rebuild && config.queues.updates_url.is_some();
    if detail(zone).and_then(|detail| detail.identity_center) == Some(false) {
        let found = "the landing zone leaves access to others (accessManagement is off)";
        return match needed {
            // Account Factory then ignores the parameters of the user.
            true => Finding::warning(
                CHECK,
                format!("{found}, but updates look for the user of each account"),
                "set account_factory.parameters = \"previous\"",
            ),
            false => Finding::not_configured(CHECK, found),
        };
    }
    let instances = match instances {
        Ok(instances) => instances,
        Err(read_failure) if needed => return read_failure.required_finding(CHECK),
        Err(read_failure) => return read_failure.optional_finding(CHECK),
    };
    let region = &factory.identity_center_region;
    match instances.iter().find(|instance| instance.status.as_deref() != Some("CREATE_FAILED")) {
        None if needed => Finding::failed(
            CHECK,
            format!("no instance in {region}, where updates look for the user of each account"),
            "set account_factory.identity_center_region to the Region in which it is enabled",
        ),
        None => Finding::warning(
            CHECK,
            format!("no instance in {region}"),
            "set account_factory.identity_center_region to the Region in which it is enabled: \
             Account Factory gives people access through the organization's instance",
        ),
        Some(IdentityCenter { status: Some(status), .. }) if status != "ACTIVE" => {
            Finding::warning(
                CHECK,
                format!("its instance is {status}"),
                "wait until it is ACTIVE: Account Factory gives people access through it",
            )
        }
        Some(instance) => Finding::ok(CHECK, format!("identity store {}", instance.identity_store)),
    }
}

fn detail(zone: &Fact<Option<LandingZoneFacts>>) -> Option<&LandingZoneDetail> {
    zone.as_ref().ok()?.as_ref()?.detail.as_ref().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use rstest::rstest;

    fn zone(region: &str, detail: LandingZoneDetail) -> Fact<Option<LandingZoneFacts>> {
        let arn = format!("arn:aws:controltower:{region}:111122223333:landingzone/1A2B");
        Ok(Some(LandingZoneFacts { arn, detail: Ok(detail) }))
    }

    fn in_status(status: &str) -> LandingZoneDetail {
        LandingZoneDetail {
            version: "3.2".into(),
            status: Some(status.into()),
            ..LandingZoneDetail::default()
        }
    }

    #[rstest]
    #[case(zone("us-east-1", in_status("ACTIVE")), Status::Ok, "us-east-1 is Control Tower's")]
    #[case(zone("eu-west-1", in_status("ACTIVE")), Status::Failed, "home Region is eu-west-1")]
    #[case(Ok(None), Status::Failed, "no landing zone in us-east-1")]
    fn the_home_region_is_the_landing_zones(
        #[case] zone: Fact<Option<LandingZoneFacts>>,
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let finding = home_region(&Config::parse("c", "").unwrap(), &zone);
        assert_eq!(finding.status, status);
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[rstest]
    #[case(in_status("ACTIVE"), &[Status::Ok])]
    #[case(in_status("PROCESSING"), &[Status::Warning])]
    #[case(in_status("FAILED"), &[Status::Failed])]
    #[case(LandingZoneDetail { drifted: true, ..in_status("ACTIVE") }, &[Status::Ok, Status::Warning])]
    fn a_landing_zone_is_judged_by_its_status_and_drift(
        #[case] detail: LandingZoneDetail,
        #[case] expected: &[Status],
    ) {
        let findings = landing_zone(&zone("us-east-1", detail));
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(statuses, expected);
    }

    #[test]
    fn a_newer_version_is_mentioned() {
        let detail =
            LandingZoneDetail { latest_version: Some("3.3".into()), ..in_status("ACTIVE") };
        let found = &landing_zone(&zone("us-east-1", detail))[0].found;
        assert_eq!(found, "version 3.2, and 3.3 is available, ACTIVE");
    }

    fn of(registered: &[&str], enrolled: &[(&str, &str, usize)], under_root: usize) -> UnitFacts {
        UnitFacts {
            registered: registered.iter().map(|id| (*id).to_owned()).collect(),
            enrolled: enrolled
                .iter()
                .map(|(id, path, accounts)| {
                    let names = path.split('/').map(str::to_owned).collect();
                    ((*id).to_owned(), (names, *accounts))
                })
                .collect(),
            under_root,
        }
    }

    #[rstest]
    #[case(of(&["a"], &[("a", "Prod", 2)], 0), Status::Ok, "2 enrolled accounts in 1 registered OU")]
    #[case(of(&["a"], &[("a", "Prod", 2), ("b", "Work/Test", 1)], 0), Status::Warning, ": Work/Test (b, 1 account)")]
    #[case(of(&["a"], &[("a", "Prod", 2), ("s", "Security", 2)], 0), Status::Ok, "4 enrolled accounts")]
    #[case(of(&["a"], &[("a", "Prod", 2)], 1), Status::Warning, ": the root (1 account)")]
    #[case(of(&["a"], &[("b", "B", 1), ("c", "C", 1), ("d", "D", 1), ("e", "E", 1), ("f", "F", 1)], 0), Status::Warning, "E (e, 1 account) and 1 more")]
    #[case(of(&[], &[("a", "Prod", 2)], 0), Status::Unknown, "1 OU with enrolled accounts")]
    #[case(of(&[], &[], 0), Status::Ok, "no account is enrolled yet")]
    fn units_of_enrolled_accounts_are_registered(
        #[case] read: UnitFacts,
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let detail =
            LandingZoneDetail { security_unit: Some("Security".into()), ..in_status("ACTIVE") };
        let finding = units(&zone("us-east-1", detail), &Some(Ok(read)));
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[rstest]
    #[case(Some(true), &["ACTIVE"], Status::Ok)]
    #[case(None, &["ACTIVE"], Status::Ok)]
    #[case(None, &["CREATE_IN_PROGRESS"], Status::Warning)]
    #[case(Some(true), &[], Status::Warning)]
    #[case(Some(false), &[], Status::NotConfigured)]
    fn identity_center_is_wanted_where_the_landing_zone_uses_it(
        #[case] wanted: Option<bool>,
        #[case] instances: &[&str],
        #[case] status: Status,
    ) {
        assert_eq!(of_instances("", wanted, instances).status, status);
    }

    #[rstest]
    #[case::found("rebuild", Some(true), &["ACTIVE"], Status::Ok, "identity store d-")]
    #[case::elsewhere("rebuild", Some(true), &[], Status::Failed, "no instance in eu-west-2")]
    #[case::optional_finding("previous", Some(true), &[], Status::Warning, "no instance in eu-west-2")]
    #[case::unused("rebuild", Some(false), &[], Status::Warning, "leaves access to others")]
    #[case::unused_and_not_needed("previous", Some(false), &[], Status::NotConfigured, "others")]
    fn updates_need_identity_center_to_rebuild_parameters(
        #[case] parameters: &str,
        #[case] wanted: Option<bool>,
        #[case] instances: &[&str],
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let config = format!(
            "[account_factory]\nparameters = \"{parameters}\"\n\
             identity_center_region = \"eu-west-2\"\n\
             [queues]\nupdates_url = \"https://sqs.us-east-1.amazonaws.com/1/u.fifo\"\n"
        );
        let finding = of_instances(&config, wanted, instances);
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }

    fn of_instances(config: &str, wanted: Option<bool>, instances: &[&str]) -> Finding {
        let detail = LandingZoneDetail { identity_center: wanted, ..in_status("ACTIVE") };
        let instances = instances
            .iter()
            .map(|status| IdentityCenter {
                identity_store: "d-1234567890".into(),
                status: Some((*status).to_owned()),
                owner: None,
            })
            .collect();
        let config = Config::parse("c", config).unwrap();
        identity_center(&config, &zone("us-east-1", detail), &Ok(instances))
    }
}
