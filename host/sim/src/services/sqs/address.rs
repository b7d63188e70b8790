//! URLs and ARNs of queues.

use crate::names::{MANAGEMENT_ACCOUNT, REGION};

/// SQS's own endpoint.
pub(crate) fn endpoint() -> String {
    format!("https://sqs.{REGION}.amazonaws.com")
}

/// URL of the queue with this name at SQS's own endpoint.
pub(crate) fn url(name: &str) -> String {
    url_at(&endpoint(), name)
}

/// URL of the queue with this name at another endpoint.
pub(crate) fn url_at(endpoint: &str, name: &str) -> String {
    format!("{endpoint}/{MANAGEMENT_ACCOUNT}/{name}")
}

/// ARN of the queue with this name.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{MANAGEMENT_ACCOUNT}:{name}")
}
