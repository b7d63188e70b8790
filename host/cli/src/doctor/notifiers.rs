//! Checks from this machine, with the secrets of this process, what notifiers need of other
//! systems.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_aws::Clients;
use groundcrew_core::config::NotifierConfig;
use groundcrew_core::doctor::NotifierFacts;
use groundcrew_plugins::LoadedNotifier;

use crate::ports::direct_http;

/// Time limit for a secret, a connection and a response: the same as for a response of AWS.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// Checks each notifier and its grants, all at the same time. `base` is the folder of the config,
/// and `probe` says whether requests are sent.
pub async fn inspect(
    clients: &Clients,
    notifiers: &[NotifierConfig],
    loaded: &[Arc<LoadedNotifier>],
    base: &Path,
    probe: bool,
) -> Vec<NotifierFacts> {
    let http = direct_http(clients);
    let http = &http;
    let each = notifiers.iter().zip(loaded).map(|(notifier, loaded)| async move {
        let grants = notifier.grants.http.iter().map(|grant| async move {
            http.check_grant(&grant.clone().relative_to(base), probe, PROBE_TIMEOUT).await
        });
        NotifierFacts {
            imports_http: loaded.imports_http(),
            imports_support_cases: loaded.imports_support_cases(),
            grants: join_all(grants).await,
        }
    });
    join_all(each).await
}
