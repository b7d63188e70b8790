//! The one plugin in an instance of a component.

use std::cell::OnceCell;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

use crate::problem::from_serde;
use crate::{
    Candidate, Context, Failure, Metadata, NamedLanes, Notification, Notifier, Policy,
    PolicyDecision, Problem, Receipt,
};

/// The JSON Schema of a plugin's settings.
#[doc(hidden)]
pub fn schema<S: JsonSchema>() -> String {
    schema_for!(S).as_value().to_string()
}

/// A [`Policy`] or a [`Notifier`], once it has its settings.
#[doc(hidden)]
pub struct Instance<T>(OnceCell<T>);

impl<T> Instance<T> {
    /// Not configured yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Makes the plugin from its settings, a JSON object.
    fn configure_once<S: DeserializeOwned>(
        &self,
        settings: &str,
        configure: impl FnOnce(S) -> Result<T, Vec<Problem>>,
    ) -> Result<&T, Vec<Problem>> {
        if self.0.get().is_some() {
            let message = "this instance is configured already: make another one";
            return Err(vec![Problem::new("", message)]);
        }
        let mut json = serde_json::Deserializer::from_str(settings);
        let settings =
            serde_path_to_error::deserialize(&mut json).map_err(|error| vec![from_serde(error)])?;
        let plugin = configure(settings)?;
        Ok(self.0.get_or_init(|| plugin))
    }

    fn configured(&self) -> Result<&T, Failure> {
        let message = "`configure` must succeed before anything else is called";
        self.0.get().ok_or_else(|| Failure::invalid("not-configured", message))
    }
}

impl<P: Policy> Instance<P> {
    /// Makes the policy.
    ///
    /// # Errors
    /// All that is wrong with its settings.
    pub fn configure_policy(
        &self,
        settings: &str,
        context: &Context,
    ) -> Result<Metadata, Vec<Problem>> {
        let policy = self.configure_once(settings, |settings| P::configure(settings, context))?;
        Ok(Metadata { lanes: policy.named_lanes() })
    }

    /// Evaluates the policy.
    ///
    /// # Errors
    /// The policy's own failure, or that it was not configured.
    pub fn evaluate(&self, candidate: &Candidate) -> Result<PolicyDecision, Failure> {
        self.configured()?.evaluate(candidate)
    }
}

impl<N: Notifier> Instance<N> {
    /// Makes the notifier.
    ///
    /// # Errors
    /// All that is wrong with its settings.
    pub fn configure_notifier(
        &self,
        settings: &str,
        context: &Context,
    ) -> Result<Metadata, Vec<Problem>> {
        self.configure_once(settings, |settings| N::configure(settings, context))?;
        Ok(Metadata { lanes: NamedLanes::Only(vec![]) })
    }

    /// Calls the notifier.
    ///
    /// # Errors
    /// The notifier's own failure, or that it was not configured.
    pub fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        self.configured()?.notify(notification)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    struct Greeter(String);

    impl Notifier for Greeter {
        type Settings = String;

        fn configure(settings: String, _: &Context) -> Result<Self, Vec<Problem>> {
            match settings.as_str() {
                "" => Err(vec![Problem::new("", "empty")]),
                _ => Ok(Self(settings)),
            }
        }

        fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
            Ok(Receipt::new(format!("{} {}", self.0, notification.account.id)))
        }
    }

    fn notification() -> Notification {
        Notification {
            annotations: vec![],
            key: "onboard/111122223333/greeter".to_owned(),
            cause: crate::Cause::Lifecycle,
            account: crate::Account {
                id: "111122223333".to_owned(),
                name: String::new(),
                email: String::new(),
                organizational_units: vec![],
                tags: crate::Tags::Known(vec![]),
                joined: None,
                state: crate::AccountState::Active,
            },
            event: None,
            now: 0,
            attempt: 1,
        }
    }

    #[test]
    fn is_configured_once_and_then_used() {
        let (instance, context) = (Instance::<Greeter>::new(), Context { lanes: vec![] });
        let problem =
            |result: Result<Metadata, Vec<Problem>>| result.unwrap_err()[0].message.clone();

        assert_eq!(instance.notify(&notification()).unwrap_err().code, "not-configured");
        assert_eq!(problem(instance.configure_notifier(r#""""#, &context)), "empty");
        assert!(problem(instance.configure_notifier("7", &context)).contains("expected a string"));
        instance.configure_notifier(r#""hello""#, &context).unwrap();
        assert_eq!(instance.notify(&notification()), Ok(Receipt::new("hello 111122223333")));
        let again = problem(instance.configure_notifier(r#""bye""#, &context));
        assert!(again.contains("configured already"), "{again}");
        assert_eq!(instance.notify(&notification()), Ok(Receipt::new("hello 111122223333")));
    }

    #[test]
    fn the_schema_is_that_of_the_settings() {
        let schema: Value = serde_json::from_str(&schema::<String>()).unwrap();
        assert_eq!(schema["type"], "string");
    }
}
