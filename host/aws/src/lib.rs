//! Core's ports, implemented on the AWS SDKs.
//!
//! Nothing here looks at the process environment: an [`Environment`] says where and as
//! whom to call, so that the simulated AWS plugs in under the very same code.

#![deny(missing_docs)]

mod alerts;
mod clients;
mod dead_letters;
mod error;
mod events_queue;
mod organizations;
mod service_catalog;
mod updates_queue;

pub use alerts::SnsAlerts;
pub use clients::{Clients, Environment};
pub use events_queue::SqsEvents;
pub use organizations::OrganizationsDirectory;
pub use service_catalog::{LaunchPath, ServiceCatalog};
pub use updates_queue::SqsUpdates;
