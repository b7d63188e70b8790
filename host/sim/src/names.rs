//! The names that all modules share. It imports nothing.

/// Region of everything but Organizations.
pub(crate) const REGION: &str = "us-east-1";
/// The account of all calls.
pub(crate) const MANAGEMENT_ACCOUNT: &str = "123456789012";
/// The role of all calls, and the name of its session.
pub(crate) const ROLE: &str = "groundcrew";
pub(crate) const SESSION: &str = "session";

/// Name of the Account Factory product.
pub(crate) const PRODUCT_NAME: &str = "AWS Control Tower Account Factory";
/// Name of the portfolio that holds the Account Factory product.
pub(crate) const PORTFOLIO_NAME: &str = "AWS Control Tower Account Factory Portfolio";

/// Name of the alerts topic.
pub(crate) const TOPIC: &str = "groundcrew-alerts";
/// Name of the DynamoDB table that exists from the start.
pub(crate) const TABLE: &str = "groundcrew";

/// Names of the queues that exist from the start.
pub(crate) const UPDATES_QUEUE: &str = "groundcrew-updates.fifo";
pub(crate) const UPDATES_DLQ: &str = "groundcrew-updates-dead.fifo";
pub(crate) const NOTIFICATIONS_QUEUE: &str = "groundcrew-notifications.fifo";
pub(crate) const NOTIFICATIONS_DLQ: &str = "groundcrew-notifications-dead.fifo";
pub(crate) const EVENTS_QUEUE: &str = "groundcrew-events";
pub(crate) const EVENTS_DLQ: &str = "groundcrew-events-dead";

/// ARN of the session of all calls.
pub(crate) fn caller_arn() -> String {
    format!("arn:aws:sts::{MANAGEMENT_ACCOUNT}:assumed-role/{ROLE}/{SESSION}")
}
