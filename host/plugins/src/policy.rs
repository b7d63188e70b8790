//! A loaded policy: its settings are valid, and it can be evaluated.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use groundcrew_core::decision::{Candidate, NamedLanes, PolicyDecision};
use groundcrew_core::ports;
use tokio::sync::Semaphore;

use crate::bindings::exports::groundcrew::plugin::decide;
use crate::call_error::CallError;
use crate::convert::{self, AccountParts};
use crate::sandbox::{CallContext, InstanceTemplate, Sandbox};
use crate::spec::Instance;

/// How many calls a kept instance handles before it is replaced, so that a plugin that leaks memory
/// doesn't grow without limit.
const MAX_CALLS_PER_INSTANCE: u32 = 10_000;

/// A policy plugin, loaded and configured.
pub struct LoadedPolicy {
    pub(crate) template: InstanceTemplate<decide::Guest>,
    pub(crate) digest: String,
    pub(crate) named_lanes: NamedLanes,
    pub(crate) instance: Instance,
    /// Boxed, since it moves in and out with every evaluation.
    pub(crate) kept: Mutex<Option<Box<KeptInstance>>>,
    pub(crate) permits: Arc<Semaphore>,
}

/// An instance between two calls.
pub(crate) struct KeptInstance {
    sandbox: Sandbox<decide::Guest>,
    calls_left: u32,
}

impl LoadedPolicy {
    /// Its name in the config.
    pub fn name(&self) -> &str {
        &self.template.plugin
    }

    /// SHA-256 of its component, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The lanes that it may name, as the plugin declares them.
    pub fn lanes(&self) -> &NamedLanes {
        &self.named_lanes
    }

    /// Evaluates a candidate as [`ports::Policy::evaluate`] does, with a typed error. Needs a tokio
    /// runtime with time enabled.
    ///
    /// # Errors
    /// When the plugin fails, reaches a limit or returns an invalid result.
    pub async fn evaluate_typed(&self, candidate: &Candidate) -> Result<PolicyDecision, CallError> {
        match self.instance {
            Instance::Fresh => {
                // The semaphore is never closed.
                let _permit = self.permits.acquire().await;
                let mut sandbox =
                    Sandbox::configured(&self.template, call_context(candidate)).await?;
                self.evaluate_in(&mut sandbox, candidate).await
            }
            Instance::Kept => {
                // Taken out during the evaluation, so that a cancelled call leaves no instance
                // behind.
                let idle = self.kept().take();
                let mut kept = match idle {
                    Some(kept) => kept,
                    None => Box::new(KeptInstance {
                        sandbox: Sandbox::configured(&self.template, call_context(candidate))
                            .await?,
                        calls_left: MAX_CALLS_PER_INSTANCE,
                    }),
                };
                let answer = self.evaluate_in(&mut kept.sandbox, candidate).await;
                kept.calls_left -= 1;
                let sound = matches!(answer, Ok(_) | Err(CallError::Failure { .. }));
                if sound && kept.calls_left > 0 {
                    *self.kept() = Some(kept);
                }
                answer
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Box<KeptInstance>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn evaluate_in(
        &self,
        sandbox: &mut Sandbox<decide::Guest>,
        candidate: &Candidate,
    ) -> Result<PolicyDecision, CallError> {
        let parts = AccountParts::new(&candidate.account, &candidate.tags);
        let lowered = convert::candidate(candidate, &parts);
        let answer = sandbox.evaluate(lowered, call_context(candidate)).await?;
        convert::policy_decision(self.name(), &self.template.lanes, answer)
    }
}

fn call_context(candidate: &Candidate) -> CallContext<'_> {
    CallContext { account: Some(&candidate.account.id), now: candidate.now }
}

#[async_trait]
impl ports::Policy for LoadedPolicy {
    async fn evaluate(
        &self,
        candidate: &Candidate,
    ) -> Result<PolicyDecision, ports::PolicyFailure> {
        Ok(self.evaluate_typed(candidate).await?)
    }
}

impl fmt::Debug for LoadedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedPolicy")
            .field("name", &self.name())
            .field("digest", &self.digest)
            .field("lanes", &self.named_lanes)
            .finish_non_exhaustive()
    }
}
