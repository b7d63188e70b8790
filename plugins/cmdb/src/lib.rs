//! Writes a new account into a configuration management database: ServiceNow by its Table API,
//! or any inventory that speaks REST.
//!
//! It searches before it creates: an existing record is updated, so that a repeat, after a crash or
//! a lost response, creates no second record. It compares the record that it found with the
//! account: a record of another account is not changed.

#![deny(missing_docs)]

mod compare;
mod rest;
mod servicenow;
mod settings;
#[cfg(test)]
mod tests;

use groundcrew_sdk::{Context, Failure, Notification, Notifier, Problem, Receipt};

use rest::RestInventory;
use servicenow::TableApi;
pub use settings::{Create, Lookup, Method, Rest, ServiceNow, Settings, Update};

/// The notifier.
pub enum Cmdb {
    /// ServiceNow.
    #[doc(hidden)]
    ServiceNow(Box<TableApi>),
    /// Any other inventory.
    #[doc(hidden)]
    Rest(Box<RestInventory>),
}

impl Notifier for Cmdb {
    type Settings = Settings;

    fn configure(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        match (settings.servicenow, settings.rest) {
            (Some(settings), None) => {
                TableApi::new(settings).map(|system| Self::ServiceNow(Box::new(system)))
            }
            (None, Some(settings)) => {
                RestInventory::new(settings).map(|system| Self::Rest(Box::new(system)))
            }
            _ => {
                let message = "expected either the table `servicenow` or the table `rest`";
                Err(vec![Problem::new("", message)])
            }
        }
    }

    fn notify(&self, notification: &Notification) -> Result<Receipt, Failure> {
        groundcrew_templates::require_account(notification)?;
        match self {
            Self::ServiceNow(system) => system.write(notification),
            Self::Rest(system) => system.write(notification),
        }
        .map(Receipt::new)
    }
}

groundcrew_sdk::notifier!(Cmdb);
