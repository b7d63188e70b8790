//! Responses that do not come from AWS, such as the pages of proxies: the call is retried, as after
//! an error of the service, and the error describes the response.

mod common;

use common::{Setup, run};
use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::ports::{AccountDirectory as _, Alert, Alerts as _, Catalog as _};
use groundcrew_sim::Fault;
use rstest::rstest;

#[rstest]
#[case::page_with_200(Fault::MalformedResponse { status: 200, takes_effect: false })]
#[case::proxy(Fault::MalformedResponse { status: 407, takes_effect: false })]
fn one_is_called_over(#[case] fault: Fault) {
    run(async {
        let setup = Setup::of(25);
        setup.sim.inject_fault("ListAccounts", fault);
        setup.sim.inject_fault("DescribeProductAsAdmin", fault);
        setup.sim.inject_fault("Publish", fault);
        let mut accounts = 0;
        let mut next = None;
        loop {
            let page = setup.directory.accounts(next.as_deref()).await.unwrap();
            accounts += page.items.len();
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(accounts, 25);
        setup.catalog.account_factory().await.unwrap();
        let alert = Alert { subject: "a".into(), message: "b".into() };
        setup.alerts.publish(&alert).await.unwrap();
        assert_eq!(setup.sim.alerts().len(), 1);
    });
}

#[rstest]
#[case::page_with_200(
    Fault::MalformedResponse { status: 200, takes_effect: false },
    "status 200, text/html; charset=utf-8, it begins with `<html>"
)]
#[case::proxy(
    Fault::MalformedResponse { status: 407, takes_effect: false },
    "status 407, text/html; charset=utf-8, it begins with `<html>"
)]
fn many_are_told_as_what_they_are(#[case] fault: Fault, #[case] expected: &str) {
    run(async {
        let setup = Setup::of(1);
        (0..100).for_each(|_| setup.sim.inject_fault("DescribeProductAsAdmin", fault));
        let error = setup.catalog.account_factory().await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, ""));
        assert!(error.message.contains(expected), "{error}");
        assert!(error.message.contains("look for a proxy"), "{error}");
    });
}
