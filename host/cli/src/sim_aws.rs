//! `groundcrew sim-aws`: the simulated AWS as a server, in real time, for the AWS CLI, boto3
//! and this host's own commands.

use groundcrew_sim::{FaultLevel, ServeOptions, serve};
use tokio::net::TcpListener;

use crate::Failure;
use crate::commands::SimAws;
use crate::simulate::snapshot;
use crate::wording::print;

/// Control Tower's quota unless AWS has raised it.
const QUOTA: usize = 5;

pub fn run(options: &SimAws) -> Result<(), Failure> {
    let snapshot =
        snapshot(options.snapshot.as_deref(), options.accounts, options.tagged_percent, 1)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.to_string()))?;
    runtime.block_on(async {
        let listen = options.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::Other(format!("{listen}: can't listen there: {error}; try another port"))
        })?;
        let address =
            listener.local_addr().map_err(|error| Failure::Other(error.to_string()))?;
        print(&format!(
            "The simulated AWS answers at http://{address} until it is interrupted, for example:\n\n  \
             export AWS_ENDPOINT_URL=http://{address} AWS_REGION=us-east-1\n  \
             export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any\n  \
             aws organizations list-accounts\n"
        ))?;
        let serving =
            ServeOptions { seed: 1, snapshot, faults: FaultLevel::None, quota: QUOTA };
        // Ended by a signal, which loses nothing: all of it is in memory.
        serve(listener, serving, std::future::pending()).await.map_err(|error| Failure::Other(error.to_string()))
    })
}
