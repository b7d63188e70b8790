//! The trait that the author of a notifier implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Context, Failure, GateDecision, Notification, Problem, Receipt};

/// A notifier: notifies another system of an account.
pub trait Notifier: Sized + 'static {
    /// The user's settings under `[notifiers.settings]`. They are checked against their JSON Schema
    /// before [`configure`](Self::configure) gets them; `#[serde(deny_unknown_fields)]` makes a
    /// misspelt key an error.
    type Settings: DeserializeOwned + JsonSchema;

    /// Makes the notifier from its settings. Every notification gets an instance of its own, so
    /// this runs before each delivery: keep it cheap.
    ///
    /// # Errors
    /// All problems of the settings that the schema can't express, at once.
    fn configure(settings: Self::Settings, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Delivers the notification. May be called again with the same [`key`](Notification::key):
    /// after a crash, after a lost response, after a transient failure. So find out whether the
    /// effect exists before repeating it, or pass the key to the other system.
    ///
    /// # Errors
    /// Why the notification could not be delivered. The [kind](crate::FailureKind) says whether the
    /// host retries.
    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure>;
}

/// Longest reference that the host takes, in bytes.
const MAX_REFERENCE_BYTES: usize = 1024;

impl Receipt {
    /// The notification was delivered, under this reference. The host accepts 1 to 1024 bytes
    /// without control characters. Anything beyond that is left out, since the host would retry a
    /// delivery whose receipt it refuses.
    pub fn new(reference: impl Into<String>) -> Self {
        let mut reference = reference.into();
        if reference.chars().any(char::is_control) {
            reference = reference.split(char::is_control).collect::<Vec<_>>().join(" ");
        }
        if reference.len() > MAX_REFERENCE_BYTES {
            reference.truncate(reference.floor_char_boundary(MAX_REFERENCE_BYTES - '…'.len_utf8()));
            reference.push('…');
        }
        Self { reference, decision: GateDecision::Go }
    }

    /// Adds a decision about the notifications that come after this one. It counts only for a
    /// notifier that has `gate = true` in the config.
    pub fn with_decision(self, decision: GateDecision) -> Self {
        Self { decision, ..self }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_it_is("case-1".to_owned(), "case-1")]
    #[case::lines("a\r\nb".to_owned(), "a  b")]
    #[case::long("ä".repeat(600), &format!("{}…", "ä".repeat(510)))]
    fn what_the_host_takes(#[case] reference: String, #[case] expected: &str) {
        let receipt = Receipt::new(reference);
        assert_eq!(receipt.reference, expected);
        assert!(receipt.reference.len() <= MAX_REFERENCE_BYTES);
    }
}
