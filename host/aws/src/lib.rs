//! Core's ports, implemented on the AWS SDKs.
//!
//! An [`Environment`] says where and as whom to call, so that the simulated AWS plugs in
//! under the very same code. Only [`Environment::of_process`] looks at the process.

#![deny(missing_docs)]

mod alerts;
mod baselines;
mod calls;
mod clients;
mod dead_letters;
pub mod doctor;
mod error;
mod events_queue;
mod garbled;
mod http;
mod identity;
mod identity_store;
mod landing_zone;
mod notifications_queue;
mod organizations;
mod queue_depth;
mod secrets_manager;
mod service_catalog;
mod sqs;
mod support;
mod tag_index;
mod updates_queue;

pub use alerts::SnsAlerts;
pub use calls::Calls;
pub use clients::{Clients, Environment};
pub use events_queue::SqsEvents;
pub use identity::caller_arn;
pub use identity_store::IdentityCenterUsers;
pub use landing_zone::ControlTower;
pub use notifications_queue::SqsNotifications;
pub use organizations::OrganizationsDirectory;
pub use queue_depth::queue_depth;
pub use secrets_manager::SecretsManager;
pub use service_catalog::{LaunchPath, ServiceCatalog};
pub use support::AwsSupport;
pub use tag_index::ResourceTags;
pub use updates_queue::SqsUpdates;
