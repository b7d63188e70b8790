//! Notifications, specs of notifiers, and fakes of AWS Support.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use groundcrew_core::account::{Account, OrganizationalUnit, Tags};
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::decision::Cause;
use groundcrew_core::event::Event;
use groundcrew_core::limits::Limits;
use groundcrew_core::notification::{Notification, NotificationKey};
use groundcrew_core::ports::SupportCases;
use groundcrew_core::support_case::SupportCase;
use groundcrew_plugins::{LoadError, LoadedNotifier, NotifierSpec, Runtime, Source, SupportGrant};
use serde_json::{Value, json};

/// The service code that test notifiers are granted.
pub const GRANTED_SERVICE: &str = "service-ams-operations-service-request";

/// AWS Support that records the cases it opens.
#[derive(Default)]
pub struct RecordingSupport {
    opened: Mutex<Vec<(NotificationKey, SupportCase)>>,
    /// The error that it returns instead of opening a case.
    pub error: Option<AwsError>,
    /// Whether it never returns.
    pub silent: bool,
}

#[async_trait]
impl SupportCases for RecordingSupport {
    async fn open(&self, key: &NotificationKey, case: &SupportCase) -> Result<String, AwsError> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        let mut opened = self.opened.lock().unwrap();
        opened.push((key.clone(), case.clone()));
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(format!("case-{}", opened.len())),
        }
    }
}

impl RecordingSupport {
    /// Fails with this AWS error code.
    pub fn failing(code: &str, class: ErrorClass, effect_possible: bool) -> Self {
        let error = AwsError {
            code: code.to_owned(),
            effect_possible,
            ..AwsError::without_code("CreateCase", class, "no")
        };
        Self { error: Some(error), ..Self::default() }
    }

    /// Never returns.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// All cases that it was called for.
    pub fn opened(&self) -> Vec<(NotificationKey, SupportCase)> {
        self.opened.lock().unwrap().clone()
    }
}

/// Returns at once and records no case.
#[derive(Default)]
pub struct CountingSupport(AtomicU32);

#[async_trait]
impl SupportCases for CountingSupport {
    async fn open(&self, _: &NotificationKey, _: &SupportCase) -> Result<String, AwsError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok("case-111122223333-muen-2026-0123456789abcdef".to_owned())
    }
}

/// The grant to open cases of the service code [`GRANTED_SERVICE`].
pub fn grant(cases: Arc<dyn SupportCases>) -> SupportGrant {
    SupportGrant { cases, service_codes: vec![GRANTED_SERVICE.to_owned()] }
}

/// A notifier with that grant, small limits and no settings.
pub fn spec(name: &str, source: Source, cases: Arc<dyn SupportCases>) -> NotifierSpec {
    NotifierSpec {
        name: name.to_owned(),
        source,
        sha256: None,
        settings: json!({}),
        limits: crate::policies::limits(),
        support: Some(grant(cases)),
        http: None,
    }
}

/// The bundled `ams-case`.
pub fn ams_case(settings: Value, cases: Arc<dyn SupportCases>) -> NotifierSpec {
    let source = Source::Bundled("ams-case".to_owned());
    NotifierSpec { settings, limits: Limits::default(), ..spec("ams", source, cases) }
}

/// Loads a component from its bytes.
pub async fn load_bytes(
    runtime: &Runtime,
    bytes: &[u8],
    cases: Arc<dyn SupportCases>,
) -> Result<LoadedNotifier, LoadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    runtime.load_notifier(spec("hostile", Source::File(file.path().to_owned()), cases)).await
}

/// An event with only the required members.
pub const EVENT: &str = r#"{"id":"7c36b9a2-9ee4-4b5e-9f3c-2f0e4a9d3f10","source":"aws.controltower","detail":{"eventName":"CreateManagedAccount"}}"#;

/// A notification that the account 111122223333 was created, with every field set.
pub fn notification() -> Notification {
    let account: groundcrew_core::account::AccountId = "111122223333".parse().unwrap();
    let unit = |id: &str, name: &str| OrganizationalUnit { id: id.into(), name: name.into() };
    let tags = [("cost-center", "4711"), ("owner", "payments")];
    Notification {
        key: NotificationKey::for_onboarding(&account, "ams"),
        cause: Cause::Lifecycle,
        account: Some(Arc::new(Account {
            id: account.clone(),
            name: "payments-prod".to_owned(),
            email: "aws+payments-prod@example.com".to_owned(),
            organizational_units: [
                unit("ou-abcd-11111111", "Workloads"),
                unit("ou-abcd-22222222", "Prod"),
            ]
            .into(),
            joined: Some("2026-01-02T03:00:00Z".parse().unwrap()),
            state: None,
        })),
        tags: Tags::Known(tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        event: Some(Arc::new(Event::parse(EVENT).unwrap())),
        annotations: vec![],
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        attempt: 1,
    }
}

/// A notification with only the id and the name of the account.
pub fn minimal_notification() -> Notification {
    let whole = notification();
    Notification {
        account: changed(&whole, |account| {
            account.email.clear();
            account.organizational_units = [].into();
            account.joined = None;
        }),
        tags: Tags::Unreadable("AccessDeniedException".to_owned()),
        event: None,
        ..whole
    }
}

/// A notification for an account with this name.
pub fn notification_for_name(name: &str) -> Notification {
    let whole = notification();
    Notification { account: changed(&whole, |account| account.name = name.to_owned()), ..whole }
}

/// A changed copy of the account of a notification.
fn changed(whole: &Notification, change: impl FnOnce(&mut Account)) -> Option<Arc<Account>> {
    let mut account = whole.account.as_deref().cloned()?;
    change(&mut account);
    Some(Arc::new(account))
}
