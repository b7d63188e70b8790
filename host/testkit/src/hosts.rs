//! The parts of a host on a simulated AWS.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    Clients, ControlTower, Environment, IdentityCenterUsers, LaunchPathSelector,
    OrganizationsDirectory, ServiceCatalog, SnsAlerts, SqsEventQueue, SqsNotificationQueue,
    SqsUpdateQueue,
};
use groundcrew_core::ports::{EventQueue, Ledger, NotificationLedger};
use groundcrew_engine::notifications::NotificationPorts;
use groundcrew_engine::{NoopObserver, UpdatePorts};
use groundcrew_sim::SimAws;

/// SDK clients on a simulated AWS.
pub fn clients(sim: &SimAws) -> Clients {
    let (key, secret) = sim.credentials();
    let credentials = Credentials::new(key, secret, None, None, "simulation");
    let credentials = SharedCredentialsProvider::new(credentials);
    Environment::new(sim.region(), credentials, sim.http_client(), sim.time_source()).clients()
}

/// The Service Catalog of a simulated AWS.
pub fn catalog(sim: &SimAws, clients: &Clients) -> ServiceCatalog {
    let launch_path = LaunchPathSelector::ByPortfolio(sim.portfolio_name().to_owned());
    ServiceCatalog::new(clients.service_catalog.clone(), sim.product_name(), launch_path)
}

/// The events queue of a simulated AWS.
pub fn events(sim: &SimAws) -> Arc<dyn EventQueue> {
    Arc::new(SqsEventQueue::new(clients(sim).sqs, sim.events_url()))
}

/// The ports of a host for updates, without an observer.
pub fn updates(sim: &SimAws, ledger: Arc<dyn Ledger>) -> UpdatePorts {
    let clients = clients(sim);
    UpdatePorts {
        catalog: Arc::new(catalog(sim, &clients)),
        directory: Arc::new(OrganizationsDirectory::new(clients.organizations.clone())),
        landing_zones: Arc::new(ControlTower::new(clients.control_tower.clone())),
        identities: Arc::new(IdentityCenterUsers::new(&clients)),
        queue: Arc::new(SqsUpdateQueue::new(clients.sqs, sim.updates_url())),
        alerts: Arc::new(SnsAlerts::new(clients.sns, sim.topic_arn())),
        ledger,
        clock: Arc::new(sim.clock()),
        observer: Arc::new(NoopObserver),
    }
}

/// The ports of a host for notifications, with the notifications queue or without it.
pub fn notifications(
    sim: &SimAws,
    ledger: Arc<dyn NotificationLedger>,
    queue: bool,
) -> NotificationPorts {
    let clients = clients(sim);
    let sqs = SqsNotificationQueue::new(clients.sqs.clone(), sim.notifications_url());
    NotificationPorts {
        catalog: Arc::new(catalog(sim, &clients)),
        baselines: Arc::new(ControlTower::new(clients.control_tower.clone())),
        directory: Arc::new(OrganizationsDirectory::new(clients.organizations)),
        alerts: Arc::new(SnsAlerts::new(clients.sns, sim.topic_arn())),
        ledger,
        queue: queue.then(|| Arc::new(sqs) as _),
        clock: Arc::new(sim.clock()),
    }
}
