//! From a [`Policy`] to the exports of a plugin.

use std::cell::OnceCell;

use schemars::schema_for;

use crate::problem::of_serde;
use crate::{Candidate, Decision, Failure, Outline, Policy, Problem, Surroundings};

/// Makes the component's exports out of a [`Policy`]. Natively it makes nothing, so that
/// a plugin's crate can be tested like any other.
#[macro_export]
macro_rules! policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::groundcrew::plugin::{decide, settings};

            ::std::thread_local! {
                static INSTANCE: $crate::Instance<$policy> = const { $crate::Instance::new() };
            }

            struct Plugin;

            impl settings::Guest for Plugin {
                fn schema() -> ::std::string::String {
                    $crate::schema::<$policy>()
                }

                fn configure(
                    settings: ::std::string::String,
                    around: $crate::Surroundings,
                ) -> ::core::result::Result<$crate::Outline, ::std::vec::Vec<$crate::Problem>>
                {
                    INSTANCE.with(|instance| instance.configure(&settings, &around))
                }
            }

            impl decide::Guest for Plugin {
                fn evaluate(
                    candidate: $crate::Candidate,
                ) -> ::core::result::Result<$crate::Decision, $crate::Failure> {
                    INSTANCE.with(|instance| instance.evaluate(&candidate))
                }
            }

    $crate::bindings::export!(Plugin with_types_in $crate::bindings);
        };
    };
}

/// The JSON Schema of a policy's settings.
#[doc(hidden)]
pub fn schema<P: Policy>() -> String {
    schema_for!(P::Settings).as_value().to_string()
}

/// The one policy that lives in an instance of the component.
#[doc(hidden)]
pub struct Instance<P>(OnceCell<P>);

impl<P: Policy> Instance<P> {
    /// Not configured yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Makes the policy from its settings, a JSON object.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn configure(
        &self,
        settings: &str,
        around: &Surroundings,
    ) -> Result<Outline, Vec<Problem>> {
        let mut json = serde_json::Deserializer::from_str(settings);
        let settings =
            serde_path_to_error::deserialize(&mut json).map_err(|error| vec![of_serde(error)])?;
        let policy = P::configure(settings, around)?;
        let outline = Outline { lanes: policy.lanes() };
        self.0.set(policy).map_err(|_| {
            vec![Problem::new("", "this instance is configured already: make another one")]
        })?;
        Ok(outline)
    }

    /// Asks the policy.
    ///
    /// # Errors
    /// The policy's own failure, or that it was not configured.
    pub fn evaluate(&self, candidate: &Candidate) -> Result<Decision, Failure> {
        let policy = self.0.get().ok_or_else(|| {
            Failure::invalid("not-configured", "`configure` must succeed before `evaluate`")
        })?;
        policy.evaluate(candidate)
    }
}
