//! A policy that was loaded: its settings are right and it can be asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use groundcrew_core::decision::{Candidate, NamedLanes, PolicyDecision};
use groundcrew_core::ports;
use tokio::sync::Semaphore;

use crate::bindings::exports::groundcrew::plugin::decide;
use crate::call_error::CallError;
use crate::convert::{self, Parts};
use crate::sandbox::{About, Blueprint, Sandbox};
use crate::spec::Instance;

/// How often a kept instance is asked before a fresh one takes its place: so that a
/// plugin that leaks memory doesn't grow for ever.
const KEPT_CALLS: u32 = 10_000;

/// A policy plugin, loaded and configured.
pub struct LoadedPolicy {
    pub(crate) blueprint: Blueprint<decide::Guest>,
    pub(crate) digest: String,
    pub(crate) named_lanes: NamedLanes,
    pub(crate) instance: Instance,
    /// Boxed, since it moves in and out with every question.
    pub(crate) kept: Mutex<Option<Box<Kept>>>,
    pub(crate) permits: Arc<Semaphore>,
}

/// An instance between two calls.
pub(crate) struct Kept {
    sandbox: Sandbox<decide::Guest>,
    calls_left: u32,
}

impl LoadedPolicy {
    /// Its name in the config.
    pub fn name(&self) -> &str {
        &self.blueprint.plugin
    }

    /// SHA-256 of its component, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Which lanes it may name, as it says itself.
    pub fn lanes(&self) -> &NamedLanes {
        &self.named_lanes
    }

    /// Asks, as [`ports::Policy::evaluate`] does, with a typed error. Needs a tokio
    /// runtime with time enabled.
    ///
    /// # Errors
    /// When the plugin fails, reaches a limit or answers nonsense.
    pub async fn decide(&self, candidate: &Candidate) -> Result<PolicyDecision, CallError> {
        match self.instance {
            Instance::Fresh => {
                // The semaphore is never closed.
                let _permit = self.permits.acquire().await;
                let mut sandbox = Sandbox::configured(&self.blueprint, about(candidate)).await?;
                self.ask(&mut sandbox, candidate).await
            }
            Instance::Kept => {
                // Taken out while it is asked: a call that is cancelled leaves nothing behind.
                let idle = self.kept().take();
                let mut kept = match idle {
                    Some(kept) => kept,
                    None => Box::new(Kept {
                        sandbox: Sandbox::configured(&self.blueprint, about(candidate)).await?,
                        calls_left: KEPT_CALLS,
                    }),
                };
                let answer = self.ask(&mut kept.sandbox, candidate).await;
                kept.calls_left -= 1;
                let sound = matches!(answer, Ok(_) | Err(CallError::Failure { .. }));
                if sound && kept.calls_left > 0 {
                    *self.kept() = Some(kept);
                }
                answer
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Box<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(
        &self,
        sandbox: &mut Sandbox<decide::Guest>,
        candidate: &Candidate,
    ) -> Result<PolicyDecision, CallError> {
        let parts = Parts::of(&candidate.account, &candidate.tags);
        let lowered = convert::candidate(candidate, &parts);
        let answer = sandbox.evaluate(lowered, about(candidate)).await?;
        convert::policy_decision(self.name(), &self.blueprint.lanes, answer)
    }
}

fn about(candidate: &Candidate) -> About<'_> {
    About { account: Some(&candidate.account.id), now: candidate.now }
}

#[async_trait]
impl ports::Policy for LoadedPolicy {
    async fn evaluate(
        &self,
        candidate: &Candidate,
    ) -> Result<PolicyDecision, ports::PolicyFailure> {
        Ok(self.decide(candidate).await?)
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
