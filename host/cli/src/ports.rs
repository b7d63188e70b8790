//! Puts the engine's ports together.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use groundcrew_aws::{
    Environment, LaunchPath, OrganizationsDirectory, ServiceCatalog, SnsAlerts, SqsEvents,
    SqsUpdates,
};
use groundcrew_core::ports::Ledger;
use groundcrew_engine::{Ports, Witness};
use groundcrew_sim::SimAws;

/// The simulated AWS under the real SDKs. What a config says of queues, topic,
/// product and launch path is the simulation's own instead: nothing real is named, let alone reached.
pub fn simulated(sim: &SimAws, ledger: Arc<dyn Ledger>, witness: Arc<dyn Witness>) -> Ports {
    let (key, secret) = sim.credentials();
    let credentials = Credentials::new(key, secret, None, None, "simulation");
    let environment = Environment::new(
        sim.region(),
        SharedCredentialsProvider::new(credentials),
        sim.http_client(),
        sim.time_source(),
    );
    let clients = environment.clients();
    Ports {
        catalog: Arc::new(ServiceCatalog::new(
            clients.service_catalog,
            sim.product_name(),
            LaunchPath::OfPortfolio(sim.portfolio_name().to_owned()),
        )),
        directory: Arc::new(OrganizationsDirectory::new(clients.organizations)),
        updates: Arc::new(SqsUpdates::new(clients.sqs.clone(), sim.updates_url())),
        events: Arc::new(SqsEvents::new(clients.sqs, sim.events_url())),
        alerts: Arc::new(SnsAlerts::new(clients.sns, sim.topic_arn())),
        ledger,
        clock: Arc::new(sim.clock()),
        witness,
    }
}
