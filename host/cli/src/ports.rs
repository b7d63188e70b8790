//! Puts the ports together: on the simulated AWS, and on the one that the environment names.

use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    AwsSupport, Clients, Environment, IdentityCenterUsers, LaunchPath, OrganizationsDirectory,
    ResourceTags, SecretsManager, ServiceCatalog, SnsAlerts, SqsEvents, SqsNotifications,
    SqsUpdates,
};
use groundcrew_core::aws_error::{AwsError, Class};
use groundcrew_core::config::{Config, LedgerPlace};
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::{
    Alert, Alerts, Catalog, Clock, Directory, NotificationLedger, NotificationQueue, SupportCases,
    TagIndex,
};
use groundcrew_core::support_case::SupportCase;
use groundcrew_engine::onboarding::{Onboarding, OnboardingPorts};
use groundcrew_engine::{Ports, Witness};
use groundcrew_ledger::{DynamoLedger, FileLedger, MemoryLedger};
use groundcrew_plugins::http::{DirectHttp, HttpTransport, Secrets};
use groundcrew_sim::SimAws;
use jiff::Timestamp;

use crate::Failure;
use crate::loaded::{Loaded, Read};

/// The name that simulated hosts have in the ledger: the same, so that runs repeat.
const SIMULATED_HOST: &str = "simulation";

/// SDK clients on the simulated AWS.
pub fn simulated_clients(sim: &SimAws) -> Clients {
    let (key, secret) = sim.credentials();
    let credentials = Credentials::new(key, secret, None, None, "simulation");
    let environment = Environment::new(
        sim.region(),
        SharedCredentialsProvider::new(credentials),
        sim.http_client(),
        sim.time_source(),
    );
    environment.clients()
}

/// The simulated AWS under the real SDKs. What a config says of queues, topic, product,
/// launch path and ledger is the simulation's own instead: nothing real is named, let alone
/// reached.
pub fn simulated(
    sim: &SimAws,
    clients: Clients,
    loaded: &Loaded,
    witness: Arc<dyn Witness>,
) -> Ports {
    let ledger = Arc::new(MemoryLedger::new());
    let catalog = Arc::new(ServiceCatalog::new(
        clients.service_catalog.clone(),
        sim.product_name(),
        LaunchPath::OfPortfolio(sim.portfolio_name().to_owned()),
    ));
    let identities = Arc::new(IdentityCenterUsers::new(&clients));
    let directory = Arc::new(OrganizationsDirectory::new(clients.organizations));
    let alerts = Arc::new(SnsAlerts::new(clients.sns, sim.topic_arn()));
    let clock = Arc::new(sim.clock());
    let onboarding = (!loaded.notifiers.is_empty()).then(|| {
        let ports = OnboardingPorts {
            catalog: catalog.clone(),
            directory: directory.clone(),
            alerts: alerts.clone(),
            ledger: ledger.clone(),
            queue: None,
            clock: clock.clone(),
        };
        Arc::new(Onboarding::new(ports, loaded.onboarding_settings(SIMULATED_HOST.to_owned())))
    });
    Ports {
        catalog,
        directory,
        identities,
        updates: Arc::new(SqsUpdates::new(clients.sqs.clone(), sim.updates_url())),
        events: Arc::new(SqsEvents::new(clients.sqs, sim.events_url())),
        alerts,
        ledger,
        clock,
        witness,
        onboarding,
    }
}

/// What commands need that only read: no ledger, no queue, no topic.
pub struct Readers {
    pub clients: Clients,
    pub catalog: Arc<dyn Catalog>,
    pub directory: Arc<dyn Directory>,
    pub tag_index: Arc<dyn TagIndex>,
}

impl Readers {
    /// On the AWS that the environment names.
    pub async fn of(config: &Config) -> Self {
        let clients = environment(config).await.clients();
        Self {
            catalog: Arc::new(catalog(&clients, config)),
            directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
            tag_index: Arc::new(ResourceTags::new(clients.tagging.clone())),
            clients,
        }
    }
}

/// The environment of this process, with the Regions that the config names.
pub async fn environment(config: &Config) -> Environment {
    Environment::of_process(config.region.clone())
        .await
        .with_identity_center_in(&config.account_factory.identity_center_region)
}

/// Service Catalog with the product that the config names.
fn catalog(clients: &Clients, config: &Config) -> ServiceCatalog {
    let factory = &config.account_factory;
    let launch_path = match &factory.launch_path {
        Some(id) => LaunchPath::Given(id.clone()),
        None => LaunchPath::OfPortfolio(factory.portfolio_name.clone()),
    };
    ServiceCatalog::new(clients.service_catalog.clone(), &factory.product_name, launch_path)
}

/// What a process needs for onboarding on the AWS that its environment names.
pub struct RealAws {
    clients: Clients,
    ledger: Arc<dyn NotificationLedger>,
}

impl RealAws {
    /// Finds credentials and endpoints, and opens the ledger.
    pub async fn of(read: &Read) -> Result<Self, Failure> {
        let clients = environment(&read.config).await.clients();
        let ledger: Arc<dyn NotificationLedger> = match &read.config.ledger.place {
            LedgerPlace::Table(table) => {
                Arc::new(DynamoLedger::new(clients.dynamodb.clone(), table.clone()))
            }
            LedgerPlace::File(file) => {
                let file = FileLedger::open(read.path(file))
                    .map_err(|error| Failure::Other(error.to_string()))?;
                Arc::new(file)
            }
        };
        Ok(Self { clients, ledger })
    }

    /// AWS Support.
    pub fn support(&self) -> Arc<dyn SupportCases> {
        Arc::new(AwsSupport::new(self.clients.support.clone()))
    }

    /// The way to other systems, with secrets of this process and of Secrets Manager.
    pub fn http(&self) -> Arc<dyn HttpTransport> {
        let store = SecretsManager::new(self.clients.secrets_manager.clone());
        Arc::new(DirectHttp::new(Secrets::of_process(Arc::new(store)), Arc::new(SystemClock)))
    }

    /// Onboarding with these plugins.
    pub fn onboarding(&self, loaded: &Loaded) -> Onboarding {
        let config: &Config = &loaded.config;
        let clients = &self.clients;
        let queue = config.queues.notifications_url.as_ref().map(|url| {
            let queue = SqsNotifications::new(clients.sqs.clone(), url);
            Arc::new(queue) as Arc<dyn NotificationQueue>
        });
        let alerts: Arc<dyn Alerts> = match &config.alerts_topic {
            Some(topic) => Arc::new(SnsAlerts::new(clients.sns.clone(), topic)),
            None => Arc::new(LoggedAlerts),
        };
        let ports = OnboardingPorts {
            catalog: Arc::new(catalog(clients, config)),
            directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
            alerts,
            ledger: self.ledger.clone(),
            queue,
            clock: Arc::new(SystemClock),
        };
        let host = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        Onboarding::new(ports, loaded.onboarding_settings(host))
    }
}

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Where alerts go without a topic: into the log.
struct LoggedAlerts;

#[async_trait]
impl Alerts for LoggedAlerts {
    async fn publish(&self, alert: &Alert) -> Result<(), AwsError> {
        tracing::error!(subject = alert.subject, message = alert.message, "alert without a topic");
        Ok(())
    }
}

/// For commands that load notifiers and tell nobody.
pub struct NoSupport;

#[async_trait]
impl SupportCases for NoSupport {
    async fn open(&self, _: &NotificationKey, _: &SupportCase) -> Result<String, AwsError> {
        Err(AwsError {
            operation: "CreateCase",
            code: String::new(),
            message: "this command opens no support cases".to_owned(),
            class: Class::Permanent,
            effect_possible: false,
        })
    }
}
