//! Policies and notifiers, ready to be called.

use async_trait::async_trait;

use crate::decision::{Candidate, PolicyDecision};
use crate::notification::{Notification, NotifyFailure, Receipt};

/// A failed call of a policy plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyFailure {
    /// Short and stable, for grouping: `timeout`, `memory`, `trap`, …, or the plugin's own.
    pub code: String,
    /// Names the plugin, what happened, and the limit that was reached.
    pub message: String,
    /// Whether a retry can help.
    pub transient: bool,
}

/// One configured policy, ready to be called.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Evaluates the policy. It never panics, whatever the plugin does, and ends within its limits.
    async fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, PolicyFailure>;
}

/// One configured notifier, ready to be called.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers the notification to the other system. It never panics, whatever the plugin does,
    /// and ends within its limits. It may be called again with the same key.
    async fn notify(&self, notification: &Notification) -> Result<Receipt, NotifyFailure>;
}
