//! Events in the form in which Control Tower sends them, all for the account 111122223333.

/// Control Tower has created or enrolled the account.
pub const CREATED: &str =
    include_str!("../../../tests/events/create-managed-account-succeeded.json");
/// Control Tower has updated the account.
pub const UPDATED: &str =
    include_str!("../../../tests/events/update-managed-account-succeeded.json");
/// Control Tower could not create the account.
pub const FAILED: &str = include_str!("../../../tests/events/create-managed-account-failed.json");
/// A schedule of EventBridge, which starts a sweep for accounts whose event was lost.
pub const SCHEDULED: &str =
    r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;
