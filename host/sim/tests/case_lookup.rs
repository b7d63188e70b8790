//! The host searches for a case before it opens one. The cost of a search does not grow with the
//! number of existing cases.

mod common;

use std::time::Duration;

use common::{Setup, run};
use groundcrew_aws::AwsSupport;
use groundcrew_core::account::AccountId;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::SupportCases as _;
use groundcrew_core::support_case::SupportCase;

fn case() -> SupportCase {
    SupportCase {
        subject: "A new account".into(),
        body: "Please onboard it.".into(),
        service_code: "service-ams-operations-service-request".into(),
        category_code: "other".into(),
        severity_code: "normal".into(),
        cc_email_addresses: vec![],
        language: "en".into(),
        issue_type: "customer-service".into(),
    }
}

fn key(number: usize) -> NotificationKey {
    let account: AccountId = format!("{number:012}").parse().unwrap();
    NotificationKey::for_onboarding(&account, "ams")
}

#[test]
fn five_hundred_accounts_after_a_thousand_cases() {
    run(async {
        let setup = Setup::of(1);
        let before = AwsSupport::new(setup.clients.support.clone());
        for number in 0..1000 {
            before.open(&key(number), &case()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3600)).await;
        // Another host, or the same one after a restart: it reads the four weeks once.
        let support = AwsSupport::new(setup.clients.support.clone());
        let looks = || setup.sim.calls()["DescribeCases"];
        let already = looks();
        for number in 1000..1500 {
            support.open(&key(number), &case()).await.unwrap();
        }
        let calls = looks() - already;
        assert_eq!(setup.sim.cases().len(), 1500);
        assert!((500..500 * 4).contains(&calls), "{calls}");
        // A case in the cache is found without a search, whichever host opened it.
        let already = looks();
        for number in (0..1000).step_by(50) {
            support.open(&key(number), &case()).await.unwrap();
        }
        assert_eq!((looks() - already, setup.sim.cases().len()), (0, 1500));
    });
}

/// A host finds a case that another host has opened meanwhile, even if the case is listed only
/// minutes later.
#[test]
fn cases_of_another_host() {
    run(async {
        let setup = Setup::of(1);
        setup.sim.set_case_delay(Duration::from_secs(300));
        let hosts = [(); 2].map(|()| AwsSupport::new(setup.clients.support.clone()));
        for number in 0..20 {
            let id = hosts[number % 2].open(&key(number), &case()).await.unwrap();
            // The other host searches before the case is listed.
            hosts[(number + 1) % 2].open(&key(1000 + number), &case()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(301)).await;
            assert_eq!(hosts[(number + 1) % 2].open(&key(number), &case()).await, Ok(id));
        }
        assert_eq!(setup.sim.cases().len(), 40);
    });
}
