//! Core's ports, implemented on the AWS SDKs.
//!
//! An [`Environment`] has the endpoints and credentials of the calls, so that the simulated AWS
//! runs under the same code. Only [`Environment::from_process_env`] reads the environment of the
//! process.

#![deny(missing_docs)]

mod alerts;
mod baselines;
mod call_counter;
mod clients;
mod dead_letter_queue;
pub mod doctor;
mod error;
mod events_queue;
mod http;
mod identity;
mod identity_store;
mod landing_zone;
mod malformed_response;
mod notifications_queue;
mod organizations;
mod queue_depth;
mod secrets_manager;
mod service_catalog;
mod sqs;
mod support_cases;
mod tag_index;
mod updates_queue;

pub use alerts::SnsAlerts;
pub use call_counter::CallCounter;
pub use clients::{Clients, Environment};
pub use events_queue::SqsEventQueue;
pub use identity::caller_arn;
pub use identity_store::IdentityCenterUsers;
pub use landing_zone::ControlTower;
pub use notifications_queue::SqsNotificationQueue;
pub use organizations::OrganizationsDirectory;
pub use queue_depth::queue_depth;
pub use secrets_manager::SecretsManager;
pub use service_catalog::{LaunchPathSelector, ServiceCatalog};
pub use support_cases::AwsSupport;
pub use tag_index::ResourceTags;
pub use updates_queue::SqsUpdateQueue;
