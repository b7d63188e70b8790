//! The resources of a served simulated AWS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::names::{
    EVENTS_DLQ, EVENTS_QUEUE, MANAGEMENT_ACCOUNT, NOTIFICATIONS_DLQ, NOTIFICATIONS_QUEUE, REGION,
    TABLE, TOPIC, UPDATES_DLQ, UPDATES_QUEUE,
};
use crate::services::sqs::address::url_at;

/// The resources of a served simulated AWS, under their names in a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// The URL of its endpoint.
    pub endpoint: String,
    /// Its Region.
    pub region: &'static str,
    /// URL of the queue of accounts to update (FIFO), and of its dead-letter queue.
    pub updates: (String, String),
    /// URL of the queue of events, and of its dead-letter queue.
    pub events: (String, String),
    /// URL of the queue of notifications (FIFO), and of its dead-letter queue.
    pub notifications: (String, String),
    /// ARN of the topic of alerts.
    pub topic_arn: String,
    /// Name of the DynamoDB table, which has the keys of a ledger.
    pub table: &'static str,
}

impl Resources {
    /// The resources of a server that listens at this address.
    pub fn at(listening: SocketAddr) -> Self {
        let endpoint = endpoint(listening);
        let pair = |queue, dead| (url_at(&endpoint, queue), url_at(&endpoint, dead));
        Self {
            region: REGION,
            updates: pair(UPDATES_QUEUE, UPDATES_DLQ),
            events: pair(EVENTS_QUEUE, EVENTS_DLQ),
            notifications: pair(NOTIFICATIONS_QUEUE, NOTIFICATIONS_DLQ),
            topic_arn: format!("arn:aws:sns:{REGION}:{MANAGEMENT_ACCOUNT}:{TOPIC}"),
            table: TABLE,
            endpoint,
        }
    }
}

/// The URL at which clients on this machine reach a server that listens at this address.
pub(crate) fn endpoint(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("http://{address}")
}
