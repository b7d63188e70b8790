//! What the author of a notifier writes.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Context, Failure, GateDecision, Notification, Problem, Receipt};

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
    fn configure(settings: Self::Settings, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Tells the other system. May be called again with the same
    /// [`key`](Notification::key): after a crash, after a lost reply, after a transient
    /// failure. So look before repeating, or hand the other system the key.
    ///
    /// # Errors
    /// Why it could not be told. The [kind](crate::FailureKind) says whether the host
    /// tries again.
    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure>;
}

/// Longest reference that the host takes, in bytes.
const MAX_REFERENCE_BYTES: usize = 1024;

impl Receipt {
    /// The other system knows, under this reference. The host takes 1 to 1024 bytes without
    /// control characters; what an answer has beyond that is left out, since a receipt that is
    /// refused would have the notification told again.
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

    /// With what is to happen to the notifications that come after this one. Counts only for a
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
