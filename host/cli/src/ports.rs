//! Composes the ports of a host: on the simulated AWS, and on the AWS of the environment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    AwsSupport, Clients, ControlTower, Environment, IdentityCenterUsers, LaunchPathSelector,
    OrganizationsDirectory, ResourceTags, SecretsManager, ServiceCatalog, SnsAlerts, SqsEventQueue,
    SqsNotificationQueue, SqsUpdateQueue, queue_depth,
};
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::config::Config;
use groundcrew_core::notification::NotificationKey;
use groundcrew_core::ports::{
    AccountDirectory, Alert, Alerts, Catalog, Clock, EventQueue, Ledger, NotificationLedger,
    NotificationQueue, QueueDepth, ReceivedMessage, SupportCases, TagIndex, UpdateQueue,
};
use groundcrew_core::support_case::SupportCase;
use groundcrew_engine::notifications::{NotificationPorts, Notifications};
use groundcrew_engine::{HostPorts, JumpTolerantClock, Observer, UpdatePorts};
use groundcrew_ledger::MemoryLedger;
use groundcrew_plugins::http::{DirectHttp, HttpTransport, Secrets};
use groundcrew_sim::SimAws;
use jiff::Timestamp;

use crate::command_error::CommandError;
use crate::ledger::OpenLedger;
use crate::loaded_config::{LoadedConfig, ParsedConfig};

/// The name of simulated hosts in the ledger: always the same, so that runs repeat.
pub const SIMULATED_HOST: &str = "simulation";

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

/// The parts of a host's ports, the same for the simulated AWS and the real one.
struct HostParts {
    clients: Clients,
    catalog: Arc<dyn Catalog>,
    directory: Arc<dyn AccountDirectory>,
    alerts: Arc<dyn Alerts>,
    ledger: Arc<dyn Ledger>,
    notification_ledger: Arc<dyn NotificationLedger>,
    notification_queue: Option<Arc<dyn NotificationQueue>>,
    clock: Arc<dyn Clock>,
    /// The name of the host in the claims of notifications: no two processes have the same.
    host: String,
}

impl HostParts {
    /// Delivers the notifications of events, with these plugins.
    fn notifications(&self, loaded: &LoadedConfig) -> Notifications {
        let ports = NotificationPorts {
            catalog: self.catalog.clone(),
            baselines: Arc::new(ControlTower::new(self.clients.control_tower.clone())),
            directory: self.directory.clone(),
            alerts: self.alerts.clone(),
            ledger: self.notification_ledger.clone(),
            queue: self.notification_queue.clone(),
            clock: self.clock.clone(),
        };
        Notifications::new(ports, loaded.notification_settings(self.host.clone()))
    }

    /// All ports of a host, with these queues.
    fn ports(
        &self,
        loaded: &LoadedConfig,
        queue: Arc<dyn UpdateQueue>,
        events: Arc<dyn EventQueue>,
        observer: Arc<dyn Observer>,
    ) -> HostPorts {
        let has_notifiers = !loaded.notifiers.is_empty();
        HostPorts {
            updates: UpdatePorts {
                catalog: self.catalog.clone(),
                directory: self.directory.clone(),
                landing_zones: Arc::new(ControlTower::new(self.clients.control_tower.clone())),
                identities: Arc::new(IdentityCenterUsers::new(&self.clients)),
                queue,
                alerts: self.alerts.clone(),
                ledger: self.ledger.clone(),
                clock: self.clock.clone(),
                observer,
            },
            events,
            notifications: has_notifiers.then(|| Arc::new(self.notifications(loaded))),
        }
    }
}

/// The simulated AWS behind the real SDKs. The simulation's own queues, topic, product, launch path
/// and ledger replace those of the config: no real resource is used.
fn simulated_parts(sim: &SimAws, clients: Clients) -> HostParts {
    let ledger = Arc::new(MemoryLedger::new());
    HostParts {
        catalog: Arc::new(ServiceCatalog::new(
            clients.service_catalog.clone(),
            sim.product_name(),
            LaunchPathSelector::ByPortfolio(sim.portfolio_name().to_owned()),
        )),
        directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
        alerts: Arc::new(SnsAlerts::new(clients.sns.clone(), sim.topic_arn())),
        ledger: ledger.clone(),
        notification_ledger: ledger,
        notification_queue: None,
        clock: Arc::new(sim.clock()),
        host: SIMULATED_HOST.to_owned(),
        clients,
    }
}

/// A host on a simulated AWS.
pub fn simulated_ports(
    sim: &SimAws,
    clients: Clients,
    loaded: &LoadedConfig,
    observer: Arc<dyn Observer>,
) -> HostPorts {
    let sqs = clients.sqs.clone();
    let queued = loaded.config.queues.notifications_url.is_some();
    let queue = queued.then(|| SqsNotificationQueue::new(sqs.clone(), sim.notifications_url()));
    let notification_queue = queue.map(|queue| Arc::new(queue) as _);
    let parts = HostParts { notification_queue, ..simulated_parts(sim, clients) };
    let updates = Arc::new(SqsUpdateQueue::new(sqs.clone(), sim.updates_url()));
    let events = Arc::new(SqsEventQueue::new(sqs, sim.events_url()));
    parts.ports(loaded, updates, events, observer)
}

/// Delivers notifications on a simulated AWS, for one event by hand.
pub fn simulated_notifications(
    sim: &SimAws,
    clients: Clients,
    loaded: &LoadedConfig,
    directory: Arc<dyn AccountDirectory>,
) -> Notifications {
    let alerts = Arc::new(LoggedAlerts);
    HostParts { directory, alerts, ..simulated_parts(sim, clients) }.notifications(loaded)
}

/// The ports of commands that only read: no ledger, no queue, no topic.
pub struct ReadOnlyPorts {
    pub clients: Clients,
    pub catalog: Arc<dyn Catalog>,
    pub directory: Arc<dyn AccountDirectory>,
    pub tag_index: Arc<dyn TagIndex>,
}

impl ReadOnlyPorts {
    /// Connects to the AWS of the environment.
    pub async fn connect(config: &Config) -> Self {
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
    Environment::from_process_env(config.region.clone())
        .await
        .with_identity_center_in(&config.account_factory.identity_center_region)
}

/// Service Catalog with the product that the config names.
fn catalog(clients: &Clients, config: &Config) -> ServiceCatalog {
    let factory = &config.account_factory;
    let launch_path = match &factory.launch_path {
        Some(id) => LaunchPathSelector::ById(id.clone()),
        None => LaunchPathSelector::ByPortfolio(factory.portfolio_name.clone()),
    };
    ServiceCatalog::new(clients.service_catalog.clone(), &factory.product_name, launch_path)
}

/// The connections of a process to the AWS of its environment.
pub struct RealAws {
    clients: Clients,
    ledger: OpenLedger,
    /// The name of this process in the ledger.
    host: String,
    clock: Arc<dyn Clock>,
}

impl RealAws {
    /// Resolves credentials and endpoints, and opens the ledger; a file is locked exclusively.
    pub async fn open_exclusive(read: &ParsedConfig) -> Result<Self, CommandError> {
        let clients = environment(&read.config).await.clients();
        let ledger = OpenLedger::open_exclusive(read, &clients)?;
        Ok(Self::from_parts(clients, ledger))
    }

    /// Resolves credentials and endpoints, and connects to the ledger, through the service if it
    /// runs.
    pub async fn connect(
        read: &ParsedConfig,
        environment: Environment,
    ) -> Result<Self, CommandError> {
        let clients = environment.clients();
        let ledger = OpenLedger::connect(read, &clients).await?;
        Ok(Self::from_parts(clients, ledger))
    }

    /// The same for a command that only reads, with an environment of its choice: a missing ledger
    /// file is not created.
    pub async fn connect_read_only(
        read: &ParsedConfig,
        environment: Environment,
    ) -> Result<Self, CommandError> {
        let clients = environment.clients();
        let ledger = OpenLedger::connect_read_only(read, &clients).await?;
        Ok(Self::from_parts(clients, ledger))
    }

    fn from_parts(clients: Clients, ledger: OpenLedger) -> Self {
        let host = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self { clients, ledger, host, clock: Arc::new(SystemClock) }
    }

    /// Uses a monotonic clock that ignores jumps of the machine's clock: for a process that lives
    /// long. A Lambda is frozen between its ticks, which looks like a jump.
    pub fn with_steady_clock(self) -> Self {
        Self { clock: Arc::new(JumpTolerantClock::new(self.clock)), ..self }
    }

    /// The ledger.
    pub fn ledger(&self) -> &OpenLedger {
        &self.ledger
    }

    /// The ARN of the caller, if STS returns it.
    pub async fn caller_arn(&self) -> Option<String> {
        groundcrew_aws::caller_arn(&self.clients).await
    }

    /// The number of calls of each AWS operation.
    pub fn call_counter(&self) -> &groundcrew_aws::CallCounter {
        &self.clients.call_counter
    }

    /// Service Catalog, with the product that the config names.
    pub fn catalog(&self, config: &Config) -> ServiceCatalog {
        catalog(&self.clients, config)
    }

    /// The updates queue, if the config names one.
    pub fn update_queue(&self, config: &Config) -> Option<SqsUpdateQueue> {
        let url = config.queues.updates_url.as_ref()?;
        Some(SqsUpdateQueue::new(self.clients.sqs.clone(), url))
    }

    /// The notifications queue, if the config names one.
    pub fn notification_queue(&self, config: &Config) -> Option<Arc<dyn NotificationQueue>> {
        let url = config.queues.notifications_url.as_ref()?;
        Some(Arc::new(SqsNotificationQueue::new(self.clients.sqs.clone(), url)))
    }

    /// The number of messages in the notifications queue; `None` if the config names none.
    pub async fn notifications_depth(
        &self,
        config: &Config,
    ) -> Option<Result<QueueDepth, AwsError>> {
        let url = config.queues.notifications_url.as_ref()?;
        Some(queue_depth(&self.clients.sqs, url).await)
    }

    /// Everything that the update engine needs. Fails when the config names no queues.
    pub fn ports(
        &self,
        loaded: &LoadedConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<HostPorts, CommandError> {
        let events = loaded.config.queues.events_url.as_ref();
        let events =
            events.map(|url| Arc::new(SqsEventQueue::new(self.clients.sqs.clone(), url)) as _);
        self.ports_with(loaded, observer, events, true)
    }

    /// The same for a process that gets events in another way.
    pub fn ports_without_events(
        &self,
        loaded: &LoadedConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<HostPorts, CommandError> {
        self.ports_with(loaded, observer, Some(Arc::new(NoEvents)), false)
    }

    fn ports_with(
        &self,
        loaded: &LoadedConfig,
        observer: Arc<dyn Observer>,
        events: Option<Arc<dyn EventQueue>>,
        needs_events_queue: bool,
    ) -> Result<HostPorts, CommandError> {
        let config = &loaded.config;
        let (Some(updates), Some(events)) = (self.update_queue(config), events) else {
            return Err(CommandError::Usage(
                match needs_events_queue {
                    true => {
                        "the update engine needs both `updates_url` and `events_url` in [queues]: \
                         the FIFO queue that it hands accounts over by, and the one that \
                         EventBridge fills"
                    }
                    false => {
                        "the update engine needs `updates_url` in [queues]: the FIFO queue that it \
                         hands accounts over by"
                    }
                }
                .to_owned(),
            ));
        };
        Ok(self.parts(config).ports(loaded, Arc::new(updates), events, observer))
    }

    fn parts(&self, config: &Config) -> HostParts {
        let clients = self.clients.clone();
        HostParts {
            catalog: Arc::new(self.catalog(config)),
            directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
            alerts: self.alerts(config),
            ledger: self.ledger.updates.clone(),
            notification_ledger: self.ledger.notifications.clone(),
            notification_queue: self.notification_queue(config),
            clock: self.clock.clone(),
            host: self.host.clone(),
            clients,
        }
    }

    /// The name of this process in the ledger. A ledger file has one host at a time, whose name is
    /// the same after a restart: so it can continue its own claims at once.
    pub fn host(&self) -> String {
        match self.ledger.file {
            Some(_) => "file".to_owned(),
            None => self.host.clone(),
        }
    }

    /// The ports of a dry run of a sweep: it publishes no alerts and takes no events. A Lambda
    /// stack has no queue of events.
    pub fn dry_run_ports(
        &self,
        loaded: &LoadedConfig,
        observer: Arc<dyn Observer>,
    ) -> Result<HostPorts, CommandError> {
        let mut ports = self.ports_without_events(loaded, observer)?;
        ports.updates.alerts = Arc::new(LoggedAlerts);
        Ok(HostPorts { notifications: None, ..ports })
    }

    /// The destination of alerts.
    pub fn alerts(&self, config: &Config) -> Arc<dyn Alerts> {
        match &config.alerts_topic {
            Some(topic) => Arc::new(SnsAlerts::new(self.clients.sns.clone(), topic)),
            None => Arc::new(LoggedAlerts),
        }
    }

    /// AWS Support.
    pub fn support(&self) -> Arc<dyn SupportCases> {
        Arc::new(AwsSupport::new(self.clients.support.clone()))
    }

    /// The HTTP transport to other systems, with secrets of this process and of Secrets Manager.
    pub fn http(&self) -> Arc<dyn HttpTransport> {
        Arc::new(http(&self.clients, self.clock.clone()))
    }

    /// Delivers the notifications of events, with these plugins.
    pub fn notifications(&self, loaded: &LoadedConfig) -> Notifications {
        self.parts(&loaded.config).notifications(loaded)
    }
}

/// The HTTP transport to other systems, for checks without a ledger.
pub fn direct_http(clients: &Clients) -> DirectHttp {
    http(clients, Arc::new(SystemClock))
}

fn http(clients: &Clients, clock: Arc<dyn Clock>) -> DirectHttp {
    let store = SecretsManager::new(clients.secrets_manager.clone());
    DirectHttp::new(Secrets::from_process_env(Arc::new(store)), clock)
}

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// For a process that takes events from no queue.
struct NoEvents;

#[async_trait]
impl EventQueue for NoEvents {
    async fn receive(&self, _: Duration) -> Result<Vec<ReceivedMessage<String>>, AwsError> {
        std::future::pending().await
    }

    async fn delete(&self, _: &str) -> Result<(), AwsError> {
        Ok(())
    }

    async fn reject(&self, _: &ReceivedMessage<String>, _: &str) -> Result<(), AwsError> {
        Ok(())
    }
}

/// Writes alerts to the log if there is no topic.
struct LoggedAlerts;

#[async_trait]
impl Alerts for LoggedAlerts {
    async fn publish(&self, alert: &Alert) -> Result<(), AwsError> {
        tracing::error!(subject = alert.subject, text = alert.message, "alert without a topic");
        Ok(())
    }
}

/// For commands that load notifiers and deliver nothing.
pub struct NoSupportCases;

#[async_trait]
impl SupportCases for NoSupportCases {
    async fn open(&self, _: &NotificationKey, _: &SupportCase) -> Result<String, AwsError> {
        Err(AwsError::without_code(
            "CreateCase",
            ErrorClass::Permanent,
            "this command opens no support cases",
        ))
    }
}
