//! `groundcrew run`: the long-running service.
//!
//! It may be killed at any moment: the ledger and the queues contain the running work. After
//! SIGTERM or SIGINT, running calls end before the service ends.

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
    // Doesn't wait for threads that resolve names, which can't be stopped.
    runtime.shutdown_background();
    served
}

async fn serve(options: &Run) -> Result<(), CommandError> {
    // Installed before the start, so that a signal during the start is not lost.
    let stop = shutdown_signal()?;
    let read = read_config(Some(&options.config))?;
    let aws = RealAws::open_exclusive(&read).await?.with_steady_clock();
    // Before the plugins, whose loading may take long: commands can use the ledger meanwhile.
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
        // So that the socket is removed before the process ends.
        drop(sharing.await);
    }
    Ok(())
}
