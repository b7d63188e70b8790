//! What the author of a notifier writes.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Failure, Notification, Problem, Receipt, Surroundings, Verdict};

/// A notifier: tells one other system about an account.
pub trait Notifier: Sized + 'static {
    /// What the user writes under `[notifiers.settings]`. Its JSON Schema is checked
    /// before [`configure`](Self::configure) sees it; `#[serde(deny_unknown_fields)]`
    /// makes a misspelt key an error.
    type Settings: DeserializeOwned + JsonSchema;

    /// Takes the settings. Every notification gets an instance of its own, so this runs
    /// before each of them: keep it cheap.
    ///
    /// # Errors
    /// Everything that is wrong with them and that the schema can't say, all at once.
    fn configure(settings: Self::Settings, around: &Surroundings) -> Result<Self, Vec<Problem>>;

    /// Tells the other system. May be called again with the same
    /// [`key`](Notification::key): after a crash, after a lost reply, after a transient
    /// failure. So look before repeating, or hand the other system the key.
    ///
    /// # Errors
    /// Why it could not be told. The [kind](crate::FailureKind) says whether the host
    /// tries again.
    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure>;
}

impl Receipt {
    /// The other system knows, under this reference: 1 to 1024 bytes without control
    /// characters.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), verdict: Verdict::Go }
    }

    /// With what is to happen to the notifications that come after this one. Counts only for a
    /// notifier that has `gate = true` in the config.
    pub fn with(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }
}
