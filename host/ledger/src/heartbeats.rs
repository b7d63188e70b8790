//! Heartbeats: one item for all hosts, since heartbeats are few and small. So one read returns all
//! of them, and nothing has to be deleted.

use async_trait::async_trait;
use groundcrew_core::ports::{Heartbeat, Heartbeats, Hosts, LedgerError};
use jiff::Timestamp;

use crate::store::{Key, Store};
use crate::store_ledger::StoreLedger;

fn hosts_key() -> Key {
    Key::only("hosts")
}

#[async_trait]
impl<S: Store> Heartbeats for StoreLedger<S> {
    async fn record_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), LedgerError> {
        self.update(&hosts_key(), |known: Option<Hosts>| {
            let mut hosts = known.unwrap_or_default();
            hosts.record_heartbeat(heartbeat);
            ((), Some(hosts))
        })
        .await
    }

    async fn remove_heartbeat(&self, host: &str, at: Timestamp) -> Result<(), LedgerError> {
        self.update(&hosts_key(), |known: Option<Hosts>| match known {
            Some(mut hosts) if hosts.heartbeats.contains_key(host) => {
                hosts.remove_heartbeat(host, at);
                ((), Some(hosts))
            }
            _ => ((), None),
        })
        .await
    }

    async fn hosts(&self) -> Result<Hosts, LedgerError> {
        Ok(self.load(hosts_key()).await?.value.unwrap_or_default())
    }
}
