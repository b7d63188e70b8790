//! What notifiers need of other systems, looked at from here with the secrets of this process.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_aws::Clients;
use groundcrew_core::config::Config;
use groundcrew_core::doctor::GrantFacts;

use crate::ports::direct_http;

/// What a secret, a connection and an answer may take: as much as an answer of AWS.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is in place of each grant of each notifier, all looked at beside each other. `base` is the
/// folder of the config, and `probe` says whether requests are sent.
pub async fn look(
    clients: &Clients,
    config: &Config,
    base: &Path,
    probe: bool,
) -> Vec<Vec<GrantFacts>> {
    let http = direct_http(clients);
    let http = &http;
    let of_notifiers = config.notifiers.iter().map(|notifier| {
        join_all(notifier.grants.http.iter().map(move |grant| async move {
            http.examine(&grant.clone().within(base), probe, PATIENCE).await
        }))
    });
    join_all(of_notifiers).await
}
