//! A loaded notifier: its settings are valid, and it can deliver notifications.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use groundcrew_core::notification::{Notification, NotifyFailure, Receipt};
use groundcrew_core::ports;
use tokio::sync::Semaphore;

use crate::bindings::exports::groundcrew::plugin::deliver;
use crate::contract;
use crate::convert::AccountParts;
use crate::delivery::{self, SideEffects};
use crate::sandbox::{CallContext, InstanceTemplate, Sandbox};

/// A notifier plugin, loaded. Each notification gets an instance of its own.
pub struct LoadedNotifier {
    pub(crate) template: InstanceTemplate<deliver::Guest>,
    pub(crate) digest: String,
    pub(crate) permits: Arc<Semaphore>,
}

impl LoadedNotifier {
    /// Its name in the config.
    pub fn name(&self) -> &str {
        &self.template.plugin
    }

    /// SHA-256 of its component, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether its component imports HTTP. Otherwise HTTP grants have no effect.
    pub fn imports_http(&self) -> bool {
        self.imports(contract::HTTP)
    }

    /// Whether its component imports support cases. Otherwise grants of them have no effect.
    pub fn imports_support_cases(&self) -> bool {
        self.imports(contract::SUPPORT_CASES)
    }

    fn imports(&self, import: &str) -> bool {
        let component = self.template.pre.instance.component();
        contract::imports(component.engine(), component, import)
    }
}

#[async_trait]
impl ports::Notifier for LoadedNotifier {
    /// Needs a tokio runtime with time enabled.
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let call_context = CallContext {
            account: notification.account.as_ref().map(|account| &account.id),
            now: notification.now,
        };
        let mut sandbox = Sandbox::configured(&self.template, call_context)
            .await
            .map_err(|error| delivery::sandbox_fault(&error, &SideEffects::default()))?;
        sandbox.begin_delivery(&notification.key);

        let account = notification.account.as_deref();
        let parts = account.map(|account| AccountParts::new(account, &notification.tags));
        let account = account.zip(parts.as_ref());
        let annotations: Vec<&str> = notification.annotations.iter().map(String::as_str).collect();
        let lowered = delivery::notification(notification, account, &annotations);
        let answer = sandbox.notify(lowered, call_context).await;
        let side_effects = sandbox.side_effects();
        match answer {
            Ok(Ok(receipt)) => delivery::receipt(self.name(), receipt)
                .map_err(|error| delivery::sandbox_fault(&error, &side_effects)),
            Ok(Err(failure)) => Err(delivery::plugin_failure(self.name(), failure, &side_effects)),
            Err(error) => Err(delivery::sandbox_fault(&error, &side_effects)),
        }
    }
}

impl fmt::Debug for LoadedNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedNotifier")
            .field("name", &self.name())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
