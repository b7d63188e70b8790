//! `groundcrew run`: the long-running service.
//!
//! It may be killed at any moment: what is under way is in the ledger and the queues. A signal
//! to end lets the calls under way end first.

mod http;
mod metrics;

use std::sync::Arc;

use groundcrew_engine::{Health, Host, Observer};
use groundcrew_ledger::SharedLedgerServer;
use tokio::net::TcpListener;

use crate::command_error::CommandError;
use crate::commands::Run;
use crate::loaded_config::{PluginSelection, read_config};
use crate::output::print;
use crate::ports::RealAws;
use crate::signals::shutdown_signal;
use http::ServiceState;
use metrics::Metrics;

pub fn run(options: &Run) -> Result<(), CommandError> {
    let runtime = crate::runtime::current_thread()?;
    let served = runtime.block_on(serve(options));
    // Names are looked up on threads that can't be stopped, and that nobody waits for any more.
    runtime.shutdown_background();
    served
}

async fn serve(options: &Run) -> Result<(), CommandError> {
    // Taken from here on, so that a signal during the start is not lost.
    let stop = shutdown_signal()?;
    let read = read_config(Some(&options.config))?;
    let aws = RealAws::open_exclusive(&read).await?.with_steady_clock();
    // Before the plugins, which may take their time: whoever looks meanwhile is answered.
    let sharing =
        aws.ledger().file.clone().and_then(|(path, ledger)| {
            match SharedLedgerServer::bind(&path) {
                Ok(share) => Some(tokio::spawn(async move { share.serve(ledger).await })),
                Err(error) => {
                    tracing::warn!("{error}");
                    None
                }
            }
        });
    let loaded = read.with_http(aws.http()).load(PluginSelection::All, aws.support()).await?;
    let metrics = Metrics::new(&loaded.config, aws.call_counter().clone())
        .map_err(|error| CommandError::Other(format!("the metrics: {error}")))?;
    let metrics = Arc::new(metrics);
    let updates = &loaded.config.updates;
    let health = Arc::new(Health::new(updates.poll_interval, updates.sweep_interval));
    let observer: Vec<Arc<dyn Observer>> = vec![metrics.clone(), health.clone()];
    let ports = aws.ports(&loaded, Arc::new(observer))?;
    let host = Host::new(ports, loaded.update_settings(aws.host()));

    let listen = options.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        CommandError::Other(format!("{listen}: can't listen there: {error}; try another --listen"))
    })?;
    let address = listener.local_addr().map_err(|error| CommandError::Other(error.to_string()))?;
    let http = tokio::spawn(http::serve(listener, ServiceState { health, metrics }));
    print(&format!(
        "groundcrew runs on {}; http://{address}/healthz, /readyz and /metrics\n",
        options.config.display()
    ))?;
    tracing::info!(%address, config = %options.config.display(), "running");

    host.serve(stop).await;
    tracing::info!("stopped");
    http.abort();
    if let Some(sharing) = sharing {
        sharing.abort();
        // So that the socket is gone before the process is.
        drop(sharing.await);
    }
    Ok(())
}
