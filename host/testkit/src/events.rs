//! Events as Control Tower sends them, all about the account 111122223333.

/// Control Tower has created or enrolled the account.
pub const CREATED: &str =
    include_str!("../../../tests/events/create-managed-account-succeeded.json");
/// It has updated the account.
pub const UPDATED: &str =
    include_str!("../../../tests/events/update-managed-account-succeeded.json");
/// It could not create the account.
pub const FAILED: &str = include_str!("../../../tests/events/create-managed-account-failed.json");
/// A schedule of EventBridge: accounts whose event was lost are looked for.
pub const SCHEDULED: &str =
    r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;
