//! Service Catalog through the adapter: listing, updating, refusing.

mod common;

use std::time::Duration;

use aws_sdk_servicecatalog::types::ProvisionedProductViewFilterBy;
use common::{Setup, run};
use groundcrew_aws::LaunchPathSelector;
use groundcrew_core::aws_error::ErrorClass;
use groundcrew_core::catalog::{
    AccountFactory, LaunchPathId, ProductStatus, ProvisionedProduct, RecordStatus, UpdateRequest,
};
use groundcrew_core::parameters::{AccountParameters, Parameters};
use groundcrew_core::ports::{Catalog, EventQueue};
use groundcrew_sim::{Fault, OperationOutcome, Snapshot, random_fleet};
use tokio::time::sleep;

async fn all_products(setup: &Setup, factory: &AccountFactory) -> (Vec<ProvisionedProduct>, usize) {
    let (mut products, mut next, mut empty) = (Vec::new(), None, 0);
    loop {
        let page =
            setup.catalog.provisioned_products(&factory.product, next.as_deref()).await.unwrap();
        empty += usize::from(page.items.is_empty());
        products.extend(page.items);
        next = page.next;
        if next.is_none() {
            return (products, empty);
        }
    }
}

async fn request(setup: &Setup, product: &ProvisionedProduct, token: &str) -> UpdateRequest {
    let factory = setup.catalog.account_factory().await.unwrap();
    UpdateRequest {
        provisioned_product: product.id.clone(),
        launch_path: setup.catalog.launch_path(&factory.product).await.unwrap(),
        product: factory.product,
        target: factory.target,
        parameters: Parameters::Previous,
        token: token.to_owned(),
    }
}

#[test]
fn a_listing_has_every_product_once_and_empty_pages_on_the_way() {
    run(async {
        let setup = Setup::of(950);
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, empty) = all_products(&setup, &factory).await;
        assert_eq!(products.len(), 950);
        assert_eq!(empty, 2);
        let mut accounts: Vec<_> = products.iter().map(|product| &product.account).collect();
        accounts.dedup();
        assert_eq!(accounts.len(), 950);
        assert!(products.iter().all(|product| product.status == ProductStatus::Available));
    });
}

#[test]
fn accounts_are_on_the_versions_of_the_snapshot_and_a_release_makes_all_outdated() {
    run(async {
        let mut snapshot = random_fleet(4, 0, 1);
        snapshot.accounts[2].outdated = false;
        let setup = Setup::new(snapshot, groundcrew_sim::FaultLevel::None, 1);
        let current = async || {
            let factory = setup.catalog.account_factory().await.unwrap();
            let (products, _) = all_products(&setup, &factory).await;
            let current = products.iter().map(|product| product.artifact == factory.target);
            let current: Vec<_> = current.collect();
            (factory.target, current)
        };
        let (before, are_current) = current().await;
        assert_eq!(are_current, [false, false, true, false]);
        assert_eq!(setup.sim.announce_artifact(), before.as_str());

        let released = setup.sim.release_artifact();
        let (after, are_current) = current().await;
        assert_eq!(after.as_str(), released);
        assert_ne!(before, after);
        assert_eq!(are_current, [false; 4]);

        // Each of the two artifacts has an event.
        let events = setup.events.receive(Duration::from_secs(20)).await.unwrap();
        let bodies: Vec<_> = events.iter().map(|event| event.body.as_str()).collect();
        assert_eq!(bodies.len(), 2);
        for (body, artifact) in bodies.into_iter().zip([before, after]) {
            assert!(body.contains(artifact.as_str()), "{body}");
            let event = groundcrew_core::event::Event::parse(body).unwrap();
            assert_eq!(event.update_trigger(), groundcrew_core::event::UpdateTrigger::Sweep);
        }
    });
}

#[test]
fn an_update_takes_its_time_and_ends_with_an_event() {
    run(async {
        let setup = Setup::of(3);
        setup.sim.announce_artifact();
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let record =
            setup.catalog.start_update(&request(&setup, &products[1], "one").await).await.unwrap();
        assert_eq!(
            setup.catalog.record(&products[1].id, &record).await.unwrap().status,
            RecordStatus::Created
        );
        assert_eq!(setup.catalog.under_change().await.unwrap().len(), 1);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            setup.catalog.record(&products[1].id, &record).await.unwrap().status,
            RecordStatus::InProgress
        );
        let product = setup.catalog.provisioned_product(&products[1].id).await.unwrap();
        assert_eq!(product.status, ProductStatus::UnderChange);
        assert_eq!(product.last_record.as_ref(), Some(&record));
        assert_ne!(product.artifact, factory.target);

        sleep(Duration::from_secs(1800)).await;
        let done = setup.catalog.record(&products[1].id, &record).await.unwrap();
        assert_eq!(done.status, RecordStatus::Succeeded);
        assert_eq!(done.artifact.as_ref(), Some(&factory.target));
        let product = setup.catalog.provisioned_product(&products[1].id).await.unwrap();
        assert_eq!(product.status, ProductStatus::Available);
        assert_eq!(product.artifact, factory.target);
        assert_eq!(product.last_successful_record.as_ref(), Some(&record));

        let log = setup.sim.operations();
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].outcome, Some(OperationOutcome::Succeeded));
        assert_eq!(log[0].record, record.as_str());
        let events = setup.events.receive(Duration::from_secs(20)).await.unwrap();
        let event = events
            .iter()
            .map(|event| groundcrew_core::event::Event::parse(&event.body).unwrap())
            .find(|event| event.name == "UpdateManagedAccount")
            .unwrap();
        assert_eq!(event.account.as_ref(), Some(&product.account));
    });
}

#[test]
fn the_quota_and_a_product_under_change_are_contention() {
    run(async {
        let setup = Setup::of(10);
        setup.sim.announce_artifact();
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        assert!(setup.sim.foreign_operation(&products[9].account, Duration::from_secs(60)));
        for (index, product) in products[..4].iter().enumerate() {
            let request = request(&setup, product, &format!("t{index}")).await;
            setup.catalog.start_update(&request).await.unwrap();
        }
        assert_eq!(setup.catalog.under_change().await.unwrap().len(), 5);
        for product in [&products[5], &products[0]] {
            let request = request(&setup, product, "other").await;
            let error = setup.catalog.start_update(&request).await.unwrap_err();
            assert_eq!(error.class, ErrorClass::Contention, "{error}");
            assert!(!error.effect_possible);
        }
        assert!(!setup.sim.foreign_operation(&products[6].account, Duration::from_secs(60)));
        assert_eq!(setup.sim.max_concurrent().own, 4);
        assert_eq!(setup.sim.max_concurrent().total, 5);
    });
}

#[test]
fn the_same_token_is_the_same_record() {
    run(async {
        let setup = Setup::of(3);
        setup.sim.announce_artifact();
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let request = request(&setup, &products[0], "token").await;
        let first = setup.catalog.start_update(&request).await.unwrap();
        let second = setup.catalog.start_update(&request).await.unwrap();
        sleep(Duration::from_secs(7200)).await;
        let third = setup.catalog.start_update(&request).await.unwrap();
        assert_eq!((&first, &first), (&second, &third));
        assert_eq!(setup.sim.operations().len(), 1);
    });
}

/// An update with an unknown email creates a user. An update with an unknown OU is rejected.
#[test]
fn an_unknown_user_is_created_and_an_unknown_unit_refused() {
    run(async {
        let setup = Setup::of(3);
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let given = |email: &str, unit: &str| {
            Parameters::Rebuilt(AccountParameters {
                account_email: "account@example.com".into(),
                account_name: "account".into(),
                organizational_unit: unit.into(),
                sso_user_email: email.into(),
                sso_user_first_name: "Ada".into(),
                sso_user_last_name: "Lovelace".into(),
            })
        };
        let before = setup.sim.parameters(&products[0].account);
        let (known, unit) = (&before["SSOUserEmail"], &before["ManagedOrganizationalUnit"]);
        let first = request(&setup, &products[0], "first").await;

        let nowhere = UpdateRequest { parameters: given(known, "Nowhere"), ..first.clone() };
        let error = setup.catalog.start_update(&nowhere).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{error}");
        assert!(setup.sim.operations().is_empty());

        let same_user = UpdateRequest { parameters: given(known, unit), ..first };
        let record = setup.catalog.start_update(&same_user).await.unwrap();
        assert!(setup.sim.created_users().is_empty());
        sleep(Duration::from_secs(7200)).await;
        let outputs = setup.catalog.outputs(&record).await.unwrap();
        assert_eq!(outputs["AccountEmail"], "account@example.com");
        assert_eq!(outputs["SSOUserEmail"], *known);

        let second = request(&setup, &products[1], "second").await;
        let unit = &setup.sim.parameters(&products[1].account)["ManagedOrganizationalUnit"];
        let new_user = UpdateRequest { parameters: given("ada@example.com", unit), ..second };
        setup.catalog.start_update(&new_user).await.unwrap();
        assert_eq!(setup.sim.created_users(), ["ada@example.com"]);
    });
}

#[test]
fn a_lost_reply_is_repaired_by_the_token() {
    run(async {
        let setup = Setup::of(3);
        setup.sim.announce_artifact();
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let request = request(&setup, &products[0], "token").await;
        // After one lost response the SDK itself retries.
        setup.sim.inject_fault("UpdateProvisionedProduct", Fault::ResponseLost);
        let record = setup.catalog.start_update(&request).await.unwrap();
        assert_eq!(setup.sim.calls()["UpdateProvisionedProduct"], 2);
        assert_eq!(setup.sim.operations().len(), 1);
        assert_eq!(setup.sim.operations()[0].record, record.as_str());
    });
}

#[test]
fn replies_lost_for_good_may_have_had_an_effect() {
    run(async {
        let setup = Setup::of(3);
        setup.sim.announce_artifact();
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let request = request(&setup, &products[0], "token").await;
        for _ in 0..6 {
            setup.sim.inject_fault("UpdateProvisionedProduct", Fault::ResponseLost);
        }
        let error = setup.catalog.start_update(&request).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        assert!(error.effect_possible);
        assert_eq!(error.code, "");
        assert_eq!(setup.sim.operations().len(), 1);
        let record = setup.catalog.start_update(&request).await.unwrap();
        assert_eq!(setup.sim.operations()[0].record, record.as_str());

        // The response of one attempt was lost, then the others were rejected: the effect of the
        // first is unknown.
        let other = UpdateRequest { token: "other".into(), ..request };
        setup.sim.inject_fault("UpdateProvisionedProduct", Fault::ConnectionFailed);
        let error = setup.catalog.start_update(&other).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Contention, "{error}");
        assert!(error.effect_possible);
    });
}

#[test]
fn a_hung_call_is_given_up_and_made_again() {
    run(async {
        let setup = Setup::of(3);
        let before = tokio::time::Instant::now();
        setup.sim.inject_fault("DescribeProductAsAdmin", Fault::Hung { takes_effect: false });
        setup.catalog.account_factory().await.unwrap();
        let took = before.elapsed();
        assert!((30..40).contains(&took.as_secs()), "{took:?}");
    });
}

#[test]
fn launch_paths_are_found_missed_or_to_be_chosen() {
    run(async {
        let setup = Setup::of(1);
        let product = setup.catalog.account_factory().await.unwrap().product;
        setup.catalog.launch_path(&product).await.unwrap();

        setup.sim.set_launch_paths(&[]);
        let error = setup.catalog.launch_path(&product).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::NotFound);
        assert!(error.message.contains("associate the role"), "{error}");

        let ours = setup.sim.portfolio_name();
        setup.sim.set_launch_paths(&[("lpv2-one", "Another"), ("lpv2-two", ours)]);
        assert_eq!(setup.catalog.launch_path(&product).await.unwrap().as_str(), "lpv2-two");

        setup.sim.set_launch_paths(&[("lpv2-one", ours), ("lpv2-two", ours)]);
        let error = setup.catalog.launch_path(&product).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::NotFound);
        assert!(error.message.contains("lpv2-one, lpv2-two"), "{error}");

        let chosen = groundcrew_aws::ServiceCatalog::new(
            setup.clients.service_catalog.clone(),
            setup.sim.product_name(),
            LaunchPathSelector::ById(LaunchPathId::new("lpv2-two")),
        );
        assert_eq!(chosen.launch_path(&product).await.unwrap().as_str(), "lpv2-two");
    });
}

#[test]
fn a_wrong_product_name_is_explained() {
    run(async {
        let setup = Setup::of(1);
        let catalog = groundcrew_aws::ServiceCatalog::new(
            setup.clients.service_catalog.clone(),
            "Account Factory",
            LaunchPathSelector::ByPortfolio(String::new()),
        );
        let error = catalog.account_factory().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::NotFound);
        assert!(error.message.contains("account_factory.product_name"), "{error}");
    });
}

#[test]
fn what_a_snapshot_has_under_change_ends() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"A","status":"UNDER_CHANGE","update_seconds":100},
            {"id":"111122223334","name":"B","status":"TAINTED"}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), groundcrew_sim::FaultLevel::None, 1);
        let factory = setup.catalog.account_factory().await.unwrap();
        let status = |products: &[ProvisionedProduct]| {
            products.iter().map(|product| product.status).collect::<Vec<_>>()
        };
        let (products, _) = all_products(&setup, &factory).await;
        assert_eq!(status(&products), [ProductStatus::UnderChange, ProductStatus::Tainted]);
        sleep(Duration::from_secs(100)).await;
        let (products, _) = all_products(&setup, &factory).await;
        assert_eq!(status(&products), [ProductStatus::Available, ProductStatus::Tainted]);
    });
}

#[test]
fn an_account_that_is_not_enrolled_has_no_product() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"A","enrolled":false,"status":"UNDER_CHANGE"},
            {"id":"111122223334","name":"B"},
            {"id":"111122223335","name":"C","enrolled":false}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), groundcrew_sim::FaultLevel::None, 1);
        let factory = setup.catalog.account_factory().await.unwrap();
        let (products, _) = all_products(&setup, &factory).await;
        let [product] = products.as_slice() else { panic!("{products:?}") };
        assert_eq!(product.account.as_str(), "111122223334");
        assert_eq!(setup.catalog.provisioned_product(&product.id).await.unwrap(), *product);
        assert_eq!(setup.catalog.under_change().await.unwrap().len(), 0);
        let account = "111122223333".parse().unwrap();
        assert!(!setup.sim.foreign_operation(&account, Duration::from_secs(1)));
    });
}

/// Each search field finds the products with that value in the response, and no others. Unknown
/// fields are rejected by name.
#[test]
fn products_are_found_by_each_field() {
    run(async {
        let text = r#"{"accounts":[
            {"id":"111122223333","name":"Payments Prod"},
            {"id":"111122223334","name":"other","status":"TAINTED"}]}"#;
        let setup = Setup::new(Snapshot::parse(text).unwrap(), groundcrew_sim::FaultLevel::None, 1);
        let search = async |query: String| {
            let found = setup.clients.service_catalog.search_provisioned_products();
            let query = vec![query];
            found.filters(ProvisionedProductViewFilterBy::SearchQuery, query).send().await
        };
        let all = search("type:CONTROL_TOWER_ACCOUNT".into()).await.unwrap();
        let [first, _] = all.provisioned_products() else { panic!("{all:?}") };
        let text = |value: Option<&str>| value.unwrap().to_owned();
        let by = [
            ("arn", text(first.arn()), 1),
            ("id", text(first.id()), 1),
            ("lastProvisioningRecordId", text(first.last_provisioning_record_id()), 1),
            ("lastRecordId", text(first.last_record_id()), 1),
            (
                "lastSuccessfulProvisioningRecordId",
                text(first.last_successful_provisioning_record_id()),
                1,
            ),
            // Not the name of the account, which has a blank.
            ("name", text(first.name()), 1),
            ("physicalId", "111122223333".into(), 1),
            ("productId", text(first.product_id()), 2),
            ("productName", text(first.product_name()), 2),
            ("provisioningArtifactId", text(first.provisioning_artifact_id()), 2),
            ("provisioningArtifactName", text(first.provisioning_artifact_name()), 2),
            ("status", "AVAILABLE".into(), 1),
            ("name", "Payments Prod".into(), 0),
            ("name", "other".into(), 0),
            ("status", "ERROR".into(), 0),
            ("id", "pp-nothing".into(), 0),
        ];
        for (field, value, number) in by {
            let found = search(format!("{field}:{value}")).await.unwrap();
            let found = found.provisioned_products();
            assert_eq!(found.len(), number, "{field}:{value}");
            assert!(number != 1 || found[0].id() == first.id(), "{field}:{value}");
        }
        for field in ["createdTime", "idempotencyToken", "tags", "userArn", "size"] {
            let error = search(format!("{field}:x")).await.unwrap_err();
            let message = error.into_service_error().to_string();
            assert!(message.contains(&format!("can't search by `{field}`")), "{message}");
        }
    });
}
