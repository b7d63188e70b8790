//! Responses about another resource than the requested one: a simulated AWS whose responses are
//! changed on their way. None of them is accepted.

mod common;

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use common::run;
use groundcrew_aws::doctor::gather_facts;
use groundcrew_aws::{
    AwsSupport, Clients, ControlTower, Environment, IdentityCenterUsers, LaunchPathSelector,
    OrganizationsDirectory, ServiceCatalog,
};
use groundcrew_core::account::AccountId;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::{ProductId, ProvisionedProduct, RecordId, UpdateRequest};
use groundcrew_core::config::Config;
use groundcrew_core::doctor::{LedgerFacts, LedgerFile};
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::parameters::Parameters;
use groundcrew_core::ports::{
    AccountDirectory as _, Catalog as _, IdentityStore as _, LandingZones as _, SupportCases as _,
};
use groundcrew_core::support_case::SupportCase;
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, random_fleet};
use rstest::rstest;
use serde_json::{Value, json};

/// Changes the response of an operation.
type Change = Box<dyn FnMut(&str, &mut Value) + Send>;

/// The simulated AWS with changed responses.
#[derive(Clone)]
struct Changed {
    inner: SharedHttpClient,
    change: Arc<Mutex<Change>>,
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changed")
    }
}

#[derive(Clone, Debug)]
struct Connector {
    inner: SharedHttpConnector,
    changed: Changed,
}

impl HttpClient for Changed {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, changed: self.clone() })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // `AWSSupport_20130415.DescribeCases`, or for Control Tower `/get-landingzone`.
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        let operation = target.unwrap_or_else(|| request.uri().to_owned());
        let operation = operation.rsplit(['.', '/']).next().unwrap_or_default().to_owned();
        let (inner, changed) = (self.inner.clone(), self.changed.clone());
        HttpConnectorFuture::new(async move {
            let answer: HttpResponse = inner.call(request).await?;
            let status = answer.status();
            let headers: Vec<_> = answer
                .headers()
                .iter()
                .filter(|(name, _)| *name != "content-length")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let body = ByteStream::new(answer.into_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::user(error.into()))?.into_bytes();
            let body = match serde_json::from_slice::<Value>(&body) {
                Ok(mut answer) => {
                    changed.change.lock().unwrap()(&operation, &mut answer);
                    answer.to_string().into_bytes()
                }
                Err(_) => body.to_vec(),
            };
            let mut answer = HttpResponse::new(status, SdkBody::from(body));
            for (name, value) in headers {
                answer.headers_mut().insert(name, value);
            }
            Ok(answer)
        })
    }
}

struct ChangedAws {
    sim: SimAws,
    clients: Clients,
    catalog: ServiceCatalog,
    product: ProvisionedProduct,
    account: AccountId,
}

impl ChangedAws {
    /// Three accounts, and an AWS whose responses are changed by this function.
    async fn new(change: impl FnMut(&str, &mut Value) + Send + 'static) -> Self {
        let sim = SimAws::new(SimOptions {
            seed: 1,
            start: "2026-09-01T06:00:00Z".parse().unwrap(),
            snapshot: random_fleet(3, 0, 1),
            faults: FaultLevel::None,
            account_quota: 5,
        });
        let (id, secret) = sim.credentials();
        let clients = |http: SharedHttpClient| {
            let credentials = Credentials::new(id, secret, None, None, "simulation");
            let credentials = SharedCredentialsProvider::new(credentials);
            Environment::new(sim.region(), credentials, http, sim.time_source()).clients()
        };
        let catalog = |clients: &Clients| {
            let path = LaunchPathSelector::ByPortfolio(sim.portfolio_name().to_owned());
            ServiceCatalog::new(clients.service_catalog.clone(), sim.product_name(), path)
        };
        let as_it_is = catalog(&clients(sim.http_client()));
        let id = ProductId::new(sim.product_id());
        let page = as_it_is.provisioned_products(&id, None).await.unwrap();
        let product = page.items.into_iter().next().unwrap();
        let change: Change = Box::new(change);
        let changed = Changed { inner: sim.http_client(), change: Arc::new(Mutex::new(change)) };
        let clients = clients(SharedHttpClient::new(changed));
        Self { catalog: catalog(&clients), account: product.account.clone(), sim, clients, product }
    }

    /// Reads the result of this operation. `Ok`: it was found.
    async fn read(&self, operation: &str) -> Result<(), AwsError> {
        let Self { catalog, account, product, clients, .. } = self;
        let directory = OrganizationsDirectory::new(clients.organizations.clone());
        let record = product.last_successful_record.as_ref().unwrap();
        match operation {
            "DescribeProductAsAdmin" => catalog.account_factory().await.map(drop),
            "DescribeProvisionedProduct" => {
                catalog.provisioned_product(&product.id).await.map(drop)
            }
            "DescribeRecord" => catalog.record(&product.id, record).await.map(drop),
            "DescribeRecord for its outputs" => catalog.outputs(record).await.map(drop),
            "UpdateProvisionedProduct" => self.update().await.map(drop),
            "DescribeAccount" | "DescribeOrganizationalUnit" => {
                directory.account(account).await.map(drop)
            }
            "get-landingzone" => {
                ControlTower::new(clients.control_tower.clone()).landing_zone().await.map(drop)
            }
            other => panic!("no look for {other}"),
        }
    }

    async fn update(&self) -> Result<RecordId, AwsError> {
        let factory = self.catalog.account_factory().await?;
        self.catalog
            .start_update(&UpdateRequest {
                provisioned_product: self.product.id.clone(),
                launch_path: self.catalog.launch_path(&factory.product).await?,
                product: factory.product,
                target: factory.target,
                parameters: Parameters::Previous,
                token: "token-1".to_owned(),
            })
            .await
    }

    async fn emails(&self) -> String {
        let record = self.product.last_successful_record.as_ref().unwrap();
        self.catalog.outputs(record).await.unwrap()["SSOUserEmail"].clone()
    }
}

/// Sets the value at a JSON pointer in every response of an operation.
fn setting(operation: &str, at: &str, to: Value) -> impl FnMut(&str, &mut Value) + Send + use<> {
    let (operation, at) = (operation.to_owned(), at.to_owned());
    move |called, answer| {
        if called == operation
            && let Some(place) = answer.pointer_mut(&at)
        {
            *place = to.clone();
        }
    }
}

/// Every read by an id or a name, and the member of its response that names the resource.
#[rstest]
#[case("DescribeProductAsAdmin", "/ProductViewDetail/ProductViewSummary/Name", "Account Vending")]
#[case("DescribeProvisionedProduct", "/ProvisionedProductDetail/Id", "pp-anothersother")]
#[case("DescribeRecord", "/RecordDetail/RecordId", "rec-anothersother")]
#[case("DescribeRecord", "/RecordDetail/ProvisionedProductId", "pp-anothersother")]
#[case("DescribeRecord for its outputs", "/RecordDetail/RecordId", "rec-anothersother")]
#[case("UpdateProvisionedProduct", "/RecordDetail/ProvisionedProductId", "pp-anothersother")]
#[case("DescribeAccount", "/Account/Id", "999999999999")]
#[case("DescribeOrganizationalUnit", "/OrganizationalUnit/Id", "ou-abcd-99999999")]
#[case(
    "get-landingzone",
    "/landingZone/arn",
    "arn:aws:controltower:us-east-1:123456789012:landingzone/ANOTHER"
)]
fn an_answer_about_something_else_is_not_believed(
    #[case] operation: &str,
    #[case] at: &str,
    #[case] other: &str,
) {
    run(async {
        let called = operation.split(' ').next().unwrap();
        ChangedAws::new(|_, _| {}).await.read(operation).await.unwrap();
        let place = ChangedAws::new(setting(called, at, other.into())).await;
        let error = place.read(operation).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        assert!(error.to_string().contains(&format!("the answer is about {other}")), "{error}");
        // The update has started, whatever the response is about.
        assert_eq!(error.effect_possible, called == "UpdateProvisionedProduct");
    });
}

/// A search matches words, so it may find more than the requested resource.
#[test]
fn a_search_that_finds_others() {
    run(async {
        let others = |called: &str, answer: &mut Value| {
            if called != "SearchProvisionedProducts" {
                return;
            }
            let found = answer["ProvisionedProducts"].as_array_mut().unwrap();
            let Some(first) = found.first().cloned() else { return };
            let other = |changes: &[(&str, &str)]| {
                let mut other = first.clone();
                for (member, value) in changes {
                    other[*member] = (*value).into();
                }
                other
            };
            found.insert(0, other(&[("Id", "pp-1"), ("PhysicalId", "999999999999")]));
            found.push(other(&[("Id", "pp-2"), ("ProductId", "prod-another")]));
        };
        let place = ChangedAws::new(others).await;
        // By id: the account is that of the requested product.
        let product = place.catalog.provisioned_product(&place.product.id).await.unwrap();
        assert_eq!(product.account, place.account);
        // By product: those of another product do not belong to Account Factory.
        let id = ProductId::new(place.sim.product_id());
        let found = place.catalog.provisioned_products(&id, None).await.unwrap().items;
        assert!(!found.iter().any(|product| product.id.as_str() == "pp-2"), "{found:?}");
        // By status: an available product is not under change.
        assert_eq!(place.catalog.under_change().await.unwrap().len(), 0);
        let all = |called: &str, answer: &mut Value| {
            if called == "SearchProvisionedProducts" {
                answer["ProvisionedProducts"] = json!([
                    { "Id": "pp-1", "Type": "CONTROL_TOWER_ACCOUNT", "Status": "AVAILABLE" },
                    { "Id": "pp-2", "Type": "CONTROL_TOWER_ACCOUNT", "Status": "UNDER_CHANGE" },
                ]);
            }
        };
        assert_eq!(ChangedAws::new(all).await.catalog.under_change().await.unwrap().len(), 1);
    });
}

/// A user of IAM Identity Center is found by an email address, and described by an id.
#[rstest]
#[case::as_it_is("/Nothing", json!(null), true)]
#[case::in_capitals("/Emails/0/Value", json!("in capitals"), true)]
#[case::named_so("/Emails", json!([]), true)]
#[case::anothers("both", json!("eve@example.com"), false)]
fn the_user_of_an_email_address(#[case] at: &str, #[case] to: Value, #[case] found: bool) {
    run(async {
        let email = ChangedAws::new(|_, _| {}).await.emails().await;
        let to = if to == "in capitals" { email.to_uppercase().into() } else { to };
        let mut changes = match at {
            "both" => vec![
                setting("DescribeUser", "/Emails/0/Value", to.clone()),
                setting("DescribeUser", "/UserName", to),
            ],
            at => vec![setting("DescribeUser", at, to)],
        };
        let change = move |called: &str, answer: &mut Value| {
            changes.iter_mut().for_each(|change| change(called, answer));
        };
        let place = ChangedAws::new(change).await;
        let user = IdentityCenterUsers::new(&place.clients).user(&email).await.unwrap();
        assert_eq!(user.is_some(), found, "{user:?}");
    });
}

#[test]
fn a_user_of_another_id() {
    run(async {
        let place = ChangedAws::new(setting("DescribeUser", "/UserId", "another".into())).await;
        let email = place.emails().await;
        let users = IdentityCenterUsers::new(&place.clients);
        let error = users.user(&email).await.unwrap_err();
        assert!(error.to_string().contains("the answer is about another"), "{error}");
    });
}

fn case() -> SupportCase {
    SupportCase {
        subject: "New account".to_owned(),
        body: "Please onboard it.".to_owned(),
        service_code: "service-ams-operations-service-request".to_owned(),
        category_code: "onboarding-or-offboarding".to_owned(),
        severity_code: "low".to_owned(),
        cc_email_addresses: vec![],
        language: "en".to_owned(),
        issue_type: "technical".to_owned(),
    }
}

/// The response of DescribeCases about an existing case. The test shows whether the case is
/// accepted as that of the notification, another one is opened, or neither.
#[rstest]
#[case::as_it_is("/Nothing", json!(null), Ok(1))]
#[case::anothers_body(
    "/cases/0/recentCommunications/communications/0/body",
    json!("Hello.\n\nRef: groundcrew/onboard/444455556666/ams"), Ok(2)
)]
#[case::written_on_another_case(
    "/cases/0/recentCommunications/communications/0/caseId", json!("case-another"), Ok(2)
)]
#[case::without_an_id("/cases/0/caseId", json!(null), Err("no caseId"))]
fn a_case_that_is_there(
    #[case] at: &str,
    #[case] to: Value,
    #[case] expected: Result<usize, &str>,
) {
    run(async {
        let place = ChangedAws::new(setting("DescribeCases", at, to)).await;
        let support = AwsSupport::new(place.clients.support.clone());
        let key = NotificationKey::for_onboarding(&place.account, "ams");
        support.open(&key, &case()).await.unwrap();
        let again = support.open(&key, &case()).await;
        let cases = place.sim.cases().len();
        match (again, expected) {
            (Ok(_), Ok(expected)) => assert_eq!(cases, expected),
            (Err(error), Err(part)) => {
                assert_eq!((cases, error.class), (1, ErrorClass::Transient));
                assert!(error.to_string().contains(part), "{error}");
            }
            (again, _) => panic!("{again:?}"),
        }
    });
}

/// An OU is registered by one baseline. Another baseline does not register it.
#[test]
fn a_baseline_that_was_not_asked_for() {
    run(async {
        let other = "arn:aws:controltower:us-east-1::baseline/CONFIGBASELINE00";
        for (change, registered) in [(json!(null), true), (other.into(), false)] {
            let to = change.clone();
            let change = move |called: &str, answer: &mut Value| {
                let (true, Some(enabled)) =
                    (called == "list-enabled-baselines", answer.get_mut("enabledBaselines"))
                else {
                    return;
                };
                for enabled in
                    enabled.as_array_mut().unwrap().iter_mut().filter(|_| to != Value::Null)
                {
                    enabled["baselineIdentifier"] = to.clone();
                }
            };
            let place = ChangedAws::new(change).await;
            let config = Config::parse("crew.toml", "").unwrap();
            let ledger = |_: &std::path::Path| LedgerFacts::File {
                path: String::new(),
                state: LedgerFile::Absent,
            };
            let facts = gather_facts(&place.clients, &config, ledger).await;
            let units = facts.aws.unwrap().units.unwrap().unwrap();
            assert_eq!(!units.registered.is_empty(), registered, "{units:?}");
        }
    });
}
