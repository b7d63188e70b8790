//! The services, each with AWS's behavior. The model applies what a service does over time.

pub(crate) mod control_tower;
pub(crate) mod dynamodb;
pub(crate) mod identity_center;
pub(crate) mod identity_store;
pub(crate) mod organizations;
pub(crate) mod service_catalog;
pub(crate) mod sns;
pub(crate) mod sqs;
pub(crate) mod sts;
pub(crate) mod support;
pub(crate) mod tagging;
mod token_bucket;
