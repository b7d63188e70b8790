//! The adapters of groundcrew-aws on a simulated AWS.
#![allow(dead_code)] // Each test crate uses a part of it.

use std::future::Future;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    Clients, Environment, LaunchPathSelector, OrganizationsDirectory, ServiceCatalog, SnsAlerts,
    SqsEventQueue, SqsUpdateQueue,
};
use groundcrew_sim::{FaultLevel, SimAws, SimOptions, Snapshot, random_fleet};

/// A simulated AWS and its callers.
pub struct Setup {
    pub sim: SimAws,
    pub clients: Clients,
    pub catalog: ServiceCatalog,
    pub directory: OrganizationsDirectory,
    pub updates: SqsUpdateQueue,
    pub events: SqsEventQueue,
    pub alerts: SnsAlerts,
}

impl Setup {
    pub fn new(snapshot: Snapshot, faults: FaultLevel, seed: u64) -> Self {
        let sim = SimAws::new(SimOptions {
            seed,
            start: "2026-09-01T06:00:00Z".parse().unwrap(),
            snapshot,
            faults,
            account_quota: 5,
        });
        let (id, secret) = sim.credentials();
        let credentials = Credentials::new(id, secret, None, None, "simulation");
        let clients = Environment::new(
            sim.region(),
            SharedCredentialsProvider::new(credentials),
            sim.http_client(),
            sim.time_source(),
        )
        .clients();
        Self {
            catalog: ServiceCatalog::new(
                clients.service_catalog.clone(),
                sim.product_name(),
                LaunchPathSelector::ByPortfolio(sim.portfolio_name().to_owned()),
            ),
            directory: OrganizationsDirectory::new(clients.organizations.clone()),
            updates: SqsUpdateQueue::new(clients.sqs.clone(), sim.updates_url()),
            events: SqsEventQueue::new(clients.sqs.clone(), sim.events_url()),
            alerts: SnsAlerts::new(clients.sns.clone(), sim.topic_arn()),
            sim,
            clients,
        }
    }

    pub fn of(accounts: usize) -> Self {
        Self::new(random_fleet(accounts, 50, 1), FaultLevel::None, 1)
    }
}

/// Runs a test in virtual time.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}
